"""Releases: finding, yanking and deleting a version with all its files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from packaging.version import Version
from sqlalchemy import select
from sqlalchemy.orm import Session

from pyramid_pypi.accounts.permissions import Actor, Permission, require
from pyramid_pypi.catalog import files, projects
from pyramid_pypi.catalog.telling import tell, tell_deleted
from pyramid_pypi.errors import BadValue, NoSuchRelease
from pyramid_pypi.models.catalog import File, Project, Release
from pyramid_pypi.models.journal import ChangeKind
from pyramid_pypi.values.names import ProjectName


def find(session: Session, project: Project, version: Version) -> Release | None:
    """Return the release `version` of `project`, or None."""
    return session.scalar(
        select(Release).where(Release.project_id == project.id, Release.version == str(version))
    )


def yank(
    session: Session,
    actor: Actor,
    project: ProjectName,
    version: str,
    reason: str = "",
    *,
    at: datetime,
) -> None:
    """Yank every file of a release (PEP 592).

    Raises:
        NoSuchProject, NoSuchRelease, NotPermitted, BadValue.
    """
    _, release = _locked(session, actor, project, version, Permission.PROJECT_YANK)
    files.set_yanked(session, actor, _files(session, release), reason, at=at)


def unyank(
    session: Session, actor: Actor, project: ProjectName, version: str, *, at: datetime
) -> None:
    """Take back the yank of every file of a release.

    Raises:
        NoSuchProject, NoSuchRelease, NotPermitted, BadValue.
    """
    _, release = _locked(session, actor, project, version, Permission.PROJECT_YANK)
    files.set_yanked(session, actor, _files(session, release), None, at=at)


def delete(
    session: Session, actor: Actor, project: ProjectName, version: str, *, at: datetime
) -> None:
    """Delete a release with its files; their names stay taken.

    Raises:
        NoSuchProject, NoSuchRelease, NotPermitted, BadValue.
    """
    owner, release = _locked(session, actor, project, version, Permission.PROJECT_DELETE)
    for file in _files(session, release):
        tell_deleted(session, actor, file, owner.name, at=at)
    kind = ChangeKind.RELEASE_DELETED
    tell(session, actor, kind, at=at, project=owner.name, version=release.version)
    session.delete(release)


def _locked(
    session: Session, actor: Actor, name: ProjectName, version: str, permission: Permission
) -> tuple[Project, Release]:
    project = projects.get(session, name, lock=True)
    require(session, actor, permission, project)
    try:
        wanted = Version(version)
    except ValueError as error:  # InvalidVersion, or more digits than Python reads
        raise BadValue(f"version {version[:100]!r}") from error
    release = find(session, project, wanted)
    if release is None:
        raise NoSuchRelease(f"{name} has no release {wanted}")
    return project, release


def _files(session: Session, release: Release) -> Sequence[File]:
    return session.scalars(
        select(File).where(File.release_id == release.id).order_by(File.filename)
    ).all()
