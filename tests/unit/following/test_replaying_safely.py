"""A copy is brought to the present whoever lies, is in the way, or has gone on."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pyramid_pypi.following import clearing, replaying
from pyramid_pypi.following.pointing import Trusting
from pyramid_pypi.following.replaying import ReplayBusy, Result, replay
from pyramid_pypi.following.sources import FolderSource, HttpSource, SourceUnreadable
from pyramid_pypi.following.trust import TrustRefused
from pyramid_pypi.following.verifying import Verifier, Wanted
from pyramid_pypi.formats.events import Event, EventUnreadable
from pyramid_pypi.formats.manifest import shadow_path
from pyramid_pypi.models.catalog import ProjectStatus
from pyramid_pypi.publishing.ceremony import Ceremony
from pyramid_pypi.publishing.keys import Keyring
from pyramid_pypi.storage import durable
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.digests import sha256_hex
from tests.conftest import ToldClock, unavailable
from tests.simulators import serving
from tests.static_trees import Origin, origin


@pytest.fixture
def index(sqlite_template: Path, tmp_path: Path) -> Iterator[Origin]:
    made = origin(tmp_path / "index", sqlite_template, ToldClock())
    for number in range(4):
        made.add(f"project-{number}")
    made.point()
    yield made
    made.close()


@pytest.fixture
def copy(index: Origin, tmp_path: Path) -> Path:
    return Path(shutil.copytree(index.tree, tmp_path / "copy"))


class Asking(FolderSource):
    """A folder that remembers what was asked of it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked: list[str] = []

    def blocks(self, path: str) -> Iterator[bytes] | None:
        self.asked.append(path)
        return super().blocks(path)


def bring(copy: Path, index: Origin, trusting: Trusting | None = None) -> Result:
    source = FolderSource(index.tree)
    return replay(FolderSource(copy), source, trusting or Trusting(), index.clock, files=True)


def paths(tree: Path, room: str) -> set[str]:
    files = (file for file in (tree / room).rglob("*") if file.is_file())
    return {file.relative_to(tree).as_posix() for file in files}


def assert_good(copy: Path, index: Origin) -> None:
    wanted = Wanted(everything=True)
    assert list(Verifier(FolderSource(copy), wanted, Trusting(), index.clock).findings()) == []


@pytest.mark.parametrize("victim", ["project-2", "project-1"])
def test_a_manifest_that_lies_removes_no_page(index: Origin, copy: Path, victim: str) -> None:
    told = copy / "projects/project-1/documents.json"
    manifest = json.loads(told.read_bytes())
    manifest["documents"][f"simple/{victim}/index.json"] = ["0" * 64, 5]
    told.write_text(json.dumps(manifest))
    index.add("project-1", "2.0")
    index.point()
    bring(copy, index)
    assert (copy / f"simple/{victim}/index.json").exists()
    assert_good(copy, index)


def test_companions_of_what_is_gone_go_too(index: Origin, copy: Path) -> None:
    index.add("project-1", "2.0")
    index.point()
    bring(copy, index)
    (copy / "projects/project-1/documents.json").unlink()
    (copy / "pypi/project-1/0.9").mkdir()
    (copy / "pypi/project-1/0.9/json").write_bytes(b"stale")
    index.add("project-1", "3.0")
    index.delete("project-3")
    index.point()
    bring(copy, index)
    assert not (copy / "pypi/project-1/0.9/json").exists()
    assert not [path for path in paths(copy, "projects/project-3") if "/v/" not in path]
    assert not [path for path in paths(copy, "pypi/project-3") if "/v/" not in path]
    assert_good(copy, index)


