"""The tree shows what is committed, whatever fails on the way."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, text
from sqlalchemy.exc import OperationalError

from pyramid_pypi import bootstrap
from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.catalog import files, projects, reading, releases
from pyramid_pypi.changes import journal
from pyramid_pypi.environment import Environment
from pyramid_pypi.errors import DatabaseEmpty
from pyramid_pypi.formats import project_json
from pyramid_pypi.formats.simple import serial_of
from pyramid_pypi.models import Base
from pyramid_pypi.models.catalog import ProjectStatus
from pyramid_pypi.models.database import Database
from pyramid_pypi.publishing import documents
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.publishing.state import Checkpoint
from pyramid_pypi.values.names import ProjectName
from tests.conftest import NOON, ToldClock
from tests.factories import Workshop, record, wheel_of

DEMO = ProjectName("demo")
WHEEL = "demo-1.0-py3-none-any.whl"
PAGE = "simple/demo/index.json"
LIST = "simple/index.json"
LARGE = 400  # files that make a page larger than 64 kB


def page(publisher: Publisher, path: str = PAGE) -> dict[str, Any]:
    content = publisher.environment.tree.read(path)
    assert content is not None
    found: dict[str, Any] = json.loads(content)
    return found


def filenames(publisher: Publisher, path: str = PAGE) -> list[str]:
    return [file["filename"] for file in page(publisher, path)["files"]]


def documents_of(root: Path) -> dict[str, tuple[bytes, float]]:
    """Return content and time of all documents of now, but not of release files.

    Signatures tell when they were made, and superseded records are kept for a while.
    """
    pointer = root / "repodata/repomd.json"
    named = pointer.read_text(errors="replace") if pointer.exists() else ""
    found = {}
    for path in sorted(root.rglob("*")):
        place = path.relative_to(root).as_posix()
        is_kept = place.startswith(("packages/", "tuf/", "repodata/c/"))
        is_record = bool(re.match(r"repodata/[0-9a-f]{64}|repodata/repomd.xml.asc", place))
        if path.is_file() and not is_kept and (not is_record or place in named):
            found[place] = (path.read_bytes(), path.stat().st_mtime)
    return found


def commit(workshop: Workshop, *names: str) -> int:
    """Commit new projects without publishing; return the serial."""
    with workshop.services.database.writing() as session:
        for name in names:
            record(session, COMMAND_LINE, wheel_of(name))
    serial = journal.committed_serial(session)
    assert serial is not None
    return serial


def second(workshop: Workshop) -> Publisher:
    """Return the publisher of another process on the same data folder."""
    return bootstrap.open_publisher(workshop.services)


@pytest.fixture
def away(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what takes the database away, as when its server stops."""

    def take() -> None:
        gone = Database("postgresql+psycopg://nobody@127.0.0.1:1/none", timeout_s=1)
        monkeypatch.setattr(workshop.services.database, "_reading", gone._reading)

    return take


# --- publishing ---------------------------------------------------------------------


def test_an_upload_is_on_its_pages_when_it_is_published(workshop: Workshop) -> None:
    for build in range(8):  # documents below one kilobyte have no twin
        workshop.add(build=str(build)) if build else workshop.add()
    assert WHEEL in filenames(workshop.publisher)
    html = workshop.services.tree.read("simple/demo/index.html")
    assert html is not None
    assert WHEEL.encode() in html
    for path in (PAGE, "simple/demo/index.html"):
        twin = workshop.services.tree.read(f"{path}.gz")
        assert twin is not None
        assert gzip.decompress(twin) == workshop.services.tree.read(path)
        times = {workshop.services.tree.mtime(p) for p in (path, f"{path}.gz")}
        assert len(times) == 1


def test_whoever_publishes_publishes_everything_committed(workshop: Workshop) -> None:
    first = commit(workshop, "one")
    last = commit(workshop, "two", "three")
    assert workshop.publisher.publish_until(first, wait_s=5)
    assert workshop.publisher.serial == last
    assert all(
        filenames(workshop.publisher, f"simple/{n}/index.json") for n in ("two", "three")
    )


