"""The changes that a tree tells, from a serial on."""

from __future__ import annotations

from collections.abc import Iterator

from pyramid_pypi.following.findings import Named
from pyramid_pypi.following.naming import Content
from pyramid_pypi.following.records import events_of
from pyramid_pypi.formats import segment_lists, segments
from pyramid_pypi.formats.events import Event
from pyramid_pypi.formats.repomd import Record


def events_since(record: Record, since: int, content: Content) -> Iterator[Event]:
    """Yield the changes after the serial `since`, by the record ``changes``.

    Raises:
        Refusal: something is lost or unreadable, or nothing leads on from `since`.
    """
    known = segment_lists.parse_record(
        content(Named(record.href, record.sha256, record.size_bytes))
    )
    older = None
    if not known.reaches(since) and known.periods and known.periods_path:
        named = Named(known.periods_path, *known.periods)
        older = segment_lists.parse_periods(content(named))
    for span in segments.covering(known, older, since):
        told = content(Named(span.path, *span.events))
        yield from (event for event in events_of(told, span) if event.serial > since)
