"""Walking a hash tree from its root, each document verified by the one above it.

To come to one project takes as many documents as the tree is deep, and one more; what was
read and was right is remembered by its hash, so a walk over all projects reads each leaf
once.  A leaf is believed only of projects whose names lead to it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

from pyramid_pypi.following.findings import Fault, Finding, Named, look, shadowed
from pyramid_pypi.following.sources import Source
from pyramid_pypi.formats import hash_tree
from pyramid_pypi.formats.hash_tree import (
    Children,
    Digits,
    Entry,
    Root,
    TreeUnreadable,
    digits,
    node_path,
)
from pyramid_pypi.formats.repomd import Record

ROOMS = {"shards": "repodata/t", "companions": "repodata/p"}
"""The record that is the root of a hash tree, and the folder of its nodes and leaves."""

_REMEMBERED = 4096
# A leaf has some 32 projects, of 250 bytes each; taken apart it is ten times as large.
_MAX_BYTES = 1024 * 1024

_Leaf = dict[str, Entry]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Told:
    """What a tree says of a project: its entry, None if it is not in the tree.

    With `is_lost` a document on the way is gone, and the tree says nothing.
    """

    entry: Entry | None = None
    is_lost: bool = False


LOST = Told(is_lost=True)


class HashTree:
    """One hash tree of a source, under the root that a pointer names.

    Its generators yield what they find wrong on their way.
    """

    def __init__(self, source: Source, room: str) -> None:
        self._source = source
        self._room = room
        self._known: OrderedDict[tuple[Digits, str], Children | _Leaf] = OrderedDict()
        # By the root: what is odd about a place, though each document is the one named.
        self._odd: tuple[str, dict[Digits, str]] = ("", {})
        self._root: tuple[str, Root] | None = None

    @property
    def known_root(self) -> Root | None:
        """Return the root that was read last, None before that."""
        return self._root[1] if self._root else None

    def root(self, record: Record) -> Generator[Finding, None, Root | None]:
        """Return the root that `record` names, None if it is lost."""
        if self._root is not None and self._root[0] == record.sha256:
            return self._root[1]
        named = Named(record.href, record.sha256, record.size_bytes)
        looked = look(self._source, named, _MAX_BYTES)
        if looked.finding:
            yield looked.finding
        if looked.content is None:
            return None
        try:
            root = hash_tree.parse_root(looked.content)
            _check_written(hash_tree.root(root), looked.content)
        except TreeUnreadable as error:
            yield Finding(Fault.UNREADABLE, record.href, error.detail)
            return None
        self._root = (record.sha256, root)
        return root

    def find(self, record: Record, name: str) -> Generator[Finding, None, Told]:
        """Return what the tree under `record` says of the project `name`."""
        root = yield from self.root(record)
        if root is None:
            return LOST
        if root.projects is not None:
            return Told(root.projects.get(name))
        read = yield from self._down(root, digits(name, root.depth))
        return (
            LOST if read is None else Told(read.get(name) if isinstance(read, dict) else None)
        )

    def check(self, record: Record, where: Digits) -> Iterator[Finding]:
        """Look at the way to the node or leaf at `where`, and at itself."""
        root = yield from self.root(record)
        if root is None:
            return
        yield from self._down(root, where[: root.depth])
        told = self._odd[1].get(where) if self._odd[0] == record.sha256 else None
        if told is not None:
            path = node_path(self._room, where) if where else record.href
            yield Finding(Fault.MISPLACED, path, told)

    def names(self, record: Record, lost: list[Digits]) -> Iterator[str | Digits]:
        """Yield each project of the tree, and each place where something is wrong.

        Where nothing is left, not in a shadow either, `lost` tells too.
        """
        wrong: list[Finding] = []
        root = _end(self.root(record), wrong)
        if root is None:
            lost.append(())
        if wrong:
            yield ()
        if root is None:
            return
        yield from root.projects or ()
        # Projects are in one place each: documents that are alike could lead on for ever.
        met: set[bytes] = set()
        self._odd = (record.sha256, {})
        count = len(root.projects or ())
        waiting: list[tuple[Digits, Entry]] = [
            ((digit,), entry) for digit, entry in enumerate(root.children) if entry
        ]
        while waiting:
            where, entry = waiting.pop()
            wrong.clear()
            if (digest := bytes.fromhex(entry.sha256)) in met:
                self._odd[1][where] = "what stands here stands in another place too"
                yield where
                continue
            met.add(digest)
            read = _end(self._read(where, entry, is_leaf=len(where) == root.depth), wrong)
            if wrong:
                yield where
            if read is None:
                lost.append(where)
            elif isinstance(read, dict):
                count += len(read)
                yield from read
            else:
                waiting += (
                    ((*where, digit), below) for digit, below in enumerate(read) if below
                )
        if count != root.count and not lost:
            self._odd[1][()] = f"it speaks of {root.count} projects, and leads to {count}"
            yield ()

    def _down(
        self, root: Root, way: Digits
    ) -> Generator[Finding, None, Children | _Leaf | None]:
        """Return what is at the end of `way`, empty if it leads nowhere, None if it is lost."""
        read: Children | _Leaf | None = root.children
        for level, digit in enumerate(way, 1):
            entry = read[digit] if isinstance(read, tuple) else None
            if entry is None:
                return ()
            read = yield from self._read(way[:level], entry, is_leaf=level == root.depth)
            if read is None:
                return None
        return read

    def _read(
        self, where: Digits, entry: Entry, *, is_leaf: bool
    ) -> Generator[Finding, None, Children | _Leaf | None]:
        key = (where, entry.sha256)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        path = node_path(self._room, where)
        named = shadowed(path, entry.sha256, entry.size_bytes)
        looked = look(self._source, named, _MAX_BYTES)
        if looked.finding:
            yield looked.finding
        if looked.content is None:
            return None
        parse = hash_tree.parse_leaf if is_leaf else hash_tree.parse_node
        try:
            read: Children | _Leaf = parse(looked.content)
            again = hash_tree.leaf(read) if isinstance(read, dict) else hash_tree.node(read)
            _check_written(again, looked.content)
        except TreeUnreadable as error:
            yield Finding(Fault.UNREADABLE, path, error.detail)
            return None
        strangers = list(self._strangers(path, where, read)) if isinstance(read, dict) else []
        yield from strangers
        # What was wrong is looked at again, by whoever asks whether it still is.
        if looked.finding is None and not strangers:
            self._remember(key, read)
        return read

    def _strangers(self, path: str, where: Digits, names: Collection[str]) -> Iterator[Finding]:
        """Find projects that a leaf speaks of though their names lead elsewhere."""
        for name in sorted(names):
            if digits(name, len(where)) != where:
                yield Finding(Fault.MISPLACED, path, f"it speaks of {name}")

    def _remember(self, key: tuple[Digits, str], read: Children | _Leaf) -> None:
        self._known[key] = read
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)


def _check_written(canonical: bytes, content: bytes) -> None:
    """Refuse what another reader may read otherwise, such as a name that is told twice."""
    if content != canonical:
        raise TreeUnreadable("it is not written as the index writes it")


def _end(steps: Generator[Finding, None, Result], found: list[Finding]) -> Result:
    """Return what `steps` return; what they yield is added to `found`."""
    while True:
        try:
            found.append(next(steps))
        except StopIteration as end:
            result: Result = end.value
            return result
