from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pyramid_pypi.formats.manifest import shadow_path
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.digests import sha256_hex
from tests.conftest import NOON, ToldClock


@pytest.fixture
def tree(tmp_path: Path, clock: ToldClock) -> Tree:
    (tmp_path / "spool").mkdir()
    return Tree(tmp_path / "tree", tmp_path / "spool", clock)


def test_a_document_is_shown_whole_or_not_at_all(tree: Tree) -> None:
    """A reader in the middle of many replacements sees one version, never a mixture."""
    versions = [bytes([65 + n]) * 100_000 for n in range(4)]
    tree.put("simple/a/index.html", versions[0])
    torn: list[bytes] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            content = tree.read("simple/a/index.html")
            if content not in versions:
                torn.append(content or b"")

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(200):
        tree.put("simple/a/index.html", versions[turn % 4])
    done.set()
    reader.join()
    assert torn == []


def test_times_are_whole_seconds_and_strictly_increase(tree: Tree, clock: ToldClock) -> None:
    path = tree.root / "simple/a/index.html"
    times = []
    for content in (b"1", b"2", b"3"):
        tree.put("simple/a/index.html", content)
        times.append(path.stat().st_mtime)
    clock.advance(hours=-1)
    tree.put("simple/a/index.html", b"4")
    times.append(path.stat().st_mtime)

    assert times == [NOON.timestamp() + n for n in range(4)]


def put(tree: Tree, content: bytes) -> None:
    tree.put("simple/a/index.json", content, shadow=f"simple/a/v/{sha256_hex(content)}.json")


def test_each_version_lies_under_its_hash_until_it_is_swept(
    tree: Tree, clock: ToldClock
) -> None:
    for content in (b"old", b"new"):
        put(tree, content)
    shadows = tree.root / "simple/a/v"
    old, new = (shadows / f"{sha256_hex(c)}.json" for c in (b"old", b"new"))

    assert (old.read_bytes(), new.read_bytes()) == (b"old", b"new")
    assert new.samefile(tree.root / "simple/a/index.json")
    # When a version was superseded is told by the kernel, by its own clock.
    clock.now = datetime.now(UTC) + timedelta(hours=1)
    assert tree.sweep("simple", keep_s=2 * 3600) == 0
    clock.advance(hours=2)
    assert tree.sweep("simple", keep_s=2 * 3600) == 1
    assert (old.exists(), new.exists()) == (False, True)


def test_a_version_that_comes_back_is_current_again(tree: Tree, clock: ToldClock) -> None:
    for content in (b"one", b"two", b"one"):
        put(tree, content)
    clock.now = datetime.now(UTC) + timedelta(hours=9)
    tree.sweep("simple", keep_s=3600)

    assert [p.name for p in (tree.root / "simple/a/v").iterdir()] == [
        f"{sha256_hex(b'one')}.json"
    ]
    assert tree.read("simple/a/index.json") == b"one"


def test_documents_that_share_their_ending_do_not_supersede_each_other(
    tree: Tree, clock: ToldClock
) -> None:
    for name in ("primary", "other"):
        shadow = f"simple/v/v/{sha256_hex(name.encode())}.xml.gz"
        tree.put(f"simple/v/{name}.xml.gz", name.encode(), shadow=shadow)
    clock.now = datetime.now(UTC) + timedelta(days=9)
    assert tree.sweep("simple", keep_s=3600) == 0
    assert len(list((tree.root / "simple/v/v").iterdir())) == 2


def test_what_was_removed_stays_under_its_hash_for_a_while(
    tree: Tree, clock: ToldClock
) -> None:
    put(tree, b"gone")
    tree.put("simple/a/1.0/json", b"below")
    tree.remove_documents("simple/a")
    assert list(tree.names("simple")) == []
    assert tree.read(f"simple/a/v/{sha256_hex(b'gone')}.json") == b"gone"
    clock.now = datetime.now(UTC) + timedelta(days=9)
    tree.sweep("simple", keep_s=3600)
    assert not (tree.root / "simple/a/v").exists()


def test_nothing_is_left_in_the_spool(tree: Tree, tmp_path: Path) -> None:
    tree.put("a/b/c", b"x")
    (tree.root / "file").write_bytes(b"in the way")
    with pytest.raises(NotADirectoryError):
        tree.put("file/below", b"x")

    assert list((tmp_path / "spool").iterdir()) == []


def test_a_folder_is_removed_while_a_sweep_is_at_it(tree: Tree) -> None:
    for number in range(200):
        put(tree, b"%d" % number)
    done = threading.Event()

    def sweep() -> None:
        while not done.is_set():
            tree.sweep("simple", keep_s=-(10**9))

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    tree.remove_folder("simple/a")
    done.set()
    sweeper.join()
    assert not (tree.root / "simple/a").exists()
    tree.remove_folder("simple/a")


def test_what_cannot_be_removed_is_told(tree: Tree) -> None:
    tree.put("simple/a", b"a file where a folder should be")
    with pytest.raises(NotADirectoryError):
        tree.remove_folder("simple/a")


def test_a_version_put_without_a_shadow_gets_it_when_it_is_superseded(tree: Tree) -> None:
    tree.put("simple/a/index.json", b"first")
    tree.put("simple/a/index.json.gz", b"first, packed")
    put(tree, b"second")
    twin = f"simple/a/v/{sha256_hex(b'second')}.json.gz"
    tree.put("simple/a/index.json.gz", b"second, packed", shadow=twin)
    assert tree.read(f"simple/a/v/{sha256_hex(b'first')}.json") == b"first"
    assert tree.read("simple/a/index.json") == b"second"
    # A twin is called by what it is the twin of, which it does not tell.
    assert len(list((tree.root / "simple/a/v").iterdir())) == 3


def test_a_version_that_an_export_links_to_is_kept_all_the_same(tree: Tree) -> None:
    tree.put("simple/a/index.json", b"first")
    (tree.root.parent / "export").hardlink_to(tree.root / "simple/a/index.json")
    put(tree, b"second")
    assert tree.read(f"simple/a/v/{sha256_hex(b'first')}.json") == b"first"


def test_versions_without_a_shadow_get_it_when_they_are_removed(tree: Tree) -> None:
    paths = ["repodata/t/03/1f.json", "simple/a/index.json", "pypi/a/1.0/json"]
    for path in (*paths, "simple/a/index.json.gz"):
        tree.put(path, path.encode())
    tree.retire(paths[0])
    for folder in ("simple/a", "pypi/a"):
        tree.remove_documents(folder)
    for path in paths:
        assert tree.read(path) is None
        assert tree.read(shadow_path(path, sha256_hex(path.encode()))) == path.encode()
    assert list(tree.names("simple")) == []
    tree.retire("simple/a/index.json")


def test_folders_that_hold_a_document_are_found(tree: Tree) -> None:
    for name in ("a", "b"):
        tree.put(f"simple/{name}/index.json", b"1")
    tree.put("simple/c/index.html", b"1")
    tree.put("simple/index.json", b"1")
    assert sorted(tree.holding("simple", "index.json")) == ["a", "b"]
    assert list(tree.holding("nowhere", "index.json")) == []
