"""Rows that no door let in: one poisoned project stops nobody, and is back once mended.

On SQLite alone, which keeps in a column whatever it is given.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import text

from pyramid_pypi.formats import events, segment_lists, segments
from pyramid_pypi.formats.compression import gunzip_bytes
from pyramid_pypi.formats.events import Event
from pyramid_pypi.publishing import fsck, segment_files
from pyramid_pypi.publishing.faults import Fault
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.names import ProjectName
from tests.factories import Workshop
from tests.unit.publishing.test_repository import assert_exact, pointer

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

BAD = ProjectName("bad")
ILLEGAL = "a\x01\x08\x0b\x1f\ufffe\uffff]]><!--\u202e"
NOT_UTF8 = b"a\xff"
DEEP = "[" * 100_000 + "]" * 100_000

# Column → value, given as it is to SQLite.
CLEANED: dict[str, tuple[str, Any]] = {
    "summary": ("release.core_metadata", {"summary": ILLEGAL}),
    "lone surrogates": ("release.core_metadata", {"summary": "\ud800", "keywords": ["\udfff"]}),
    "requirements": ("release.core_metadata", {"requires_dist": [ILLEGAL, "\ud800", ""]}),
    "classifiers": ("release.core_metadata", {"classifiers": [ILLEGAL, " :: ", ""]}),
    "links": ("release.core_metadata", {
        "project_urls": [[ILLEGAL, "javascript:\x01"], ["x", "../.."]], "home_page": ILLEGAL}),
    "description": ("release.description", ILLEGAL * 10),
    "display name": ("project.display_name", ILLEGAL),
    "status reason": ("project.status_reason", ILLEGAL),
    "reason of a yank": ("file.yanked_reason", ILLEGAL),
    "uploader": ("file.uploaded_by", ILLEGAL),
    "no UTF-8": ("file.uploaded_by", NOT_UTF8),
    "requires python": ("file.requires_python", ILLEGAL),
    "filename": ("file.filename", "../../x" + ILLEGAL + ".whl"),
    "size": ("file.size_bytes", -5),
    "the year 1": ("file.uploaded_at", "0001-01-01 00:00:00.000000"),
    "1969": ("file.uploaded_at", "1969-12-31 23:59:59.000000"),
    "the year 9999": ("file.uploaded_at", "9999-12-31 23:59:59.999999"),
    "release of the year 1": ("release.created_at", "0001-01-01 00:00:00.000000"),
    "project of 9999": ("project.created_at", "9999-12-31 23:59:59.999999"),
}  # fmt: skip
FAILED: dict[str, tuple[str, Any]] = {
    "list for metadata": ("release.core_metadata", "[]"),
    "null for metadata": ("release.core_metadata", "null"),
    "no JSON": ("release.core_metadata", "{"),
    "JSON in no UTF-8": ("release.core_metadata", b'{"a": "\xff"}'),
    "unknown field": ("release.core_metadata", {"nonsense": 1}),
    "number for summary": ("release.core_metadata", {"summary": 5}),
    "infinite summary": ("release.core_metadata", '{"summary": 1e400}'),
    "list for summary": ("release.core_metadata", {"summary": [1]}),
    "numbers for classifiers": ("release.core_metadata", {"classifiers": [1, None, {}]}),
    "number for links": ("release.core_metadata", {"project_urls": 5}),
    "no pairs": ("release.core_metadata", {"project_urls": [["a"]]}),
    "endless nesting": ("release.core_metadata", f'{{"summary": {DEEP}}}'),
    "no version": ("release.version", "not a version"),
    "empty version": ("release.version", ""),
    "version that leads away": ("release.version", "../../../away"),
    "version with NUL": ("release.version", "1.0\0"),
    "version too long for a folder": ("release.version", "1." + "0." * 200 + "1"),
    "no instant": ("file.uploaded_at", "yesterday"),
    "text for a size": ("file.size_bytes", "many"),
}


def poison(
    workshop: Workshop, place: str, value: Any, name: str = BAD
) -> list[tuple[Any, Any]]:
    """Put `value` at `place` of each row of `name`; return what was there, by row."""
    table, column = place.split(".")
    if isinstance(value, Mapping):
        described = {"metadata_version": "2.1", "name": name, "version": "1.0"}
        value = json.dumps({**described, **value})
    whose = (
        "name = :name"
        if table == "project"
        else ("project_id = (SELECT id FROM project WHERE name = :name)")
    )
    raw = f"CAST({column} AS BLOB)" if isinstance(value, bytes) else column
    given = "CAST(:value AS TEXT)" if isinstance(value, bytes) else ":value"
    with workshop.services.database.writing() as session:
        query = text(f"SELECT id, {raw} FROM {table} WHERE {whose}")
        before = [(row[0], row[1]) for row in session.execute(query, {"name": name})]
        change = text(f"UPDATE {table} SET {column} = {given} WHERE {whose}")
        session.execute(change, {"value": value, "name": name})
    return before


def mend(workshop: Workshop, place: str, before: list[tuple[Any, Any]]) -> None:
    table, column = place.split(".")
    with workshop.services.database.writing() as session:
        for row_id, found in before:
            value = found.decode() if isinstance(found, bytes) else found
            change = text(f"UPDATE {table} SET {column} = :value WHERE id = :id")
            session.execute(change, {"value": value, "id": row_id})


def change(workshop: Workshop, name: str = BAD, **columns: Any) -> int:
    """Add a change of `name` to the journal by hand; return its serial."""
    told = {"at": "2026-03-01 12:00:00.000000", "version": None, "filename": None, "actor": "x"}
    told |= {"kind": "metadata-changed", "project": name, "details": "{}"} | columns
    names = ", ".join(told)
    values = ", ".join(
        f"CAST(:{key} AS TEXT)" if isinstance(told[key], bytes) else f":{key}" for key in told
    )
    with workshop.services.database.writing() as session:
        serial: int = session.scalar(text("SELECT max(serial) + 1 FROM change"))
        add = f"INSERT INTO change (serial, {names}) VALUES ({serial}, {values})"
        session.execute(text(add), told)
        session.execute(text(f"UPDATE project SET serial = {serial} WHERE name = '{name}'"))
    return serial


def work_goes_on(workshop: Workshop) -> None:
    """Whatever is the matter, all others are published, and the pointer tells of it."""
    publisher = workshop.publisher
    publisher.publish_gap()
    workshop.settle()
    workshop.add("later")
    workshop.add("good", "2.0")
    workshop.settle()
    tree = workshop.services.tree
    assert pointer(tree).serial == publisher.serial
    assert "later" in (tree.read("simple/index.json") or b"").decode()
    for name in ("good", "later"):
        assert (
            publisher.serial
            >= json.loads(tree.read(f"simple/{name}/index.json") or b"{}")["meta"][
                "_last-serial"
            ]
        )
    publisher.checkpoint()


def well_formed(workshop: Workshop) -> None:
    """Every XML document of the tree is one, every JSON document too."""
    root = workshop.services.tree.root
    parser = etree.XMLParser(resolve_entities=False)
    for path in root.rglob("*"):
        if path.name.endswith(".xml.gz"):
            etree.fromstring(gunzip_bytes(path.read_bytes(), 2**24), parser)
        elif path.name.endswith(".xml"):
            etree.fromstring(path.read_bytes(), parser)
        elif path.name.endswith(".json") or path.name == "json":
            json.loads(path.read_bytes())


def told_events(tree: Tree) -> list[Event]:
    """Every change, as a follower of the segments reads it."""
    record = pointer(tree).record("changes")
    assert record is not None
    known = segment_lists.parse_record(tree.read(record.href) or b"")
    way = segments.covering(known, segment_files.periods_of(tree, known), 0)
    packed = [segment_files.read(tree, span.path, span.events) for span in way]
    return [e for part in packed for e in events.parse_lines(gunzip_bytes(part, 2**24))]


def others_of(publisher: Publisher) -> set[Fault]:
    """What fsck finds but for release files, which tests of publishing do not have."""
    return {f.fault for f in fsck.findings(publisher)} - {Fault.FILENAME_UNREGISTERED}


@pytest.fixture
def at_work(workshop: Workshop) -> Workshop:
    for name in ("good", BAD):
        workshop.add(name)
    workshop.settle()
    return workshop


@pytest.mark.parametrize("label", CLEANED)
def test_odd_text_is_cleaned(at_work: Workshop, label: str) -> None:
    place, value = CLEANED[label]
    poison(at_work, place, value)
    if place == "file.yanked_reason":
        poison(at_work, "file.yanked", 1)
    change(at_work)
    work_goes_on(at_work)
    assert list(at_work.publisher.failures) == []
    well_formed(at_work)
    assert_exact(at_work, {"good", BAD, "later"})


@pytest.mark.parametrize("label", FAILED)
def test_what_cannot_be_shown_holds_up_nobody(
    at_work: Workshop, label: str, caplog: pytest.LogCaptureFixture
) -> None:
    place, value = FAILED[label]
    before = poison(at_work, place, value)
    with caplog.at_level(logging.ERROR):
        change(at_work)
        work_goes_on(at_work)
    assert "project bad cannot be rendered; the others go on" in caplog.text
    assert list(at_work.publisher.failures) == [BAD]
    assert at_work.publisher.state.checkpoint().failed == (BAD,)
    assert Fault.PROJECT_BROKEN in others_of(at_work.publisher)
    assert at_work.publisher.repository.serial == at_work.publisher.serial
    assert list(at_work.services.tree.root.parent.rglob("away*")) == []

    mend(at_work, place, before)
    at_work.publisher.retry_failures()
    at_work.settle()

    assert list(at_work.publisher.failures) == []
    assert_exact(at_work, {"good", BAD, "later"})
    assert others_of(at_work.publisher) == set()


def test_a_new_project_that_is_poisoned_comes_into_the_trees_once_mended(
    at_work: Workshop,
) -> None:
    at_work.add("new")
    before = poison(at_work, "release.core_metadata", "[]", "new")
    version = poison(at_work, "file.uploaded_at", "never", "new")
    work_goes_on(at_work)
    assert list(at_work.publisher.failures) == ["new"]
    mend(at_work, "release.core_metadata", before)
    mend(at_work, "file.uploaded_at", version)
    at_work.publisher.retry_failures()
    at_work.settle()
    assert_exact(at_work, {"good", BAD, "later", "new"})


def test_an_older_release_leads_nowhere_either(at_work: Workshop) -> None:
    at_work.add(BAD, "0.5")
    with at_work.services.database.writing() as session:
        away = "UPDATE release SET version = '../../../away' WHERE version = '0.5'"
        session.execute(text(away))
    change(at_work)
    work_goes_on(at_work)
    assert list(at_work.publisher.failures) == [BAD]
    assert list(at_work.services.tree.root.parent.rglob("away*")) == []


@pytest.mark.parametrize("name", ["../../away", "Bad\x01", "bad\0", "x" * 5000, "", "a/b"])
def test_what_is_no_name_is_passed_over_and_told(at_work: Workshop, name: str) -> None:
    target = at_work.services.tree.root.parent.parent / "away"
    target.mkdir()
    (target / "keep").write_text("")
    poison(at_work, "project.name", name)
    change(at_work, name="good", project=name)
    work_goes_on(at_work)
    at_work.publisher.rebuild_all()
    assert pointer(at_work.services.tree).serial == at_work.publisher.serial
    assert Fault.PROJECT_BROKEN in others_of(at_work.publisher)
    assert sorted(path.name for path in target.iterdir()) == ["keep"]


JOURNAL: dict[str, dict[str, Any]] = {
    "illegal details": {"details": json.dumps({"reason": ILLEGAL + "\ud800"})},
    "huge details": {"details": json.dumps({"reason": "x" * 10**6})},
    "many details": {"details": json.dumps({str(n): n for n in range(20_000)})},
    "list of details": {"details": "[1]"},
    "no details": {"details": "null"},
    "details that are no JSON": {"details": "{"},
    "details that are no UTF-8": {"details": b'{"a": "\xff"}'},
    "nested details": {"details": f'{{"a": {DEEP}}}'},
    "numbers beyond all bounds": {"details": '{"a": 1e400, "b": NaN, "c": %s}' % ("9" * 300)},
    "odd version": {"version": "../" + ILLEGAL},
    "odd filename": {"filename": "../" + ILLEGAL},
    "odd project": {"project": "../" + ILLEGAL},
    "odd actor": {"actor": NOT_UTF8},
    "the year 1": {"at": "0001-01-01 00:00:00.000000"},
    "1969": {"at": "1969-12-31 23:59:59.000000"},
    "the year 9999": {"at": "9999-12-31 23:59:59.999999"},
    "no instant": {"at": "yesterday"},
}


@pytest.mark.parametrize("label", JOURNAL)
def test_an_odd_change_cuts_no_follower_off(at_work: Workshop, label: str) -> None:
    serial = change(at_work, **JOURNAL[label])
    work_goes_on(at_work)
    for number in range(40):  # so that segments and hours are closed over it
        change(at_work, at=f"2026-03-{number // 20 + 2:02d} {number % 20:02d}:00:00.000000")
    at_work.settle()
    at_work.publisher.publish_gap()
    at_work.publisher.repository.refresh()
    told = told_events(at_work.services.tree)
    assert [event.serial for event in told] == list(range(1, at_work.publisher.serial + 1))
    assert told[serial - 1].kind == "metadata-changed"
    well_formed(at_work)

    shown = at_work.services.tree.read("repodata/repomd.json")
    at_work.publisher.repository.rebuild()
    assert at_work.services.tree.read("repodata/repomd.json") == shown


def test_lists_that_cannot_be_made_hold_up_no_pointer(
    at_work: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    poison(at_work, "project.serial", "many")
    at_work.add("later")
    at_work.publisher.settle_all()
    with caplog.at_level(logging.ERROR):
        at_work.publisher.repository.refresh(whole=True)
        at_work.publisher.repository.refresh()
    assert caplog.text.count("the records of the whole index cannot be made") == 1
    shown = pointer(at_work.services.tree)
    assert shown.serial == at_work.publisher.serial
    projects = shown.record("projects")
    assert projects is not None
    assert projects.serial < shown.serial
    assert Fault.PROJECT_BROKEN in others_of(at_work.publisher)

    change(at_work)
    at_work.publisher.publish_gap()
    at_work.settle()
    assert_exact(at_work, {"good", BAD, "later"})


def test_a_serial_beyond_all_bounds_does_not_make_the_tree_unreadable(
    at_work: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    change(at_work)
    poison(at_work, "project.serial", 2**62)
    with caplog.at_level(logging.WARNING):
        work_goes_on(at_work)
        at_work.publisher.repository.refresh()
    assert "made anew" not in caplog.text


def test_repair_tells_the_hash_tree(at_work: Workshop) -> None:
    """Another process mends what this one could not write: the tree must name the new page."""
    place = "file.uploaded_at"
    before = poison(at_work, place, "yesterday")
    change(at_work)
    work_goes_on(at_work)
    mend(at_work, place, before)

    other = Publisher(at_work.services, at_work.publisher.site)
    other.begin()
    found = [finding for finding in fsck.findings(other, repair=True) if not finding.repaired]

    assert found == []
    assert_exact(at_work, {"good", BAD, "later"})
