"""What is told to a copier is what it needs, and leads nowhere else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pyramid_pypi.errors import Refusal
from pyramid_pypi.following.changed_paths import POINTERS, ChangedPaths, pointed
from pyramid_pypi.following.pointing import Trusting
from pyramid_pypi.following.sources import FolderSource, SourceUnreadable
from pyramid_pypi.following.trust import TrustRefused, unsigned_pointer
from pyramid_pypi.following.verifying import Verifier, Wanted
from pyramid_pypi.formats import hash_tree, repomd
from pyramid_pypi.formats.canonical import json_document
from pyramid_pypi.formats.compression import gzip_bytes
from pyramid_pypi.formats.manifest import shadow_path
from pyramid_pypi.formats.repomd import Record, Repomd
from pyramid_pypi.models.catalog import ProjectStatus
from pyramid_pypi.publishing import repository
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.values.names import normalize
from tests.conftest import ToldClock
from tests.static_trees import Origin, busy_tree


@pytest.fixture
def index(tmp_path: Path, sqlite_template: Path) -> Iterator[Origin]:
    made = busy_tree(tmp_path / "index", sqlite_template, ToldClock())
    yield made
    made.close()


@pytest.fixture
def mirror(index: Origin, tmp_path: Path) -> Path:
    return Path(shutil.copytree(index.tree, tmp_path / "mirror"))


def changed(index: Origin, mirror: Path, pointers: Path | None = None) -> ChangedPaths:
    source = FolderSource(index.tree)
    following = FolderSource(pointers) if pointers else None
    pointer = pointed(source, following, Trusting(), index.clock)
    return ChangedPaths(source, FolderSource(mirror), pointer, tells_pointers=pointers is None)


def copied(source: Path, paths: Iterable[str], target: Path) -> None:
    for path in paths:
        if (source / path).exists():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).unlink(missing_ok=True)
            shutil.copy2(source / path, target / path)


def brought(index: Origin, mirror: Path) -> list[str]:
    """Bring `mirror` to the present by paths alone; return them."""
    told = list(changed(index, mirror).present())
    gone = list(changed(index, mirror).gone())
    assert not set(told) & set(gone)
    copied(index.tree, told, mirror)
    for path in gone:
        if (mirror / path).is_dir():
            shutil.rmtree(mirror / path)
        (mirror / path).unlink(missing_ok=True)
    return told


def serial_of(tree: Path) -> int:
    return unsigned_pointer(FolderSource(tree)).repomd.serial


def faults(index: Origin, tree: Path) -> list[str]:
    verifier = Verifier(FolderSource(tree), Wanted(everything=True), Trusting(), index.clock)
    return [f"{finding.fault}: {finding.path}" for finding in verifier.findings()]


def test_nothing_new(index: Origin, mirror: Path) -> None:
    told = brought(index, mirror)
    assert told[-len(POINTERS) :] == list(POINTERS)
    assert not [path for path in told if path.startswith(("packages/", "simple/large"))]
    assert faults(index, mirror) == []


def test_changes_of_every_kind(index: Origin, mirror: Path) -> None:
    index.add("large", "3.0", size=9000)
    index.add("entirely-new")
    index.delete("small-5")
    index.set_status("small-6", ProjectStatus.QUARANTINED)
    index.set_status("bad-one", ProjectStatus.ACTIVE)
    index.yank("small-7", "1.0")
    index.delete_file("small-1", "small_1-2.0-py3-none-any.whl")
    index.point()
    told = brought(index, mirror)
    assert faults(index, mirror) == []
    assert not (mirror / "simple/small-5").exists()
    assert not (mirror / "pypi/small-6/1.0/json").exists()
    assert not list((mirror / "packages").rglob("small_1-2.0*"))
    assert len(told) < sum(path.is_file() for path in index.tree.rglob("*")) / 2


def test_a_tree_of_another_depth(index: Origin, mirror: Path) -> None:
    for number in range(8):
        index.delete(f"small-{10 + number}")
    index.point()
    brought(index, mirror)
    assert faults(index, mirror) == []
    assert not list((mirror / "repodata/t").glob("*.json"))
    for number in range(8):
        index.add(f"more-{number}")
    index.point()
    brought(index, mirror)
    assert faults(index, mirror) == []
    assert list((mirror / "repodata/t").glob("*.json"))


def own_serials(tree: Path) -> dict[str, int]:
    known = unsigned_pointer(FolderSource(tree)).repomd
    return {record.type: record.serial for record in known.records}


def test_companions_that_came_after_the_pointer(
    index: Origin, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of the moment between has all events, and the old companions."""
    index.add("large", "3.0")
    index.add("entirely-new")
    monkeypatch.setattr(repository, "_LEAST_APART_S", 0)
    index.workshop.publisher.repository.refresh_for_reader()
    brought(index, mirror)
    serials = own_serials(mirror)
    assert serials["companions"] < serials["shards"] == serial_of(mirror)
    assert faults(index, mirror) == []

    index.point()
    assert serial_of(index.tree) == serial_of(mirror)
    told = brought(index, mirror)
    assert "projects/entirely-new/documents.json" in told
    assert faults(index, mirror) == []


