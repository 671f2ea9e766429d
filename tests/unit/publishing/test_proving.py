"""Proofs from small trees written by hand, also while they change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pyramid_pypi.formats import hash_tree, repomd
from pyramid_pypi.formats.hash_tree import Children, Entry, Root, entry_of
from pyramid_pypi.formats.manifest import shadow_path
from pyramid_pypi.formats.repomd import Record, Repomd
from pyramid_pypi.publishing import proving
from pyramid_pypi.publishing.proving import ProofTooLarge, RepodataMoves
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.digests import sha256_hex
from tests.conftest import NOON, ToldClock

FEW = [f"p{number}" for number in range(5)]
MANY = [f"p{number}" for number in range(40)]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "spool").mkdir()
    return Tree(tmp_path / "tree", tmp_path / "spool", ToldClock())


def put(tree: Tree, path: str, content: bytes) -> str:
    digest = sha256_hex(content)
    tree.put(path, content, shadow=shadow_path(path, digest))
    return digest


def publish(tree: Tree, names: list[str], serial: int) -> None:
    """Write the hash tree of `names`, of depth 0 or 1, and the pointer to it."""
    projects = {
        name: Entry(serial, sha256_hex(f"{name}{serial}".encode()), 9) for name in names
    }
    depth = hash_tree.depth_for(len(names))
    if depth == 0:
        top = hash_tree.root(Root(len(names), 0, projects=projects))
    else:
        top = hash_tree.root(Root(len(names), 1, children=leaves(tree, projects, serial)))
    digest = sha256_hex(top)
    href = f"repodata/{digest}-shards.json"
    tree.put(href, top)
    record = Record(
        type="shards", href=href, sha256=digest, size_bytes=len(top), at=NOON, serial=serial
    )
    tree.put(proving.POINTER, repomd.json(Repomd(serial, NOON, (record,))))


def leaves(tree: Tree, projects: dict[str, Entry], serial: int) -> Children:
    children: list[Entry | None] = []
    for digit in range(hash_tree.FAN_OUT):
        inside = {n: e for n, e in projects.items() if hash_tree.digits(n, 1) == (digit,)}
        if not inside:
            children.append(None)
            continue
        content = hash_tree.leaf(inside)
        put(tree, hash_tree.node_path(proving.NODES, (digit,)), content)
        children.append(entry_of(content, serial))
    return tuple(children)


def proved(proof: proving.Proof, name: str) -> Entry | None:
    """What `proof` says of `name`, by digests alone, as a reader checks it."""
    pointer = repomd.parse_json(proof.repomd.encode())
    record = pointer.record("shards")
    assert record is not None
    top = proof.documents[record.href].encode()
    assert sha256_hex(top) == record.sha256
    root = hash_tree.parse_root(top)
    if root.projects is not None:
        return root.projects.get(name)
    where = hash_tree.digits(name, root.depth)
    entry = root.children[where[0]]
    if entry is None:
        return None
    leaf = proof.documents[hash_tree.node_path(proving.NODES, where)].encode()
    assert sha256_hex(leaf) == entry.sha256
    return hash_tree.parse_leaf(leaf).get(name)


def test_a_tree_without_a_pointer_has_none(tree: Tree) -> None:
    assert proving.gather(tree, ["p1"]) is None


@pytest.mark.parametrize("names", [FEW, MANY], ids=["depth 0", "depth 1"])
def test_each_document_once_and_absence_too(tree: Tree, names: list[str]) -> None:
    publish(tree, names, 7)
    proof = proving.gather(tree, ["p1", "p2", "nobody"])

    assert proof is not None
    assert proof.serial == 7
    for name in ("p1", "p2"):
        assert proved(proof, name) == Entry(7, sha256_hex(f"{name}7".encode()), 9)
    assert proved(proof, "nobody") is None
    ways = {hash_tree.digits(name, 1) for name in ("p1", "p2", "nobody")}
    assert len(proof.documents) <= (1 if names is FEW else 1 + len(ways))
    assert set(proof.documents) <= {str(path.relative_to(tree.root)) for path in files(tree)}


def files(tree: Tree) -> list[Path]:
    return [path for path in tree.root.rglob("*") if path.is_file()]


def test_no_child_proves_absence(tree: Tree) -> None:
    publish(tree, MANY, 1)
    taken = {hash_tree.digits(name, 1) for name in MANY}
    absent = next(
        name
        for name in (f"q{number}" for number in range(10_000))
        if hash_tree.digits(name, 1) not in taken
    )
    proof = proving.gather(tree, [absent])

    assert proof is not None
    assert len(proof.documents) == 1
    assert proved(proof, absent) is None


def test_superseded_leaves_are_found_under_their_hash(tree: Tree) -> None:
    publish(tree, MANY, 1)
    pointer = tree.read(proving.POINTER)
    assert pointer is not None
    publish(tree, MANY, 2)
    tree.put(proving.POINTER, pointer)
    proof = proving.gather(tree, MANY)

    assert proof is not None
    assert all(
        proved(proof, name) == Entry(1, sha256_hex(f"{name}1".encode()), 9) for name in MANY
    )


class Moving(Tree):
    """A tree on which something happens before each reading of a leaf."""

    happens: Callable[[], None]

    def read(self, path: str) -> bytes | None:
        if "/t/" in path:
            self.happens()
        return super().read(path)


@pytest.fixture
def moving(tmp_path: Path) -> Moving:
    (tmp_path / "spool").mkdir()
    return Moving(tmp_path / "tree", tmp_path / "spool", ToldClock())


def test_a_reader_left_behind_begins_anew(moving: Moving) -> None:
    publish(moving, MANY, 1)
    left = [2]

    def publish_once() -> None:
        if left:
            publish(moving, MANY, left.pop())
            forget_shadows(moving)

    moving.happens = publish_once
    proof = proving.gather(moving, ["p3"])

    assert proof is not None
    assert proof.serial == 2
    assert proved(proof, "p3") == Entry(2, sha256_hex(b"p32"), 9)


def forget_shadows(tree: Tree) -> None:
    for path in files(tree):
        if path.parent.name == "v":
            path.unlink()


def test_what_never_stands_still_is_refused(moving: Moving) -> None:
    serials = iter(range(2, 1000))
    publish(moving, MANY, 1)

    def publish_again() -> None:
        publish(moving, MANY, next(serials))
        forget_shadows(moving)

    moving.happens = publish_again
    with pytest.raises(RepodataMoves, match="t/"):
        proving.gather(moving, ["p3"])


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 100_000])
def test_a_torn_pointer_is_refused(tree: Tree, content: bytes) -> None:
    tree.put(proving.POINTER, content)

    with pytest.raises(RepodataMoves):
        proving.gather(tree, ["p3"])


def test_size_is_bounded(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tree, MANY, 1)
    monkeypatch.setattr(proving, "MOST_PROOF_BYTES", 4000)

    assert proving.gather(tree, ["p3"]) is not None
    with pytest.raises(ProofTooLarge):
        proving.gather(tree, MANY)
