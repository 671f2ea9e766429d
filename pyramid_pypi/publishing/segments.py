"""Writes the change segments: the journal as files for mirrors (`formats.segments`).

Where a segment or period ends follows from the journal's rows alone, never from when or
in how many rounds they were written.  So a feed built anew is the same, byte for byte.

- The hour of a change is that of the latest instant up to it in the order of serials, so
  that a clock set back reopens nothing.
- A period ends when a change of a later hour comes, or the one after 1,024 changes; with
  it its day or week, if the change is of a later one, or if what it tells comes to 16 or
  128 MiB: a week of imports is several, each of which a reader can hold.
- Within the open period every 32 changes are a segment.  The last one, the *tail*, is
  written anew under another name with each round, as a file never changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pyramid_pypi.changes.journal import ChangeEntry
from pyramid_pypi.formats import events, segment_lists, segments
from pyramid_pypi.formats.compression import gunzip_bytes, gzip_bytes
from pyramid_pypi.formats.events import Event
from pyramid_pypi.formats.segments import (
    DAY_BYTES,
    PERIOD_CHANGES,
    SEGMENT_CHANGES,
    WEEK_BYTES,
    Kind,
    Periods,
    Record,
    Span,
)
from pyramid_pypi.publishing.segment_files import Files, periods_of, read

_MOST_PERIOD_BYTES = PERIOD_CHANGES * events.MAX_LINE_BYTES
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class _Line(NamedTuple):
    """A change: its serial, its project, and its event as JSON."""

    serial: int
    project: str | None
    content: bytes


def event_of(change: ChangeEntry) -> Event:
    """Return `change` as the event that followers are told."""
    return events.fit(
        Event(
            serial=change.serial,
            at=change.at,
            kind=change.kind.value,
            project=change.project,
            version=change.version,
            filename=change.filename,
            details=change.details,
        )
    )


class Segments:
    """The segments of one tree; whoever writes has the publisher's turn."""

    def __init__(self, tree: Files) -> None:
        self._tree = tree

    def extend(self, last: bytes | None, changes: Iterable[ChangeEntry]) -> bytes:
        """Return the next content of the record ``changes``, its files put in place.

        `last` is the record so far, None to begin with the first change there is.
        `changes` are those after its serial in order; those it has already are passed
        over.  Without any, `last` is returned.

        Raises:
            SegmentsUnreadable: `last`, or a file it names, is gone or damaged: begin anew.
            OSError: a file cannot be written.
        """
        chain = _Chain(self._tree, last)
        for change in changes:
            if change.serial > chain.serial:
                chain.take(event_of(change))
        return chain.record()


