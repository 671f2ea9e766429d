"""What differs between two hash trees, found by descending only where they differ.

For whoever follows a tree from state to state: after a few changes among a million projects
it reads a few nodes of each, and one leaf for each change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from pyramid_pypi.formats import hash_tree
from pyramid_pypi.formats.hash_tree import Children, Digits, Entry, Root, node_path
from pyramid_pypi.formats.hash_tree_edit import Read

_Leaf = dict[str, Entry]


@dataclass(frozen=True, slots=True)
class NodeChange:
    """A node or leaf at `path` that is another one than before, new, or gone."""

    path: str
    before: Entry | None
    after: Entry | None


@dataclass(frozen=True, slots=True)
class ProjectChange:
    """A project whose document is another one than before, new, or gone."""

    name: str
    before: Entry | None
    after: Entry | None


Difference = NodeChange | ProjectChange


def differences(
    before: Root, after: Root, room: str, read_before: Read, read_after: Read
) -> Iterator[Difference]:
    """Yield what differs between the trees in `room` under the roots `before` and `after`.

    Of trees of another depth every node differs, and the projects of both are read; the same
    path may then be told twice, as gone and as new.

    Raises:
        TreeUnreadable: a node or leaf on the way is lost, or none.
    """
    if before.depth == after.depth:
        if before.projects is not None or after.projects is not None:
            yield from _projects(dict(before.projects or {}), dict(after.projects or {}))
        else:
            comparing = _Comparing(room, after.depth, read_before, read_after)
            yield from comparing.children((), before.children, after.children)
        return
    gone: _Leaf = {}
    for old in _everything(before, room, read_before):
        if isinstance(old, NodeChange):
            yield NodeChange(old.path, old.after, None)
        elif old.after is not None:
            gone[old.name] = old.after
    for new in _everything(after, room, read_after):
        if isinstance(new, NodeChange):
            yield new
        elif (known := gone.pop(new.name, None)) != new.after:
            yield ProjectChange(new.name, known, new.after)
    for name, entry in gone.items():
        yield ProjectChange(name, entry, None)


@dataclass(frozen=True)
class _Comparing:
    """Two trees of one depth, on the way down both."""

    room: str
    depth: int
    read_before: Read
    read_after: Read

    def children(
        self, where: Digits, before: Children, after: Children
    ) -> Iterator[Difference]:
        for digit, (old, new) in enumerate(zip_longest(before, after)):
            if old != new:
                yield from self._one((*where, digit), old, new)

    def _one(self, where: Digits, old: Entry | None, new: Entry | None) -> Iterator[Difference]:
        path = node_path(self.room, where)
        yield NodeChange(path, old, new)
        was = self.read_before(path, old) if old else None
        now = self.read_after(path, new) if new else None
        if len(where) == self.depth:
            yield from _projects(
                hash_tree.parse_leaf(was) if was is not None else {},
                hash_tree.parse_leaf(now) if now is not None else {},
            )
            return
        yield from self.children(
            where,
            hash_tree.parse_node(was) if was is not None else (),
            hash_tree.parse_node(now) if now is not None else (),
        )


def _projects(before: _Leaf, after: _Leaf) -> Iterator[Difference]:
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            yield ProjectChange(name, before.get(name), after.get(name))


def _everything(top: Root, room: str, read: Read) -> Iterator[Difference]:
    """Yield each node, leaf and project of a tree as new."""
    if top.projects is not None:
        yield from _projects({}, dict(top.projects))
        return

    def lost(path: str, _entry: Entry) -> bytes:
        raise AssertionError(path)  # nothing stood before, so nothing of it is read

    yield from _Comparing(room, top.depth, lost, read).children((), (), top.children)
