"""Files of releases: finding, yanking and deleting them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pyramid_pypi.accounts import audit
from pyramid_pypi.accounts.permissions import Actor, Permission, require
from pyramid_pypi.changes import journal
from pyramid_pypi.errors import NoSuchFile, NoSuchProject
from pyramid_pypi.models.catalog import File, Project
from pyramid_pypi.models.journal import ChangeKind
from pyramid_pypi.values.names import ProjectName
from pyramid_pypi.values.text import plain_line


def find(session: Session, project: ProjectName, filename: str) -> File | None:
    """Return the file called `filename` of `project`, or None."""
    if not (filename.isascii() and filename.isprintable()):
        return None  # every filename is; nor may PostgreSQL be asked for a text with NUL
    return session.scalar(
        select(File)
        .join(File.project)
        .where(Project.name == project, File.filename == filename)
    )


def yank(
    session: Session,
    actor: Actor,
    project: ProjectName,
    filename: str,
    reason: str = "",
    *,
    at: datetime,
) -> None:
    """Hide a file from resolvers that have a choice (PEP 592); it stays fetchable.

    Yanking again replaces the reason.

    Raises:
        NoSuchProject, NoSuchFile, NotPermitted, BadValue (the reason).
    """
    set_yanked(session, actor, [_locked(session, actor, project, filename)], reason, at=at)


def unyank(
    session: Session, actor: Actor, project: ProjectName, filename: str, *, at: datetime
) -> None:
    """Take back a yank.

    Raises:
        NoSuchProject, NoSuchFile, NotPermitted.
    """
    set_yanked(session, actor, [_locked(session, actor, project, filename)], None, at=at)


def set_yanked(
    session: Session, actor: Actor, chosen: Iterable[File], reason: str | None, *, at: datetime
) -> None:
    """Yank the `chosen` files for `reason`, or unyank them when it is None.

    Permission is the caller's to require, on the locked project.
    """
    yanked, text = reason is not None, plain_line(reason or "", "reason")
    kind = ChangeKind.FILE_YANKED if yanked else ChangeKind.FILE_UNYANKED
    for file in chosen:
        if (file.yanked, file.yanked_reason) == (yanked, text):
            continue
        file.yanked, file.yanked_reason = yanked, text
        file.revision += 1
        details = {"reason": text} if text else {}
        _tell(session, actor, kind, file, file.project.name, file.release.version, details, at)


def delete(
    session: Session, actor: Actor, project: ProjectName, filename: str, *, at: datetime
) -> None:
    """Delete a file.  Its name stays taken: other bytes never get it (U4).

    Raises:
        NoSuchProject, NoSuchFile, NotPermitted.
    """
    file = _locked(session, actor, project, filename, Permission.PROJECT_DELETE)
    tell_deleted(session, actor, file, project, at=at)
    file.project.size_bytes -= file.size_bytes
    release = file.release
    session.delete(file)
    session.flush()
    left = session.scalar(select(func.count()).where(File.release_id == release.id))
    if not left:
        journal.append(
            session,
            ChangeKind.RELEASE_DELETED,
            actor=actor.name,
            at=at,
            project=project,
            version=release.version,
        )
        session.delete(release)


def tell_deleted(
    session: Session, actor: Actor, file: File, project: str, *, at: datetime
) -> None:
    """Write in the journal and the audit that `file` is deleted."""
    details = {"sha256": file.sha256}
    _tell(
        session,
        actor,
        ChangeKind.FILE_DELETED,
        file,
        project,
        file.release.version,
        details,
        at,
    )


def _locked(
    session: Session,
    actor: Actor,
    project_name: ProjectName,
    filename: str,
    permission: Permission = Permission.PROJECT_YANK,
) -> File:
    project = session.scalar(
        select(Project).where(Project.name == project_name).with_for_update()
    )
    if project is None:
        raise NoSuchProject(project_name)
    require(session, actor, permission, project)
    file = find(session, project_name, filename)
    if file is None:
        raise NoSuchFile(f"{project_name} has no file {filename!r}")
    return file


def _tell(
    session: Session,
    actor: Actor,
    kind: ChangeKind,
    file: File,
    project: str,
    version: str,
    details: dict[str, Any],
    at: datetime,
) -> None:
    journal.append(
        session,
        kind,
        actor=actor.name,
        at=at,
        project=project,
        version=version,
        filename=file.filename,
        details=details,
    )
    audit.record(
        session,
        actor,
        kind.value,
        f"project {project}",
        {"filename": file.filename} | details,
        at=at,
    )
