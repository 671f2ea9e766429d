"""Documents of all files: the same whichever refreshes led there, whatever fails."""

from __future__ import annotations

import gzip
import hashlib
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.catalog import describing, files, projects
from pyramid_pypi.changes import journal
from pyramid_pypi.environment import Environment
from pyramid_pypi.formats import packages_xml
from pyramid_pypi.formats.packages_xml import KINDS
from pyramid_pypi.models.catalog import ProjectStatus
from pyramid_pypi.publishing import assembly
from pyramid_pypi.publishing.assembly import Assembled, Assembly
from pyramid_pypi.publishing.members import MemberStore, MembersTorn, Progress
from pyramid_pypi.upload.refusals import ProjectReadOnly
from pyramid_pypi.values.names import ProjectName
from tests.conftest import NOON
from tests.factories import record, wheel_of
from tests.unit.publishing.test_restored import copy_database

DEMO = ProjectName("demo")
NAMES = [ProjectName(name) for name in ("alpha", "demo", "demo-two", "zeta")]
NEVER = 10**6  # more files than any test has

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Index:
    """An index without a tree, and what there is to change in it."""

    def __init__(self, services: Environment) -> None:
        self.services = services
        self.versions = 0

    def add(self, *names: str) -> None:
        """Commit another file of each of `names`."""
        with self.services.database.writing() as session:
            for name in names:
                self.versions += 1
                record(session, COMMAND_LINE, wheel_of(name, f"{self.versions}.0"))

    def newest(self) -> int:
        with self.services.database.reading() as session:
            return journal.newest(session)

    def listed(self) -> dict[ProjectName, list[str]]:
        """Return the files of each project that has any."""
        with self.services.database.reading() as session:
            found = {name: describing.project_document(session, name) for name in NAMES}
        return {
            name: [file.filename for release in document.releases for file in release.files]
            for name, document in found.items()
            if document is not None
        }

    def change_anything(self, source: random.Random) -> None:
        """Do one thing that people do, to one of `NAMES`."""
        listed = self.listed()
        if source.random() < 0.5 or not any(listed.values()):
            with suppress(ProjectReadOnly):  # it is in quarantine
                self.add(source.choice(NAMES))
            return
        name = source.choice([name for name, found in listed.items() if found])
        filename = source.choice(listed[name])
        quarantined = ProjectStatus.QUARANTINED
        with self.services.database.writing() as session:
            match source.randrange(7):
                case 0 | 1:
                    files.yank(session, COMMAND_LINE, name, filename, "<bad> & old", at=NOON)
                case 2:
                    files.unyank(session, COMMAND_LINE, name, filename, at=NOON)
                case 3:
                    files.delete(session, COMMAND_LINE, name, filename, at=NOON)
                case 4:
                    projects.delete(session, COMMAND_LINE, name, at=NOON)
                case 5:
                    projects.set_status(session, COMMAND_LINE, name, quarantined, at=NOON)
                case 6:
                    active = ProjectStatus.ACTIVE
                    projects.set_status(session, COMMAND_LINE, name, active, at=NOON)


@pytest.fixture
def index(services: Environment) -> Index:
    services.settings.spool_dir.mkdir(exist_ok=True)
    return Index(services)


