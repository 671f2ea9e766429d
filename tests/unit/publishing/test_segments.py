"""The change feed: the same however it came about, whole, small, and swept with care."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_pypi.changes.journal import ChangeEntry
from pyramid_pypi.formats import events, segment_lists
from pyramid_pypi.formats import segments as formats
from pyramid_pypi.formats.compression import gunzip_bytes
from pyramid_pypi.formats.segments import Periods, Record, SegmentsUnreadable, Span
from pyramid_pypi.models.journal import ChangeKind
from pyramid_pypi.publishing import segment_files
from pyramid_pypi.publishing import segments as publishing
from pyramid_pypi.publishing.segments import Segments, event_of
from pyramid_pypi.storage.tree import Tree
from tests.conftest import ToldClock

START = datetime(2026, 12, 30, 22, 30, tzinfo=UTC)  # a Wednesday; the year ends in its week
BIG = 10**9


def change(serial: int, at: datetime, project: str | None = "demo") -> ChangeEntry:
    digest = f"{serial:064x}"[::-1]
    details = {"sha256": digest, "size": serial * 7919, "type": "sdist"}
    kind = ChangeKind.FILE_ADDED
    filename = f"{project}-1.{serial}.tar.gz" if project else None
    return ChangeEntry(serial, at, kind, project, f"1.{serial}", filename, "ada", details)


def journal(*gaps: tuple[int, float]) -> list[ChangeEntry]:
    """Changes each some serials and some minutes, perhaps less than none, after the last."""
    serial, at, found = 0, START, []
    for skipped, minutes in gaps:
        serial += 1 + skipped
        at += timedelta(minutes=minutes)
        project = None if serial % 17 == 0 else f"p{serial % 5}"
        found.append(change(serial, at, project))
    return found


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of three changes, and hours of at most eight."""
    make_small(monkeypatch)


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "SEGMENT_CHANGES", 3)
    monkeypatch.setattr(publishing, "PERIOD_CHANGES", 8)


def make_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let some five changes make a day, and twelve a week."""
    make_small(monkeypatch)
    monkeypatch.setattr(publishing, "DAY_BYTES", 1200)
    monkeypatch.setattr(publishing, "WEEK_BYTES", 3000)


class Feed:
    """A tree with its record, and a follower that trusts nothing."""

    def __init__(self, folder: Path, clock: ToldClock | None = None) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "spool").mkdir(exist_ok=True)
        self.tree = Tree(folder / "tree", folder / "spool", clock or ToldClock())
        self.last: bytes | None = None

    def extend(self, changes: Iterable[ChangeEntry]) -> None:
        # Each round is another process.
        self.last = Segments(self.tree).extend(self.last, changes)

    @property
    def record(self) -> Record:
        assert self.last is not None
        return segment_lists.parse_record(self.last)

    @property
    def periods(self) -> Periods:
        return segment_files.periods_of(self.tree, self.record)

    def reachable(self) -> dict[str, bytes]:
        assert self.last is not None
        assert list(segment_files.faults(self.tree, self.last)) == []
        older = self.periods
        spans = (*self.record.segments, *older.segments, *older.spans)
        paths = {span.path for span in spans} | {s.names_path for s in spans if s.names}
        if self.record.periods_path:
            paths.add(self.record.periods_path)
        return {path: self.tree.read(path) or b"" for path in sorted(paths)}

    def follow(self, since: int) -> list[int]:
        way = formats.covering(self.record, self.periods, since)
        told = itertools.chain.from_iterable(self.told(span) for span in way)
        return [serial for serial in told if serial > since]

    def told(self, span: Span) -> list[int]:
        content = self.tree.read(span.path)
        assert content is not None
        assert formats.digest_of(content) == span.events
        serials = [e.serial for e in events.parse_lines(gunzip_bytes(content, BIG))]
        assert (serials[0], serials[-1]) == (span.first, span.last)
        return serials


def batches(
    changes: Sequence[ChangeEntry], sizes: Iterable[int]
) -> Iterator[list[ChangeEntry]]:
    left = list(changes)
    for size in itertools.cycle(sizes):
        if not left:
            return
        yield left[:size]
        left = left[size:]


GAPS = st.tuples(
    st.sampled_from([0, 0, 0, 0, 1, 40]),
    st.sampled_from([0.0, 0.5, 2.0, 25.0, -90.0, 70.0, 600.0, 1500.0, 4000.0, 12000.0]),
)


@settings(max_examples=60, deadline=None)
@given(
    gaps=st.lists(GAPS, min_size=1, max_size=60),
    sizes=st.lists(st.integers(1, 9), min_size=1),
    make=st.sampled_from([make_small, make_busy]),
)
def test_rounds_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    gaps: list[tuple[int, float]],
    sizes: list[int],
    make: Callable[[pytest.MonkeyPatch], None],
) -> None:
    """However often it is written and whatever comes, the bytes are those of one go."""
    with pytest.MonkeyPatch.context() as patch:
        make(patch)
        folder = tmp_path_factory.mktemp("feeds")
        rounds, once = Feed(folder / "rounds"), Feed(folder / "once")
        changes = journal(*gaps)
        for batch in batches(changes, sizes):
            rounds.extend(batch)
        once.extend(changes)

        assert rounds.last == once.last
        assert rounds.reachable() == once.reachable()
        serials = [one.serial for one in changes]
        for since in {0, *serials[::7], serials[-1]}:
            assert rounds.follow(since) == [serial for serial in serials if serial > since]
        assert_periods_name_what_changed(once, changes)


def assert_periods_name_what_changed(feed: Feed, changes: list[ChangeEntry]) -> None:
    for span in feed.periods.spans:
        within = [c for c in changes if span.first <= c.serial <= span.last]
        names = {c.project: c.serial for c in within if c.project}
        assert segment_lists.parse_names(feed.tree.read(span.names_path) or b"") == names


def test_a_busy_week_is_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None unpacks to more than a reader holds, and each says to how much."""
    make_busy(monkeypatch)
    feed = Feed(tmp_path)
    changes = journal(*[(0, 0.2)] * 200)
    feed.extend(changes)
    spans = feed.periods.spans
    kinds = [span.kind for span in spans]
    assert kinds.count("week") > 5
    assert {span.start for span in spans if span.kind == "week"} == {
        START.replace(day=28, hour=0, minute=0)
    }
    line_bytes = max(len(events.line(event_of(one))) for one in changes)
    for span in spans:
        unpacked = gunzip_bytes(feed.tree.read(span.path) or b"", span.most_open_bytes)
        assert len(unpacked) == span.open_size_bytes
        assert len(unpacked) < 3000 + 1200 + 2 * 8 * line_bytes
    assert len(feed.tree.read(feed.record.periods_path or "") or b"") < 25_000
    assert feed.follow(0) == list(range(1, 201))
    assert len(formats.covering(feed.record, feed.periods, 0)) < kinds.count("week") + 8