def test_a_project_whose_companions_go_later(
    index: Origin, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "_LEAST_APART_S", 0)
    index.delete("small-9")
    index.workshop.publisher.repository.refresh_for_reader()
    assert "simple/small-9" not in list(changed(index, mirror).gone())
    brought(index, mirror)
    assert not (mirror / "simple/small-9/index.json").exists()
    index.point()
    brought(index, mirror)
    assert not list(mirror.glob("*/small-9"))
    assert faults(index, mirror) == []


def test_pages_that_were_written_without_a_change(index: Origin, mirror: Path) -> None:
    """As by a later version of the program, which has more to say."""
    serial, path = serial_of(index.tree), "simple/large/index.json"
    tree = index.workshop.services.tree
    content = json_document(json.loads(tree.read(path) or b"") | {"_later": "more"})
    digest = sha256_hex(content)
    tree.put(path, content, shadow=shadow_path(path, digest))
    tree.put(f"{path}.gz", gzip_bytes(content), shadow=shadow_path(f"{path}.gz", digest))
    index.workshop.publisher.repository.mark([normalize("large")])
    index.point()
    assert serial_of(index.tree) == serial
    assert path in brought(index, mirror)
    assert (mirror / path).read_bytes() == content
    assert faults(index, mirror) == []


def test_the_pointers_that_one_has_count(index: Origin, mirror: Path, tmp_path: Path) -> None:
    """The index moves on; the copy becomes what its pointers name."""
    index.add("large", "3.0")
    index.point()
    following = tmp_path / "next"
    copied(index.tree, POINTERS, following)
    index.add("large", "4.0")
    index.delete("small-9")
    index.point()
    new = changed(index, mirror, following)
    assert new.serial == serial_of(following) < serial_of(index.tree)
    told = list(new.present())
    assert not set(told) & set(POINTERS)
    copied(index.tree, told, mirror)
    shutil.copytree(following, mirror, dirs_exist_ok=True)
    verifier = Verifier(FolderSource(mirror), Wanted(everything=True), Trusting(), index.clock)
    # Stable paths may be ahead, with the right version beside them; nothing else is odd.
    found = list(verifier.findings())
    assert [one for one in found if not one.superseded and not one.path.endswith(".gz")] == []
    assert {one.path.split("/")[1] for one in found if one.path.startswith("simple/")} <= {
        "large",
        "index.json",
        "index.html",
        "index.json.gz",
        "index.html.gz",
    }