@pytest.fixture
def elsewhere(services: Environment, tmp_path: Path) -> Environment:
    """The same index, with a folder of its own for what is remembered."""
    folder = tmp_path / "elsewhere"
    (folder / "spool").mkdir(parents=True)
    settings = replace(services.settings, data_dir=folder)
    return replace(services, settings=settings)


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The projects rendered so far; clear it at will."""
    names: list[str] = []
    render = packages_xml.members

    def members(document: Any, wanted: Any = None) -> Any:
        names.append(document.name)
        return render(document, wanted)

    monkeypatch.setattr(packages_xml, "members", members)
    return names


def contents(assembled: Assembled | None) -> dict[str, bytes]:
    """Return the XML of `assembled`, taken from the spool, having checked what it says."""
    assert assembled is not None
    found: dict[str, bytes] = {}
    for document in assembled.documents:
        stored = document.path.read_bytes()
        opened = gzip.decompress(stored)
        assert (document.sha256, document.size_bytes) == (digest(stored), len(stored))
        assert (document.open_sha256, document.open_size_bytes) == (digest(opened), len(opened))
        root = etree.fromstring(opened)
        assert root.get("packages") == str(assembled.file_count) == str(len(root))
        found[document.kind] = stored
    assembled.discard()
    assert tuple(found) == KINDS
    return found


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def places(found: dict[str, bytes]) -> list[str]:
    """Return the filenames that the primary lists, in its order."""
    root = etree.fromstring(gzip.decompress(found["primary"]))
    hrefs = (element.get("href", "") for element in root.iter("{*}location"))
    return [href.rpartition("/")[2] for href in hrefs]


def serial(found: Assembled | None) -> int:
    assert found is not None
    found.discard()
    return found.serial


def sha256s(found: Assembled | None) -> set[str]:
    assert found is not None
    found.discard()
    return {document.sha256 for document in found.documents}


# --- one result, whatever came before -----------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("most_files", [3, 8, NEVER])
def test_any_refreshes_lead_to_the_documents_of_one_from_nothing(
    index: Index, elsewhere: Environment, seed: int, most_files: int
) -> None:
    source = random.Random(seed)
    here = Assembly(index.services, most_files=most_files)
    for _ in range(40):
        index.change_anything(source)
        if source.random() < 0.3:
            contents(here.refresh(index.newest()))
    last = contents(here.refresh(index.newest()))
    assert last == contents(Assembly(elsewhere, most_files=most_files).refresh(0))


def test_without_files_documents_are_empty(index: Index) -> None:
    found = contents(Assembly(index.services, most_files=3).refresh(0))
    assert places(found) == []


def test_files_stand_in_the_order_of_names(index: Index) -> None:
    index.add("b", "a-b", "a0", "a", "a")
    found = contents(Assembly(index.services, most_files=NEVER).refresh(0))
    assert [place.rpartition("-py3")[0] for place in places(found)] == [
        "a-4.0",
        "a-5.0",
        "a_b-2.0",
        "a0-3.0",
        "b-1.0",
    ]


def test_many_and_large_members_are_joined_in_order(
    index: Index, elsewhere: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add(*(f"project{number}" for number in range(30)))
    usual = contents(Assembly(index.services, most_files=NEVER).refresh(0))
    monkeypatch.setattr(assembly, "_BLOCK_BYTES", 1)
    assert contents(Assembly(elsewhere, most_files=NEVER).refresh(0)) == usual


# --- no more than what changed ------------------------------------------------------


def test_only_what_changed_is_rendered(index: Index, rendered: list[str]) -> None:
    index.add("alpha", "demo", "zeta")
    here = Assembly(index.services, most_files=NEVER)
    contents(here.refresh(index.newest()))
    assert rendered == ["alpha", "demo", "zeta"]
    rendered.clear()
    index.add("demo")
    contents(here.refresh(index.newest()))
    assert rendered == ["demo"]


def test_another_process_goes_on_from_there(index: Index, rendered: list[str]) -> None:
    index.add("alpha", "demo")
    contents(Assembly(index.services, most_files=NEVER).refresh(index.newest()))
    rendered.clear()
    found = Assembly(index.services, most_files=NEVER).refresh(index.newest())
    assert (len(places(contents(found))), rendered) == (2, [])


def test_documents_that_stand_are_not_written_again(index: Index) -> None:
    index.add("demo")
    here = Assembly(index.services, most_files=NEVER)
    standing = sha256s(here.refresh(index.newest()))
    assert here.refresh(index.newest(), standing=standing) is None
    assert sha256s(here.refresh(index.newest(), standing={"other"})) == standing
    index.add("demo")
    added = sha256s(here.refresh(index.newest(), standing=standing))
    assert added.isdisjoint(standing)
    with index.services.database.writing() as session:
        projects.delete(session, COMMAND_LINE, DEMO, at=NOON)
    deleted = sha256s(here.refresh(index.newest(), standing=added))
    assert deleted.isdisjoint(standing | added)


def test_a_change_that_no_document_shows_writes_none(index: Index) -> None:
    index.add("demo")
    here = Assembly(index.services, most_files=NEVER)
    standing = sha256s(here.refresh(index.newest()))
    with index.services.database.writing() as session:
        deprecated = ProjectStatus.DEPRECATED
        projects.set_status(session, COMMAND_LINE, DEMO, deprecated, at=NOON)
    assert here.refresh(index.newest(), standing=standing) is None


def test_what_was_never_put_in_place_is_assembled_again(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add("demo")
    here = Assembly(index.services, most_files=NEVER)
    standing = sha256s(here.refresh(index.newest()))
    index.add("demo")
    with monkeypatch.context() as patch:
        patch.setattr(assembly, "_write", full_disk)
        with pytest.raises(OSError, match="full"):
            here.refresh(index.newest(), standing=standing)
    found = here.refresh(index.newest(), standing=standing)
    assert len(places(contents(found))) == 2


def full_disk(*_: Any) -> None:
    raise OSError(28, "the disk is full")


def test_nothing_is_left_in_the_spool_by_a_failed_write(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add("demo")
    gzipped = iter([b"", b""])  # fails at the second document

    def closing(_kind: str) -> bytes:
        try:
            return next(gzipped)
        except StopIteration:
            raise OSError(28, "the disk is full") from None

    monkeypatch.setattr(packages_xml, "closing", closing)
    with pytest.raises(OSError, match="full"):
        Assembly(index.services, most_files=NEVER).refresh(0)
    assert list(index.services.settings.spool_dir.iterdir()) == []


# --- the newest files ---------------------------------------------------------------


def test_only_projects_in_the_window_are_looked_at(index: Index, rendered: list[str]) -> None:
    index.add("alpha", "alpha", "demo", "zeta")
    found = contents(Assembly(index.services, most_files=2).refresh(0))
    assert [place.partition("-")[0] for place in places(found)] == ["demo", "zeta"]
    assert rendered == ["demo", "zeta"]


def test_the_window_moves_with_new_files_and_back(index: Index, rendered: list[str]) -> None:
    index.add("alpha", "demo", "demo", "zeta")
    here = Assembly(index.services, most_files=2)
    contents(here.refresh(0))
    rendered.clear()
    index.add("alpha")
    moved = contents(here.refresh(index.newest()))
    assert [place.partition("-py3")[0] for place in places(moved)] == ["alpha-5.0", "zeta-4.0"]
    assert rendered == ["alpha"]  # demo has no file left in it
    with index.services.database.writing() as session:
        files.delete(
            session, COMMAND_LINE, ProjectName("alpha"), "alpha-5.0-py3-none-any.whl", at=NOON
        )
    back = contents(here.refresh(index.newest()))
    assert [place.partition("-py3")[0] for place in places(back)] == ["demo-3.0", "zeta-4.0"]


def test_another_limit_is_followed_at_once(index: Index, rendered: list[str]) -> None:
    index.add("alpha", "demo", "zeta")
    for most_files, expected in ((3, 3), (1, 1), (2, 2), (NEVER, 3)):
        here = Assembly(index.services, most_files=most_files)
        assert len(places(contents(here.refresh(index.newest())))) == expected
    assert sorted(rendered) == ["alpha", "alpha", "demo", "demo", "zeta"]


# --- what fails, and what is lost ---------------------------------------------------


def test_a_project_that_cannot_be_rendered_stops_nobody(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add("alpha", "demo", "zeta")
    here = Assembly(index.services, most_files=NEVER)
    whole = contents(here.refresh(index.newest()))
    with monkeypatch.context() as patch:
        patch.setattr(packages_xml, "members", refusing(DEMO))
        index.add("alpha", "demo")
        lacking = contents(here.refresh(index.newest()))
        assert set(here.failures) == {DEMO}
        assert [place.partition("-")[0] for place in places(lacking)] == ["alpha"] * 2 + [
            "zeta"
        ]
        again = Assembly(index.services, most_files=NEVER)
        assert sha256s(again.refresh(index.newest())) == {digest(c) for c in lacking.values()}
        assert set(again.failures) == {DEMO}
    mended = contents(again.refresh(index.newest()))
    assert not again.failures
    assert set(places(mended)) > set(places(whole))
    assert len(places(mended)) == 5


def refusing(name: ProjectName) -> Callable[[Any, Any], Any]:
    """Return what renders every project but `name`."""
    render = packages_xml.members

    def members(document: Any, wanted: Any = None) -> Any:
        if document.name == name:
            raise ValueError("an odd row")
        return render(document, wanted)

    return members


@pytest.fixture
def cache(index: Index) -> Path:
    return index.services.settings.data_dir / "members.sqlite"


@on_sqlite
@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"not a database",
        b"SQLite format 3\x00" + b"\xff" * 5000,
    ],
)
def test_a_torn_cache_is_made_anew(index: Index, cache: Path, damage: bytes) -> None:
    index.add("alpha", "demo")
    here = Assembly(index.services, most_files=NEVER)
    whole = contents(here.refresh(0))
    cache.write_bytes(damage)
    assert contents(here.refresh(0)) == whole


@on_sqlite
def test_a_cache_with_torn_pages_is_made_anew(
    index: Index, elsewhere: Environment, cache: Path
) -> None:
    index.add(*(f"project{number}" for number in range(50)))
    here = Assembly(index.services, most_files=NEVER)
    contents(here.refresh(0))
    content = bytearray(cache.read_bytes())
    for start in range(4096, len(content), 4096):
        content[start : start + 200] = bytes(200)
    cache.write_bytes(content)
    index.add("demo")
    mended = contents(here.refresh(index.newest()))
    assert mended == contents(Assembly(elsewhere, most_files=NEVER).refresh(0))


@on_sqlite
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE progress SET rules = 'old'",
        "DROP TABLE progress; CREATE TABLE progress (rules); INSERT INTO progress VALUES (1)",
        "ALTER TABLE member DROP COLUMN gzip",
        "DROP TABLE failed; CREATE TABLE failed (other)",
    ],
)
def test_a_cache_of_other_rules_is_made_anew(
    index: Index, cache: Path, rendered: list[str], sql: str
) -> None:
    index.add("alpha", "demo")
    here = Assembly(index.services, most_files=NEVER)
    whole = contents(here.refresh(0))
    rendered.clear()
    with sqlite3.connect(cache) as connection:
        connection.executescript(sql)
    connection.close()
    assert contents(here.refresh(0)) == whole
    assert rendered == ["alpha", "demo"]


@on_sqlite
def test_what_is_torn_twice_is_told(
    index: Index, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    def torn(*_: Any) -> Iterator[Any]:
        raise sqlite3.OperationalError("no such table")

    monkeypatch.setattr("pyramid_pypi.publishing.members.OpenMembers.put", torn)
    index.add("demo")
    with pytest.raises(OSError, match="no such table"):
        Assembly(index.services, most_files=NEVER).refresh(0)
    assert cache.exists()


@on_sqlite
def test_a_cache_that_cannot_be_written_is_an_error_of_the_disk(index: Index) -> None:
    folder = index.services.settings.data_dir / "members.sqlite"
    folder.mkdir()
    with pytest.raises(OSError, match=r"members\.sqlite"):
        Assembly(index.services, most_files=NEVER).refresh(0)


@on_sqlite
def test_another_journal_is_not_taken_for_ours(index: Index, tmp_path: Path) -> None:
    """A database put back from a backup numbers other changes alike."""
    database = index.services.settings.data_dir / "index.sqlite"
    index.add("alpha")
    copy_database(database, tmp_path / "backup")
    index.add("demo")
    here = Assembly(index.services, most_files=NEVER)
    contents(here.refresh(0))
    index.services.database.dispose()
    copy_database(tmp_path / "backup", database)
    index.add("zeta")
    found = contents(here.refresh(index.newest() + 1))
    assert {place.partition("-")[0] for place in places(found)} == {"alpha", "zeta"}


def test_it_stops_between_two_projects(index: Index, rendered: list[str]) -> None:
    index.add("alpha", "demo")
    here = Assembly(index.services, most_files=NEVER)
    assert here.refresh(0, stopping=lambda: bool(rendered)) is None
    assert rendered == ["alpha"]
    assert len(places(contents(here.refresh(0)))) == 2


def test_documents_show_one_state_of_the_index(index: Index) -> None:
    index.add("alpha")
    here = Assembly(index.services, most_files=NEVER)
    assert serial(here.refresh(0)) == index.newest()
    index.add("demo")
    assert serial(here.refresh(0)) < index.newest()
    assert serial(here.refresh(index.newest() - 1)) == index.newest()


def test_other_rules_of_documents_make_members_anew(
    index: Index, rendered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add("demo")
    contents(Assembly(index.services, most_files=NEVER).refresh(0))
    monkeypatch.setattr("pyramid_pypi.publishing.documents.REVISION", 999)
    contents(Assembly(index.services, most_files=NEVER).refresh(0))
    assert rendered == ["demo", "demo"]


def test_a_store_tells_rules_apart(tmp_path: Path) -> None:
    with MemberStore(tmp_path / "members", "one").opened() as members:
        assert members.progress() is None
        members.set_progress(Progress(7, "entry", 3, 0, ("a", "b")))
        assert members.progress() == (7, "entry", 3, 0, ("a", "b"))
    with (
        MemberStore(tmp_path / "members", "two").opened() as members,
        pytest.raises(MembersTorn, match="one"),
    ):
        members.progress()
