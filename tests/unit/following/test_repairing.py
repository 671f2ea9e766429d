"""A folder is mended from another tree, and takes no lie for the truth."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from pyramid_pypi.following.findings import Fault, Finding
from pyramid_pypi.following.pointing import Trusting
from pyramid_pypi.following.repairing import Repairer
from pyramid_pypi.following.sources import FolderSource
from pyramid_pypi.following.verifying import Verifier, Wanted
from tests.static_trees import Origin
from tests.unit.following.test_verifying import flip

ALL = Wanted(everything=True)


def content_of(tree: Path) -> dict[str, bytes]:
    return {
        file.relative_to(tree).as_posix(): file.read_bytes()
        for file in tree.rglob("*")
        if file.is_file()
    }


def mend(
    copy: Path, other: Path, busy: Origin, trusting: Trusting | None = None
) -> list[Finding]:
    repairer = Repairer(
        FolderSource(copy), FolderSource(other), ALL, trusting or Trusting(), busy.clock
    )
    return list(repairer.findings())


@pytest.mark.parametrize("count", [1, 30, 400])
def test_flipped_bits_are_mended(busy: Origin, copy: Path, count: int) -> None:
    whole = content_of(copy)
    root = whole["tuf/1.root.json"]
    chance = random.Random(count)
    for path in chance.sample(sorted(path for path in whole if whole[path]), count):
        flip(copy / path, chance)
    findings = mend(copy, busy.tree, busy, Trusting(root=root))
    assert findings
    assert [finding for finding in findings if not finding.repaired] == []
    assert content_of(copy) == whole


def test_lost_documents_come_back(busy: Origin, copy: Path) -> None:
    whole = content_of(copy)
    for room in ("simple/large", "projects/large", "pypi", "packages", "repodata/t", "static"):
        shutil.rmtree(copy / room)
    findings = mend(copy, busy.tree, busy)
    assert {finding.repaired for finding in findings} == {True}
    missing = whole.keys() - content_of(copy).keys()
    # What nothing names stays away: superseded versions, twins, what a quarantine hides.
    assert all("/v/" in p or p.endswith(".gz") or p.startswith("packages/") for p in missing)


def test_a_tree_that_lies_changes_nothing(busy: Origin, copy: Path, tmp_path: Path) -> None:
    liar = Path(shutil.copytree(busy.tree, tmp_path / "liar"))
    chance = random.Random(5)
    broken = ["simple/large/index.json", "simple/large/index.html", "repodata/t/01.json"]
    broken = [path for path in broken if (copy / path).exists()]
    for path in broken:
        folder = (copy / path).parent
        shutil.rmtree(folder / "v", ignore_errors=True)
        shutil.rmtree((liar / path).parent / "v", ignore_errors=True)
        (folder / f"{(copy / path).name}.gz").unlink(missing_ok=True)
        flip(copy / path, chance)
        flip(liar / path, chance)
    before = content_of(copy)
    left = {finding.path for finding in mend(copy, liar, busy) if not finding.repaired}
    assert set(broken) <= left
    after = content_of(copy)
    assert [path for path in broken if after[path] != before[path]] == []


def test_a_stranger_does_not_become_the_root(
    busy: Origin, copy: Path, tmp_path: Path, sqlite_template: Path
) -> None:
    from tests.conftest import ToldClock
    from tests.static_trees import origin

    stranger = origin(tmp_path / "stranger", sqlite_template, ToldClock(busy.clock.now))
    stranger.add("small-1", "666")
    stranger.point()
    (copy / "tuf/1.root.json").write_bytes(b"{}")
    findings = mend(copy, stranger.tree, busy)
    stranger.close()
    assert (Fault.SIGNATURE, "tuf/1.root.json") in {
        (f.fault, f.path) for f in findings if not f.repaired
    }
    assert (copy / "tuf/1.root.json").read_bytes() == b"{}"


def test_a_tree_that_is_ahead_serves_by_its_shadows(busy: Origin, copy: Path) -> None:
    busy.add("small-7", "7.0")
    busy.point()
    whole = content_of(copy)
    page = copy / "simple/small-7/index.json"
    for file in (page, *page.parent.glob("v/*.json")):
        file.unlink()
    assert {finding.repaired for finding in mend(copy, busy.tree, busy)} == {True}
    assert page.read_bytes() == whole["simple/small-7/index.json"]
    verifier = Verifier(FolderSource(copy), ALL, Trusting(), busy.clock)
    assert list(verifier.findings()) == []


def test_a_link_that_leads_out_is_not_followed(
    busy: Origin, copy: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside.json"
    outside.write_bytes(b"mine")
    page = copy / "simple/small-8/index.json"
    page.unlink()
    page.symlink_to(outside)
    left = [finding for finding in mend(copy, busy.tree, busy) if not finding.repaired]
    assert {(f.fault, f.path) for f in left} == {
        (Fault.UNREADABLE, "simple/small-8/index.json")
    }
    assert outside.read_bytes() == b"mine"
