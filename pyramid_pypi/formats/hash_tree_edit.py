"""Changing a hash tree: which documents a change of some projects writes anew.

Pure: what stands is asked of a function, what is to be written is returned.  The origin
publishes with it, and a follower that replays changes comes to the same bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pyramid_pypi.formats import hash_tree
from pyramid_pypi.formats.hash_tree import (
    FAN_OUT,
    Children,
    Digits,
    Entry,
    Root,
    TreeUnreadable,
    digits,
    entry_of,
    node_path,
)

Read = Callable[[str, Entry], bytes]
"""Returns the document at a path, just that which the entry names.

Raises `TreeUnreadable` when it is not to be had."""

Change = Entry | None
"""The new entry of a project, None for one that is gone."""

_Leaf = dict[str, Entry]


@dataclass
class Edited:
    """A changed tree: its root, and the documents to write; None stands for one to remove."""

    root: Root
    documents: dict[str, bytes | None] = field(default_factory=dict)


def edit(top: Root, changes: Mapping[str, Change], room: str, read: Read) -> Edited:
    """Return the tree under `top` with `changes`, by normalized name.

    Reads and writes the leaves of these projects and the nodes above them only, unless
    the number of projects asks for another depth: then every leaf.

    Raises:
        TreeUnreadable: a document that `top` leads to is lost.
    """
    editing = _Editing(room, read)
    root = editing.changed(top, changes)
    if hash_tree.depth_for(root.count) == top.depth:
        return Edited(root, editing.documents)
    entries = dict(entries_below(top, room, read))
    for name, change in changes.items():
        if change is None:
            entries.pop(name, None)
        else:
            entries[name] = change
    gone: dict[str, bytes | None] = dict.fromkeys(_paths_below(top, room, read))
    made = build(entries, entries.__getitem__, room)
    return Edited(made.root, gone | made.documents)


def build(names: Iterable[str], entry: Callable[[str], Entry], room: str) -> Edited:
    """Return the tree of all projects `names`, from nothing; `entry` gives that of each."""
    documents: dict[str, bytes | None] = {}
    stream = building(names, entry, room)
    while True:
        try:
            path, content = next(stream)
        except StopIteration as end:
            root: Root = end.value
            return Edited(root, documents)
        documents[path] = content


def building(
    names: Iterable[str], entry: Callable[[str], Entry], room: str
) -> Generator[tuple[str, bytes], None, Root]:
    """Yield each leaf and node of the tree of all projects `names`; return its root.

    Only the names are held at once, not their entries: there may be a million.
    """
    known = list(names)
    depth = hash_tree.depth_for(len(known))
    leaves: defaultdict[Digits, list[str]] = defaultdict(list)
    for name in known:
        leaves[digits(name, depth)].append(name)
    if not depth:
        return Root(len(known), 0, projects={name: entry(name) for name in known})
    above: dict[Digits, Entry] = {}
    for where, members in sorted(leaves.items()):
        projects = {name: entry(name) for name in members}
        content = hash_tree.leaf(projects)
        above[where] = entry_of(content, _newest(projects.values()))
        yield node_path(room, where), content
    for _ in range(depth - 1):
        below, above = above, {}
        for where, children in sorted(_by_parent(below).items()):
            content = hash_tree.node(children)
            above[where] = entry_of(content, _newest(children))
            yield node_path(room, where), content
    (children,) = _by_parent(above).values()
    return Root(len(known), depth, children=children)


def entries_below(top: Root, room: str, read: Read) -> Iterator[tuple[str, Entry]]:
    """Yield each project of the tree with its entry.

    Raises:
        TreeUnreadable: a node or leaf is lost.
    """
    if top.projects is not None:
        yield from top.projects.items()
    for where, entry in _standing(top, room, read):
        if len(where) == top.depth:
            yield from hash_tree.parse_leaf(read(node_path(room, where), entry)).items()


def _paths_below(top: Root, room: str, read: Read) -> list[str]:
    return [node_path(room, where) for where, _ in _standing(top, room, read)]


def _standing(top: Root, room: str, read: Read) -> Iterator[tuple[Digits, Entry]]:
    """Yield each node and leaf below the root with the entry that leads to it."""
    waiting: list[tuple[Digits, Children]] = [((), top.children)]
    while waiting:
        where, children = waiting.pop()
        for digit, entry in enumerate(children):
            if entry is None:
                continue
            below = (*where, digit)
            yield below, entry
            if len(below) < top.depth:
                content = read(node_path(room, below), entry)
                waiting.append((below, hash_tree.parse_node(content)))


@dataclass
class _Editing:
    room: str
    read: Read
    documents: dict[str, bytes | None] = field(default_factory=dict)
    grown: int = 0

    def changed(self, top: Root, changes: Mapping[str, Change]) -> Root:
        if top.projects is not None:
            projects = self._projects(dict(top.projects), changes)
            return Root(len(projects), 0, projects=projects)
        ways: defaultdict[int, dict[str, Change]] = defaultdict(dict)
        for name, change in changes.items():
            ways[digits(name, 1)[0]][name] = change
        children = list(top.children)
        for digit, inside in ways.items():
            children[digit] = self._below((digit,), children[digit], inside, top.depth)
        return Root(top.count + self.grown, top.depth, children=tuple(children))

    def _below(
        self, where: Digits, entry: Entry | None, changes: Mapping[str, Change], depth: int
    ) -> Entry | None:
        """Return the new entry of the node or leaf at `where`, None when it is empty now."""
        path = node_path(self.room, where)
        standing = self.read(path, entry) if entry else None
        if len(where) == depth:
            return self._leaf(path, standing, changes)
        children = list(hash_tree.parse_node(standing) if standing else (None,) * FAN_OUT)
        ways: defaultdict[int, dict[str, Change]] = defaultdict(dict)
        for name, change in changes.items():
            ways[digits(name, len(where) + 1)[-1]][name] = change
        for digit, inside in ways.items():
            children[digit] = self._below((*where, digit), children[digit], inside, depth)
        if not any(children):
            self.documents[path] = None
            return None
        return self._written(path, hash_tree.node(children), _newest(children))

    def _leaf(
        self, path: str, standing: bytes | None, changes: Mapping[str, Change]
    ) -> Entry | None:
        before = hash_tree.parse_leaf(standing) if standing else {}
        projects = self._projects(before, changes)
        if not projects:
            self.documents[path] = None
            return None
        return self._written(path, hash_tree.leaf(projects), _newest(projects.values()))

    def _projects(self, projects: _Leaf, changes: Mapping[str, Change]) -> _Leaf:
        before = len(projects)
        for name, change in changes.items():
            if change is None:
                projects.pop(name, None)
            else:
                projects[name] = change
        self.grown += len(projects) - before
        return projects

    def _written(self, path: str, content: bytes, newest: int) -> Entry:
        self.documents[path] = content
        return entry_of(content, newest)


def _newest(entries: Iterable[Entry | None]) -> int:
    return max((entry.serial for entry in entries if entry), default=0)


def _by_parent(entries: Mapping[Digits, Entry]) -> dict[Digits, Children]:
    found: defaultdict[Digits, list[Entry | None]] = defaultdict(lambda: [None] * FAN_OUT)
    for where, entry in entries.items():
        found[where[:-1]][where[-1]] = entry
    return {where: tuple(children) for where, children in found.items()}


EMPTY = Root(0, 0, projects={})
"""The tree of an index without projects."""

__all__ = [
    "EMPTY",
    "Change",
    "Edited",
    "Read",
    "TreeUnreadable",
    "build",
    "building",
    "edit",
    "entries_below",
]
