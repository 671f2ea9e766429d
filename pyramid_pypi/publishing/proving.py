"""Proofs: the way from the pointer down to the leaves of some projects, at one time.

What is read belongs together, though others publish meanwhile: each document is the
version that the one above it names, found at its stable path or under its hash.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from pyramid_pypi.errors import Kind, Refusal
from pyramid_pypi.formats import hash_tree, repomd
from pyramid_pypi.formats.hash_tree import Entry, TreeUnreadable
from pyramid_pypi.formats.manifest import shadow_path
from pyramid_pypi.formats.repomd import RepomdUnreadable
from pyramid_pypi.publishing.pointer import JSON
from pyramid_pypi.publishing.repository import SHARDS_ROOM
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.digests import sha256_hex

POINTER = JSON
NODES = SHARDS_ROOM
MOST_PROOF_BYTES = 16 * 1024 * 1024
"""Two hundred names of a million take 2 MB; more is somebody's play with names."""

_TRIES = 5

Made = TypeVar("Made")


class RepodataMoves(Refusal):
    """The metadata of the repository changed again and again while it was read.

    Try again in a moment.
    """

    code = "repodata.moves"
    title = "The repository metadata changes too fast to be read; try again"
    kind = Kind.UNAVAILABLE


class ProofTooLarge(Refusal):
    """The documents on the way to these projects are too large for one answer.

    Ask for fewer projects at once.
    """

    code = "repodata.proof-too-large"
    title = "The proof for so many projects is too large"
    kind = Kind.TOO_LARGE


class Vanished(Exception):
    """A version that was named a moment ago is there no more."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A pointer's text, and the documents below it by their stable paths."""

    serial: int
    repomd: str
    documents: dict[str, str]


def gather(tree: Tree, names: Collection[str]) -> Proof | None:
    """Return the proof for the projects with the normalized `names`, there or not.

    A name that is not in the index is proved absent by the leaf it would be in, or by a
    node without a child where its way leads.  None stands for a tree without a pointer.

    Raises:
        RepodataMoves: what the pointer leads to could not be read in several tries.
        ProofTooLarge: it would have more than `MOST_PROOF_BYTES`.
    """
    return while_it_moves(lambda: _gather(tree, names))


def while_it_moves(read: Callable[[], Made]) -> Made:
    """Return what `read` returns, which is tried again when a version has vanished.

    Raises:
        RepodataMoves: it vanished each time.
    """
    reason = ""
    for _ in range(_TRIES):
        try:
            return read()
        except (Vanished, TreeUnreadable, RepomdUnreadable) as error:
            reason = str(error)
    raise RepodataMoves(reason)


def version(tree: Tree, path: str, sha256: str) -> bytes:
    """Return the version `sha256` of the document at `path`, wherever it stands.

    Raises:
        Vanished: it stands nowhere.
    """
    for place in (path, shadow_path(path, sha256)):
        content = tree.read(place)
        if content is not None and sha256_hex(content) == sha256:
            return content
    raise Vanished(path)


def _gather(tree: Tree, names: Collection[str]) -> Proof | None:
    content = tree.read(POINTER)
    if content is None:
        return None
    pointer = repomd.parse_json(content)
    record = pointer.record("shards")
    if record is None:
        raise Vanished("the record of the hash tree")
    documents = {record.href: version(tree, record.href, record.sha256)}
    root = hash_tree.parse_root(documents[record.href])
    size_bytes = len(documents[record.href])
    for name in sorted(names):
        where = hash_tree.digits(name, root.depth)
        children = root.children
        for level, digit in enumerate(where, 1):
            entry = children[digit]
            if entry is None:
                break
            path = hash_tree.node_path(NODES, where[:level])
            if path not in documents:
                documents[path] = version(tree, path, entry.sha256)
                size_bytes += len(documents[path])
                if size_bytes > MOST_PROOF_BYTES:
                    raise ProofTooLarge
            if level < root.depth:
                children = _children(documents[path])
    texts = {path: found.decode() for path, found in documents.items()}
    return Proof(pointer.serial, content.decode(), texts)


@lru_cache(maxsize=256)  # the nodes near the root are on most ways
def _children(content: bytes) -> tuple[Entry | None, ...]:
    return hash_tree.parse_node(content)
