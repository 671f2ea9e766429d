"""The rules of recording an upload, and who wins when many want the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pyramid_pypi.accounts.permissions import COMMAND_LINE, Actor, Scope
from pyramid_pypi.catalog import files, projects, releases
from pyramid_pypi.environment import Environment
from pyramid_pypi.errors import BadValue, NotPermitted, Refusal
from pyramid_pypi.models.catalog import (
    File,
    Project,
    ProjectStatus,
    Release,
    Role,
    UsedFilename,
)
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.settings import Settings
from pyramid_pypi.upload import pipeline
from pyramid_pypi.upload.pipeline import Outcome, Rules
from pyramid_pypi.upload.refusals import (
    ContentKnown,
    DigestMismatch,
    FileExists,
    FilenameInvalid,
    FilenameReused,
    NameConfusable,
    NameProhibited,
    ProjectFull,
    ProjectReadOnly,
    ReleaseClosed,
)
from pyramid_pypi.upload.values import Inspected, Spooled
from pyramid_pypi.values.digests import file_path, sha256_hex
from pyramid_pypi.values.names import ProjectName
from pyramid_pypi.web.transactions import Writer
from tests.conftest import NOON, actor_named
from tests.distributions import wheel
from tests.factories import RULES, digests_of, later, record, sdist_of, wheel_of

DEMO = ProjectName("demo")


@pytest.fixture
def ann(session: Session) -> Actor:
    return actor_named(session, "ann")


def precheck(
    session: Session, actor: Actor, file: Inspected, rules: Rules = RULES
) -> Outcome | None:
    spooled = Spooled(Path("nowhere"), file.filename, file.digests)
    form = {"name": (file.display_name,)}
    return pipeline.precheck(session, actor, form, spooled, rules)


def refused(session: Session, actor: Actor, file: Inspected, rules: Rules = RULES) -> str:
    """Return the code with which both the early and the late check refuse `file`."""
    checks: list[Callable[[], object]] = [
        lambda: precheck(session, actor, file, rules),
        lambda: record(session, actor, file, rules=rules),
    ]
    codes = []
    for check in checks:
        with pytest.raises(Refusal) as caught:
            check()
        codes.append(caught.value.code)
    assert len(set(codes)) == 1, codes
    return codes[0]


# --- what is recorded ---------------------------------------------------------------


def test_what_the_file_says_is_recorded(session: Session, ann: Actor) -> None:
    file = wheel_of("My.Demo", "1.0", requires_python=">=3.9")
    assert precheck(session, ann, file) is None
    assert record(session, ann, file) is Outcome.NEW
    row = session.scalars(select(File)).one()
    digests = file.digests
    assert (row.filename, row.sha256, row.blake2b_256, row.md5, row.size_bytes) == (
        "my_demo-1.0-py3-none-any.whl",
        digests.sha256,
        digests.blake2b_256,
        digests.md5,
        digests.size_bytes,
    )
    assert (row.requires_python, row.python_tag, row.packagetype.value) == (
        ">=3.9",
        "py3",
        "bdist_wheel",
    )
    assert file.metadata_bytes is not None
    assert row.core_metadata_sha256 == sha256_hex(file.metadata_bytes)
    assert (row.uploaded_by, row.uploaded_at, row.yanked) == ("ann", NOON, False)
    assert (row.project.name, row.project.display_name) == ("my-demo", "My.Demo")
    assert (row.release.version, row.release.created_at) == ("1.0", NOON)
    assert row.release.core_metadata["name"] == "My.Demo"


def test_a_release_is_described_by_its_first_file(session: Session, ann: Actor) -> None:
    record(session, ann, wheel_of(requires_python=">=3.9"))
    record(session, ann, sdist_of())
    release = session.scalars(select(Release)).one()
    assert release.core_metadata["requires_python"] == ">=3.9"
    assert session.scalar(select(func.count(File.id))) == 2


def test_the_very_file_again_is_the_same(session: Session, ann: Actor) -> None:
    record(session, ann, wheel_of())
    assert precheck(session, ann, wheel_of()) is Outcome.SAME
    assert record(session, ann, wheel_of()) is Outcome.SAME
    assert session.scalar(select(func.count(File.id))) == 1


@pytest.mark.usefixtures("publisher")
def test_bytes_and_sibling_are_durable_before_they_are_recorded(services: Environment) -> None:
    content = wheel("demo", "1.0")
    spooled = services.blobs.new_spool_path()
    spooled.write_bytes(content)
    upload = Spooled(spooled, "demo-1.0-py3-none-any.whl", digests_of(content))
    form = {"name": ("demo",), "version": ("1.0",)}
    inspected = pipeline.receive(services.blobs, upload, form, RULES)
    path = services.tree.root / file_path(sha256_hex(content), upload.filename)
    assert path.read_bytes() == content
    assert path.with_name(path.name + ".metadata").read_bytes() == inspected.metadata_bytes
    assert not spooled.exists()


@pytest.mark.usefixtures("publisher")
def test_what_is_refused_leaves_nothing_in_the_store(services: Environment) -> None:
    spooled = services.blobs.new_spool_path()
    spooled.write_bytes(b"no wheel")
    upload = Spooled(spooled, "demo-1.0-py3-none-any.whl", digests_of(b"no wheel"))
    with pytest.raises(Refusal):
        pipeline.receive(services.blobs, upload, {"name": ("demo",)}, RULES)
    assert list((services.tree.root / "packages").iterdir()) == []


# --- names (U1, U2) -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["f1ask", "fl-ask", "f.l.a.s.k", "FIASK"])
def test_a_name_one_mistakes_for_another_is_refused(
    session: Session, ann: Actor, name: str
) -> None:
    record(session, ann, wheel_of("flask"))
    assert refused(session, ann, wheel_of(name)) == NameConfusable.code
    assert session.scalar(select(func.count(Project.id))) == 1


def test_all_spellings_are_one_project(session: Session, ann: Actor) -> None:
    record(session, ann, wheel_of("A.B", "1"))
    record(session, ann, wheel_of("a__b", "2"))
    assert list(session.scalars(select(Project.name))) == ["a-b"]


@pytest.mark.parametrize("name", ["os", "Email", "json", "secret-name"])
def test_prohibited_names_are_refused(session: Session, ann: Actor, name: str) -> None:
    settings = Settings(upload_prohibited_names=("Secret_Name",))
    assert refused(session, ann, wheel_of(name), Rules.of(settings)) == NameProhibited.code


@pytest.mark.parametrize("name", ["-a", "a b", "\u017f", "a\x00", "a\udcff", "a" * 129])
def test_what_is_no_name_is_refused_before_the_database_sees_it(
    session: Session, ann: Actor, name: str
) -> None:
    spooled = Spooled(Path("nowhere"), "demo-1.0.tar.gz", digests_of(b""))
    with pytest.raises(BadValue, match="name"):
        pipeline.precheck(session, ann, {"name": (name,)}, spooled, RULES)
    session.execute(select(1))


@pytest.mark.parametrize(
    "filename", ["demo\x00-1.0.tar.gz", "demo-1.0\udcff.tar.gz", "demo-1.0/x.tar.gz", "x" * 300]
)
def test_what_is_no_filename_is_refused_before_the_database_sees_it(
    session: Session, ann: Actor, filename: str
) -> None:
    record(session, ann, wheel_of())
    spooled = Spooled(Path("nowhere"), filename, digests_of(b""))
    with pytest.raises(FilenameInvalid):
        pipeline.precheck(session, ann, {"name": ("demo",)}, spooled, RULES)
    session.execute(select(1))


def test_a_form_without_a_name_is_of_the_project_in_the_filename(
    session: Session, ann: Actor
) -> None:
    record(session, ann, wheel_of())
    bob = actor_named(session, "bob")
    spooled = Spooled(Path("nowhere"), "demo-2.0-py3-none-any.whl", digests_of(b""))
    assert pipeline.precheck(session, ann, {}, spooled, RULES) is None
    with pytest.raises(NotPermitted):
        pipeline.precheck(session, bob, {}, spooled, RULES)


def test_a_known_file_is_checked_against_the_digests_that_the_form_states(
    session: Session, ann: Actor
) -> None:
    file = wheel_of()
    record(session, ann, file)
    spooled = Spooled(Path("nowhere"), file.filename, file.digests)
    for field in ("sha256_digest", "blake2_256_digest", "md5_digest"):
        form = {"name": ("demo",), field: ("0" * 64,)}
        with pytest.raises(DigestMismatch):
            pipeline.precheck(session, ann, form, spooled, RULES)


# --- who may ------------------------------------------------------------------------


def test_only_those_with_a_role_upload_to_a_project(session: Session, ann: Actor) -> None:
    record(session, ann, wheel_of())
    bob = actor_named(session, "bob")
    assert refused(session, bob, wheel_of(version="2")) == NotPermitted.code
    assert refused(session, bob, wheel_of()) == NotPermitted.code
    projects.set_role(session, ann, DEMO, "bob", Role.MAINTAINER, at=NOON)
    assert record(session, bob, wheel_of(version="2")) is Outcome.NEW


@pytest.mark.parametrize(
    ("scopes", "bound"),
    [({Scope.MANAGE}, None), ({Scope.ADMIN}, None), ({Scope.UPLOAD}, {"demo"}), (set(), None)],
)
def test_a_narrow_token_makes_no_project(
    session: Session, ann: Actor, scopes: set[Scope], bound: set[str] | None
) -> None:
    projects_bound = None if bound is None else frozenset(bound)
    narrow = Actor(ann.user_id, "ann", False, frozenset(scopes), projects_bound)
    assert refused(session, narrow, wheel_of()) == NotPermitted.code


@pytest.mark.parametrize("status", list(ProjectStatus))
def test_the_status_closes_a_project_to_uploads(
    session: Session, ann: Actor, status: ProjectStatus
) -> None:
    record(session, ann, wheel_of())
    projects.set_status(session, COMMAND_LINE, DEMO, status, at=NOON)
    session.flush()
    if status in {ProjectStatus.ACTIVE, ProjectStatus.DEPRECATED}:
        assert record(session, ann, wheel_of(version="2")) is Outcome.NEW
    else:
        assert refused(session, ann, wheel_of(version="2")) == ProjectReadOnly.code


def test_a_project_holds_so_many_bytes(session: Session, ann: Actor) -> None:
    settings = Settings(upload_max_project_bytes=1024)
    rules = Rules.of(settings)
    record(session, ann, wheel_of(content=b"x" * 1000), rules=rules)
    with pytest.raises(ProjectFull):
        record(session, ann, wheel_of(version="2", content=b"y" * 25), rules=rules)
    record(session, ann, wheel_of(version="2", content=b"y" * 24), rules=rules)


def test_a_release_closes_after_so_many_days(session: Session, ann: Actor) -> None:
    rules = Rules.of(Settings(upload_release_closes_after_days=14))
    record(session, ann, wheel_of(), rules=rules)
    at = later(days=14)
    record(session, ann, wheel_of(build="1"), rules=rules, at=at)
    with pytest.raises(ReleaseClosed):
        record(session, ann, sdist_of(), rules=rules, at=at + timedelta(seconds=1))
    record(session, ann, wheel_of(version="2"), rules=rules, at=later(days=99))


# --- filenames and contents (U3, U4) ------------------------------------------------


def test_other_bytes_never_get_a_name_that_is_taken(session: Session, ann: Actor) -> None:
    record(session, ann, wheel_of())
    assert refused(session, ann, wheel_of(content=b"other")) == FileExists.code


def test_two_spellings_of_one_file_are_one(session: Session, ann: Actor) -> None:
    record(session, ann, sdist_of(version="1.1"))
    other = sdist_of(version="1.1", content=b"other", ending=".zip")
    assert refused(session, ann, other) == FileExists.code
    with pytest.raises(FileExists, match=r"demo-1\.1\.tar\.gz"):
        precheck(session, ann, other)


def test_known_content_gets_no_second_name(session: Session, ann: Actor) -> None:
    record(session, ann, wheel_of(content=b"one"))
    again = wheel_of(version="2", content=b"one")
    assert refused(session, ann, again) == ContentKnown.code


DELETIONS: dict[str, Callable[[Session], None]] = {
    "file": lambda s: files.delete(s, COMMAND_LINE, DEMO, "demo-1.0-py3-none-any.whl", at=NOON),
    "release": lambda s: releases.delete(s, COMMAND_LINE, DEMO, "1.0", at=NOON),
    "project": lambda s: projects.delete(s, COMMAND_LINE, DEMO, at=NOON),
}


@pytest.mark.parametrize("what", DELETIONS)
def test_a_deleted_filename_is_only_for_the_same_bytes(
    services: Environment, session: Session, ann: Actor, what: str
) -> None:
    record(session, ann, wheel_of())
    for _ in range(2):
        DELETIONS[what](session)
        session.flush()
        assert refused(session, ann, wheel_of(content=b"other")) == FilenameReused.code
        assert record(session, ann, wheel_of()) is Outcome.NEW
        session.flush()
    session.commit()
    assert session.scalar(select(func.count()).select_from(UsedFilename)) == 1


def test_a_deleted_filename_is_not_free_in_another_spelling(
    session: Session, ann: Actor
) -> None:
    record(session, ann, sdist_of())
    projects.delete(session, ann, DEMO, at=NOON)
    session.flush()
    with pytest.raises(FilenameReused):
        record(session, ann, sdist_of(content=b"other", ending=".zip"))


# --- races (U2, U12) ----------------------------------------------------------------

RACERS = 16


def race(act: Callable[[int], object]) -> list[object]:
    """Run `act` in sixteen threads at once; return what each returned or raised."""
    ready = threading.Barrier(RACERS)
    ended: list[object] = [None] * RACERS

    def run(number: int) -> None:
        ready.wait()
        try:
            ended[number] = act(number)
        except Exception as error:
            ended[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(RACERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "a racer hangs"
    return ended


def test_of_two_confusable_names_one_wins(services: Environment, publisher: Publisher) -> None:
    writer = Writer(services, publisher)

    def upload(number: int) -> Outcome:
        name = "aa" if number % 2 else "a_a"
        # Other versions, so that nothing but the names meet.
        file = wheel_of(name, str(number + 1))
        return writer.commit(lambda session: record(session, COMMAND_LINE, file))[0]

    ended = race(upload)
    assert {type(end) for end in ended} == {Outcome, NameConfusable}
    assert ended.count(Outcome.NEW) == RACERS // 2
    with services.database.reading() as session:
        assert len(session.scalars(select(Project.name)).all()) == 1


def test_of_sixteen_contents_for_one_filename_one_wins(
    services: Environment, publisher: Publisher
) -> None:
    writer = Writer(services, publisher)

    def upload(number: int) -> Outcome:
        file = wheel_of(content=b"%d" % number)
        return writer.commit(lambda session: record(session, COMMAND_LINE, file))[0]

    ended = race(upload)
    assert ended.count(Outcome.NEW) == 1
    assert [type(end) for end in ended].count(FileExists) == RACERS - 1
    winner = ended.index(Outcome.NEW)
    with services.database.reading() as session:
        sha256 = session.scalars(select(File.sha256)).one()
    assert sha256 == digests_of(b"%d" % winner).sha256


def test_sixteen_times_the_same_file_is_one_file(
    services: Environment, publisher: Publisher
) -> None:
    writer = Writer(services, publisher)
    ended = race(
        lambda _: writer.commit(lambda session: record(session, COMMAND_LINE, wheel_of()))[0]
    )
    assert ended.count(Outcome.NEW) == 1
    assert ended.count(Outcome.SAME) == RACERS - 1


def test_without_a_second_try_losers_are_told_by_the_database(services: Environment) -> None:
    def upload(number: int) -> Outcome:
        with services.database.writing() as session:
            return record(session, COMMAND_LINE, wheel_of(content=b"%d" % number))

    ended = race(upload)
    assert ended.count(Outcome.NEW) == 1
    losers = {type(end) for end in ended if end is not Outcome.NEW}
    assert losers <= {IntegrityError, FileExists}


@pytest.mark.usefixtures("publisher")
def test_lost_bytes_come_back_with_the_same_upload(
    services: Environment, session: Session, ann: Actor
) -> None:
    content = wheel("demo", "1.0")
    filename, digests = "demo-1.0-py3-none-any.whl", digests_of(content)

    def receive() -> Inspected:
        spooled = services.blobs.new_spool_path()
        spooled.write_bytes(content)
        upload = Spooled(spooled, filename, digests)
        return pipeline.receive(services.blobs, upload, {"name": ("demo",)}, RULES)

    assert record(session, ann, receive()) is Outcome.NEW
    services.blobs.remove(digests.sha256, filename)
    assert not services.blobs.holds(digests.sha256, filename)
    assert record(session, ann, receive()) is Outcome.SAME
    assert services.blobs.holds(digests.sha256, filename)
