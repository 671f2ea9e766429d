"""Events: the changes of the index as lines of JSON, for followers and mirrors.

One event is one line of canonical JSON, so equal changes give equal bytes on any machine
(https://jsonlines.org)::

    {"details":{"sha256":"…","size":2500,"type":"bdist_wheel"},"filename":"demo-1.0-…",…}

Who made the change is not told: followers need what to show, not whom to blame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any

import msgspec

from pyramid_pypi.errors import Refusal
from pyramid_pypi.formats.canonical import encode, json_document
from pyramid_pypi.values.instants import instant_of, iso_instant
from pyramid_pypi.values.names import is_normalized

MAX_LINE_BYTES = 64 * 1024
"""A longer line is not read.  The longest the index writes, a file with every text at its
bound, has a third of it."""

_MAX_DETAILS_BYTES = MAX_LINE_BYTES - 4096

_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,254}\Z", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9.!+-]{1,256}\Z", re.ASCII)


class EventUnreadable(Refusal):
    """A line of the change feed is not what it should be; it is not trusted."""

    code = "event.unreadable"
    title = "The change feed cannot be read"


@dataclass(frozen=True, slots=True)
class Event:
    """One change, numbered in commit order; `details` are values of JSON.

    Kinds are those of the journal; a reader passes over the ones it does not know.
    """

    serial: int
    at: datetime
    kind: str
    project: str | None
    version: str | None
    filename: str | None
    details: Mapping[str, Any]


class _Line(msgspec.Struct):
    serial: Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
    time: str
    kind: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z-]{0,31}\Z")]
    details: dict[str, Any]
    project: str | None = None
    version: str | None = None
    filename: str | None = None


_decoder = msgspec.json.Decoder(_Line)


def fit(event: Event) -> Event:
    """Return `event` with nothing in it that `parse` would refuse.

    The index refuses such text where it comes in; this keeps one odd row from cutting
    followers off from all that comes after it.
    """
    return replace(
        event,
        project=event.project if _is_project(event.project) else None,
        version=event.version if _is_match(_VERSION, event.version) else None,
        filename=event.filename if _is_match(_FILENAME, event.filename) else None,
        details=event.details if _are_details(event.details) else {},
    )


def line(event: Event) -> bytes:
    """Return `event` as one line, with the newline; what does not apply is left out."""
    told = plain(event)
    return json_document({key: value for key, value in told.items() if value is not None})


def plain(event: Event) -> dict[str, Any]:
    """Return `event` as values of JSON, None for what does not apply."""
    return {
        "serial": event.serial,
        "time": iso_instant(event.at),
        "kind": event.kind,
        "project": event.project,
        "version": event.version,
        "filename": event.filename,
        "details": event.details,
    }


def parse(content: bytes) -> Event:
    """Return the event that one line tells; the newline may be there or not.

    Keys that it does not know are passed over, so that a later index may say more.

    Raises:
        EventUnreadable: it is no event, or its names are none that the index gives out.
    """
    if len(content) > MAX_LINE_BYTES:
        raise EventUnreadable(f"a line of more than {MAX_LINE_BYTES} bytes")
    try:
        read = _decoder.decode(content)
        at = instant_of(read.time)
    # A lone surrogate in text, nesting without end: both from hostile lines only.
    except (ValueError, RecursionError) as error:
        raise EventUnreadable(f"no event: {error}") from error
    _check_names(read)
    return Event(
        serial=read.serial,
        at=at,
        kind=read.kind,
        project=read.project,
        version=read.version,
        filename=read.filename,
        details=read.details,
    )


def parse_lines(content: bytes) -> Iterator[Event]:
    """Yield the events of `content`, a whole segment of the feed.

    Raises:
        EventUnreadable: as `parse`; or serials do not increase, or the last line was cut.
    """
    if content and not content.endswith(b"\n"):
        raise EventUnreadable("the last line was cut short")
    last = 0
    for one in content.split(b"\n")[:-1]:
        event = parse(one)
        if event.serial <= last:
            raise EventUnreadable(f"serial {event.serial} follows {last}")
        last = event.serial
        yield event


def _check_names(read: _Line) -> None:
    """Refuse what could lead out of a folder, or into another project's."""
    if read.project is not None and not _is_project(read.project):
        raise EventUnreadable(f"{read.project[:80]!r} is no normalized name")
    if read.version is not None and not _is_match(_VERSION, read.version):
        raise EventUnreadable(f"{read.version[:80]!r} is no version")
    if read.filename is not None and not _is_match(_FILENAME, read.filename):
        raise EventUnreadable(f"{read.filename[:80]!r} is no filename")


def _is_project(name: Any) -> bool:
    return isinstance(name, str) and is_normalized(name)


def _is_match(pattern: re.Pattern[str], text: Any) -> bool:
    return isinstance(text, str) and pattern.match(text) is not None


def _are_details(details: Any) -> bool:
    try:
        return isinstance(details, dict) and len(encode(details)) <= _MAX_DETAILS_BYTES
    # Nested without end, or a number that JSON has no word for.
    except (ValueError, OverflowError, RecursionError, TypeError):
        return False
