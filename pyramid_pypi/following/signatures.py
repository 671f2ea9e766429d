"""Every signed document of a tree, those too that a client of the signatures never asks for.

A client needs enough good signatures, in any form.  Here all of them must be good, and the
bytes just those that the document is written in, so that no altered byte goes unseen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import Key
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization.json import JSONSerializer

from pyramid_pypi.following.findings import Fault, Finding
from pyramid_pypi.following.sources import Source, SourceUnreadable, read
from pyramid_pypi.following.trust import MAX_TUF_BYTES, POINTER
from pyramid_pypi.formats.canonical import json_document

ROOM = "tuf/"
_NAME = re.compile(r"tuf/(?:([1-9][0-9]{0,15})\.)?([a-z]{1,40})\.json\Z")


@dataclass(frozen=True, slots=True)
class _Signed:
    path: str
    version: int | None
    role: str
    document: Metadata[Any]


def check_signatures(
    source: Source, paths: Iterable[str], verified: Iterable[bytes] = ()
) -> Iterator[Finding]:
    """Look at the signed documents at `paths`, given with every root and targets there is.

    Those that were `verified` already, as a root that was given or seen in an earlier run,
    name keys too.
    """
    read_ones = []
    for path in sorted(paths):
        found = _read(source, path)
        if isinstance(found, Finding):
            yield found
        else:
            read_ones.append(found)
    known: list[Metadata[Any]] = [Metadata.from_bytes(content) for content in verified]
    keys = _keys([*known, *(signed.document for signed in read_ones)])
    for signed in read_ones:
        for reason in _reasons(signed, keys):
            yield Finding(Fault.SIGNATURE, signed.path, reason, source.modified(signed.path))


def signed_serial(source: Source, path: str) -> int:
    """Return the serial that the signed document at `path` is of, 0 where it tells none."""
    found = _read(source, path)
    if isinstance(found, Finding) or not isinstance(found.document.signed, Targets):
        return 0
    target = found.document.signed.targets.get(POINTER)
    custom: Any = target.custom if target is not None else None
    serial = custom.get("serial") if isinstance(custom, dict) else None
    return serial if type(serial) is int else 0


def _read(source: Source, path: str) -> _Signed | Finding:
    match = _NAME.match(path)
    if match is None:
        return Finding(Fault.UNNAMED, path, "no signed document is called so")
    try:
        content = read(source, path, MAX_TUF_BYTES)
    except SourceUnreadable as error:
        return Finding(Fault.UNREADABLE, path, error.detail)
    if content is None:
        return Finding(Fault.MISSING, path)
    try:
        document: Metadata[Any] = Metadata.from_bytes(content)
        if content not in _forms(document):
            detail = "it is not written as what it says is written"
            return Finding(Fault.SIGNATURE, path, detail, source.modified(path))
    except (RepositoryError, ValueError, TypeError, RecursionError) as error:
        return Finding(Fault.SIGNATURE, path, f"it cannot be read: {error}")
    version = int(match[1]) if match[1] else None
    return _Signed(path, version, match[2], document)


def _forms(document: Metadata[Any]) -> Iterator[bytes]:
    """Yield the forms in which a signed document is written."""
    yield JSONSerializer().serialize(document)
    yield JSONSerializer(compact=True).serialize(document)
    yield json_document(document.to_dict())


def _keys(documents: Iterable[Metadata[Any]]) -> dict[str, Key]:
    """Return every key that a root or a delegation names, by its id."""
    keys: dict[str, Key] = {}
    for document in documents:
        body = document.signed
        if isinstance(body, Root):
            keys |= body.keys
        elif isinstance(body, Targets) and body.delegations is not None:
            keys |= body.delegations.keys
    return keys


def _reasons(signed: _Signed, keys: dict[str, Key]) -> Iterator[str]:
    body = signed.document.signed
    if signed.version is not None and body.version != signed.version:
        yield f"it is of version {body.version}"
    if body.type != (signed.role if signed.role in _TYPES else "targets"):
        yield f"it is a {body.type}"
    if not signed.document.signatures:
        yield "nobody signed it"
    payload = signed.document.signed_bytes
    for key_id, signature in signed.document.signatures.items():
        if signature.signature != signature.signature.lower():
            yield f"the signature of key {key_id[:16]} is written in another way"
        try:
            keys[key_id].verify_signature(signature, payload)
        except KeyError:
            yield f"it is signed by the unknown key {key_id[:16]}"
        except (UnverifiedSignatureError, VerificationError):
            yield f"the signature of key {key_id[:16]} does not fit"


_TYPES = frozenset({"root", "timestamp", "snapshot", "targets"})
