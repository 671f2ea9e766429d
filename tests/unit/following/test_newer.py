"""Documents ahead of the pointer, as an export has them by design."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyramid_pypi.following.findings import Finding
from pyramid_pypi.following.pointing import Trusting
from pyramid_pypi.following.sources import FolderSource
from pyramid_pypi.following.verifying import Verifier, Wanted
from pyramid_pypi.publishing.exporting import Exporter
from tests.conftest import ToldClock
from tests.static_trees import Origin, origin

LAG_S = 60


@pytest.fixture
def index(tmp_path: Path, sqlite_template: Path, clock: ToldClock) -> Iterator[Origin]:
    made = origin(tmp_path / "index", sqlite_template, clock)
    for number in range(34):
        made.add(f"demo-{number}")
    made.point()
    yield made
    made.close()


@pytest.fixture
def export(index: Origin, tmp_path: Path) -> Path:
    """An export whose pointer is older than its documents."""
    target = tmp_path / "export"
    exporter = Exporter(index.tree, target, index.clock, lag_s=LAG_S, keep_s=3600)
    exporter.run()
    index.clock.advance(seconds=LAG_S)
    exporter.run()
    index.add("demo-1", "2.0")
    index.add("demo-new")
    index.yank("demo-2", "1.0")
    index.point()
    exporter.run()
    return target


def found(index: Origin, tree: Path, *, ahead: bool) -> list[Finding]:
    wanted = Wanted(everything=True, ahead=ahead)
    return list(Verifier(FolderSource(tree), wanted, Trusting(), index.clock).findings())


def test_what_is_ahead_is_a_finding_only_if_it_is_not_allowed(
    index: Origin, export: Path
) -> None:
    assert {f.path for f in found(index, export, ahead=False)} >= {
        "simple/demo-1/index.json",
        "simple/demo-1/index.html",
        "projects/demo-1/documents.json",
        "simple/index.json",
    }
    assert found(index, export, ahead=True) == []


@pytest.mark.parametrize(
    "path",
    [
        "simple/demo-1/index.json",
        "simple/demo-1/index.html",
        "simple/demo-3/index.json",
        "projects/demo-1/index.xml",
        "projects/demo-3/documents.json",
        "simple/demo-1/primary.xml.gz",
        "simple/index.html",
    ],
)
def test_what_is_wrong_is_a_finding_all_the_same(
    index: Origin, export: Path, path: str
) -> None:
    content = bytearray((export / path).read_bytes())
    content[-3] ^= 1  # in the serial or behind it
    (export / path).unlink()
    (export / path).write_bytes(content)
    assert path in {finding.path for finding in found(index, export, ahead=True)}
