"""The journal: every change gets a serial, and serial order is commit order.

A number taken earlier than the commit (a sequence, an autoincrement) lets a follower see
serial 7 before 6 has committed, and miss 6 for ever.  So changes wait in the session, and
are numbered as the last statements of the transaction, under a lock that lasts until its
end: on PostgreSQL an advisory lock, on SQLite the write lock it already holds.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, event, func, insert, select, text, update
from sqlalchemy.orm import Session

from pyramid_pypi.models.catalog import Project, Release
from pyramid_pypi.models.journal import Change, ChangeKind
from pyramid_pypi.models.tables import table_of

log = logging.getLogger(__name__)

_WAITING = "journal.waiting"
_COMMITTED = "journal.committed"
_BEYOND = "journal.beyond"
_LOCK = text("SELECT pg_advisory_xact_lock(1887007849)")  # any number, the journal's own

_change, _project, _release = table_of(Change), table_of(Project), table_of(Release)
_NEWEST = select(func.coalesce(func.max(_change.c.serial), 0))
_SINCE = (
    select(
        _change.c.serial,
        _change.c.at,
        _change.c.kind,
        _change.c.project,
        _change.c.version,
        _change.c.filename,
        _change.c.actor,
        _change.c.details,
    )
    .where(_change.c.serial > bindparam("after"))
    .order_by(_change.c.serial)
    .limit(bindparam("most"))
)
_SERIALS = (
    select(_change.c.serial)
    .where(_change.c.serial > bindparam("after"))
    .order_by(_change.c.serial)
    .limit(bindparam("most"))
)
_UNREADABLE: dict[str, Any] = {
    "at": datetime(1970, 1, 1, tzinfo=UTC),
    "kind": ChangeKind.METADATA_CHANGED,
    "actor": "",
    "details": {},
}
_ADD = insert(_change)
_COLUMNS = frozenset(_change.c.keys())
_STAMP_PROJECT = (
    update(_project)
    .where(_project.c.name == bindparam("project_name"))
    .values(
        serial=bindparam("newest"), size_bytes=_project.c.size_bytes + bindparam("grown_bytes")
    )
)
_STAMP_RELEASE = (
    update(_release)
    .where(_release.c.id == bindparam("release_id"))
    .values(serial=bindparam("newest"))
)


@dataclass(frozen=True, slots=True)
class ChangeEntry:
    """One change, as feeds and the publisher read it."""

    serial: int
    at: datetime
    kind: ChangeKind
    project: str | None
    version: str | None
    filename: str | None
    actor: str
    details: dict[str, Any]


def append(
    session: Session,
    kind: ChangeKind,
    *,
    actor: str,
    at: datetime,
    project: str | None = None,
    version: str | None = None,
    release_id: int | None = None,
    filename: str | None = None,
    details: dict[str, Any] | None = None,
    grown_bytes: int = 0,
) -> None:
    """Tell that something changed; the change is numbered when `session` commits.

    Then the project and the release `release_id` get its serial, and the project's size
    grows by `grown_bytes`, in the statement that has to write its row in any case.
    """
    session.info.setdefault(_WAITING, []).append(
        {
            "at": at,
            "kind": kind,
            "project": project,
            "version": version,
            "filename": filename,
            "actor": actor,
            "details": details or {},
            "release_id": release_id,
            "grown_bytes": grown_bytes,
        }
    )


def jump(session: Session, beyond: int, *, actor: str, at: datetime) -> None:
    """Have the changes of `session` numbered after the serial `beyond`, this one first.

    For a database put back from a backup: what was told of serials since then has been
    read by others, who would take the same numbers for the same changes.
    """
    session.info[_BEYOND] = beyond
    details = {"reason": "restored"}
    append(session, ChangeKind.METADATA_CHANGED, actor=actor, at=at, details=details)


def waiting_bytes(session: Session, project: str) -> int:
    """Return by how much the changes that wait for the commit grow `project`."""
    waiting = session.info.get(_WAITING, ())
    return sum(change["grown_bytes"] for change in waiting if change["project"] == project)


def since(session: Session, serial: int, limit: int) -> list[ChangeEntry]:
    """Return at most `limit` changes after `serial`, in order.

    Of a row that cannot be read that is told which can; those after it have to be heard.
    """
    wanted = {"after": serial, "most": limit}
    try:
        return [ChangeEntry(*row) for row in session.execute(_SINCE, wanted)]
    except (ValueError, LookupError, RecursionError):
        serials = session.scalars(_SERIALS, wanted).all()
        return [_entry(session, each) for each in serials]


def _entry(session: Session, serial: int) -> ChangeEntry:
    """Return the change `serial`, column by column; what cannot be read is left out."""
    told: dict[str, Any] = {}
    for name in ChangeEntry.__slots__:
        try:
            query = select(_change.c[name]).where(_change.c.serial == serial)
            told[name] = session.scalar(query)
        except (ValueError, LookupError, RecursionError) as error:
            log.warning("change %d: its %s cannot be read: %s", serial, name, error)
            told[name] = _UNREADABLE.get(name)
    return ChangeEntry(**told)


def newest(session: Session) -> int:
    """Return the serial of the newest change, 0 when there is none."""
    return session.scalar(_NEWEST) or 0


def instant_of(session: Session, serial: int) -> datetime | None:
    """Return the instant of the change `serial`, None when there is no such."""
    found = since(session, serial - 1, 1)
    return found[0].at if found and found[0].serial == serial else None


def committed_serial(session: Session) -> int | None:
    """Return the last serial that `session` committed, None when it changed nothing."""
    serial = session.info.get(_COMMITTED)
    return serial if isinstance(serial, int) else None


@event.listens_for(Session, "before_commit")
def _number(session: Session) -> None:
    waiting = session.info.pop(_WAITING, None)
    if not waiting:
        return
    session.flush()
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_LOCK)
    first = max(newest(session), session.info.pop(_BEYOND, 0)) + 1
    for serial, change in enumerate(waiting, first):
        change["serial"] = serial
    session.execute(_ADD, [{k: v for k, v in c.items() if k in _COLUMNS} for c in waiting])
    _stamp(session, waiting)
    session.info[_COMMITTED] = first + len(waiting) - 1


def _stamp(session: Session, numbered: list[dict[str, Any]]) -> None:
    """Give each project and release the serial of its newest change."""
    projects: dict[str, dict[str, Any]] = {}
    for change in numbered:
        if name := change["project"]:
            grown = projects.get(name, {"grown_bytes": 0})["grown_bytes"]
            projects[name] = {
                "project_name": name,
                "newest": change["serial"],
                "grown_bytes": grown + change["grown_bytes"],
            }
    for stamp in projects.values():
        session.execute(_STAMP_PROJECT, stamp)
    releases = {c["release_id"]: c["serial"] for c in numbered if c["release_id"]}
    for release_id, serial in releases.items():
        session.execute(_STAMP_RELEASE, {"release_id": release_id, "newest": serial})


@event.listens_for(Session, "after_rollback")
def _forget(session: Session) -> None:
    for key in (_WAITING, _COMMITTED, _BEYOND):
        session.info.pop(key, None)
