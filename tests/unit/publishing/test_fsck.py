"""Seeded faults are found, mended where they can be, and found no more."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.catalog import files, projects
from pyramid_pypi.changes import journal
from pyramid_pypi.models.catalog import ProjectStatus
from pyramid_pypi.publishing import fsck
from pyramid_pypi.publishing.faults import Fault
from pyramid_pypi.values.digests import file_path, sha256_hex
from pyramid_pypi.values.names import ProjectName
from tests.conftest import NOON
from tests.factories import Workshop, record, wheel_of

DEMO = ProjectName("demo")
WHEEL = "demo-1.0-py3-none-any.whl"


@pytest.fixture(autouse=True)
def whole(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index without a fault: two projects, one of them quarantined."""
    monkeypatch.setattr(fsck, "_PATIENCE_S", 0.01)
    workshop.add()
    workshop.add(version="2.0")
    workshop.add("other")
    with workshop.services.database.writing() as session:
        projects.set_status(
            session, COMMAND_LINE, ProjectName("other"), ProjectStatus.QUARANTINED, at=NOON
        )
    workshop.show(session)
    workshop.settle()


def found(workshop: Workshop, *, repair: bool = False) -> set[tuple[Fault, str, bool]]:
    findings = fsck.findings(workshop.publisher, repair=repair)
    return {(finding.fault, finding.subject, finding.repaired) for finding in findings}


def execute(workshop: Workshop, statement: str) -> None:
    with workshop.services.database.writing() as session:
        session.execute(text(statement))


def stray_blob(workshop: Workshop) -> str:
    content = b"nobody knows me"
    path = file_path(sha256_hex(content), "stray-1.0.tar.gz")
    target = workshop.services.tree.root / path
    target.parent.mkdir(parents=True)
    target.write_bytes(content)
    return path


def torn_page(workshop: Workshop) -> str:
    (workshop.services.tree.root / "simple/demo/index.html").write_bytes(b"<!DOCTYPE")
    return "simple/demo/index.html"


def torn_twin(workshop: Workshop) -> str:
    (workshop.services.tree.root / "simple/demo/index.json.gz").write_bytes(b"\x1f\x8b")
    return "simple/demo/index.json.gz"


def lost_companion(workshop: Workshop) -> str:
    (workshop.services.tree.root / "pypi/demo/2.0/json").unlink()
    return "pypi/demo/2.0/json"


def stray_project(workshop: Workshop) -> str:
    workshop.services.tree.put("simple/v/index.html", b"a project called v")
    return "simple/v/"


def stray_release(workshop: Workshop) -> str:
    workshop.services.tree.put("pypi/demo/9.9/json", b"{}")
    return "pypi/demo/9.9/"


def unregistered(workshop: Workshop) -> str:
    execute(workshop, f"DELETE FROM used_filename WHERE filename = '{WHEEL}'")
    return WHEEL


def leftover(workshop: Workshop) -> str:
    path = workshop.services.blobs.new_spool_path()
    path.write_bytes(b"half")
    old = path.stat().st_mtime - 3 * fsck._SPOOL_AGE_S
    os.utime(path, (old, old))
    return path.name


def torn_list(workshop: Workshop) -> str:
    (workshop.services.tree.root / "simple/index.html").write_bytes(b"torn")
    return "simple/index.html"


def unpublished(workshop: Workshop) -> str:
    with workshop.services.database.writing() as session:
        files.yank(session, COMMAND_LINE, DEMO, WHEEL, at=NOON)
    return "tree"


SEEDED: list[tuple[Fault, Callable[[Workshop], str]]] = [
    (Fault.FILE_ORPHAN, stray_blob),
    (Fault.DOCUMENT_WRONG, torn_page),
    (Fault.DOCUMENT_WRONG, torn_twin),
    (Fault.DOCUMENT_WRONG, lost_companion),
    (Fault.DOCUMENT_WRONG, torn_list),
    (Fault.DOCUMENT_ORPHAN, stray_project),
    (Fault.DOCUMENT_ORPHAN, stray_release),
    (Fault.FILENAME_UNREGISTERED, unregistered),
    (Fault.SPOOL_LEFTOVER, leftover),
    (Fault.TREE_BEHIND, unpublished),
]


def test_a_whole_index_has_no_fault(workshop: Workshop) -> None:
    assert found(workshop) == set()


