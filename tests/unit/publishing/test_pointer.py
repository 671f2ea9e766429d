"""The pointers: each version also stands under its hash, as TUF clients ask for it."""

from __future__ import annotations

from pyramid_pypi.publishing.signing import POINTERS, hash_named
from tests.factories import Workshop


def copies(workshop: Workshop) -> dict[str, str]:
    tree = workshop.services.tree
    return {path: hash_named(path, tree.read(path) or b"") for path in POINTERS}


def inode(workshop: Workshop, path: str) -> int:
    return (workshop.services.tree.root / path).stat().st_ino


def test_a_pointer_and_its_copy_are_one_file(workshop: Workshop) -> None:
    workshop.add("demo")
    workshop.settle()
    before = copies(workshop)
    contents = {path: workshop.services.tree.read(path) for path in POINTERS}
    for path, copy in before.items():
        assert inode(workshop, path) == inode(workshop, copy)
    workshop.add("demo", "2.0")
    workshop.settle()
    for path, copy in before.items():
        assert workshop.services.tree.read(copy) == contents[path]
        assert inode(workshop, path) == inode(workshop, copies(workshop)[path])


def test_a_copy_that_is_lost_is_made_again_when_it_is_time_to_sign(workshop: Workshop) -> None:
    workshop.add("demo")
    workshop.settle()
    for copy in copies(workshop).values():
        workshop.services.tree.remove(copy)
    workshop.services.tree.remove("tuf/timestamp.json")
    workshop.settle()
    for path, copy in copies(workshop).items():
        assert inode(workshop, path) == inode(workshop, copy)
