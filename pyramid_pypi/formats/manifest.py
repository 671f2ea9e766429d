"""A manifest: documents that belong together, each with its sha256 and size.

One lists the companions of a project, from which the second hash tree is made; another
the documents of the whole site.  Both are canonical JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import msgspec

from pyramid_pypi.errors import Refusal
from pyramid_pypi.formats.canonical import json_document
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.values.paths import is_relative_path

SITE_SHADOWS = "repodata/v"
"""Where superseded documents of the whole site lie: ``simple/v/`` may be a project's."""


MAX_BYTES = 16 * 1024 * 1024
"""A longer one is not read: 100,000 releases of one project come to less."""


class ManifestUnreadable(Refusal):
    """A manifest is not what it should be; nothing it says is trusted."""

    code = "manifest.unreadable"
    title = "The manifest cannot be read"


class Listed(NamedTuple):
    """What a manifest says of one document."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """Documents by their paths in the tree, as they were at `serial`."""

    serial: int
    documents: Mapping[str, Listed]


_Listed = tuple[
    Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")],
    Annotated[int, msgspec.Meta(ge=0, lt=2**53)],
]


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    documents: dict[str, _Listed]
    serial: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


_decoder = msgspec.json.Decoder(_Manifest)


def listed(content: bytes) -> Listed:
    """Return what a manifest says of the document `content`."""
    return Listed(sha256_hex(content), len(content))


def document(manifest: Manifest) -> bytes:
    """Return `manifest` as canonical JSON."""
    return json_document({"documents": manifest.documents, "serial": manifest.serial})


def parse(content: bytes) -> Manifest:
    """Return the manifest that `content` is.

    Raises:
        ManifestUnreadable: it is none, or names a path that leads out of the tree.
    """
    if len(content) > MAX_BYTES:
        raise ManifestUnreadable(f"it has more than {MAX_BYTES} bytes")
    try:
        read = _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ManifestUnreadable(f"no manifest: {error}") from error
    for path in read.documents:
        if not is_relative_path(path):
            raise ManifestUnreadable(f"{path!r} is no path of a tree")
    return Manifest(
        read.serial, {path: Listed(*entry) for path, entry in read.documents.items()}
    )


def shadow_path(path: str, sha256: str) -> str:
    """Return where the version `sha256` of the document at `path` lies for good.

    In the folder ``v`` beside it, with all of its extensions; documents of the whole site
    in one folder of their own.  A compressed twin is named for what it is the twin of.
    """
    folder, _, name = path.rpartition("/")
    _, dot, extension = name.partition(".")
    room = f"{folder}/v" if folder.count("/") else SITE_SHADOWS
    return f"{room}/{sha256}{dot}{extension}"
