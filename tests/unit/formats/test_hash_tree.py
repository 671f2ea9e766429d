from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_pypi.formats import hash_tree, hash_tree_edit
from pyramid_pypi.formats.canonical import json_document
from pyramid_pypi.formats.hash_tree import Entry, Root, TreeUnreadable

ROOM = "repodata/t"


class Standing:
    """The documents of a tree, as a dictionary that keeps every version."""

    def __init__(self) -> None:
        self.by_path: dict[str, bytes] = {}
        self.reads = 0

    def read(self, path: str, entry: Entry) -> bytes:
        self.reads += 1
        content = self.by_path.get(path, b"")
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise TreeUnreadable(path)
        return content

    def take(self, edited: hash_tree_edit.Edited) -> Root:
        for path, content in edited.documents.items():
            if content is None:
                self.by_path.pop(path, None)
            else:
                self.by_path[path] = content
        return edited.root


def entry(name: str, serial: int = 1) -> Entry:
    return Entry(serial, hashlib.sha256(f"{name} {serial}".encode()).hexdigest(), 100 + serial)


@pytest.mark.parametrize(
    ("count", "depth"),
    [(0, 0), (32, 0), (33, 1), (1024, 1), (1025, 2), (32768, 2), (32769, 3), (886_323, 3)],
)
def test_depth_follows_the_number_of_projects(count: int, depth: int) -> None:
    assert hash_tree.depth_for(count) == depth


def test_the_way_down_is_the_leading_bits_of_the_digest() -> None:
    bits = bin(int(hashlib.sha256(b"numpy").hexdigest(), 16))[2:].zfill(256)
    assert hash_tree.digits("numpy", 3) == tuple(int(bits[at : at + 5], 2) for at in (0, 5, 10))
    assert hash_tree.node_path(ROOM, (0, 31, 10)) == "repodata/t/00/1f/0a.json"


def test_leaf_node_and_root_are_read_as_they_were_written() -> None:
    projects = {name: entry(name) for name in ("b", "a")}
    content = hash_tree.leaf(projects)
    assert content.startswith(b'{"projects":{"a":[1,"')
    assert hash_tree.parse_leaf(content) == projects
    children = (entry("x"), *[None] * 31)
    assert hash_tree.parse_node(hash_tree.node(children)) == children
    top = Root(33, 1, children=children)
    assert hash_tree.parse_root(hash_tree.root(top)) == top
    small = Root(2, 0, projects=projects)
    assert hash_tree.parse_root(hash_tree.root(small)) == small


_SHA = "A" * 43


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"{}",
        b"[]",
        json_document({"bits": 4, "count": 0, "depth": 0, "projects": {}}),
        json_document({"bits": 5, "count": 1, "depth": 0, "projects": {}}),
        json_document({"bits": 5, "count": 33, "depth": 2, "children": [None] * 32}),
        json_document({"bits": 5, "count": 33, "depth": 1, "children": [None] * 31}),
        json_document({"bits": 5, "count": 1, "depth": 0, "projects": {"../x": [1, _SHA, 1]}}),
        json_document({"bits": 5, "count": 1, "depth": 0, "projects": {"a": [1, "0" * 64, 1]}}),
        json_document(
            {"bits": 5, "count": 1, "depth": 0, "projects": {"a": [1, _SHA + "\n", 1]}}
        ),
        json_document({"bits": 5, "count": 1, "depth": 0, "projects": {"a": [-1, _SHA, 1]}}),
        json_document(
            {"bits": 5, "count": 1, "depth": 0, "projects": {"a": [1, _SHA[1:] + "B", 1]}}
        ),
        json_document({"bits": 5, "count": 0, "depth": 0, "projects": {}, "more": 1}),
    ],
)
def test_what_is_no_root_is_refused(content: bytes) -> None:
    with pytest.raises(TreeUnreadable):
        hash_tree.parse_root(content)
    with pytest.raises(TreeUnreadable):
        hash_tree.parse_node(content)


_NAMES = [f"project-{number}" for number in range(1200)]


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_order_of_changes_gives_the_tree_built_at_once(data: st.DataObject) -> None:
    standing, known = Standing(), dict[str, Entry]()
    root = hash_tree_edit.EMPTY
    for serial in range(1, data.draw(st.integers(1, 6)) + 1):
        size = data.draw(st.sampled_from([1, 3, 31, 40, 900, 1100]))
        start = data.draw(st.integers(0, len(_NAMES)))
        removing = data.draw(st.booleans()) and bool(known)
        names = [_NAMES[(start + step) % len(_NAMES)] for step in range(size)]
        changes = {name: None if removing else entry(name, serial) for name in names}
        root = standing.take(hash_tree_edit.edit(root, changes, ROOM, standing.read))
        for name, change in changes.items():
            if change is None:
                known.pop(name, None)
            else:
                known[name] = change
        made = hash_tree_edit.build(known, known.__getitem__, ROOM)
        assert made.root == root
        assert made.documents == standing.by_path
        assert dict(hash_tree_edit.entries_below(root, ROOM, standing.read)) == known


def test_one_change_reads_and_writes_one_way_from_root_to_leaf() -> None:
    names = [f"name-{number}" for number in range(33_000)]
    standing = Standing()
    root = standing.take(hash_tree_edit.build(names, entry, ROOM))
    assert root.depth == 3
    standing.reads = 0
    edited = hash_tree_edit.edit(root, {"name-7": entry("name-7", 2)}, ROOM, standing.read)
    assert standing.reads == 3
    assert len(edited.documents) == 3
    assert sum(len(content or b"") for content in edited.documents.values()) < 10_000


def test_a_lost_leaf_is_told() -> None:
    names = [f"name-{number}" for number in range(40)]
    standing = Standing()
    root = standing.take(hash_tree_edit.build(names, entry, ROOM))
    where = hash_tree.digits("name-1", 1)
    standing.by_path[hash_tree.node_path(ROOM, where)] = b"torn"
    with pytest.raises(TreeUnreadable):
        hash_tree_edit.edit(root, {"name-1": entry("name-1", 2)}, ROOM, standing.read)
