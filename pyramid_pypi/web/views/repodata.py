"""The tree's documents at their own names, for those who copy and verify it.

What is asked for is sent with just the bytes that stand in the tree: nothing is chosen
by `Accept`, and a compressed twin is sent in place of its document only as the encoding
of it.  No database or session is asked.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from functools import lru_cache
from typing import Any, BinaryIO

from pyramid.view import view_config

from pyramid_pypi.web import negotiation, sending
from pyramid_pypi.web.answers import DATA_POLICY, PAGE_POLICY, Answer
from pyramid_pypi.web.documents import FOREVER
from pyramid_pypi.web.negotiation import Representation
from pyramid_pypi.web.places_repodata import RepodataPointer, TufTimestamp
from pyramid_pypi.web.places_tree import Shadow, TreeDocument
from pyramid_pypi.web.recent import Ready, State, state_of
from pyramid_pypi.web.refusals import PageMissing
from pyramid_pypi.web.resources import ProjectManifest
from pyramid_pypi.web.security import READ
from pyramid_pypi.web.sending import Manner

MOST_IN_MEMORY_BYTES = 256 * 1024
"""Larger documents are sent from the disk, and in parts to who asks for parts."""

_TYPES = {
    "": "application/json",  # the older JSON API has no endings
    "asc": "application/pgp-signature",
    "bz2": "application/x-bzip2",
    "css": "text/css",
    "gz": "application/gzip",
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "key": "application/pgp-keys",
    "xml": "application/xml",
}
_PACKED = frozenset({"application/gzip", "application/x-bzip2"})
_ANY = "application/octet-stream"
_ROOMS_WITHOUT_CHOICE = frozenset({"repodata", "tuf"})
_MOST_DIGESTS = 4096
_digests: dict[str, tuple[State, str]] = {}
"""Digests of the documents that were looked at in place of a missing shadow."""


@view_config(context=RepodataPointer, request_method="GET", permission=READ)
@view_config(context=TufTimestamp, request_method="GET", permission=READ)
def pointer(context: TreeDocument, request: Any) -> Any:
    """Send what names all the rest, brought up to date first if it lags."""
    request.publisher.fresh_pointer()
    return tree_document(context, request)


@view_config(context=ProjectManifest, request_method="GET", permission=READ)
def manifest(context: ProjectManifest, request: Any) -> Any:
    """Send the hashes of a project's documents, which are written first if they lag."""
    request.publisher.settle(context.project)
    return tree_document(context, request)


@view_config(context=TreeDocument, request_method="GET", permission=READ)
def tree_document(context: TreeDocument, request: Any) -> Any:
    """Send a document of the tree."""
    answer = _sent(context.tree_path, request, is_immutable=context.is_immutable)
    if answer is None:
        raise PageMissing
    return answer


@view_config(context=Shadow, request_method="GET", permission=READ)
def shadow(context: Shadow, request: Any) -> Any:
    """Send one version of a document, from beside where it still stands if need be."""
    answer = (
        _sent(context.tree_path, request, is_immutable=True)
        or _beside(context, request)
        # It has got its name just when the document beside it was replaced.
        or _sent(context.tree_path, request, is_immutable=True)
    )
    if answer is None:
        raise PageMissing
    return answer


def _beside(context: Shadow, request: Any) -> Any:
    """Return the answer with the document that is this version as it stands, if one is."""
    for path in context.beside:
        file = sending.opened(request.registry.tree_root + path)
        if file is None:
            continue
        # The open file is sent: another version may take the name at any moment.
        if _digest(file, path) == context.sha256:
            chosen = _representation(path, is_immutable=True)
            return sending.send(file, _manner(chosen, FOREVER), request.environ)
        file.close()
    return None


