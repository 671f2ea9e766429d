"""The journal as a feed: what changed since a serial, in commit order."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from pyramid.view import view_config

from pyramid_pypi.changes import journal
from pyramid_pypi.changes.journal import ChangeEntry
from pyramid_pypi.errors import BadValue
from pyramid_pypi.values.instants import iso_instant
from pyramid_pypi.web import answers
from pyramid_pypi.web.answers import Answer
from pyramid_pypi.web.resources import Changes
from pyramid_pypi.web.security import READ

MOST = 10_000
_USUAL = 1_000
_MOST_SERIAL = 2**53 - 1  # beyond it JSON readers lose digits, and PostgreSQL its integer


@view_config(context=Changes, request_method="GET", permission=READ)
def changes(context: Changes, request: Any) -> Answer:
    """List at most `limit` changes after the serial `since`.

    ``next`` is the serial to ask for with ``since`` next time; a follower that always
    does so misses nothing.
    """
    query = _query(request.environ.get("QUERY_STRING", ""))
    since = _number(query, "since", 0, least=0, most=_MOST_SERIAL)
    limit = _number(query, "limit", _USUAL, least=1, most=MOST)
    entries = journal.since(request.reading, since, limit)
    return answers.document(
        {
            "serial": journal.newest(request.reading),
            "changes": [_told(entry) for entry in entries],
            "next": entries[-1].serial if entries else since,
        }
    )


def _query(text: str) -> dict[str, list[str]]:
    try:
        query = parse_qs(text, keep_blank_values=True, max_num_fields=10, errors="strict")
    except ValueError as error:
        raise BadValue("the query cannot be read") from error
    for name in query:
        if name not in {"since", "limit"}:
            raise BadValue(f"unknown parameter {name!r}; known are since and limit")
    return query


def _number(
    query: dict[str, list[str]], name: str, default: int, *, least: int, most: int
) -> int:
    values = query.get(name)
    if values is None:
        return default
    text = values[0]
    good = (
        len(values) == 1 and text.isascii() and text.isdigit() and len(text) <= len(str(most))
    )
    if not good or not least <= int(text) <= most:
        raise BadValue(f"{name}: give one whole number from {least} to {most}")
    return int(text)


def _told(entry: ChangeEntry) -> dict[str, Any]:
    return {
        "serial": entry.serial,
        "time": iso_instant(entry.at),
        "kind": entry.kind.value,
        "project": entry.project,
        "version": entry.version,
        "filename": entry.filename,
        "details": entry.details,
    }
