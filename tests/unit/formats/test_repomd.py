"""The pointer in both forms: what createrepo's parsers ask for, and what they choke on."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from pyramid_pypi.formats import repomd
from pyramid_pypi.formats.canonical import json_document
from pyramid_pypi.formats.repomd import Record, Repomd, RepomdUnreadable
from pyramid_pypi.values.instants import instant_of, iso_instant
from tests.conftest import unavailable
from tests.unit.formats.samples import NOON, sha256

NS = "{http://linux.duke.edu/metadata/repo}"
PRIMARY = Record(
    type="primary",
    href=f"repodata/{sha256('gz')}-primary.xml.gz",
    sha256=sha256("gz"),
    size_bytes=1000,
    at=NOON,
    serial=7,
    open_sha256=sha256("xml"),
    open_size_bytes=9000,
)
SHARDS = Record(
    type="shards",
    href=f"repodata/{sha256('json')}-shards.json",
    sha256=sha256("json"),
    size_bytes=2400,
    at=NOON,
    serial=9,
)
TWIN = replace(
    PRIMARY,
    type="primary_db",
    href=f"repodata/{sha256('gz')}-primary.sqlite.bz2",
    database_version=repomd.DATABASE_VERSION,
)
POINTER = Repomd(9, NOON, (PRIMARY, SHARDS, TWIN))

SHA256 = st.text("0123456789abcdef", min_size=64, max_size=64)
WHOLE = st.integers(0, repomd.LAST_WHOLE)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT = st.timedeltas(timedelta(0), timedelta(days=2_500_000)).map(lambda age: EPOCH + age)
PART = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9._-]{0,9}\Z")


@st.composite
def records(draw: st.DrawFn, kind: str) -> Record:
    is_compressed = draw(st.booleans())
    return Record(
        type=kind,
        href="/".join(draw(st.lists(PART, min_size=1, max_size=4))),
        sha256=draw(SHA256),
        size_bytes=draw(WHOLE),
        at=draw(INSTANT),
        serial=draw(WHOLE),
        open_sha256=draw(SHA256) if is_compressed else None,
        open_size_bytes=draw(WHOLE) if is_compressed else None,
        database_version=draw(st.none() | WHOLE),
    )


@st.composite
def pointers(draw: st.DrawFn) -> Repomd:
    kinds = draw(st.lists(st.from_regex(r"\A[a-z][a-z_-]{0,9}\Z"), unique=True, max_size=6))
    found = tuple(draw(records(kind)) for kind in kinds)
    return Repomd(draw(WHOLE), draw(INSTANT), found)


class TestXml:
    def test_says_what_createrepo_says(self) -> None:
        root = etree.fromstring(repomd.xml(POINTER))

        assert root.tag == NS + "repomd"
        assert root.nsmap == {
            None: "http://linux.duke.edu/metadata/repo",
            "rpm": "http://linux.duke.edu/metadata/rpm",
        }
        assert root.findtext(NS + "revision") == "9"
        found = root.findall(NS + "data")
        assert [record.get("type") for record in found] == ["primary", "shards", "primary_db"]
        primary = {element.tag.removeprefix(NS): element for element in found[0]}
        assert list(primary) == [
            "checksum",
            "open-checksum",
            "location",
            "timestamp",
            "size",
            "open-size",
        ]
        assert primary["checksum"].items() == [("type", "sha256")]
        assert primary["checksum"].text == sha256("gz")
        assert primary["location"].items() == [("href", PRIMARY.href)]
        assert primary["timestamp"].text == str(int(NOON.timestamp()))
        assert found[2].findtext(NS + "database_version") == "10"

    def test_an_uncompressed_record_has_nothing_open(self) -> None:
        root = etree.fromstring(repomd.xml(POINTER))

        shards = root.findall(NS + "data")[1]

        assert [element.tag.removeprefix(NS) for element in shards] == [
            "checksum",
            "location",
            "timestamp",
            "size",
        ]

    def test_createrepo_reads_every_field_without_a_warning(self, tmp_path: Path) -> None:
        try:
            import createrepo_c
        except ImportError:
            unavailable("createrepo_c is not installed")
        path = tmp_path / "repomd.xml"
        path.write_bytes(repomd.xml(POINTER))

        read = createrepo_c.Repomd(str(path))

        assert read.warnings == []
        assert read.revision == "9"
        for record, mine in zip(read.records, POINTER.records, strict=True):
            assert record.type == mine.type
            assert record.checksum_type == "sha256"
            assert record.checksum == mine.sha256
            assert record.checksum_open == mine.open_sha256
            assert record.location_href == mine.href
            assert record.timestamp == int(mine.at.timestamp())
            assert record.size == mine.size_bytes
            assert record.size_open == (mine.open_size_bytes or -1)
            assert record.db_ver == (mine.database_version or 0)


class TestJson:
    def test_says_the_same_and_more(self) -> None:
        read = json.loads(repomd.json(POINTER))

        assert read["revision"] == "9"
        assert read["serial"] == 9
        assert read["time"] == iso_instant(NOON)
        assert read["records"][1] == {
            "type": "shards",
            "href": SHARDS.href,
            "sha256": SHARDS.sha256,
            "size": 2400,
            "time": iso_instant(NOON),
            "serial": 9,
        }

    @given(pointers())
    def test_reads_back_as_it_was_written(self, pointer: Repomd) -> None:
        content = repomd.json(pointer)

        read = repomd.parse_json(content)

        assert read == pointer
        assert repomd.json(read) == content
        assert repomd.xml(read) == repomd.xml(pointer)

    def test_the_zone_an_instant_is_given_in_makes_no_difference(self) -> None:
        east = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
        moved = Repomd(9, east, (replace(PRIMARY, at=east),))

        assert repomd.json(moved) == repomd.json(Repomd(9, NOON, (PRIMARY,)))
        assert repomd.xml(moved) == repomd.xml(Repomd(9, NOON, (PRIMARY,)))

    def test_what_a_later_index_adds_is_passed_over(self) -> None:
        tree = json.loads(repomd.json(POINTER))
        tree["valid_until"] = iso_instant(NOON)
        tree["records"][0]["blake3"] = "0"

        assert repomd.parse_json(json_document(tree)) == POINTER

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("href", "../../../etc/passwd"),
            ("href", "repodata/../x"),
            ("href", "/repodata/x"),
            ("href", "repodata//x"),
            ("href", "repodata/./x"),
            ("href", "repodata/.x"),
            ("href", "https://elsewhere.example/x"),
            ("href", "repodata/x\n"),
            ("href", "repodata/x?y"),
            ("href", 'repodata/"x"'),
            ("href", "repodata\\x"),
            ("href", "x" * 256),
            ("href", ""),
            ("href", None),
            ("type", ""),
            ("type", "Primary"),
            ("type", "primary\n"),
            ("type", "primary_db"),
            ("sha256", "0" * 63),
            ("sha256", "0" * 64 + "\n"),
            ("sha256", "G" * 64),
            ("sha256", sha256("gz").upper()),
            ("open_sha256", "blake2b"),
            ("open_size", None),
            ("size", -1),
            ("size", 1.5),
            ("size", "1000"),
            ("size", 2**53),
            ("size", True),
            ("serial", -1),
            ("time", "2026-11-22"),
            ("time", "2026-11-22T12:00:00Z"),
            ("time", "2026-11-22T12:00:00.123456+00:00"),
            ("time", "0001-01-01T00:00:00.000000Z"),
            ("time", 5),
        ],
    )
    def test_a_record_that_no_pointer_may_hold_is_refused(self, key: str, value: Any) -> None:
        tree = json.loads(repomd.json(POINTER))
        tree["records"][0][key] = value

        with pytest.raises(RepomdUnreadable):
            repomd.parse_json(json_document(tree))

    @pytest.mark.parametrize(
        "change",
        [
            {"revision": "09"},
            {"revision": 9},
            {"serial": 8},
            {"serial": -1, "revision": "-1"},
            {"time": None},
            {"records": {}},
            {"records": [None]},
            {"records": [json.loads(repomd.json(POINTER))["records"][0]] * 2},
            {"records": [{"type": "x"}]},
        ],
    )
    def test_a_pointer_that_contradicts_itself_is_refused(self, change: dict[str, Any]) -> None:
        tree = json.loads(repomd.json(POINTER)) | change

        with pytest.raises(RepomdUnreadable):
            repomd.parse_json(json_document(tree))

    def test_a_missing_key_is_refused(self) -> None:
        for key in ("records", "revision", "serial", "time"):
            tree = json.loads(repomd.json(POINTER))
            del tree[key]
            with pytest.raises(RepomdUnreadable):
                repomd.parse_json(json_document(tree))

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"null",
            b"[]",
            b"\xff",
            b"[" * 200_000,
            repomd.json(POINTER)[:-2],
            repomd.json(POINTER) * 2,
            repomd.json(POINTER).replace(b"shards", b"sh\xffrds"),
            repomd.json(POINTER).replace(b"2400", b"9" * 5000),
            repomd.json(POINTER) + b" " * repomd.MAX_BYTES,
            json_document({"records": [{}] * 65, "revision": "1", "serial": 1, "time": ""}),
        ],
        ids=range(11),
    )
    def test_anything_else_is_refused(self, content: bytes) -> None:
        with pytest.raises(RepomdUnreadable):
            repomd.parse_json(content)

    @given(st.binary(max_size=200))
    def test_noise_is_refused(self, content: bytes) -> None:
        with pytest.raises(RepomdUnreadable):
            repomd.parse_json(content)


class TestValues:
    @pytest.mark.parametrize(
        "change",
        [
            {"href": "../x"},
            {"type": "a b"},
            {"sha256": "md5"},
            {"size_bytes": -1},
            {"open_size_bytes": None},
            {"at": NOON.replace(tzinfo=None)},
            {"at": EPOCH - timedelta(seconds=1)},
            {"database_version": -1},
        ],
        ids=str,
    )
    def test_a_record_checks_itself(self, change: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"\w"):
            replace(PRIMARY, **change)

    def test_types_are_unique(self) -> None:
        with pytest.raises(ValueError, match="one type"):
            Repomd(9, NOON, (PRIMARY, PRIMARY))

    def test_records_are_found_by_type(self) -> None:
        assert POINTER.record("shards") == SHARDS
        assert POINTER.record("other") is None


class TestInstants:
    @given(INSTANT)
    def test_read_back_as_written(self, at: datetime) -> None:
        assert instant_of(iso_instant(at)) == at

    @pytest.mark.parametrize(
        "text",
        ["", "x", "2026-11-22T12:00:00.5Z", "2026-02-30T12:00:00.000000Z", "2026-1-2T3:4:5.6Z"],
    )
    def test_any_other_spelling_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="not written as an instant"):
            instant_of(text)
