"""The top of a tree: its pointer in both forms, and the records that the pointer names."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import zlib
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from pyramid_pypi.errors import Refusal
from pyramid_pypi.following.findings import (
    MAX_HELD_BYTES,
    Fault,
    Finding,
    Named,
    look,
    stream,
)
from pyramid_pypi.following.seals import check_seal
from pyramid_pypi.following.sources import Source, SourceUnreadable
from pyramid_pypi.following.trust import POINTER, POINTER_XML, Pointer
from pyramid_pypi.formats import repomd, segment_lists, segments
from pyramid_pypi.formats.compression import gunzip_bytes
from pyramid_pypi.formats.events import Event, parse_lines
from pyramid_pypi.formats.repomd import Record
from pyramid_pypi.formats.segments import Digest, Periods, SegmentsUnreadable, Span
from pyramid_pypi.formats.simple_parse import names_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_OPEN_BYTES = 8 * 1024**3
"""What compresses so well that it comes to more is made to keep readers busy."""
_PIECE_BYTES = 1024 * 1024


def check_pointer(source: Source, pointer: Pointer) -> Iterator[Finding]:
    """Look at the pointer in each form and place it has."""
    for path in pointer.differs:
        is_there = source.blocks(path) is not None
        detail = f"it is not the one that is signed, of serial {pointer.repomd.serial}"
        fault = Fault.WRONG if is_there else Fault.MISSING
        yield Finding(fault, path, detail, source.modified(path))
    for path, since in pointer.expired:
        yield Finding(Fault.EXPIRED, path, "its time is over", since)
    xml = repomd.xml(pointer.repomd)
    for path, content in ((POINTER, pointer.content), (POINTER_XML, xml)):
        if path in pointer.targets:
            yield from _signed_copy(source, pointer, path, content)
        elif path == POINTER_XML:
            found = look(source, Named(path, segments.digest_of(xml).sha256, len(xml)))
            if found.finding:
                detail = f"it does not say what {POINTER} says"
                fault = Fault.TWIN if found.beside is not None else found.finding.fault
                yield Finding(fault, path, detail, source.modified(path))
    yield from check_seal(source, xml)


def check_record(source: Source, record: Record) -> Iterator[Finding]:
    """Look at one record, and at what is in it if it is compressed."""
    finding = stream(source, Named(record.href, record.sha256, record.size_bytes))
    if finding is not None:
        yield finding
    elif record.open_size_bytes is not None and record.open_size_bytes > MAX_OPEN_BYTES:
        detail = f"of {record.open_size_bytes} bytes: more than a reader unpacks"
        yield Finding(Fault.UNREADABLE, record.href, detail)
    elif record.open_sha256 is not None and record.open_size_bytes is not None:
        found = _open_digest(source, record.href, record.open_size_bytes)
        if found != (record.open_sha256, record.open_size_bytes):
            yield Finding(Fault.TWIN, record.href, "unpacked it is not what the pointer says")


def check_changes(source: Source, record: Record, *, history: bool) -> Iterator[Finding]:
    """Look at the change feed: that its files are there and lead from first to last.

    Without `history` closed hours, days and weeks are only held to lead on, and not read.
    """
    spans: list[Span] = []
    yield from read_spans(source, record, spans)
    for span in spans:
        if history or span.kind == "segment":
            yield from _check_span(source, span)


def read_spans(source: Source, record: Record, spans: list[Span]) -> Iterator[Finding]:
    """Add to `spans` every file of changes that the record names; yield what is wrong."""
    looked = look(source, Named(record.href, record.sha256, record.size_bytes))
    if looked.content is None:
        return  # told already, as a record
    try:
        known = segment_lists.parse_record(looked.content)
        older = Periods()
        if known.periods and known.periods_path:
            found = look(source, Named(known.periods_path, *known.periods))
            if found.finding:
                yield found.finding
            older = segment_lists.parse_periods(found.content) if found.content else older
        spans.extend((*older.spans, *older.segments, *known.segments))
        segments.covering(known, older, 0)
        yield from _levels(record.href, spans)
    except Refusal as error:
        yield Finding(Fault.GAP, record.href, error.detail)


def listed_names(source: Source, record: Record) -> Collection[str]:
    """Return the projects that the record ``projects`` lists, none if it is lost."""
    looked = look(source, Named(record.href, record.sha256, record.size_bytes))
    content = looked.content or b""
    try:
        if record.open_size_bytes is not None:
            content = gunzip_bytes(content, min(record.open_size_bytes, MAX_HELD_BYTES))
        return names_of(content)
    except (ValueError, Refusal):
        return ()


def events_of(content: bytes, span: Span) -> Iterator[Event]:
    """Yield the changes in `content`, the file of `span`.

    Raises:
        Refusal: it is unreadable; or, at the end, it held others than it says.
    """
    try:
        lines = gunzip_bytes(content, span.most_open_bytes)
    except ValueError as error:
        raise SegmentsUnreadable(f"{span.path}: {error}") from error
    first = last = 0
    for event in parse_lines(lines):
        first, last = first or event.serial, event.serial
        yield event
    if (first, last) != (span.first, span.last):
        raise SegmentsUnreadable(f"{span.path} tells of changes {first} to {last}")


def _check_span(source: Source, span: Span) -> Iterator[Finding]:
    looked = look(source, Named(span.path, *span.events))
    if looked.finding:
        yield looked.finding
    names = None
    if span.names is not None:
        found = look(source, Named(span.names_path, *span.names))
        if found.finding:
            yield found.finding
        names = found.content
    if looked.content is None:
        return
    try:
        told = {e.project: e.serial for e in events_of(looked.content, span) if e.project}
        if names is not None and segment_lists.parse_names(names) != told:
            yield Finding(Fault.TWIN, span.names_path, f"it does not say what {span.path} says")
    except Refusal as error:
        yield Finding(Fault.UNREADABLE, span.path, error.detail)


def _levels(path: str, spans: list[Span]) -> Iterator[Finding]:
    """Find spans of one kind that overlap: a change would be told twice."""
    for kind in ("week", "day", "hour", "segment"):
        ordered = sorted((span.first, span.last) for span in spans if span.kind == kind)
        for (_, last), (first, _) in pairwise(ordered):
            if first <= last:
                yield Finding(Fault.GAP, path, f"two files of a {kind} tell of change {first}")


def _signed_copy(
    source: Source, pointer: Pointer, path: str, content: bytes
) -> Iterator[Finding]:
    """Look at the copy of a pointer that clients of the signatures ask for by its hash."""
    sha256, size_bytes = pointer.targets[path]
    if segments.digest_of(content) != Digest(sha256, size_bytes):
        yield Finding(Fault.TWIN, path, f"what is signed does not say what {POINTER} says")
    room, _, name = path.rpartition("/")
    finding = stream(source, Named(f"{room}/{sha256}.{name}", sha256, size_bytes))
    if finding is not None:
        yield finding


def _open_digest(source: Source, path: str, max_bytes: int) -> tuple[str, int] | None:
    """Return sha256 and size of what the document at `path` unpacks to, None if to nothing."""
    taken, size_bytes = hashlib.sha256(), 0
    opened = bz2.open if path.endswith(".bz2") else gzip.open
    try:
        with opened(io.BufferedReader(_Coming(source.blocks(path)))) as unpacked:
            while piece := unpacked.read(_PIECE_BYTES):
                taken.update(piece)
                size_bytes += len(piece)
                if size_bytes > max_bytes:
                    return None
    except (SourceUnreadable, zlib.error, OSError, EOFError):
        return None
    return taken.hexdigest(), size_bytes


class _Coming(io.RawIOBase):
    """Blocks that come, as a file to read from."""

    def __init__(self, blocks: Iterator[bytes] | None) -> None:
        self._blocks = iter(blocks or ())
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        room = memoryview(buffer)
        self._rest = self._rest or next(self._blocks, b"")
        taken = self._rest[: len(room)]
        room[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)