def test_release_files_go_with_what_named_them(index: Origin, copy: Path) -> None:
    before = paths(copy, "packages")
    index.delete_file("project-0", index.add("project-0", "2.0"))
    doomed = index.add("project-0", "3.0")
    index.point()
    bring(copy, index)
    there = paths(copy, "packages")
    assert len(there - before) == 2  # the wheel and its metadata
    index.delete_file("project-0", doomed)
    index.delete("project-1")
    index.set_status("project-2", ProjectStatus.QUARANTINED)
    index.point()
    bring(copy, index)
    left = {path.split("/")[-1].split("-")[0] for path in paths(copy, "packages")}
    assert left == {"project_0", "project_3"}
    assert not any(doomed in path for path in paths(copy, "packages"))
    assert_good(copy, index)
    index.set_status("project-2", ProjectStatus.ACTIVE)
    index.point()
    bring(copy, index)
    assert_good(copy, index)


def test_a_page_that_lies_removes_no_file_of_others(index: Origin, copy: Path) -> None:
    shutil.copy(copy / "simple/project-2/index.json", copy / "simple/project-1/index.json")
    shutil.rmtree(copy / "simple/project-1/v")
    index.add("project-1", "2.0")
    index.point()
    bring(copy, index)
    assert_good(copy, index)


def test_a_new_file_fetches_nothing_of_the_others(index: Origin, copy: Path) -> None:
    new = index.add("project-1", "2.0")
    index.point()
    source = Asking(index.tree)
    replay(FolderSource(copy), source, Trusting(), index.clock, files=True)
    asked = [path.split("/")[-1] for path in source.asked if path.startswith("packages/")]
    assert asked == [new, f"{new}.metadata"]


def test_what_was_superseded_goes_after_a_while(index: Origin, copy: Path) -> None:
    index.add("project-1", "2.0")
    index.point()
    bring(copy, index)
    rooms = ("repodata", "tuf", "simple/project-1/v")
    before = {path for room in rooms for path in paths(copy, room)}
    bring(copy, index)
    assert before == {path for room in rooms for path in paths(copy, room)}
    # What the kernel notes is of today, whatever the clocks of tests say.
    index.clock.now = datetime.now(UTC) + timedelta(days=3)
    index.add("project-1", "3.0")
    index.point()
    bring(copy, index)
    after = {path for room in rooms for path in paths(copy, room)}
    gone = before - after
    for kind in ("-shards.json", ".snapshot.json", ".repomd.json", ".repomd.xml", "/v/"):
        assert any(kind in path for path in gone), kind
    assert all("root" not in path and "targets" not in path for path in gone)
    assert_good(copy, index)


def test_a_file_that_comes_back_is_kept(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "tree", tmp_path / "spool", lambda: datetime.now(UTC))
    (tmp_path / "spool").mkdir()
    path = f"repodata/{'a' * 64}-site.json"
    for other in (path, "repodata/repomd.json", "tuf/1.root.json"):
        tree.put(other, b"{}")
    later = datetime.now(UTC) + timedelta(days=2)
    assert clearing.clear(tree, [path], later) == 0
    assert clearing.clear(tree, [], datetime.now(UTC)) == 0
    assert not os.stat(tree.root / path).st_mode & 0o222
    assert clearing.clear(tree, [path], later) == 0
    assert os.stat(tree.root / path).st_mode & 0o200
    assert clearing.clear(tree, [], later) == 0  # noted only
    assert clearing.clear(tree, [], later) == 1
    assert tree.exists("repodata/repomd.json")
    assert tree.exists("tuf/1.root.json")


def test_the_rooms_are_swept_every_few_hours(tmp_path: Path) -> None:
    at = datetime.now(UTC) + timedelta(days=2)
    tree = Tree(tmp_path / "tree", tmp_path / "spool", lambda: at)
    (tmp_path / "spool").mkdir()
    path, mark = "simple/demo/index.json", tmp_path / "swept"
    for number in range(3):
        content = b"%d" % number
        tree.put(path, content, shadow=shadow_path(path, sha256_hex(content)))
    assert clearing.sweep(tree, mark, at) == 2
    tree.put(path, b"9", shadow=shadow_path(path, sha256_hex(b"9")))
    assert clearing.sweep(tree, mark, at + timedelta(hours=1)) == 0
    assert clearing.sweep(tree, mark, at + timedelta(hours=7)) == 1


