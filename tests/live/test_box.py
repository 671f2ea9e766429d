"""The short form of `tests.prove.box`: what a publish writes, and that all of it is true."""

from __future__ import annotations

from pathlib import Path

from tests.prove import box, box_rows


def test_a_publish_writes_little_beside_the_documents_of_its_project(tmp_path: Path) -> None:
    wanted = box_rows.projects(None, 2000)
    measured = box.measure(tmp_path, wanted, 5.0, 20)
    assert box.breaches(measured, timed=False) == []
    # A hash tree of two levels: root, node, leaf.
    assert max(measured.costs.size_bytes["shards"]) < 8000
    assert measured.inodes["simple"] < 5 * 2000  # no shadows of first versions
