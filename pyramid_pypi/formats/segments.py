"""Change segments: the journal as files that never change, and the lists that name them.

The record ``changes`` of a repository names the newest segments; beside it a document of
periods names what is older, by the hour, the day and the ISO week, in UTC.  So a follower
fetches a few files however far behind it is.  A file is called by the serials of its
first and its last change; its sha256 stands in the list.

Serials may have gaps: one list names every change there is, none twice at one level.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from pyramid_pypi.errors import Refusal
from pyramid_pypi.values.digests import sha256_hex

SEGMENT_CHANGES = 32
"""Changes of one closed segment; the last segment of the record may have fewer."""
PERIOD_CHANGES = 1024
"""Most changes of one ``hour``: a busy hour has several."""
DAY_BYTES = 16 * 1024 * 1024
WEEK_BYTES = 128 * 1024 * 1024
"""With this much unpacked a day or week ends: a busy one has several of them."""
MAX_OPEN_BYTES = 256 * 1024 * 1024
"""More than a file of changes unpacks to: a week, a day more, an hour of longest lines."""
ROOM = "repodata/c"

Kind = Literal["segment", "hour", "day", "week"]


class SegmentsUnreadable(Refusal):
    """A list of change segments, or a file it names, is not what it should be."""

    code = "segments.unreadable"
    title = "The list of change segments cannot be read"


class Digest(NamedTuple):
    """What tells a file from any other."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Span:
    """The changes with serials from `first` to `last`, and the file that tells them.

    A closed hour, day or week also has its `start`, and a file of `names`: each project it
    touches with the serial of its newest change therein.  `open_size_bytes` is what its
    events come to unpacked.
    """

    kind: Kind
    first: int
    last: int
    events: Digest
    start: datetime | None = None
    names: Digest | None = None
    open_size_bytes: int | None = None

    @property
    def most_open_bytes(self) -> int:
        """Return how much the events may unpack to."""
        return MAX_OPEN_BYTES if self.open_size_bytes is None else self.open_size_bytes

    @property
    def path(self) -> str:
        """Return where the events lie: JSON lines in gzip, of one member or several."""
        return f"{ROOM}/{self.first}-{self.last}.jsonl.gz"

    @property
    def names_path(self) -> str:
        """Return where the names lie, for a closed period: one JSON object in gzip."""
        return f"{ROOM}/{self.first}-{self.last}-names.json.gz"


@dataclass(frozen=True, slots=True)
class Record:
    """The record ``changes``: how far the feed goes, and the segments of the open period.

    `at` is the instant of the newest change; `latest` the latest instant of any, which
    says what hour it is.  Both are None while there is no change.  `periods` is the
    document of all that is older.
    """

    serial: int = 0
    at: datetime | None = None
    latest: datetime | None = None
    segments: tuple[Span, ...] = ()
    periods: Digest | None = None

    @property
    def periods_path(self) -> str | None:
        """Return where the document of periods lies, None while no period has closed."""
        return periods_path(self.periods.sha256) if self.periods else None

    def reaches(self, since: int) -> bool:
        """Tell whether the segments alone lead on from serial `since`, without periods."""
        first = self.segments[0].first if self.segments else 1
        return self.periods is None or first <= since + 1


@dataclass(frozen=True, slots=True)
class Periods:
    """What the record does not name: weeks, days and hours, each in order.

    Of the newest closed week its days are named too, of the newest closed day its hours,
    and of the newest closed hour its `segments`: a follower that is a minute behind need
    not fetch a week because one has just ended.
    """

    spans: tuple[Span, ...] = ()
    segments: tuple[Span, ...] = ()


def periods_path(sha256: str) -> str:
    """Return where the document of periods with that `sha256` lies."""
    return f"{ROOM}/{sha256}-periods.json"


def digest_of(content: bytes) -> Digest:
    """Return the digest of the file `content`."""
    return Digest(sha256_hex(content), len(content))


def covering(known: Record, older: Periods | None, since: int) -> tuple[Span, ...]:
    """Return the files that bring a follower from serial `since` to the present, in order.

    The largest that begin where the follower is; where it is in the midst of all, the
    smallest, so that little is fetched twice; it passes over the changes it has.  `older`
    may be None where `Record.reaches`.

    Raises:
        SegmentsUnreadable: nothing leads on from where the follower is.
    """
    if older is None and not known.reaches(since):
        raise SegmentsUnreadable(f"the segments alone do not lead on from {since}")
    older = older or Periods()
    levels = list(_levels([*older.spans, *older.segments, *known.segments]))
    way = []
    while since < known.serial:
        step = _step(levels, since + 1)
        if step is None:
            raise SegmentsUnreadable(f"nothing leads from {since} to {known.serial}")
        way.append(step)
        since = step.last
    return tuple(way)


@dataclass(frozen=True, slots=True)
class _Level:
    """The spans of one kind in order, and the serials at which they begin."""

    spans: list[Span]
    firsts: list[int]


def _levels(spans: Iterable[Span]) -> Iterator[_Level]:
    kinds: dict[Kind, list[Span]] = {}
    for span in spans:
        kinds.setdefault(span.kind, []).append(span)
    for found in kinds.values():
        found.sort(key=lambda span: span.first)
        yield _Level(found, [span.first for span in found])


def _step(levels: Iterable[_Level], wanted: int) -> Span | None:
    """Return which span to fetch for the serial `wanted` or the next there is."""
    here: list[Span] = []
    around: list[Span] = []
    later: list[Span] = []
    for level in levels:
        place = bisect_right(level.firsts, wanted)
        before = level.spans[place - 1] if place else None
        following = level.spans[place] if place < len(level.spans) else None
        if before and before.first == wanted:
            here.append(before)
        elif before and wanted <= before.last:
            around.append(before)
        elif following:
            # Serials have gaps, spans of one kind do not: after one comes the next.
            (here if before else later).append(following)
    if here:
        return max(here, key=lambda span: span.last)
    if around:
        return min(around, key=lambda span: span.last - span.first)
    return min(later, key=lambda span: (span.first, -span.last), default=None)