def _sent(path: str, request: Any, *, is_immutable: bool) -> Any:
    """Return the answer with the document at the tree `path`, None if there is none."""
    chosen = _representation(path, is_immutable=is_immutable)
    environ = request.environ
    documents = request.registry.documents
    packs = chosen.content_type not in _PACKED and negotiation.takes_gzip(
        environ.get("HTTP_ACCEPT_ENCODING")
    )
    ready: Ready | None = documents.find(
        path, chosen, compressed=packs, most_bytes=MOST_IN_MEMORY_BYTES
    )
    if ready is not None:
        return ready.to(environ.get("HTTP_IF_NONE_MATCH"))
    return _from_disk(path, chosen, request, packs=packs)


def _from_disk(path: str, chosen: Representation, request: Any, *, packs: bool) -> Any:
    registry, environ = request.registry, request.environ
    cache_control = FOREVER if chosen.is_immutable else registry.documents.cache_control
    manner = _manner(chosen, cache_control)
    file = sending.opened(registry.tree_root + path)
    if file is None:
        return None
    if registry.accel_prefix is not None:
        stat = os.fstat(file.fileno())
        file.close()
        internal = ("X-Accel-Redirect", f"{registry.accel_prefix.rstrip('/')}/{path}")
        return Answer("200 OK", [*manner.headers(stat), internal])
    if packs and "HTTP_RANGE" not in environ:
        twin = _twin(file, f"{registry.tree_root}{path}.gz")
        if twin is not None:
            file.close()
            packed = (*manner.more, ("Content-Encoding", "gzip"))
            return sending.send(twin, replace(manner, more=packed), environ)
    return sending.send(file, manner, environ)


def _twin(file: BinaryIO, path: str) -> BinaryIO | None:
    """Return the compressed twin of `file` at `path`, if it is of the same version."""
    twin = sending.opened(path)
    if twin is None:
        return None
    stat = os.fstat(twin.fileno())
    if stat.st_size and stat.st_mtime_ns >= os.fstat(file.fileno()).st_mtime_ns:
        return twin
    twin.close()
    return None


def _manner(chosen: Representation, cache_control: str) -> Manner:
    more = [("Vary", "Accept-Encoding")]
    if chosen.policy:
        more.append(("Content-Security-Policy", chosen.policy))
    return Manner(chosen.content_type, cache_control, more=tuple(more))


def _representation(path: str, *, is_immutable: bool) -> Representation:
    """Return how the document at the tree `path` is sent."""
    folders, _, name = path.rpartition("/")
    ending = name.rpartition(".")[2] if "." in name else ""
    return _representation_in(folders.partition("/")[0], ending, is_immutable)


@lru_cache(maxsize=256)
def _representation_in(room: str, ending: str, is_immutable: bool) -> Representation:
    """Return how documents in `room` whose names end so are sent.

    What is also shown by choice, as simple pages are, is sent with the same headers: it is
    kept in memory once.
    """
    told = Representation(
        ending,
        _TYPES.get(ending, _ANY),
        is_immutable=is_immutable,
        is_chosen=not is_immutable and room not in _ROOMS_WITHOUT_CHOICE,
    )
    if room == "simple" and ending == "json":
        told = replace(told, content_type=negotiation.JSON_V1_TYPE, bears_serial=True)
    elif room == "simple" and ending == "html":
        told = replace(told, policy=DATA_POLICY, bears_serial=True)
    elif ending == "html":
        told = replace(told, policy=PAGE_POLICY)
    return told


def _digest(file: BinaryIO, path: str) -> str:
    """Return the sha256 of the open `file`, which was found at `path`."""
    state = state_of(os.fstat(file.fileno()))
    known = _digests.get(path)
    if known is None or known[0] != state:
        known = state, _hashed(file)
        if len(_digests) >= _MOST_DIGESTS:
            _digests.clear()
        _digests[path] = known
    return known[1]


def _hashed(file: BinaryIO) -> str:
    taken = hashlib.sha256()
    while block := file.read(MOST_IN_MEMORY_BYTES):
        taken.update(block)
    file.seek(0)
    return taken.hexdigest()