def test_no_file_of_changes_is_too_large_for_readers() -> None:
    hour_bytes = formats.PERIOD_CHANGES * events.MAX_LINE_BYTES
    day_bytes = formats.DAY_BYTES + hour_bytes
    assert formats.WEEK_BYTES + day_bytes <= formats.MAX_OPEN_BYTES


def test_with_the_true_bounds(tmp_path: Path) -> None:
    """2,500 changes of one hour: two periods of 1,024, and the rest in segments of 32."""
    feed, once = Feed(tmp_path / "rounds"), Feed(tmp_path / "once")
    changes = journal(*[(0, 0.0)] * 2500)
    for batch in batches(changes, [700, 1, 31, 32, 33]):
        feed.extend(batch)
    once.extend(changes)

    assert feed.last == once.last
    assert [(s.first, s.last) for s in feed.periods.spans] == [(1, 1024), (1025, 2048)]
    assert [s.last - s.first + 1 for s in feed.record.segments] == [32] * 14 + [4]
    assert [s.first for s in feed.periods.segments] == list(range(1025, 2049, 32))


@pytest.mark.usefixtures("small")
def test_hours_days_and_weeks(tmp_path: Path) -> None:
    """Over the end of a year that is no end of a week, and over one that is."""
    feed = Feed(tmp_path)
    instants = [
        datetime(2026, 12, 30, 22, 30),  # noqa: DTZ001 - given below
        datetime(2026, 12, 30, 22, 59, 59, 999999),  # noqa: DTZ001
        datetime(2026, 12, 30, 23, 0),  # noqa: DTZ001
        datetime(2026, 12, 31, 0, 0),  # noqa: DTZ001
        datetime(2027, 1, 1, 0, 0),  # noqa: DTZ001
        datetime(2027, 1, 3, 23, 59),  # noqa: DTZ001
        datetime(2027, 1, 4, 0, 0),  # noqa: DTZ001
        datetime(2027, 1, 4, 1, 0),  # noqa: DTZ001
    ]
    for serial, at in enumerate(instants, 1):
        feed.extend([change(serial, at.replace(tzinfo=UTC))])

    told = [(s.kind, s.first, s.last, f"{s.start:%m-%d %H}") for s in feed.periods.spans]
    assert told == [
        ("week", 1, 6, "12-28 00"),
        ("day", 1, 3, "12-30 00"),
        ("day", 4, 4, "12-31 00"),
        ("day", 5, 5, "01-01 00"),
        ("day", 6, 6, "01-03 00"),
        ("hour", 6, 6, "01-03 23"),
        ("hour", 7, 7, "01-04 00"),
    ]
    assert [(s.first, s.last) for s in feed.record.segments] == [(8, 8)]
    # From the beginning one file; from yesterday not the whole week.
    for since, files in [(0, 3), (3, 5), (5, 3), (6, 2), (7, 1), (8, 0)]:
        assert len(formats.covering(feed.record, feed.periods, since)) == files
        assert feed.follow(since) == list(range(since + 1, 9))


