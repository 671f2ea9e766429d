"""An older copy comes to the present by events, and ends with the same bytes."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyramid_pypi.following.pointing import Trusting
from pyramid_pypi.following.replaying import Result, replay
from pyramid_pypi.following.sources import FolderSource
from pyramid_pypi.following.trust import TrustRefused
from pyramid_pypi.following.verifying import Verifier, Wanted
from pyramid_pypi.models.catalog import ProjectStatus
from tests.conftest import ToldClock
from tests.static_trees import Origin, origin

SUPERSEDED = re.compile(r"(^|/)v/|^tuf/[0-9]+\.|^repodata/[0-9a-f]{64}|^repodata/c/|^packages/")


@pytest.fixture
def index(sqlite_template: Path, tmp_path: Path) -> Iterator[Origin]:
    made = origin(tmp_path / "index", sqlite_template, ToldClock())
    for number in range(40):
        made.add(f"project-{number}")
    made.point()
    yield made
    made.close()


def copied(index: Origin, to: Path) -> Path:
    return Path(shutil.copytree(index.tree, to))


def bring(copy: Path, index: Origin, *, files: bool = True) -> Result:
    return replay(
        FolderSource(copy), FolderSource(index.tree), Trusting(), index.clock, files=files
    )


def present(tree: Path) -> dict[str, bytes]:
    """What a tree shows now; `verify` tells of release files, and of what is named by hash."""
    files = {p.relative_to(tree).as_posix(): p for p in tree.rglob("*") if p.is_file()}
    return {
        path: file.read_bytes() for path, file in files.items() if not SUPERSEDED.search(path)
    }


def assert_equal(copy: Path, index: Origin) -> None:
    ours, theirs = present(copy), present(index.tree)
    assert ours.keys() == theirs.keys()
    assert [path for path in theirs if ours[path] != theirs[path]] == []
    wanted = Wanted(everything=True)
    assert list(Verifier(FolderSource(copy), wanted, Trusting(), index.clock).findings()) == []


def test_events_of_every_kind(index: Origin, tmp_path: Path) -> None:
    index.add("large", "1.0")
    index.add("large", "1.1", sdist=True)
    index.set_status("project-9", ProjectStatus.QUARANTINED, "malware")
    index.point()
    copy = copied(index, tmp_path / "copy")
    index.clock.advance(days=3)
    for version in ("1.10", "1.9", "1.10rc1", "1.9.post1", "2!0.1", "1.0+local.1"):
        index.add("large", version)
    index.add("Brand.New")
    index.yank("large", "1.0", "it has “quotes” & <brackets>")
    index.yank("large", "1.1")
    index.unyank("large", "1.1")
    index.delete_file("large", index.add("large", "9.9"))
    index.set_status("project-1", ProjectStatus.ARCHIVED, "no longer kept up")
    index.set_status("project-2", ProjectStatus.QUARANTINED)
    index.set_status("project-9", ProjectStatus.ACTIVE)
    index.delete("project-3")
    index.delete("project-4")
    index.add("project-4", "2.0")
    index.point()

    result = bring(copy, index)

    assert_equal(copy, index)
    assert result.events == result.serial - result.serial_before
    # Only those two that begin or end a quarantine are fetched.
    assert (result.derived, result.fetched, result.removed) == (4, 2, 1)


def test_a_thousand_changes_behind(index: Origin, tmp_path: Path) -> None:
    chance = random.Random(7)
    copy = copied(index, tmp_path / "copy")
    for number in range(300):
        index.add(f"project-{chance.randrange(60)}", f"2.{number}")
    index.point()
    result = bring(copy, index, files=False)
    assert result.serial - result.serial_before >= 600
    assert result.fetched == 0
    assert result.derived > 50
    assert present(copy) == present(index.tree)


def test_an_empty_folder_is_filled(index: Origin, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    result = bring(tmp_path / "copy", index)
    assert (result.serial_before, result.derived, result.fetched) == (0, 0, 40)
    assert_equal(tmp_path / "copy", index)


def test_a_damaged_copy_is_made_good_where_it_differs(index: Origin, tmp_path: Path) -> None:
    copy = copied(index, tmp_path / "copy")
    index.add("project-7", "2.0")
    index.add("project-8", "2.0")
    index.point()
    page = copy / "simple/project-7/index.json"
    page.write_bytes(page.read_bytes().replace(b"1.0-py3", b"1.1-py3"))
    shutil.rmtree(copy / "repodata/p")
    result = bring(copy, index)
    assert_equal(copy, index)
    assert (result.derived, result.fetched) == (1, 1)


def test_nodes_that_are_lost_are_fetched(index: Origin, tmp_path: Path) -> None:
    copy = copied(index, tmp_path / "copy")
    index.add("project-7", "2.0")
    index.point()
    shutil.rmtree(copy / "repodata/t")
    bring(copy, index)
    assert_equal(copy, index)


def test_the_tree_grows_deeper_and_shrinks(index: Origin, tmp_path: Path) -> None:
    copy = copied(index, tmp_path / "copy")
    for number in range(12):
        index.delete(f"project-{number}")
    index.point()
    bring(copy, index)
    assert_equal(copy, index)
    for number in range(12):
        index.add(f"other-{number}")
    index.point()
    assert bring(copy, index).fetched == 0
    assert_equal(copy, index)


def test_nothing_new_fetches_little(index: Origin, tmp_path: Path) -> None:
    copy = copied(index, tmp_path / "copy")
    result = bring(copy, index)
    assert (result.events, result.derived, result.fetched, result.removed) == (0, 0, 0, 0)
    assert result.fetches < 20
    assert_equal(copy, index)


def test_an_older_source_is_refused(index: Origin, tmp_path: Path) -> None:
    old = copied(index, tmp_path / "old")
    index.add("project-7", "2.0")
    index.point()
    new = copied(index, tmp_path / "new")
    before = present(new)
    with pytest.raises(TrustRefused) as refused:
        replay(FolderSource(new), FolderSource(old), Trusting(), index.clock)
    assert refused.value.is_rollback
    assert present(new) == before


def test_an_expired_source_is_refused(index: Origin, tmp_path: Path) -> None:
    copy = copied(index, tmp_path / "copy")
    index.clock.advance(days=30)
    with pytest.raises(TrustRefused, match="expired"):
        bring(copy, index)
