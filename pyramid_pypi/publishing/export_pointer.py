"""One consistent set of pointers, taken out of a tree that is being published to.

A round of publishing replaces several files one after the other.  Which of them belong
together is told by the numbered documents of the round, which never change: the timestamp
names the snapshot, that names the signed list, and that the hashes of both pointers, which
also lie under their hashes.  Only the OpenPGP signature has no such name; it is the round's
own as long as no later round has begun.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyramid_pypi.errors import Kind, Refusal
from pyramid_pypi.formats import repomd
from pyramid_pypi.formats.repomd import Repomd, RepomdUnreadable
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.digests import sha256_hex

JSON = "repodata/repomd.json"
XML = "repodata/repomd.xml"
SEAL = "repodata/repomd.xml.asc"
SEAL_KEY = "repodata/repomd.xml.key"
TIMESTAMP = "tuf/timestamp.json"
PATHS = (SEAL_KEY, SEAL, XML, JSON, TIMESTAMP)
"""The pointers, in the order in which they are replaced."""

_ROOM = "tuf"
_SNAPSHOT = re.compile(r"([0-9]{1,16})\.snapshot\.json")
_TARGETS = re.compile(r"([0-9]{1,16})\.targets\.json")
_ROOT = re.compile(r"([0-9]{1,16})\.root\.json")
_TRIES = 8
_MOMENT_S = 0.5  # a round takes less

Document = tuple[str, bytes]
"""Path in the tree and bytes."""


class ExportIncomplete(Refusal):
    """The published tree lacks a document that its pointer names, so no export was made.

    The detail names it.  `pyramid-pypi fsck --repair` mends the tree.
    """

    code = "export.incomplete"
    title = "The published tree is not complete"
    kind = Kind.CONFLICT


@dataclass(frozen=True)
class PointerSet:
    """The pointers of one round.

    `documents` are those of the round that never change and are placed like any other,
    `pointers` those that are replaced, in order.
    """

    repomd: Repomd
    documents: tuple[Document, ...]
    pointers: tuple[Document, ...]

    @property
    def stamp(self) -> str:
        """Return what tells this set from any other."""
        whole = hashlib.sha256()
        for path, content in self.pointers:
            whole.update(f"{path}\0{sha256_hex(content)}\0".encode())
        return whole.hexdigest()


def captured(tree: Tree, sleep: Callable[[float], None] = time.sleep) -> PointerSet:
    """Return the pointers that `tree` shows, all of one round.

    Raises:
        ExportIncomplete: there are none, or what they say cannot be read.
    """
    for _ in range(_TRIES):
        found = _signed(tree) if tree.exists(TIMESTAMP) else _unsigned(tree)
        if found is not None:
            return found
        sleep(_MOMENT_S)
    raise ExportIncomplete("a round of publishing was cut short, or rounds never end")


def _unsigned(tree: Tree) -> PointerSet | None:
    json_content = tree.read(JSON)
    if json_content is None:
        raise ExportIncomplete(f"there is no {JSON}")
    known = _parsed(json_content)
    if tree.read(XML) != (xml_content := repomd.xml(known)):
        return None
    return PointerSet(known, (), ((XML, xml_content), (JSON, json_content)))


def _signed(tree: Tree) -> PointerSet | None:
    stamp = tree.read(TIMESTAMP)
    if stamp is None:
        return None
    try:
        return _of_round(tree, stamp)
    except (ValueError, KeyError, TypeError) as error:
        raise ExportIncomplete(f"{TIMESTAMP} leads nowhere: {error}") from error


def _of_round(tree: Tree, stamp: bytes) -> PointerSet | None:
    told = json.loads(stamp)["signed"]["meta"]["snapshot.json"]
    snapshot = _numbered(tree, "snapshot", told)
    meta = json.loads(snapshot[1])["signed"]["meta"]
    signed = _numbered(tree, "repomd", meta["repomd.json"])
    targets = json.loads(signed[1])["signed"]["targets"]
    pointers: dict[str, bytes] = {}
    copies: list[Document] = []
    for path in (XML, JSON):
        sha256 = targets[path]["hashes"]["sha256"]
        room, _, name = path.rpartition("/")
        copies.append((f"{room}/{sha256}.{name}", b""))
        content = pointers[path] = _exactly(tree, copies[-1][0], sha256)
        copies[-1] = (copies[-1][0], content)
    seals = {path: tree.read(path) for path in (SEAL_KEY, SEAL)}
    # Looked at after the seal, which a round writes after its snapshot.
    rounds = _numbers(tree, _SNAPSHOT)
    if seals[SEAL] is not None and max(rounds, default=0) > told["version"]:
        return None
    pointers |= {path: content for path, content in seals.items() if content is not None}
    pointers[TIMESTAMP] = stamp
    newest = meta["targets.json"]["version"]
    kept = [f"{_ROOM}/{n}.targets.json" for n in _numbers(tree, _TARGETS) if n <= newest]
    return PointerSet(
        repomd=_parsed(pointers[JSON]),
        documents=(*copies, signed, snapshot, *_standing(tree, kept)),
        pointers=(
            *((path, pointers[path]) for path in PATHS if path in pointers),
            # A root that is new comes after the timestamp, as the index does it.
            *_standing(tree, [f"{_ROOM}/{n}.root.json" for n in _numbers(tree, _ROOT)]),
        ),
    )


def _numbered(tree: Tree, role: str, told: dict[str, Any]) -> Document:
    path = f"{_ROOM}/{int(told['version'])}.{role}.json"
    return path, _exactly(tree, path, told["hashes"]["sha256"])


def _exactly(tree: Tree, path: str, sha256: str) -> bytes:
    content = tree.read(path)
    if content is None or sha256_hex(content) != sha256:
        raise ExportIncomplete(f"{path} is lost, or not the one that is signed")
    return content


def _standing(tree: Tree, paths: list[str]) -> list[Document]:
    found = [(path, tree.read(path)) for path in paths]
    return [(path, content) for path, content in found if content is not None]


def _numbers(tree: Tree, pattern: re.Pattern[str]) -> list[int]:
    """Return the numbers of the documents in the room of signatures, in order."""
    names = [path.name for path in (tree.root / _ROOM).iterdir()]
    return sorted(int(found[1]) for name in names if (found := pattern.fullmatch(name)))


def _parsed(content: bytes) -> Repomd:
    try:
        return repomd.parse_json(content)
    except RepomdUnreadable as error:
        raise ExportIncomplete(f"{JSON}: {error.detail}") from error