class _Chain:
    """The feed while changes are added to it."""

    def __init__(self, tree: Files, last: bytes | None) -> None:
        self._tree = tree
        self._last = last
        self._known = segment_lists.parse_record(last) if last is not None else Record()
        self.serial = self._known.serial
        self._at, self._latest = self._known.at, self._known.latest or _BEGINNING
        # The open period: its segments that are full, and the changes after them.
        self._full = self._known.segments
        self._lines: list[_Line] = []
        # None while no period has ended since the last round.
        self._periods: Periods | None = None
        self._ended: tuple[tuple[Span, ...], list[_Line]] = ((), [])

    def take(self, event: Event) -> None:
        """Add `event`, the next of the journal."""
        if self._full and not self._lines and self.serial == self._known.serial:
            self._open_tail()
        latest = max(self._latest, event.at)
        count = len(self._full) * SEGMENT_CHANGES + len(self._lines)
        if count and (_hour(latest) != _hour(self._latest) or count >= PERIOD_CHANGES):
            self._end_periods(latest)
        self._lines.append(_Line(event.serial, event.project, events.line(event)))
        self.serial, self._at, self._latest = event.serial, event.at, latest

    def record(self) -> bytes:
        """Put what is not in place yet, and return the record of all."""
        if self._last is not None and self.serial == self._known.serial:
            return self._last
        newest = self._known.periods
        if self._periods is not None:
            kept = Periods(self._periods.spans, self._cut(*self._ended))
            content = segment_lists.periods(kept)
            newest = segments.digest_of(content)
            self._put(segments.periods_path(newest.sha256), content)
        cut = self._cut(self._full, self._lines)
        latest = self._latest if cut else None
        return segment_lists.record(Record(self.serial, self._at, latest, cut, newest))

    def _open_tail(self) -> None:
        tail = self._full[-1]
        content = gunzip_bytes(read(self._tree, tail.path, tail.events), _MOST_PERIOD_BYTES)
        lines = content.splitlines(keepends=True)
        if len(lines) < SEGMENT_CHANGES:
            self._full = self._full[:-1]
            told = (events.parse(line) for line in lines)
            self._lines = [
                _Line(event.serial, event.project, line)
                for event, line in zip(told, lines, strict=True)
            ]

    def _cut(self, full: Sequence[Span], lines: Sequence[_Line]) -> tuple[Span, ...]:
        """Return the segments of a period, those of `lines` put in place."""
        spans = list(full)
        for at in range(0, len(lines), SEGMENT_CHANGES):
            part = lines[at : at + SEGMENT_CHANGES]
            content = gzip_bytes(b"".join(line.content for line in part))
            spans.append(self._span("segment", part[0].serial, part[-1].serial, content))
        return tuple(spans)

    def _end_periods(self, latest: datetime) -> None:
        """End the open period, and the day and the week if `latest` is of a later one."""
        if self._periods is None:
            self._periods = periods_of(self._tree, self._known)
        ended_at = self._latest
        hour = self._end_hour(_hour(ended_at))
        spans = [*self._periods.spans, hour]
        if _day(latest) != _day(ended_at) or _open_bytes(spans, "hour", "day") >= DAY_BYTES:
            spans = self._merge(spans, "hour", "day", _day(ended_at))
            # A week is of whole days, so it ends with one.
            is_full = _open_bytes(spans, "day", "week") >= WEEK_BYTES
            if is_full or _week(latest) != _week(ended_at):
                spans = self._merge(spans, "day", "week", _week(ended_at))
        self._periods = Periods(tuple(spans))
        self._full, self._lines = (), []

    def _end_hour(self, start: datetime) -> Span:
        self._ended = (self._full, self._lines)
        parts = [read(self._tree, span.path, span.events) for span in self._full]
        content = b"".join(gunzip_bytes(part, _MOST_PERIOD_BYTES) for part in parts)
        told = [(event.project, event.serial) for event in events.parse_lines(content)]
        told += [(line.project, line.serial) for line in self._lines]
        content += b"".join(line.content for line in self._lines)
        names = {project: serial for project, serial in told if project}
        first = told[0][1]
        packed = gzip_bytes(content)
        return self._period("hour", first, self.serial, packed, start, names, len(content))

    def _merge(self, spans: list[Span], part: Kind, kind: Kind, start: datetime) -> list[Span]:
        """Return `spans` with the period of `kind` added that ends now.

        Its parts stay, those of the periods of `kind` before it go.  Its events are those
        of its parts, one gzip member after the other: nothing is unpacked.
        """
        parts = _open_parts(spans, part, kind)
        content = b"".join(read(self._tree, span.path, span.events) for span in parts)
        names: dict[str, int] = {}
        for span in parts:
            if span.names:
                packed = read(self._tree, span.names_path, span.names)
                names |= segment_lists.parse_names(packed)
        first, last = parts[0].first, parts[-1].last
        open_size_bytes = sum(span.open_size_bytes or 0 for span in parts)
        whole = self._period(kind, first, last, content, start, names, open_size_bytes)
        others = [span for span in spans if span.kind != part]
        return sorted([*others, whole, *parts], key=_place)

    def _period(
        self,
        kind: Kind,
        first: int,
        last: int,
        content: bytes,
        start: datetime,
        names: dict[str, int],
        open_size_bytes: int,
    ) -> Span:
        span = self._span(kind, first, last, content)
        packed = segment_lists.names(names)
        self._put(span.names_path, packed)
        digest = segments.digest_of(packed)
        return Span(kind, first, last, span.events, start, digest, open_size_bytes)

    def _span(self, kind: Kind, first: int, last: int, content: bytes) -> Span:
        span = Span(kind, first, last, segments.digest_of(content))
        self._put(span.path, content)
        return span

    def _put(self, path: str, content: bytes) -> None:
        # What stands already keeps its time, by which it is known since when.
        if not self._tree.holds(path, content):
            self._tree.put(path, content)


_ORDER: dict[Kind, int] = {"week": 0, "day": 1, "hour": 2, "segment": 3}


def _place(span: Span) -> tuple[int, int]:
    return _ORDER[span.kind], span.first


def _open_parts(spans: Sequence[Span], part: Kind, kind: Kind) -> list[Span]:
    """Return those of the kind `part` that are in no period of `kind` yet."""
    ended = max((span.last for span in spans if span.kind == kind), default=0)
    return [span for span in spans if span.kind == part and span.first > ended]


def _open_bytes(spans: Sequence[Span], part: Kind, kind: Kind) -> int:
    parts = _open_parts(spans, part, kind)
    return sum(span.open_size_bytes or 0 for span in parts)


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _day(at: datetime) -> datetime:
    return _hour(at).replace(hour=0)


def _week(at: datetime) -> datetime:
    """Return the Monday on which the ISO week of `at` begins."""
    day = _day(at)
    return day - timedelta(days=day.weekday())