def test_one_at_a_time(index: Origin, copy: Path) -> None:
    index.add("project-1", "2.0")
    index.point()
    with (
        durable.locked(copy.with_name("copy.spool.lock")),
        pytest.raises(ReplayBusy),
    ):
        bring(copy, index)
    bring(copy, index)
    assert_good(copy, index)


def test_earlier_roots_are_copied_and_proved(index: Origin, copy: Path, tmp_path: Path) -> None:
    keyring = Keyring(index.workshop.services.settings.keys_dir)
    Ceremony(keyring, index.clock).rotate_root()
    index.add("project-1", "2.0")
    index.point()
    later = (index.tree / "tuf/2.root.json").read_bytes()
    empty = tmp_path / "empty"
    empty.mkdir()
    bring(empty, index, Trusting(root=later))
    first = (index.tree / "tuf/1.root.json").read_bytes()
    assert (empty / "tuf/1.root.json").read_bytes() == first
    assert_good(empty, index)

    forged = json.loads(first)
    forged["signed"]["roles"]["root"] = json.loads(later)["signed"]["roles"]["root"]
    forged["signed"]["keys"] |= json.loads(later)["signed"]["keys"]
    (index.tree / "tuf/1.root.json").write_text(json.dumps(forged))
    second = tmp_path / "second"
    second.mkdir()
    bring(second, index, Trusting(root=later))
    assert not (second / "tuf/1.root.json").exists()
    assert (second / "tuf/2.root.json").read_bytes() == later


def test_events_that_nobody_can_read_do_no_harm(
    index: Origin, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_arguments: object) -> Iterator[Event]:
        raise EventUnreadable("another time's")

    monkeypatch.setattr(replaying, "events_since", unreadable)
    index.add("project-1", "2.0")
    index.point()
    result = bring(copy, index)
    assert (result.derived, result.fetched) == (0, 1)
    assert_good(copy, index)


def test_a_fault_of_the_network_is_no_attack(
    index: Origin, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyramid_pypi.following.sources._WAITS_S", (0.01,))
    with serving(index.tree) as server:
        for behaviour in ("broken", "cut", "resets"):
            server.behave(behaviour, r"^tuf/[0-9]+[.]snapshot[.]json")
            source = HttpSource(server.url, patience_s=2)
            with pytest.raises(SourceUnreadable):
                replay(FolderSource(copy), source, Trusting(), index.clock)
            source.close()
        server.behave("altered", r"^tuf/[0-9]+[.]snapshot[.]json")
        with pytest.raises(TrustRefused, match="snapshot"):
            replay(FolderSource(copy), HttpSource(server.url), Trusting(), index.clock)


def test_a_seal_of_another_pointer_is_not_installed(index: Origin, copy: Path) -> None:
    if importlib.util.find_spec("pysequoia") is None:
        unavailable("the extra openpgp is not installed")
    seal = index.tree / "repodata/repomd.xml.asc"
    assert seal.exists()
    old = seal.read_bytes()
    index.add("project-1", "2.0")
    index.point()
    new = seal.read_bytes()
    seal.write_bytes(old)
    bring(copy, index)
    assert not (copy / "repodata/repomd.xml.asc").exists()
    seal.write_bytes(new)
    bring(copy, index)
    assert (copy / "repodata/repomd.xml.asc").read_bytes() == new


def test_a_seal_beside_another_pointer_is_not_taken(
    index: Origin, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyramid_pypi.following.seals.pysequoia", None)
    plain = index.tree / "repodata/repomd.xml"
    now = plain.read_bytes()
    index.add("project-1", "2.0")
    index.point()
    plain.unlink()
    plain.write_bytes(now)  # the signed one is still to be had by its hash
    bring(copy, index)
    assert not (copy / "repodata/repomd.xml.asc").exists()
