"""The lists of change segments as documents: the record, the periods, the names of one.

All are canonical JSON.  A segment is ``[from, to, sha256, size]``::

    {"open":{"from":1025,"latest":"2026-03-01T12:40:07.000000Z"},
     "periods":["repodata/c/….json","…",5120],
     "segments":[[1025,1056,"…",3890],[1057,1060,"…",612]],
     "serial":1060,"time":"2026-03-01T12:40:07.000000Z"}

Whoever reads them does not trust them: a list that contradicts itself is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, Literal

import msgspec

from pyramid_pypi.formats.canonical import json_document
from pyramid_pypi.formats.compression import gunzip_bytes, gzip_bytes
from pyramid_pypi.formats.segments import (
    MAX_OPEN_BYTES,
    PERIOD_CHANGES,
    SEGMENT_CHANGES,
    Digest,
    Periods,
    Record,
    SegmentsUnreadable,
    Span,
    periods_path,
)
from pyramid_pypi.values.instants import instant_of, iso_instant
from pyramid_pypi.values.names import is_normalized

MAX_RECORD_BYTES = 16 * 1024
MAX_PERIODS_BYTES = 4 * 1024 * 1024
MAX_NAMES_BYTES = 256 * 1024 * 1024


_Serial = Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
_Size = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Digest = tuple[_Sha256, _Size]
_Segment = tuple[_Serial, _Serial, _Sha256, _Size]
_Segments = Annotated[
    list[_Segment], msgspec.Meta(max_length=PERIOD_CHANGES // SEGMENT_CHANGES)
]


class _Open(msgspec.Struct, rename={"first": "from"}, forbid_unknown_fields=True):
    first: _Serial
    latest: str


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    serial: _Size
    time: str | None
    open: _Open | None
    segments: _Segments
    periods: tuple[str, _Sha256, _Size] | None


class _Period(
    msgspec.Struct, rename={"first": "from", "last": "to"}, forbid_unknown_fields=True
):
    first: _Serial
    last: _Serial
    kind: Literal["hour", "day", "week"]
    start: str
    events: _Digest
    names: _Digest
    open_size: Annotated[int, msgspec.Meta(ge=0, le=MAX_OPEN_BYTES)]


class _Periods(msgspec.Struct, forbid_unknown_fields=True):
    periods: list[_Period]
    segments: _Segments


_record_decoder = msgspec.json.Decoder(_Record)
_periods_decoder = msgspec.json.Decoder(_Periods)
_names_decoder = msgspec.json.Decoder(dict[str, _Serial])


def record(known: Record) -> bytes:
    """Return the record ``changes`` as a document."""
    opened = None
    if known.segments and known.latest:
        opened = {"from": known.segments[0].first, "latest": iso_instant(known.latest)}
    older = known.periods
    return json_document(
        {
            "serial": known.serial,
            "time": iso_instant(known.at) if known.at else None,
            "open": opened,
            "segments": [_segment(span) for span in known.segments],
            "periods": [periods_path(older.sha256), *older] if older else None,
        }
    )


def periods(known: Periods) -> bytes:
    """Return the document of periods."""
    told = [
        {
            "from": span.first,
            "to": span.last,
            "kind": span.kind,
            "start": iso_instant(span.start) if span.start else "",
            "events": span.events,
            "names": span.names,
            "open_size": span.open_size_bytes,
        }
        for span in known.spans
    ]
    return json_document({"periods": told, "segments": [_segment(s) for s in known.segments]})


def names(newest: Mapping[str, int]) -> bytes:
    """Return the file of names of a period: each project by its newest serial therein."""
    return gzip_bytes(json_document(newest))


def parse_record(content: bytes) -> Record:
    """Return the record that `content` is.

    Raises:
        SegmentsUnreadable: it is none, or contradicts itself.
    """
    read = _read(_record_decoder, content, MAX_RECORD_BYTES, "record")
    segments = _segments(read.segments)
    at = _instant(read.time) if read.time is not None else None
    latest = _instant(read.open.latest) if read.open else None
    if bool(segments) != bool(read.serial) or (at is None) != (read.serial == 0):
        raise SegmentsUnreadable("there are changes, or there are none")
    if segments and (read.open is None or read.open.first != segments[0].first):
        raise SegmentsUnreadable("the open period begins elsewhere")
    if segments and segments[-1].last != read.serial:
        raise SegmentsUnreadable("the segments do not end at the serial")
    older = None
    if read.periods is not None:
        href, sha256, size_bytes = read.periods
        older = Digest(sha256, size_bytes)
        if href != periods_path(sha256) or size_bytes > MAX_PERIODS_BYTES:
            raise SegmentsUnreadable("the periods lie elsewhere, or are too many")
    return Record(read.serial, at, latest, segments, older)


def parse_periods(content: bytes) -> Periods:
    """Return the periods that `content` names.

    Raises:
        SegmentsUnreadable: it is no such document, or contradicts itself.
    """
    read = _read(_periods_decoder, content, MAX_PERIODS_BYTES, "periods")
    spans = tuple(map(_period, read.periods))
    for kind in ("week", "day", "hour"):
        _in_order([span for span in spans if span.kind == kind])
    return Periods(spans, _segments(read.segments))


def parse_names(content: bytes) -> dict[str, int]:
    """Return what a file of names tells.

    Raises:
        SegmentsUnreadable: it is none, or too large.
    """
    try:
        newest = _names_decoder.decode(gunzip_bytes(content, MAX_NAMES_BYTES))
    except ValueError as error:
        raise SegmentsUnreadable(f"no names: {error}") from error
    if not all(map(is_normalized, newest)):
        raise SegmentsUnreadable("a name that is not normalized")
    return newest


def _period(read: _Period) -> Span:
    return Span(
        read.kind,
        read.first,
        read.last,
        Digest(*read.events),
        _instant(read.start),
        Digest(*read.names),
        read.open_size,
    )


def _segment(span: Span) -> list[Any]:
    return [span.first, span.last, *span.events]


def _segments(read: Iterable[_Segment]) -> tuple[Span, ...]:
    spans = tuple(
        Span("segment", first, last, Digest(sha256, size_bytes))
        for first, last, sha256, size_bytes in read
    )
    _in_order(spans)
    return spans


def _in_order(spans: Sequence[Span]) -> None:
    if any(span.first > span.last for span in spans):
        raise SegmentsUnreadable("a segment ends before it begins")
    if any(one.last >= following.first for one, following in pairwise(spans)):
        raise SegmentsUnreadable("segments overlap")


def _read(
    decoder: msgspec.json.Decoder[Any], content: bytes, most_bytes: int, what: str
) -> Any:
    if len(content) > most_bytes:
        raise SegmentsUnreadable(f"{what}: more than {most_bytes} bytes")
    try:
        return decoder.decode(content)
    except (ValueError, RecursionError) as error:
        raise SegmentsUnreadable(f"{what}: {error}") from error


def _instant(text: str) -> datetime:
    try:
        return instant_of(text)
    except ValueError as error:
        raise SegmentsUnreadable(str(error)) from error
