"""The journal as a feed: what changed since a serial, in commit order.

Only what is published is told: a follower finds the documents of what it hears of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

from pyramid.view import view_config

from pyramid_pypi.changes import journal
from pyramid_pypi.errors import BadValue
from pyramid_pypi.formats import events
from pyramid_pypi.formats.events import Event
from pyramid_pypi.publishing.segments import event_of
from pyramid_pypi.web import answers, negotiation
from pyramid_pypi.web.answers import Answer, Headers
from pyramid_pypi.web.negotiation import Representation
from pyramid_pypi.web.refusals import NotAcceptable
from pyramid_pypi.web.resources import Changes
from pyramid_pypi.web.security import READ

MOST = 10_000
MOST_WAIT_S = 60
_USUAL = 1_000
_MOST_SERIAL = 2**53 - 1  # beyond it JSON readers lose digits, and PostgreSQL its integer
_KNOWN = ("since", "limit", "wait", "format")
_AGAIN_S = "1"


@view_config(context=Changes, request_method="GET", permission=READ)
def changes(context: Changes, request: Any) -> Answer:
    """List at most `limit` changes after the serial `since`, as JSON or as JSON lines.

    ``next`` is the serial to ask for with ``since`` next time; a follower that always
    does so misses nothing.  With `wait`, the answer comes when there is a change to tell,
    or with none after so many seconds; at once where too many wait already.
    """
    text = request.environ.get("QUERY_STRING", "")
    query = _query(text)
    since = _number(query, "since", 0, least=0, most=_MOST_SERIAL)
    limit = _number(query, "limit", _USUAL, least=1, most=MOST)
    wait_s = _number(query, "wait", 0, least=0, most=MOST_WAIT_S)
    form = _form(request.environ.get("HTTP_ACCEPT"), text)
    waited = _wait(request, since, wait_s)
    published = request.publisher.serial
    found = [
        event_of(entry)
        for entry in journal.since(request.reading, since, limit)
        if entry.serial <= published
    ]
    serial = min(published, journal.newest(request.reading))
    # An older database was put back beside this tree, and has to come further first.
    is_behind = published > since
    headers = [("Retry-After", _AGAIN_S)] if not found and (is_behind or not waited) else []
    return _answer(found, form, serial, since, headers)


def _wait(request: Any, since: int, wait_s: int) -> bool:
    """Wait for a change after `since`, at most `wait_s`; return whether it could.

    No database session is open meanwhile.  A client that has gone is waited for no more.
    """
    state, seats = request.publisher.state, request.registry.seats
    if not wait_s or state.published() > since:
        return True
    if not seats.acquire(blocking=False):
        return False
    try:
        gone = request.environ.get("waitress.client_disconnected", lambda: False)
        state.bell.wait_for(lambda: state.published() > since, wait_s=wait_s, given_up=gone)
    finally:
        seats.release()
    return True


def _answer(
    found: Sequence[Event], form: Representation, serial: int, since: int, headers: Headers
) -> Answer:
    headers = [("Vary", "Accept"), ("X-PyPI-Last-Serial", str(serial)), *headers]
    if form.extension == "jsonl":
        lines = b"".join(map(events.line, found))
        headers.append(("Cache-Control", "no-cache"))
        return answers.whole(lines, form.content_type, headers=headers)
    content = {
        "serial": serial,
        "changes": [events.plain(event) for event in found],
        "next": found[-1].serial if found else since,
    }
    return answers.document(content, headers)


def _form(accept: str | None, query: str) -> Representation:
    """Return JSON lines for whoever names them, JSON for everybody else."""
    try:
        return negotiation.CHANGES.choose(accept, query)
    except NotAcceptable:
        if "format" in parse_qs(query):
            raise
        return negotiation.CHANGES.choose(None, "")


def _query(text: str) -> dict[str, list[str]]:
    try:
        query = parse_qs(text, keep_blank_values=True, max_num_fields=10, errors="strict")
    except ValueError as error:
        raise BadValue("the query cannot be read") from error
    for name in query:
        if name not in _KNOWN:
            raise BadValue(f"unknown parameter {name!r}; known are {', '.join(_KNOWN)}")
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
