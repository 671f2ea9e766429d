"""Putting a new pointer in place in a copy, with the signed documents that lead to it."""

from __future__ import annotations

from collections.abc import Mapping

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root

from pyramid_pypi.following import trust
from pyramid_pypi.following.placing import Overlay
from pyramid_pypi.following.replica import Replica
from pyramid_pypi.following.seals import KEY_PATH, SIGNATURE_PATH, check_seal
from pyramid_pypi.following.sources import Source, read
from pyramid_pypi.following.trust import Pointer
from pyramid_pypi.following.trust_kept import root_version
from pyramid_pypi.formats import repomd

_MAX_SEAL_BYTES = 64 * 1024


def seal_of(source: Source, pointer: Pointer) -> dict[str, bytes]:
    """Return the OpenPGP signature and key of `pointer`, by path; nothing if it moved on.

    To be asked for right after the pointer: `source` shows no other one for long.

    Raises:
        SourceUnreadable: they cannot be read.
    """
    found = {path: read(source, path, _MAX_SEAL_BYTES) for path in (KEY_PATH, SIGNATURE_PATH)}
    xml = repomd.xml(pointer.repomd)
    if read(source, trust.POINTER_XML, len(xml)) != xml:
        return {}
    there = {path: content for path, content in found.items() if content is not None}
    return there if len(there) == len(found) else {}


def earlier_roots(source: Source, signed: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the roots before those in `signed`, which lead to them, by path.

    A client who trusts an older root walks by them to the one of now.  Each is proved by
    its own signature and by having signed the next; where one is not so, those before it
    are left out.

    Raises:
        SourceUnreadable: one could not be read.
    """
    known = {path: content for path, content in signed.items() if path.endswith(".root.json")}
    if not known:
        return {}
    first = min(root_version(path) for path in known)
    following = Metadata[Root].from_bytes(known[f"tuf/{first}.root.json"])
    found: dict[str, bytes] = {}
    for number in range(first - 1, 0, -1):
        path = f"tuf/{number}.root.json"
        content = read(source, path, trust.MAX_TUF_BYTES)
        try:
            root = Metadata[Root].from_bytes(content or b"")
            if root.signed.type != Root.type or root.signed.version != number:
                break
            for one in (root, following):
                root.signed.verify_delegate(Root.type, one.signed_bytes, one.signatures)
        except (RepositoryError, ValueError):
            break
        found[path], following = content or b"", root
    return found


def install(replica: Replica, pointer: Pointer, seal: Mapping[str, bytes]) -> None:
    """Put the signed documents and, last of all, the pointers in place.

    Raises:
        SourceUnreadable: an earlier root cannot be read.
        OSError: a document cannot be written.
    """
    tree = replica.tree
    contents = {
        trust.POINTER_XML: repomd.xml(pointer.repomd),
        trust.POINTER: pointer.content,
    }
    last = {**contents, **{p: c for p, c in pointer.signed.items() if p == trust.TIMESTAMP}}
    first = {path: c for path, c in pointer.signed.items() if path not in last}
    first |= earlier_roots(replica.source, pointer.signed)
    for path, (sha256, _) in pointer.targets.items():
        room, _, name = path.rpartition("/")
        first[f"{room}/{sha256}.{name}"] = contents[path]
    _put(replica, first)
    tree.sync()
    _install_seal(replica, seal, contents[trust.POINTER_XML])
    _put(replica, last)


def _put(replica: Replica, documents: Mapping[str, bytes]) -> None:
    for path, content in documents.items():
        if not replica.tree.holds(path, content):
            replica.tree.put(path, content)


def _install_seal(replica: Replica, seal: Mapping[str, bytes], xml: bytes) -> None:
    """Put the OpenPGP signature in place, or none at all if it is not of the pointer `xml`.

    Without the extra `openpgp` nobody here can tell: then what the source showed together
    with its pointer is taken as it is.
    """
    laid = Overlay(replica.folder, seal)
    if not seal or any(check_seal(laid, xml)):
        replica.tree.remove(SIGNATURE_PATH)
        return
    _put(replica, seal)
