"""Yanking and deleting files and releases."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.catalog import files, projects, releases
from pyramid_pypi.changes import journal
from pyramid_pypi.environment import Environment
from pyramid_pypi.errors import BadValue, NoSuchFile, NoSuchProject, NoSuchRelease
from pyramid_pypi.models.catalog import File, Release
from pyramid_pypi.values.names import ProjectName
from tests.conftest import NOON
from tests.factories import record, sdist_of, wheel_of

DEMO = ProjectName("demo")
WHEEL, SDIST = "demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz"


@pytest.fixture(autouse=True)
def demo(session: Session) -> None:
    """A project with two files of one release, and one of another."""
    for file in (wheel_of(), sdist_of(), wheel_of(version="2.0")):
        record(session, COMMAND_LINE, file)


def yanked(session: Session) -> dict[str, str]:
    session.flush()
    rows = session.execute(select(File.filename, File.yanked_reason).where(File.yanked))
    return {row.filename: row.yanked_reason for row in rows}


def test_a_file_is_yanked_for_a_reason_and_back(session: Session) -> None:
    files.yank(session, COMMAND_LINE, DEMO, WHEEL, "broken", at=NOON)
    assert yanked(session) == {WHEEL: "broken"}
    files.yank(session, COMMAND_LINE, DEMO, WHEEL, "very broken", at=NOON)
    assert yanked(session) == {WHEEL: "very broken"}
    files.unyank(session, COMMAND_LINE, DEMO, WHEEL, at=NOON)
    assert yanked(session) == {}
    file = files.find(session, DEMO, WHEEL)
    assert file is not None
    assert (file.yanked_reason, file.revision) == ("", 3)


def test_a_release_is_yanked_with_all_its_files(session: Session) -> None:
    releases.yank(session, COMMAND_LINE, DEMO, "v1.0", "old", at=NOON)
    assert yanked(session) == {WHEEL: "old", SDIST: "old"}
    releases.unyank(session, COMMAND_LINE, DEMO, "1.0", at=NOON)
    assert yanked(session) == {}


def test_the_last_file_takes_its_release_along(session: Session) -> None:
    def versions() -> set[str]:
        return set(session.scalars(select(Release.version)))

    files.delete(session, COMMAND_LINE, DEMO, SDIST, at=NOON)
    assert versions() == {"1.0", "2.0"}
    files.delete(session, COMMAND_LINE, DEMO, WHEEL, at=NOON)
    session.flush()
    assert versions() == {"2.0"}


def test_a_project_knows_how_large_its_files_are(session: Session) -> None:
    def is_and_says() -> tuple[int, int]:
        session.commit()
        sizes = session.scalars(select(File.size_bytes)).all()
        return sum(sizes), projects.get(session, DEMO).size_bytes

    assert is_and_says()[0] == is_and_says()[1] > 0
    files.delete(session, COMMAND_LINE, DEMO, SDIST, at=NOON)
    assert is_and_says()[0] == is_and_says()[1] > 0
    record(session, COMMAND_LINE, sdist_of(version="3"))
    releases.delete(session, COMMAND_LINE, DEMO, "1.0", at=NOON)
    assert is_and_says()[0] == is_and_says()[1] > 0
    releases.delete(session, COMMAND_LINE, DEMO, "2.0", at=NOON)
    releases.delete(session, COMMAND_LINE, DEMO, "3", at=NOON)
    assert is_and_says() == (0, 0)


def test_what_is_not_there_is_said_to_be_missing(session: Session) -> None:
    with pytest.raises(NoSuchFile):
        files.yank(session, COMMAND_LINE, DEMO, "other.whl", at=NOON)
    with pytest.raises(NoSuchFile):
        files.delete(session, COMMAND_LINE, DEMO, "a\x00b", at=NOON)
    with pytest.raises(NoSuchProject):
        files.yank(session, COMMAND_LINE, ProjectName("none"), WHEEL, at=NOON)
    with pytest.raises(NoSuchProject):
        releases.delete(session, COMMAND_LINE, ProjectName("none"), "1.0", at=NOON)
    with pytest.raises(NoSuchRelease):
        releases.yank(session, COMMAND_LINE, DEMO, "9", at=NOON)


@pytest.mark.parametrize("version", ["", "x", "1.0/..", "1" * 5000, "1\x00"])
def test_what_is_no_version_is_refused(session: Session, version: str) -> None:
    with pytest.raises(BadValue, match="version"):
        releases.delete(session, COMMAND_LINE, DEMO, version, at=NOON)


def test_a_file_is_found_in_its_own_project_only(session: Session) -> None:
    record(session, COMMAND_LINE, wheel_of("other"))
    assert files.find(session, ProjectName("other"), WHEEL) is None


def test_the_journal_tells_each_change_once(services: Environment, session: Session) -> None:
    session.commit()
    with services.database.reading() as reading:
        before = journal.newest(reading)
    files.yank(session, COMMAND_LINE, DEMO, WHEEL, "r", at=NOON)
    releases.yank(session, COMMAND_LINE, DEMO, "1.0", "r", at=NOON)
    files.delete(session, COMMAND_LINE, DEMO, "demo-2.0-py3-none-any.whl", at=NOON)
    projects.delete(session, COMMAND_LINE, DEMO, at=NOON)
    session.commit()
    with services.database.reading() as reading:
        told = [(c.kind.value, c.filename) for c in journal.since(reading, before, 100)]
    assert told[:2] == [("file-yanked", WHEEL), ("file-yanked", SDIST)]
    assert told[2:4] == [
        ("file-deleted", "demo-2.0-py3-none-any.whl"),
        ("release-deleted", None),
    ]
    assert sorted(told[4:6]) == [("file-deleted", WHEEL), ("file-deleted", SDIST)]
    assert told[6:] == [("project-deleted", None)]