def test_a_copy_that_has_nothing(index: Origin, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert list(changed(index, empty).gone()) == []
    brought(index, empty)
    assert faults(index, empty) == []


def test_a_copy_that_has_lost_a_node(index: Origin, mirror: Path) -> None:
    """What it lacks is told, and all that it could have shown it by."""
    shutil.rmtree(mirror / "repodata/t")
    for page in (mirror / "simple/small-9").glob("index.*"):
        page.unlink()
    index.add("large", "3.0")
    index.point()
    told = brought(index, mirror)
    assert "simple/small-9/index.json" in told
    assert faults(index, mirror) == []


def test_what_is_lost_is_told(index: Origin, mirror: Path) -> None:
    index.add("large", "3.0")
    index.point()
    new = changed(index, mirror)
    shutil.rmtree(index.tree / "repodata/c")
    with pytest.raises(SourceUnreadable, match="repodata/c/"):
        list(new.present())
    shutil.rmtree(index.tree / "repodata")
    with pytest.raises(Refusal, match="repodata"):
        changed(index, mirror)


def test_signatures_are_looked_at_first(index: Origin, mirror: Path, tmp_path: Path) -> None:
    older = Path(shutil.copytree(index.tree, tmp_path / "older"))
    index.add("large", "3.0")
    index.point()
    # Pointers of two moments.
    following = tmp_path / "next"
    copied(index.tree, POINTERS, following)
    shutil.copy2(older / "repodata/repomd.json", following / "repodata/repomd.json")
    with pytest.raises(TrustRefused, match="another moment"):
        changed(index, mirror, following)
    # An older state than the copy shows.
    brought(index, mirror)
    source = FolderSource(older)
    pointer = pointed(source, None, Trusting(), index.clock)
    with pytest.raises(TrustRefused, match="the copy") as refused:
        ChangedPaths(source, FolderSource(mirror), pointer)
    assert refused.value.is_rollback
    # Somebody else's root, a forged pointer, a signature whose time is over.
    with pytest.raises(TrustRefused):
        pointed(source, None, Trusting(root=b"{}"), index.clock)
    with pytest.raises(TrustRefused, match="expired"):
        pointed(source, None, Trusting(), lambda: index.clock() + timedelta(days=9000))
    for path in (older / "repodata").glob("*repomd.json"):
        path.write_bytes(path.read_bytes().replace(b'"serial":', b'"serial": '))
    with pytest.raises(TrustRefused, match=r"repomd\.json"):
        pointed(source, None, Trusting(), index.clock)


def test_a_tree_without_signatures(index: Origin, mirror: Path) -> None:
    shutil.rmtree(index.tree / "tuf")
    source = FolderSource(index.tree)
    with pytest.raises(TrustRefused, match="nothing is signed"):
        pointed(source, None, Trusting(), index.clock)
    pointer = pointed(source, None, Trusting(unsigned=True), index.clock)
    told = list(ChangedPaths(source, FolderSource(mirror), pointer).present())
    assert [path for path in told if path.startswith("tuf/")] == ["tuf/timestamp.json"]


def hostile(folder: Path, manifest: bytes, clock: ToldClock) -> Path:
    """A copy whose manifest of the project `mine` is `manifest`, hashes and all."""
    listed = folder / "projects/mine/documents.json"
    listed.parent.mkdir(parents=True)
    listed.write_bytes(manifest)
    entry = hash_tree.entry_of(manifest, 1)
    root = hash_tree.root(hash_tree.Root(1, 0, projects={"mine": entry}))
    href = f"repodata/{sha256_hex(root)}-companions.json"
    record = Record(
        type="companions",
        href=href,
        sha256=sha256_hex(root),
        size_bytes=len(root),
        at=clock(),
        serial=1,
    )
    (folder / "repodata").mkdir()
    (folder / href).write_bytes(root)
    pointer = repomd.json(Repomd(serial=1, at=clock(), records=(record,)))
    (folder / "repodata/repomd.json").write_bytes(pointer)
    return folder


@pytest.mark.parametrize("path", ["simple/large/index.json", "packages/aa", "../x", "/etc"])
def test_hostile_copies_lead_nowhere(index: Origin, tmp_path: Path, path: str) -> None:
    """By no document of one project those of another are removed."""
    fair = json.dumps({"documents": {"pypi/mine/json": ["a" * 64, 1]}, "serial": 1})
    copy = hostile(tmp_path / "fair", fair.encode(), index.clock)
    folders = ["simple/mine", "projects/mine", "pypi/mine"]
    gone = list(changed(index, copy).gone())
    assert gone[-3:] == folders
    assert gone[:-3] == ["projects/mine/documents.json", "pypi/mine/json"]
    content = json.dumps({"documents": {path: ["a" * 64, 1]}, "serial": 1})
    copy = hostile(tmp_path / "copy", content.encode(), index.clock)
    assert list(changed(index, copy).gone()) == folders