def test_more_changes_than_a_batch_are_all_published(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyramid_pypi.publishing.publisher._BATCH_CHANGES", 2)
    last = commit(workshop, "one", "two", "three")
    assert workshop.publisher.publish_until(last, wait_s=5)
    assert set(workshop.services.tree.names("simple")) == {"one", "two", "three"}


def test_nothing_is_published_while_another_takes_too_long(workshop: Workshop) -> None:
    last = commit(workshop, "one")
    with workshop.publisher._turn.taken():
        assert not workshop.publisher.publish_until(last, wait_s=0)
    assert workshop.publisher.publish_until(last, wait_s=0)


def test_yanks_and_statuses_are_shown(workshop: Workshop) -> None:
    workshop.add()
    with workshop.services.database.writing() as session:
        files.yank(session, COMMAND_LINE, DEMO, WHEEL, "bad", at=NOON)
        projects.set_status(session, COMMAND_LINE, DEMO, ProjectStatus.DEPRECATED, at=NOON)
    workshop.show(session)
    shown = page(workshop.publisher)
    assert shown["files"][0]["yanked"] == "bad"
    assert shown["project-status"] == {"status": "deprecated"}


def test_a_page_tells_the_serial_of_its_newest_change(workshop: Workshop) -> None:
    workshop.add()
    workshop.add("other")
    with workshop.services.database.writing() as session:
        files.yank(session, COMMAND_LINE, DEMO, WHEEL, at=NOON)
    serial = workshop.show(session)
    content = workshop.services.tree.read(PAGE)
    assert content is not None
    assert serial_of(content) == serial


def test_nothing_is_published_while_another_process_takes_too_long(workshop: Workshop) -> None:
    last = commit(workshop, "one")
    with second(workshop)._turn.taken():
        assert not workshop.publisher.publish_until(last, wait_s=0.01)
    assert workshop.publisher.publish_until(last, wait_s=0)


# --- deleting -----------------------------------------------------------------------


def blob(workshop: Workshop, name: str = "demo") -> list[Path]:
    packages = workshop.services.tree.root / "packages"
    return [path for path in packages.rglob("*") if path.name.startswith(f"{name}-")]


def test_a_deleted_file_goes_with_its_bytes(workshop: Workshop, clock: ToldClock) -> None:
    workshop.add()
    workshop.add(version="2.0")
    with workshop.services.database.writing() as session:
        files.delete(session, COMMAND_LINE, DEMO, WHEEL, at=NOON)
    clock.advance(hours=1)
    workshop.show(session)
    workshop.settle()
    assert filenames(workshop.publisher) == ["demo-2.0-py3-none-any.whl"]
    assert {path.name for path in blob(workshop)} == {
        "demo-2.0-py3-none-any.whl",
        "demo-2.0-py3-none-any.whl.metadata",
    }
    assert set(workshop.services.tree.names("pypi/demo")) == {"2.0"}


def test_a_deleted_project_leaves_nothing(workshop: Workshop, clock: ToldClock) -> None:
    workshop.add()
    workshop.add("other")
    workshop.settle()
    with workshop.services.database.writing() as session:
        projects.delete(session, COMMAND_LINE, DEMO, at=NOON)
    clock.advance(hours=1)
    workshop.show(session)
    workshop.settle()
    found = documents_of(workshop.services.tree.root)
    left = [path for path in found if "demo" in path and "/v/" not in path]
    assert left == []
    assert blob(workshop) == []
    listed = page(workshop.publisher, LIST)["projects"]
    assert [project["name"] for project in listed] == ["other"]


def test_bytes_uploaded_again_before_their_deletion_is_published_stay(
    workshop: Workshop,
) -> None:
    content = b"the same"
    workshop.add(content=content)
    with workshop.services.database.writing() as session:
        files.delete(session, COMMAND_LINE, DEMO, WHEEL, at=NOON)
    workshop.add(content=content)
    assert filenames(workshop.publisher) == [WHEEL]
    assert len(blob(workshop)) == 2


# --- what fails on the way ----------------------------------------------------------


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_poisoned_project_stops_no_other_and_is_told(workshop: Workshop) -> None:
    workshop.add()
    workshop.settle()
    stood = workshop.services.tree.read(PAGE)
    with workshop.services.database.writing() as session:
        session.execute(text("UPDATE file SET uploaded_at = 'no instant'"))
    with workshop.services.database.writing() as session:
        projects.set_status(session, COMMAND_LINE, DEMO, ProjectStatus.ARCHIVED, at=NOON)
        record(session, COMMAND_LINE, wheel_of("other"))
    workshop.show(session)
    workshop.publisher.settle_all()
    assert filenames(workshop.publisher, "simple/other/index.json")
    assert workshop.services.tree.read(PAGE) == stood
    assert set(workshop.publisher.failures) == {"demo"}
    assert workshop.publisher.failures[DEMO].at == NOON

    workshop.publisher.checkpoint()
    assert workshop.publisher.state.checkpoint().failed == ("demo",)
    workshop.publisher.retry_failures()
    assert set(workshop.publisher.failures) == {"demo"}

    with workshop.services.database.writing() as session:
        session.execute(text("UPDATE file SET uploaded_at = '2026-03-01 12:00:00.000000'"))
    restarted = second(workshop)
    restarted.begin()
    assert set(restarted.failures) == {"demo"}
    restarted.retry_failures()
    assert not restarted.failures
    assert page(restarted)["project-status"] == {"status": "archived"}


def test_a_poisoned_companion_leaves_the_simple_pages_right(workshop: Workshop) -> None:
    workshop.add()
    with workshop.services.database.writing() as session:
        session.execute(text("UPDATE release SET core_metadata = '[1]'"))
        files.yank(session, COMMAND_LINE, DEMO, WHEEL, at=NOON)
    workshop.show(session)
    workshop.publisher.settle_all()
    assert page(workshop.publisher)["files"][0]["yanked"] is True
    assert set(workshop.publisher.failures) == {"demo"}


def test_a_folder_that_cannot_be_written_to_stops_no_other(workshop: Workshop) -> None:
    projects_room = workshop.services.tree.root / "projects"
    workshop.settle()
    workshop.publisher.checkpoint()
    stood = workshop.publisher.state.checkpoint()
    for name in ("demo", "other"):
        workshop.add(name)
    projects_room.mkdir(exist_ok=True)
    (projects_room / "demo").write_bytes(b"in the way")
    for work in (
        workshop.publisher.settle_all,
        workshop.publisher.rebuild_all,
        workshop.publisher.checkpoint,
    ):
        with pytest.raises(NotADirectoryError):
            work()
        assert workshop.services.tree.read("projects/other/index.json") is not None
        workshop.services.tree.remove("projects/other/index.json")
        workshop.publisher._companions.mark(ProjectName("other"), ())
    assert workshop.publisher.state.checkpoint() == stood
    (projects_room / "demo").unlink()
    workshop.publisher.checkpoint()
    assert workshop.services.tree.read("projects/demo/index.json") is not None
    assert workshop.publisher.state.checkpoint().serial == workshop.publisher.serial


def test_no_transaction_is_open_while_companions_are_written(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.add()
    put, open_then = workshop.services.tree.put, []
    pool = workshop.services.database.reading_engine.pool

    def put_watched(*args: Any, **kwargs: Any) -> int:
        open_then.append(pool.checkedout())  # type: ignore[attr-defined]
        return put(*args, **kwargs)

    monkeypatch.setattr(workshop.services.tree, "put", put_watched)
    workshop.publisher.settle_all()
    assert open_then
    assert set(open_then) == {0}


@pytest.mark.parametrize("step", range(1, 9))
def test_a_crash_at_any_step_is_made_good_at_the_next_start(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    workshop.add()
    workshop.settle()
    workshop.publisher.checkpoint()
    with workshop.services.database.writing() as session:
        files.yank(session, COMMAND_LINE, DEMO, WHEEL, at=NOON)
        record(session, COMMAND_LINE, wheel_of("other"))
    serial = journal.committed_serial(session) or 0
    put, steps = workshop.services.tree.put, iter(range(1, step + 1))

    class Killed(BaseException):
        pass

    def put_until_killed(*args: object, **kwargs: object) -> int:
        if next(steps, None) is None:
            raise Killed
        return put(*args, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(workshop.services.tree, "put", put_until_killed)
        try:
            workshop.publisher.publish_until(serial, wait_s=5)
            workshop.publisher.settle_all()
        except Killed:
            pass
    restarted = second(workshop)
    assert restarted.begin()
    restarted.resume()
    restarted.settle_all()
    restarted.fresh_lists()
    restarted.repository.refresh(whole=True)
    crashed = documents_of(workshop.services.tree.root)
    assert page(restarted)["files"][0]["yanked"] is True
    restarted.rebuild_all()
    assert documents_of(workshop.services.tree.root) == crashed


def test_a_serial_that_outran_the_documents_is_set_back_at_start(workshop: Workshop) -> None:
    """After a power cut `published` may be ahead of what reached the disk."""
    workshop.add()
    workshop.settle()
    workshop.publisher.checkpoint()
    before = documents_of(workshop.services.tree.root)
    workshop.add(version="2.0")
    for path, (content, _) in before.items():
        (workshop.services.tree.root / path).write_bytes(content)
    restarted = second(workshop)
    restarted.begin()
    restarted.resume()
    assert len(filenames(restarted)) == 2


# --- rebuilding ---------------------------------------------------------------------


def test_to_rebuild_what_is_right_changes_neither_bytes_nor_times(workshop: Workshop) -> None:
    for name, version in (("demo", "1.0"), ("demo", "2.0"), ("other", "1")):
        workshop.add(name, version)
    with workshop.services.database.writing() as session:
        projects.set_status(
            session, COMMAND_LINE, ProjectName("other"), ProjectStatus.QUARANTINED, at=NOON
        )
    workshop.show(session)
    workshop.settle()
    before = documents_of(workshop.services.tree.root)
    workshop.services.clock.advance(hours=1)  # type: ignore[attr-defined]
    workshop.publisher.rebuild_all()
    restarted = second(workshop)
    restarted.rebuild_all()
    assert documents_of(workshop.services.tree.root) == before


def test_a_rebuild_writes_what_is_missing_and_removes_what_is_too_much(
    workshop: Workshop,
) -> None:
    workshop.add()
    workshop.settle()
    before = {
        path: content
        for path, (content, _) in documents_of(workshop.services.tree.root).items()
        if "/v/" not in path
    }
    for path in before:
        if not path.startswith("static/"):
            (workshop.services.tree.root / path).write_bytes(b"torn")
    workshop.services.tree.put("simple/gone/index.html", b"old")
    workshop.publisher.rebuild_all()
    after = {
        path: content
        for path, (content, _) in documents_of(workshop.services.tree.root).items()
        if "/v/" not in path
    }
    assert after == before


def test_a_tree_of_older_rules_is_not_taken_for_current_before_it_is_rebuilt(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stops before it could rebuild must do so at its next start."""
    workshop.add()
    workshop.settle()
    workshop.publisher.checkpoint()
    monkeypatch.setattr(documents, "REVISION", documents.REVISION + 1)
    for _ in range(2):
        restarted = second(workshop)
        assert not restarted.begin()
        restarted.checkpoint()
    restarted.rebuild_all()
    restarted.checkpoint()
    assert second(workshop).begin()


def test_a_rebuild_ends_between_two_projects_and_is_begun_again(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        workshop.add(name)
    workshop.settle()
    workshop.publisher.checkpoint()
    for name in ("one", "two"):
        workshop.services.tree.remove(f"simple/{name}/index.json")
    monkeypatch.setattr(documents, "REVISION", documents.REVISION + 1)
    restarted, answers = second(workshop), iter([False])
    assert not restarted.begin()
    restarted.rebuild_all(lambda: next(answers, True))
    assert workshop.services.tree.exists("simple/one/index.json")
    assert not workshop.services.tree.exists("simple/two/index.json")
    restarted.checkpoint()
    assert not second(workshop).begin()


# --- lists --------------------------------------------------------------------------


def test_lists_never_lead_the_pages(workshop: Workshop) -> None:
    """A project is listed when its page stands, or an installer would find nothing."""
    workshop.add()
    workshop.settle()
    commit(workshop, "unpublished")
    workshop.add("other")
    commit(workshop, "late")
    workshop.publisher.fresh_lists()
    listed = page(workshop.publisher, LIST)
    for project in listed["projects"]:
        content = workshop.services.tree.read(f"simple/{project['name']}/index.json")
        assert content is not None, project
        assert (serial_of(content) or 0) >= int(project["_last-serial"])
    assert {"demo", "other"} <= {project["name"] for project in listed["projects"]}


def test_lists_are_written_once_for_many_changes(workshop: Workshop) -> None:
    workshop.add()
    lagging = workshop.publisher._lists.serial < workshop.publisher.serial
    workshop.publisher.fresh_lists()
    assert (lagging, workshop.publisher._lists.serial) == (True, workshop.publisher.serial)
    before = documents_of(workshop.services.tree.root)
    workshop.publisher.fresh_lists()
    assert documents_of(workshop.services.tree.root) == before


def test_lists_leave_out_the_quarantined(workshop: Workshop) -> None:
    workshop.add()
    with workshop.services.database.writing() as session:
        projects.set_status(session, COMMAND_LINE, DEMO, ProjectStatus.QUARANTINED, at=NOON)
    workshop.show(session)
    workshop.settle()
    assert page(workshop.publisher, LIST)["projects"] == []
    assert filenames(workshop.publisher) == []


# --- large pages --------------------------------------------------------------------


def test_a_large_page_loses_its_old_twin_at_once_and_gets_a_new_one(
    workshop: Workshop,
) -> None:
    with workshop.services.database.writing() as session:
        for number in range(LARGE):
            record(session, COMMAND_LINE, wheel_of(build=str(number)))
    workshop.show(session)
    twin = workshop.services.tree.root / f"{PAGE}.gz"
    assert not twin.exists()
    workshop.settle()
    assert gzip.decompress(twin.read_bytes()) == workshop.services.tree.read(PAGE)

    with workshop.services.database.writing() as session:
        releases.yank(session, COMMAND_LINE, DEMO, "1.0", "all", at=NOON)
    workshop.show(session)
    assert not twin.exists()
    workshop.settle()
    assert gzip.decompress(twin.read_bytes()) == workshop.services.tree.read(PAGE)
    assert twin.stat().st_mtime == (workshop.services.tree.root / PAGE).stat().st_mtime


# --- the database is away -----------------------------------------------------------


def test_with_the_database_away_documents_stay_as_they_are(
    workshop: Workshop, away: Callable[[], None]
) -> None:
    workshop.add()
    before = documents_of(workshop.services.tree.root)
    away()
    workshop.publisher.settle(DEMO)
    workshop.publisher.fresh_lists()
    assert documents_of(workshop.services.tree.root) == before
    with pytest.raises(OperationalError):
        workshop.publisher.settle_all()
    with pytest.raises(OperationalError):
        workshop.publisher.publish_gap()


def test_with_a_full_disk_documents_stay_as_they_are(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.add()
    before = documents_of(workshop.services.tree.root)

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(workshop.services.tree, "put", full)
        workshop.publisher.settle(DEMO)
        workshop.publisher.fresh_lists()
    assert documents_of(workshop.services.tree.root) == before
    restarted = second(workshop)
    restarted.fresh_lists()
    assert page(restarted, LIST)["projects"]


def test_there_is_no_checkpoint_while_something_lags(
    workshop: Workshop, away: Callable[[], None]
) -> None:
    workshop.settle()
    workshop.publisher.checkpoint()
    stood = workshop.publisher.state.checkpoint()
    workshop.add()
    away()
    with pytest.raises(OperationalError):
        workshop.publisher.checkpoint()
    assert workshop.publisher.state.checkpoint() == stood


def test_a_checkpoint_tells_how_far_the_tree_is_durable(workshop: Workshop) -> None:
    workshop.add()
    workshop.publisher.fresh_lists()
    workshop.publisher.checkpoint()
    reached = workshop.publisher.state.checkpoint()
    assert reached.serial == reached.lists == workshop.publisher.serial
    assert workshop.services.tree.read("projects/demo/index.json") is not None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"serial": "x"}', "null", "\xff"])
def test_an_unreadable_checkpoint_means_to_begin_anew(workshop: Workshop, content: str) -> None:
    path = workshop.services.settings.data_dir / "checkpoint.json"
    path.write_text(content, encoding="latin-1")
    assert workshop.publisher.state.checkpoint() == Checkpoint()


# --- several processes --------------------------------------------------------------


def test_each_process_sees_at_once_what_another_published(workshop: Workshop) -> None:
    """However fast one follows upon the other: a file's time is coarse on most systems."""
    other = second(workshop)
    for number in range(1, 300):
        workshop.publisher.state.set_published(number)
        assert other.serial == number


def test_two_processes_share_one_tree(workshop: Workshop) -> None:
    publishers = [workshop.publisher, second(workshop)]
    errors: list[BaseException] = []

    def upload(number: int) -> None:
        mine = Workshop(workshop.services, publishers[number % 2], COMMAND_LINE)
        try:
            for version in range(1, 6):
                mine.add(f"p{number}", str(version))
                found = filenames(mine.publisher, f"simple/p{number}/index.json")
                assert len(found) == version
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert publishers[0].serial == publishers[1].serial
    for publisher in publishers:
        publisher.settle_all()
        publisher.fresh_lists()
        publisher.repository.refresh(whole=True)
    shown = documents_of(workshop.services.tree.root)
    publishers[0].rebuild_all()
    assert documents_of(workshop.services.tree.root) == shown


def test_what_a_process_left_when_it_died_is_written_by_another(workshop: Workshop) -> None:
    workshop.settle()
    workshop.publisher.checkpoint()
    dead = Workshop(workshop.services, second(workshop), COMMAND_LINE)
    dead.add()
    assert workshop.services.tree.read("projects/demo/index.json") is None
    workshop.publisher.checkpoint()
    assert workshop.services.tree.read("projects/demo/index.json") is not None
    assert workshop.publisher.state.checkpoint().serial == workshop.publisher.serial


def other_process(workshop: Workshop) -> Workshop:
    return Workshop(workshop.services, second(workshop), COMMAND_LINE)


def test_a_reader_finds_the_companions_of_what_another_process_published(
    workshop: Workshop,
) -> None:
    workshop.add()
    workshop.settle()
    workshop.services.clock.advance(seconds=5)  # type: ignore[attr-defined]
    other_process(workshop).add(version="2.0")
    other_process(workshop).add("other")
    for name in (DEMO, ProjectName("other"), ProjectName("nothing")):
        workshop.publisher.settle(name)
    assert workshop.services.tree.read("pypi/demo/2.0/json") is not None
    assert workshop.services.tree.read("projects/other/index.json") is not None
    assert serial_of(json_of(workshop, "simple")) == project_json.serial_of(
        json_of(workshop, "projects")
    )
    with workshop.services.database.writing() as session:
        projects.delete(session, COMMAND_LINE, DEMO, at=NOON)
    other_process(workshop).show(session)
    workshop.publisher.settle(DEMO)
    assert workshop.services.tree.read("projects/demo/index.json") is None


def test_companions_found_right_are_not_looked_into_again(
    workshop: Workshop, away: Callable[[], None]
) -> None:
    """Several uploads within a second leave the simple page a time ahead of the clock."""
    for version in range(4):
        workshop.add(version=str(version))
    workshop.settle()
    reader = second(workshop)
    reader.settle(DEMO)
    away()
    reader.settle(DEMO)
    assert not reader._companions._patience.is_away


def json_of(workshop: Workshop, room: str) -> bytes:
    return workshop.services.tree.read(f"{room}/demo/index.json") or b""


# --- reading ------------------------------------------------------------------------


def test_what_is_remembered_of_a_large_project_is_never_wrong(workshop: Workshop) -> None:
    """Yank, delete and add again: a file may get the number of one that is gone."""
    with workshop.services.database.writing() as session:
        for number in range(80):
            record(session, COMMAND_LINE, wheel_of(build=str(number)))
    remembering = reading.SimpleReader()

    def same() -> None:
        with workshop.services.database.reading() as now:
            remembered = remembering.page(now, DEMO)
            assert remembered is not None
            assert remembered == reading.SimpleReader().page(now, DEMO)

    same()
    last = "demo-1.0-79-py3-none-any.whl"
    for act in (
        lambda s: files.yank(s, COMMAND_LINE, DEMO, last, "r", at=NOON),
        lambda s: files.unyank(s, COMMAND_LINE, DEMO, last, at=NOON),
        lambda s: files.delete(s, COMMAND_LINE, DEMO, last, at=NOON),
        lambda s: record(s, COMMAND_LINE, wheel_of(build="80")),
        lambda s: files.delete(s, COMMAND_LINE, DEMO, "demo-1.0-80-py3-none-any.whl", at=NOON),
        lambda s: record(s, COMMAND_LINE, wheel_of(version="2.0")),
        lambda s: releases.delete(s, COMMAND_LINE, DEMO, "1.0", at=NOON),
    ):
        with workshop.services.database.writing() as session:
            act(session)
        same()


def test_little_is_remembered(services: Environment) -> None:
    with services.database.writing() as session:
        for number in range(80):
            record(session, COMMAND_LINE, wheel_of(build=str(number)))
    small = reading.SimpleReader(most_files=10)
    with services.database.reading() as session:
        for _ in range(2):
            found = small.page(session, DEMO)
            assert found is not None
            assert len(found.files) == 80
    assert len(small._files) == 10


def test_what_is_used_is_remembered_for_longest(services: Environment) -> None:
    names = [ProjectName(name) for name in ("one", "two", "three")]
    with services.database.writing() as session:
        for name in names:
            for number in range(70):
                record(session, COMMAND_LINE, wheel_of(name, build=str(number)))
    reader = reading.SimpleReader(most_files=140)
    with services.database.reading() as session:
        for name in (names[0], names[1], names[0], names[2]):
            assert reader.page(session, name) is not None
    remembered = {file.filename.partition("-")[0] for file in reader._files.values()}
    assert remembered == {"one", "three"}


def test_an_empty_database_does_not_empty_the_tree(workshop: Workshop) -> None:
    """A wrong `database.url` must not take the pages away from everybody."""
    workshop.add()
    workshop.settle()
    before = documents_of(workshop.services.tree.root)
    with workshop.services.database.writing() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(delete(table))
    with pytest.raises(DatabaseEmpty):
        second(workshop).resume()
    assert documents_of(workshop.services.tree.root) == before


def test_companions_never_claim_a_release_without_its_document(workshop: Workshop) -> None:
    """They are written after a commit whose publishing has not come to mark it yet."""
    workshop.add()
    workshop.settle()
    with workshop.services.database.writing() as session:
        record(session, COMMAND_LINE, wheel_of(version="2.0"))
    workshop.publisher._companions.mark(DEMO, {"1.0"})
    workshop.publisher.settle(DEMO)
    assert {
        r["version"] for r in page(workshop.publisher, "projects/demo/index.json")["releases"]
    } == {"1.0", "2.0"}
    assert page(workshop.publisher, "pypi/demo/2.0/json")["info"]["version"] == "2.0"