@pytest.mark.usefixtures("small")
def test_a_clock_set_back_reopens_nothing(tmp_path: Path) -> None:
    feed = Feed(tmp_path)
    gaps = (0, 0.0), (0, 60.0), (0, -300.0), (0, 240.0)
    feed.extend(journal(*gaps))
    assert feed.record.latest == START + timedelta(hours=1)
    assert feed.record.at == START

    feed.extend(journal(*gaps, (0, 120.0)))
    hours = [(s.first, s.last) for s in feed.periods.spans if s.kind == "hour"]
    assert hours == [(1, 1), (2, 4)]


def test_nothing_yet(tmp_path: Path) -> None:
    feed = Feed(tmp_path)
    feed.extend([])
    empty = feed.last
    feed.extend([])

    assert feed.last == empty
    assert feed.record == Record()
    assert formats.covering(feed.record, None, 0) == ()
    feed.extend(journal((0, 0)))
    assert feed.follow(0) == [1]


def test_what_is_known_already_is_passed_over(tmp_path: Path) -> None:
    feed = Feed(tmp_path)
    changes = journal(*[(0, 1.0)] * 10)
    feed.extend(changes[:5])
    before = feed.last
    feed.extend(changes[:5])
    assert feed.last == before
    feed.extend(changes)
    assert feed.follow(0) == list(range(1, 11))


@pytest.mark.usefixtures("small")
def test_a_round_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    """Files of a round whose record never came are in nobody's way."""
    feed, other = Feed(tmp_path / "one"), Feed(tmp_path / "other")
    changes = journal(*[(0, 7.0)] * 40)
    feed.extend(changes[:20])
    kept = feed.last
    feed.extend(changes[20:33])
    feed.last = kept
    feed.extend(changes[20:])
    other.extend(changes)

    assert feed.last == other.last
    assert feed.reachable() == other.reachable()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("which", ["tail", "segment", "hour", "names", "periods"])
@pytest.mark.parametrize("damage", [None, b"", b"x"])
def test_what_is_damaged_is_noticed(tmp_path: Path, which: str, damage: bytes | None) -> None:
    feed = Feed(tmp_path)
    changes = journal((0, -600.0), *[(0, 11.0)] * 10)
    feed.extend(changes)
    record, older = feed.record, feed.periods
    path = {
        "tail": record.segments[-1].path,
        "segment": record.segments[0].path,
        "hour": older.spans[-1].path,
        "names": older.spans[-1].names_path,
        "periods": record.periods_path or "",
    }[which]
    if damage is None:
        feed.tree.remove(path)
    else:
        (feed.tree.root / path).write_bytes(damage)

    later = [change(100, START + timedelta(days=20))]
    with pytest.raises(SegmentsUnreadable):
        feed.extend(later)
    if which != "periods":
        assert list(segment_files.faults(feed.tree, feed.last or b"")) == [path]
    feed.last = None
    feed.extend(changes)
    assert feed.reachable()


def test_a_record_is_small_however_long_the_journal(tmp_path: Path) -> None:
    """And so is what one more change costs."""
    feed = Feed(tmp_path)
    chance = random.Random(7)
    gaps = [(0, chance.expovariate(12) + (30 if n % 200 == 0 else 0)) for n in range(4000)]
    changes = journal(*gaps)
    feed.extend(changes[:3000])
    written, largest = [], 0
    for one in changes[3000:]:
        feed.extend([one])
        record = feed.last or b""
        largest = max(largest, len(record))
        written.append(len(record) + feed.record.segments[-1].events.size_bytes)

    assert largest < 6_000
    assert sum(written) / len(written) < 5_000