@pytest.mark.parametrize(("fault", "seed"), SEEDED, ids=lambda v: getattr(v, "__name__", v))
def test_a_seeded_fault_is_found_mended_and_gone(
    workshop: Workshop, fault: Fault, seed: Callable[[Workshop], str]
) -> None:
    subject = seed(workshop)
    expected = {(fault, subject, False)}
    assert expected <= found(workshop)
    assert expected <= found(workshop) or fault is Fault.TREE_BEHIND
    mended = found(workshop, repair=True)
    assert {(fault, subject, True)} <= mended or fault is Fault.TREE_BEHIND
    assert all(repaired for _, _, repaired in mended)
    assert found(workshop) == set()


def test_all_seeded_faults_at_once(workshop: Workshop) -> None:
    for _, seed in SEEDED:
        seed(workshop)
    mended = found(workshop, repair=True)
    assert all(repaired for _, _, repaired in mended)
    assert {fault for fault, _, _ in mended} >= {fault for fault, _ in SEEDED} - {
        Fault.TREE_BEHIND
    }
    assert found(workshop) == set()


def test_lost_and_damaged_bytes_stay_a_fault(workshop: Workshop) -> None:
    """No repair makes them again; to say so would be a lie."""
    root = workshop.services.tree.root
    paths = {path.name: path for path in (root / "packages").rglob("*") if path.is_file()}
    paths[WHEEL].unlink()
    paths["demo-2.0-py3-none-any.whl"].write_bytes(b"rotten")
    paths["demo-2.0-py3-none-any.whl.metadata"].unlink()
    expected = {
        (Fault.FILE_MISSING, WHEEL, False),
        (Fault.FILE_CORRUPT, "demo-2.0-py3-none-any.whl", False),
        (Fault.METADATA_WRONG, "demo-2.0-py3-none-any.whl", False),
    }
    assert found(workshop, repair=True) == expected
    assert found(workshop) == expected


def test_a_tree_ahead_of_an_older_database_is_made_anew(workshop: Workshop) -> None:
    """As when a backup of the database was put back beside the newer tree."""
    newest = workshop.publisher.serial
    workshop.publisher.state.set_published(newest + 5)
    assert (Fault.TREE_AHEAD, "tree", False) in found(workshop)
    assert (Fault.TREE_AHEAD, "tree", True) in found(workshop, repair=True)
    assert found(workshop) == set()
    assert workshop.publisher.serial == newest + 6  # no serial is given twice
    workshop.add("fresh")
    assert workshop.services.tree.read("simple/fresh/index.html") is not None


def test_what_cannot_be_rendered_is_a_finding_and_not_the_end(workshop: Workshop) -> None:
    execute(workshop, "UPDATE release SET core_metadata = '[1]' WHERE version = '2.0'")
    torn_page(workshop)
    left = found(workshop, repair=True)
    assert {(fault, subject) for fault, subject, _ in left} == {(Fault.PROJECT_BROKEN, "demo")}
    assert not any(repaired for _, _, repaired in left)


def test_an_upload_under_way_is_no_fault(workshop: Workshop) -> None:
    content = b"coming"
    file = wheel_of("coming", content=content)
    with workshop.services.blobs.keeping():
        workshop.store(file, content)
        with workshop.services.database.writing() as session:
            record(session, COMMAND_LINE, file)
    workshop.show(session)
    workshop.settle()
    assert found(workshop) == set()


def test_a_project_created_meanwhile_is_no_stray(workshop: Workshop) -> None:
    subject = torn_page(workshop)
    seen = []
    for finding in fsck.findings(workshop.publisher, repair=True):
        if finding.subject == subject:
            workshop.add("newborn")
            workshop.settle()
        seen.append(finding.subject)
    assert seen == [subject]
    assert workshop.services.tree.read("simple/newborn/index.json") is not None
    assert workshop.services.tree.read("projects/newborn/index.json") is not None


def test_what_is_published_meanwhile_does_not_outrun_the_journal(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def newest_of_a_moment_ago(session: Session) -> int:
        newest = journal.newest(session)
        workshop.add("meanwhile")
        return newest

    monkeypatch.setattr(fsck, "journal", SimpleNamespace(newest=newest_of_a_moment_ago))
    shown, newest = fsck.serials(workshop.services)
    assert shown == newest


def test_only_a_repair_clears_away(workshop: Workshop) -> None:
    lost = wheel_of("lost", content=b"lost")
    workshop.store(lost, b"lost")
    assert found(workshop) == set()
    assert workshop.services.blobs.holds(lost.digests.sha256, lost.filename)
    assert found(workshop, repair=True) == set()
    assert not workshop.services.blobs.holds(lost.digests.sha256, lost.filename)
