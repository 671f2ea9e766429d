"""What is told to a copier is what it needs, and leads nowhere else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyramid_pypi.following.changed_paths import POINTERS, ChangedPaths, serial_of
from pyramid_pypi.following.pointing import Trusting
from pyramid_pypi.following.sources import FolderSource, SourceUnreadable
from pyramid_pypi.following.verifying import Verifier, Wanted
from pyramid_pypi.formats.events import Event
from pyramid_pypi.models.catalog import ProjectStatus
from pyramid_pypi.values.paths import is_relative_path
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


def brought(index: Origin, mirror: Path) -> list[str]:
    """Bring `mirror` to the present by paths alone; return them."""
    changed = ChangedPaths(FolderSource(index.tree), serial_of(FolderSource(mirror)))
    told, gone = list(changed.present()), list(changed.gone())
    assert not set(told) & set(gone)
    for path in told:
        if (index.tree / path).exists():
            (mirror / path).parent.mkdir(parents=True, exist_ok=True)
            (mirror / path).unlink(missing_ok=True)
            shutil.copy2(index.tree / path, mirror / path)
    for path in gone:
        if (mirror / path).is_dir():
            shutil.rmtree(mirror / path)
        (mirror / path).unlink(missing_ok=True)
    return told


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


def test_the_pointers_that_one_has_count(index: Origin, mirror: Path, tmp_path: Path) -> None:
    """The index moves on; the copy becomes what its pointers name."""
    index.add("large", "3.0")
    index.point()
    following = tmp_path / "next"
    for path in POINTERS:
        (following / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(index.tree / path, following / path)
    index.add("large", "4.0")
    index.point()
    changed = ChangedPaths(
        FolderSource(index.tree), serial_of(FolderSource(mirror)), FolderSource(following)
    )
    assert changed.serial == serial_of(FolderSource(following))
    told = list(changed.present())
    assert not set(told) & set(POINTERS)
    for path in told:
        if (index.tree / path).exists():
            (mirror / path).parent.mkdir(parents=True, exist_ok=True)
            (mirror / path).unlink(missing_ok=True)
            shutil.copy2(index.tree / path, mirror / path)
    shutil.copytree(following, mirror, dirs_exist_ok=True)
    # Stable paths may be ahead, with the right version beside them.
    wrong = [fault for fault in faults(index, mirror) if not fault.startswith("wrong")]
    assert [fault for fault in wrong if not fault.endswith(".gz")] == []


def test_what_is_lost_is_told(index: Origin) -> None:
    source = FolderSource(index.tree)
    shutil.rmtree(index.tree / "repodata/c")
    with pytest.raises(SourceUnreadable, match="repodata/c/"):
        list(ChangedPaths(source, 1).present())
    shutil.rmtree(index.tree / "repodata")
    with pytest.raises(SourceUnreadable, match="no repodata"):
        ChangedPaths(source, 1)
    assert serial_of(source) == 0


@pytest.mark.parametrize(
    ("version", "details"),
    [
        ("..", {"sha256": "0" * 64}),
        ("1.0", {"sha256": "../../../etc"}),
        ("1.0", {"sha256": ["0" * 64]}),
        ("1.0", {"sha256": "0" * 64 + "\n"}),
        ("1.0", {}),
    ],
)
def test_hostile_events_lead_nowhere(
    index: Origin, version: str, details: dict[str, Any]
) -> None:
    changed = ChangedPaths(FolderSource(index.tree), serial_of(FolderSource(index.tree)))
    hostile = Event(99, index.clock(), "file-deleted", "large", version, "x.whl", details)
    changed.__dict__["_events"] = [hostile]
    gone = list(changed.gone())
    assert all(map(is_relative_path, gone))
    assert all(path.startswith(("packages/00/00/", "pypi/large/1", "simple/")) for path in gone)