def test_the_fullest_record(tmp_path: Path) -> None:
    feed = Feed(tmp_path)
    last = 2**53 - 2
    feed.extend(change(last - 3071 + n, START) for n in range(3072))

    assert len(feed.record.segments) == 32
    assert feed.record.periods
    assert len(feed.last or b"") < 6_000


# --- sweeping -------------------------------------------------------------------------


@pytest.mark.usefixtures("small")
def test_nobody_misses_what_was_swept(tmp_path: Path) -> None:
    """Whoever has a record of the last two days finds every file it leads to."""
    clock = ToldClock(START)
    feed = Feed(tmp_path, clock)
    keep = timedelta(days=2)
    records: list[tuple[datetime, bytes]] = []
    chance = random.Random(3)
    removed = 0
    for serial in range(1, 400):
        clock.advance(minutes=chance.choice([1, 5, 20, 90, 700]))
        feed.extend([change(serial, clock())])
        records.append((clock(), feed.last or b""))
        before = (clock() - keep).timestamp()
        for path in segment_files.superseded(feed.tree, feed.last or b"", before):
            feed.tree.remove(path)
            removed += 1
        if serial % 10 == 0:
            # A record is current until the next; one superseded since `before` is in use.
            living = [
                record
                for (_, record), (ended, _) in itertools.pairwise(records)
                if ended.timestamp() > before
            ]
            for record in (*living[:3], *living[-1:]):
                assert list(segment_files.faults(feed.tree, record)) == []

    assert removed > 300
    standing = len(list((feed.tree.root / formats.ROOM).iterdir()))
    assert standing < 250
    assert feed.follow(0) == list(range(1, 400))


@pytest.mark.usefixtures("small")
def test_what_is_in_the_making_stays(tmp_path: Path) -> None:
    clock = ToldClock(START)
    feed = Feed(tmp_path, clock)
    changes = journal(*[(0, 7.0)] * 30)
    feed.extend(changes[:10])
    kept = feed.last or b""
    feed.extend(changes[10:])
    clock.advance(days=30)
    later = clock().timestamp()

    gone = segment_files.superseded(feed.tree, kept, later)
    assert not [path for path in gone if "-periods" not in path]
    (feed.tree.root / formats.ROOM / "stranger.txt").write_text("not ours")
    gone = segment_files.superseded(feed.tree, feed.last or b"", later)
    assert gone
    assert not set(gone) & set(feed.reachable())
    assert segment_files.superseded(Feed(tmp_path / "new").tree, kept_of_none(), later) == []


def kept_of_none() -> bytes:
    return segment_lists.record(Record())


# --- reading what others wrote --------------------------------------------------------


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, bytes]:
    """A record and its periods."""
    make_small(monkeypatch)
    feed = Feed(tmp_path)
    feed.extend(journal(*[(0, 11.0)] * 11))
    return feed.last or b"", feed.tree.read(feed.record.periods_path or "") or b""


def test_lists_are_read_back(documents: tuple[bytes, bytes]) -> None:
    record, periods = documents
    assert segment_lists.record(segment_lists.parse_record(record)) == record
    assert segment_lists.periods(segment_lists.parse_periods(periods)) == periods


@pytest.mark.parametrize(
    "lie",
    [
        {"serial": 99},
        {"serial": 0},
        {"time": None},
        {"time": "yesterday"},
        {"open": None},
        {"open": {"from": 1, "latest": "2026-12-30T22:30:00.000000Z"}},
        {"segments": []},
        {"segments": [[10, 9, "a" * 64, 1], [10, 11, "a" * 64, 1]]},
        {"segments": [[9, 10, "a" * 64, 1], [10, 11, "a" * 64, 1]]},
        {"segments": [[9, 11, "A" * 64, 1]]},
        {"segments": [[9, 11, "a" * 64, -1]]},
        {"segments": [[n, n, "a" * 64, 1] for n in range(1, 34)]},
        {"periods": ["../../etc/passwd", "a" * 64, 1]},
        {"periods": [f"repodata/c/{'a' * 64}-periods.json", "a" * 64, 2**40]},
        {"more": 1},
    ],
    ids=lambda lie: str(lie)[:40],
)
def test_a_record_that_lies(documents: tuple[bytes, bytes], lie: dict[str, object]) -> None:
    with pytest.raises(SegmentsUnreadable):
        segment_lists.parse_record(json.dumps(json.loads(documents[0]) | lie).encode())


