"""Events as lines: written the same everywhere, and read with suspicion."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_pypi.formats import events
from pyramid_pypi.formats.canonical import NOT_PRINTABLE
from pyramid_pypi.formats.events import Event, EventUnreadable

AT = datetime(2026, 3, 1, 12, 0, 0, 250, tzinfo=UTC)
ADDED = Event(
    serial=7,
    at=AT,
    kind="file-added",
    project="demo",
    version="1.0",
    filename="demo-1.0.tar.gz",
    details={"sha256": "ab" * 32, "size": 2500, "type": "sdist"},
)
RESTORED = Event(8, AT, "metadata-changed", None, None, None, {"reason": "restored"})
WORDS = st.text(st.characters(exclude_categories=["Cs"])).filter(
    lambda text: not NOT_PRINTABLE.search(text)
)
EVENTS = st.builds(
    Event,
    serial=st.integers(1, 2**53 - 1),
    at=st.datetimes(datetime(1000, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    kind=st.sampled_from(["file-added", "project-status"]),
    project=st.sampled_from([None, "demo", "a-b"]),
    version=st.sampled_from([None, "1.0", "1!2.0+local.1"]),
    filename=st.sampled_from([None, "demo-1.0.tar.gz"]),
    details=st.dictionaries(WORDS, st.none() | st.booleans() | WORDS | st.integers(0, 2**53)),
)


def test_a_line() -> None:
    assert events.line(ADDED) == (
        b'{"details":{"sha256":"%b","size":2500,"type":"sdist"},"filename":"demo-1.0.tar.gz",'
        b'"kind":"file-added","project":"demo","serial":7,'
        b'"time":"2026-03-01T12:00:00.000250Z","version":"1.0"}\n' % (b"ab" * 32)
    )


def test_what_does_not_apply_is_left_out() -> None:
    assert sorted(json.loads(events.line(RESTORED))) == ["details", "kind", "serial", "time"]


@given(EVENTS)
def test_what_is_written_is_read_back(event: Event) -> None:
    assert events.parse(events.line(event)) == event


def test_a_segment() -> None:
    assert list(events.parse_lines(events.line(ADDED) + events.line(RESTORED))) == [
        ADDED,
        RESTORED,
    ]
    assert list(events.parse_lines(b"")) == []


@pytest.mark.parametrize(
    "content",
    [
        events.line(RESTORED) + events.line(ADDED),
        events.line(ADDED) * 2,
        events.line(ADDED)[:-1],
        events.line(ADDED) + b"\n",
        events.line(ADDED) + b"[]\n",
    ],
    ids=["backwards", "twice", "cut", "empty-line", "other"],
)
def test_a_bad_segment(content: bytes) -> None:
    with pytest.raises(EventUnreadable):
        list(events.parse_lines(content))


@pytest.mark.parametrize(
    "change",
    [
        {"serial": 0},
        {"serial": 2**53},
        {"serial": "7"},
        {"serial": 7.5},
        {"serial": None},
        {"time": "2026-03-01 12:00:00Z"},
        {"time": "2026-02-30T12:00:00.000000Z"},
        {"kind": "File Added"},
        {"kind": ""},
        {"project": "Demo"},
        {"project": "../demo"},
        {"project": ""},
        {"version": "1.0/.."},
        {"version": "v" * 257},
        {"filename": "../demo.whl"},
        {"filename": ".hidden"},
        {"filename": "demo\n"},
        {"details": []},
        {"details": None},
    ],
    ids=str,
)
def test_a_bad_line(change: dict[str, object]) -> None:
    with pytest.raises(EventUnreadable):
        events.parse(json.dumps(json.loads(events.line(ADDED)) | change).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"null",
        b"\xff",
        b'{"details":' + b"[" * 30_000,
        b'{"details":{"x":' + b'{"x":' * 10_000 + b"1" + b"}" * 10_000 + b"}}",
        b'{"details":{},"kind":"a","serial":1,"time":"2026-03-01T12:00:00.000000Z"'
        + b" " * events.MAX_LINE_BYTES
        + b"}",
    ],
    ids=["nothing", "empty", "null", "no-text", "deep", "deeper", "long"],
)
def test_no_event_at_all(content: bytes) -> None:
    with pytest.raises(EventUnreadable):
        events.parse(content)


@given(st.binary(max_size=200))
def test_noise_is_refused(content: bytes) -> None:
    with pytest.raises(EventUnreadable):
        events.parse(content)


def test_a_later_index_may_say_more() -> None:
    told = json.loads(events.line(ADDED)) | {"surprise": 1}
    assert events.parse(json.dumps(told).encode()) == ADDED
