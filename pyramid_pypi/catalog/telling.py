"""Telling of a change: to followers by the journal, to owners by the audit, in one call."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from pyramid_pypi.accounts import audit
from pyramid_pypi.accounts.permissions import Actor
from pyramid_pypi.changes import journal
from pyramid_pypi.models.catalog import File
from pyramid_pypi.models.journal import ChangeKind


def tell(
    session: Session,
    actor: Actor,
    kind: ChangeKind,
    *,
    at: datetime,
    project: str,
    version: str | None = None,
    release_id: int | None = None,
    filename: str | None = None,
    details: dict[str, Any] | None = None,
    grown_bytes: int = 0,
) -> None:
    """Write that `actor` changed `project`; both entries stand if the caller commits.

    Args:
        version, release_id: the release concerned, if one is.
        details: old and new values, JSON.
        grown_bytes: by how much the sum of the project's files has changed.
    """
    journal.append(
        session,
        kind,
        actor=actor.name,
        at=at,
        project=project,
        version=version,
        release_id=release_id,
        filename=filename,
        details=details,
        grown_bytes=grown_bytes,
    )
    concerned = {"version": version, "filename": filename}
    named = {key: value for key, value in concerned.items() if value is not None}
    audit.record(
        session, actor, kind.value, f"project {project}", named | (details or {}), at=at
    )


def tell_deleted(
    session: Session, actor: Actor, file: File, project: str, *, at: datetime
) -> None:
    """Write that `actor` deleted `file` of `project`; its sha256 tells which bytes go."""
    tell(
        session,
        actor,
        ChangeKind.FILE_DELETED,
        at=at,
        project=project,
        version=file.release.version,
        release_id=file.release_id,
        filename=file.filename,
        details={"sha256": file.sha256},
        grown_bytes=-file.size_bytes,
    )