@pytest.mark.parametrize(
    "lie",
    [
        {"from": 0},
        {"from": 7, "to": 6},
        {"kind": "year"},
        {"start": "x"},
        {"names": None},
        {"open_size": 2**40},
        {"open_size": -1},
    ],
    ids=str,
)
def test_periods_that_lie(documents: tuple[bytes, bytes], lie: dict[str, object]) -> None:
    told = json.loads(documents[1])
    told["periods"][0] |= lie
    with pytest.raises(SegmentsUnreadable):
        segment_lists.parse_periods(json.dumps(told).encode())


def test_periods_that_overlap(documents: tuple[bytes, bytes]) -> None:
    told = json.loads(documents[1])
    told["periods"].append(told["periods"][0])
    with pytest.raises(SegmentsUnreadable):
        segment_lists.parse_periods(json.dumps(told).encode())


@pytest.mark.parametrize("content", [b"", b"null", b"{}", b"\xff", b"[" * 5000, b" " * 20_000])
def test_no_list_at_all(content: bytes) -> None:
    for parse in (segment_lists.parse_record, segment_lists.parse_periods):
        with pytest.raises(SegmentsUnreadable):
            parse(content)
    with pytest.raises(SegmentsUnreadable):
        segment_lists.parse_names(content)


def test_names_that_are_none() -> None:
    with pytest.raises(SegmentsUnreadable):
        segment_lists.parse_names(segment_lists.names({"../demo": 3}))
    with pytest.raises(SegmentsUnreadable):
        segment_lists.parse_names(segment_lists.names({"demo": 0}))


def test_a_feed_with_a_hole_is_refused(documents: tuple[bytes, bytes]) -> None:
    record = segment_lists.parse_record(documents[0])
    short = Record(record.serial + 5, record.at, record.latest, record.segments)
    assert record.reaches(record.segments[0].first - 1)
    assert not record.reaches(record.segments[0].first - 2)
    with pytest.raises(SegmentsUnreadable):
        formats.covering(short, None, record.serial)
    with pytest.raises(SegmentsUnreadable):
        formats.covering(record, None, 0)


def naive_step(spans: Sequence[Span], wanted: int) -> Span | None:
    """Look at every span; what `covering` does by bisection."""
    here, around, later = [], [], []
    before: dict[str, int] = {}
    for span in sorted(spans, key=lambda span: span.first):
        if span.first < wanted <= span.last:
            around.append(span)
        elif span.first == wanted or before.get(span.kind, wanted) < wanted < span.first:
            here.append(span)
        elif span.first > wanted:
            later.append(span)
        before[span.kind] = span.last
    if here:
        return max(here, key=lambda span: span.last)
    if around:
        return min(around, key=lambda span: span.last - span.first)
    return min(later, key=lambda span: (span.first, -span.last), default=None)


@settings(deadline=None)
@given(
    gaps=st.lists(GAPS, min_size=1, max_size=60),
    since=st.integers(0, 400),
    make=st.sampled_from([make_small, make_busy]),
)
def test_the_way_is_that_of_looking_at_every_span(
    tmp_path_factory: pytest.TempPathFactory,
    gaps: list[tuple[int, float]],
    since: int,
    make: Callable[[pytest.MonkeyPatch], None],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        make(patch)
        feed = Feed(tmp_path_factory.mktemp("feed"))
        feed.extend(journal(*gaps))
    spans = [*feed.periods.spans, *feed.periods.segments, *feed.record.segments]
    way, at = [], since
    while at < feed.record.serial:
        step = naive_step(spans, at + 1)
        assert step is not None
        way.append(step)
        at = step.last
    assert formats.covering(feed.record, feed.periods, since) == tuple(way)


def test_a_long_way_is_found_fast() -> None:
    digest = formats.Digest("a" * 64, 1)
    weeks = tuple(Span("week", n, n, digest, START, digest, 1) for n in range(1, 20_001))
    tail = (Span("segment", 20_001, 20_001, digest),)
    record = Record(20_001, START, START, tail, digest)
    began = time.process_time()
    assert len(formats.covering(record, Periods(weeks), 0)) == 20_001
    assert time.process_time() - began < 2  # by looking at every span half a minute


def test_events_say_what_the_journal_says() -> None:
    told = change(7, START)
    assert event_of(told).kind == "file-added"
    assert event_of(told).details == told.details
