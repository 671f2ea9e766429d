"""A copy of a tree is verified by nothing but itself, and one flipped bit is found."""

from __future__ import annotations

from pathlib import Path

from pyramid_pypi.following.findings import Finding
from pyramid_pypi.following.pointing import Trusting
from pyramid_pypi.following.sources import FolderSource
from pyramid_pypi.following.verifying import Verifier, Wanted
from tests.static_trees import Origin

ALL = Wanted(everything=True)


def found(folder: Path, busy: Origin, wanted: Wanted = ALL) -> list[Finding]:
    return list(Verifier(FolderSource(folder), wanted, Trusting(), busy.clock).findings())


def test_a_good_tree_has_no_findings(busy: Origin, copy: Path) -> None:
    assert found(busy.tree, busy) == []
    assert found(copy, busy) == []
