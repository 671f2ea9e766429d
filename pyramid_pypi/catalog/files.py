"""Files of releases: finding, yanking and deleting them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pyramid_pypi.accounts.permissions import Actor, Permission, require
from pyramid_pypi.catalog import projects
from pyramid_pypi.catalog.telling import tell, tell_deleted
from pyramid_pypi.errors import NoSuchFile
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
        tell(
            session,
            actor,
            kind,
            at=at,
            project=file.project.name,
            version=file.release.version,
            release_id=file.release_id,
            filename=file.filename,
            details={"reason": text} if text else {},
        )


def delete(
    session: Session, actor: Actor, project: ProjectName, filename: str, *, at: datetime
) -> None:
    """Delete a file.  Its name stays taken: other bytes never get it (U4).

    Raises:
        NoSuchProject, NoSuchFile, NotPermitted.
    """
    file = _locked(session, actor, project, filename, Permission.PROJECT_DELETE)
    tell_deleted(session, actor, file, project, at=at)
    release = file.release
    session.delete(file)
    session.flush()
    left = session.scalar(select(func.count()).where(File.release_id == release.id))
    if not left:
        kind = ChangeKind.RELEASE_DELETED
        tell(session, actor, kind, at=at, project=project, version=release.version)
        session.delete(release)


def _locked(
    session: Session,
    actor: Actor,
    project_name: ProjectName,
    filename: str,
    permission: Permission = Permission.PROJECT_YANK,
) -> File:
    project = projects.get(session, project_name, lock=True)
    require(session, actor, permission, project)
    file = find(session, project_name, filename)
    if file is None:
        raise NoSuchFile(f"{project_name} has no file {filename!r}")
    return file
