"""The files of the change feed: what must be there, and what may go."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol

from pyramid_pypi.formats import segment_lists, segments
from pyramid_pypi.formats.segments import ROOM, Digest, Periods, Record, SegmentsUnreadable
from pyramid_pypi.storage.tree import Tree

_SEGMENT = re.compile(r"([0-9]{1,16})-([0-9]{1,16})(?:\.jsonl|-names\.json)\.gz\Z", re.ASCII)
_PERIODS = re.compile(r"[0-9a-f]{64}-periods\.json\Z", re.ASCII)


class Files(Protocol):
    """Where files of the feed are put and read: the tree, or something before it."""

    def read(self, path: str) -> bytes | None:
        """Return the file at `path`, None when there is none."""
        ...

    def holds(self, path: str, content: bytes) -> bool:
        """Tell whether the file at `path` is just `content`."""
        ...

    def put(self, path: str, content: bytes) -> int:
        """Have `content` at `path`."""
        ...


def faults(tree: Tree, last: bytes) -> Iterator[str]:
    """Yield the path of each file that the record `last` leads to, but is gone or damaged.

    Raises:
        SegmentsUnreadable: the record itself cannot be read, or its periods.
    """
    record = segment_lists.parse_record(last)
    for path, digest in _files(record, periods_of(tree, record)):
        content = tree.read(path)
        if content is None or segments.digest_of(content) != digest:
            yield path


def superseded(tree: Tree, last: bytes, before: float) -> list[str]:
    """Return the paths of files that no reader needs any more.

    That is: neither the record `last` leads there, nor any list of periods that was still
    current at the Unix time `before`; and what tells the same changes is there since then.

    Raises:
        SegmentsUnreadable: the record cannot be read, or its periods.
    """
    record = segment_lists.parse_record(last)
    lists, ranges, mtimes = _standing(tree)
    named = dict(_files(record, periods_of(tree, record)))
    gone = []
    # A list was superseded when the next one was written.
    for path, replaced_at in _with_next(lists, mtimes):
        if replaced_at < before and path not in named:
            gone.append(path)
        else:
            named |= _named_by(tree, path)
    covers = [(*ranges[path], mtimes[path]) for path in named if path in ranges]
    for path, (first, last_serial) in ranges.items():
        if path in named or last_serial > record.serial:
            continue  # or it is in the making
        since = [at for a, b, at in covers if a <= first and last_serial <= b]
        if min(since, default=mtimes[path]) < before:
            gone.append(path)
    return sorted(gone)


def read(tree: Files, path: str, digest: Digest) -> bytes:
    """Return the file at `path`, which must be the one of `digest`.

    Raises:
        SegmentsUnreadable: it is gone, or another.
    """
    content = tree.read(path)
    if content is None or segments.digest_of(content) != digest:
        raise SegmentsUnreadable(f"{path} is gone or damaged")
    return content


def periods_of(tree: Files, record: Record) -> Periods:
    """Return the periods that `record` names.

    Raises:
        SegmentsUnreadable: their document is gone or damaged.
    """
    if record.periods is None or record.periods_path is None:
        return Periods()
    return segment_lists.parse_periods(read(tree, record.periods_path, record.periods))


def named(record: Record, periods: Periods) -> Iterator[tuple[str, bool]]:
    """Yield the path of each file that `record` leads to, and whether it does so for good."""
    lasting = [span for span in periods.spans if span.kind == "week"]
    final = {path for span in lasting for path in (span.path, span.names_path)}
    for path, _ in _files(record, periods):
        yield path, path in final


def _standing(tree: Tree) -> tuple[list[str], dict[str, tuple[int, int]], dict[str, float]]:
    """Return the lists of periods there are, the serials of each segment, all mtimes."""
    lists, ranges, mtimes = [], {}, {}
    folder = tree.root / ROOM
    for entry in folder.iterdir() if folder.is_dir() else ():
        path, found = f"{ROOM}/{entry.name}", _SEGMENT.match(entry.name)
        if found:
            ranges[path] = int(found[1]), int(found[2])
        elif _PERIODS.match(entry.name):
            lists.append(path)
        else:
            continue
        mtimes[path] = entry.stat().st_mtime
    return lists, ranges, mtimes


def _with_next(lists: list[str], mtimes: dict[str, float]) -> Iterator[tuple[str, float]]:
    """Yield each list of periods with the time at which the next one was written."""
    in_order = sorted(lists, key=lambda path: (mtimes[path], path))
    for path, following in pairwise(in_order):
        yield path, mtimes[following]


def _named_by(tree: Tree, path: str) -> dict[str, Digest]:
    try:
        periods = segment_lists.parse_periods(tree.read(path) or b"")
    except SegmentsUnreadable:
        return {}
    return dict(_files(Record(), periods))


def _files(record: Record, periods: Periods) -> Iterator[tuple[str, Digest]]:
    """Yield every file that a reader of `record` may come to, with what it must be."""
    if record.periods is not None and record.periods_path is not None:
        yield record.periods_path, record.periods
    for span in (*record.segments, *periods.segments, *periods.spans):
        yield span.path, span.events
        if span.names is not None:
            yield span.names_path, span.names
