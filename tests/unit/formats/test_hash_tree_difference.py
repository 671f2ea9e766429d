"""Two trees are compared by what differs, and nothing else is read."""

from __future__ import annotations

import random

import pytest

from pyramid_pypi.formats import hash_tree_edit
from pyramid_pypi.formats.hash_tree import Entry, Root, TreeUnreadable
from pyramid_pypi.formats.hash_tree_difference import NodeChange, ProjectChange, differences
from pyramid_pypi.formats.hash_tree_edit import EMPTY, Edited, Read

ROOM = "repodata/t"


def entry(serial: int) -> Entry:
    return Entry(serial, f"{serial:064x}", serial)


def built(projects: dict[str, Entry]) -> Edited:
    return hash_tree_edit.build(projects, projects.__getitem__, ROOM)


def reading(tree: Edited, seen: list[str]) -> Read:
    def read(path: str, _entry: Entry) -> bytes:
        seen.append(path)
        content = tree.documents.get(path)
        if content is None:
            raise TreeUnreadable(path)
        return content

    return read


def compared(before: Edited, after: Edited) -> tuple[list[NodeChange | ProjectChange], int]:
    seen: list[str] = []
    found = differences(
        before.root, after.root, ROOM, reading(before, seen), reading(after, seen)
    )
    return list(found), len(seen)


@pytest.mark.parametrize("seed", range(40))
def test_tells_just_what_differs(seed: int) -> None:
    chance = random.Random(seed)
    before = {f"p{n}": entry(n + 1) for n in range(chance.choice([0, 1, 30, 40, 1000, 1100]))}
    after = dict(before)
    for _ in range(chance.choice([0, 1, 5, 60])):
        if after and chance.random() < 0.4:
            del after[chance.choice(sorted(after))]
        else:
            serial = chance.randrange(10**6)
            after[f"p{serial % 1200}"] = entry(serial)
    old, new = built(before), built(after)

    found, _ = compared(old, new)

    projects = [change for change in found if isinstance(change, ProjectChange)]
    assert len(projects) == len({change.name for change in projects})
    assert {c.name: (c.before, c.after) for c in projects} == {
        name: (before.get(name), after.get(name))
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name)
    }
    nodes = [change for change in found if isinstance(change, NodeChange)]
    changed = {
        path
        for path in old.documents.keys() | new.documents.keys()
        if old.documents.get(path) != new.documents.get(path)
    }
    assert changed <= {change.path for change in nodes}
    if old.root.depth == new.root.depth:
        assert {change.path for change in nodes} == changed
    gone = {change.path for change in nodes if change.before}
    come = {change.path for change in nodes if change.after}
    assert gone - come == old.documents.keys() - new.documents.keys()


def test_one_change_among_many_reads_two_ways_down() -> None:
    projects = {f"p{n}": entry(n + 1) for n in range(2000)}
    old, new = built(projects), built(projects | {"p77": entry(5000)})
    found, reads = compared(old, new)
    assert [change.name for change in found if isinstance(change, ProjectChange)] == ["p77"]
    assert reads == 4
    assert compared(new, new) == ([], 0)


def test_from_and_to_nothing() -> None:
    tree = built({f"p{n}": entry(n + 1) for n in range(50)})
    nothing = Edited(EMPTY)
    assert len(compared(nothing, tree)[0]) == 50 + len(tree.documents)
    assert len(compared(tree, nothing)[0]) == 50 + len(tree.documents)
    assert compared(nothing, Edited(Root(0, 0, projects={}))) == ([], 0)


def test_a_lost_node_is_told() -> None:
    projects = {f"p{n}": entry(n + 1) for n in range(50)}
    old, new = built(projects), built(projects | {"p7": entry(99)})
    new.documents.clear()
    with pytest.raises(TreeUnreadable):
        compared(old, new)
