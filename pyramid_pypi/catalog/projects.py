"""Projects: finding, making, setting the status of, and deleting them; who has a role."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from pyramid_pypi.accounts import users
from pyramid_pypi.accounts.permissions import Actor, Permission, require
from pyramid_pypi.catalog.telling import tell, tell_deleted
from pyramid_pypi.errors import LastOwner, NoSuchProject
from pyramid_pypi.models.catalog import File, Project, ProjectRole, ProjectStatus, Role
from pyramid_pypi.models.journal import ChangeKind
from pyramid_pypi.values.names import ProjectName
from pyramid_pypi.values.text import plain_line


def find(session: Session, name: ProjectName) -> Project | None:
    """Return the project called `name`, or None."""
    return session.scalar(select(Project).where(Project.name == name))


def get(session: Session, name: ProjectName, *, lock: bool = False) -> Project:
    """Return the project called `name`.

    With `lock`, the row is held until the transaction ends.  Whoever changes a project
    takes it first, so that nobody holds the journal's lock while waiting for a row.

    Raises:
        NoSuchProject: there is none.
    """
    query = select(Project).where(Project.name == name)
    if lock:
        # What this session knew of the row before it waited may be old.
        query = query.with_for_update().execution_options(populate_existing=True)
    project = session.scalar(query)
    if project is None:
        raise NoSuchProject(name)
    return project


def set_status(
    session: Session,
    actor: Actor,
    name: ProjectName,
    status: ProjectStatus,
    reason: str = "",
    *,
    at: datetime,
) -> Project:
    """Set the status of a project (PEP 792), with a reason that pages show.

    Raises:
        NoSuchProject, NotPermitted.
        BadValue: the reason is longer than 1,000 characters or no plain line.
        NotPermitted: only an administrator sets or lifts the quarantine.
    """
    project = get(session, name, lock=True)
    require(session, actor, Permission.PROJECT_STATUS, project)
    if ProjectStatus.QUARANTINED in {status, project.status}:
        require(session, actor, Permission.INDEX_ADMIN)
    reason = plain_line(reason, "reason")
    if (project.status, project.status_reason) == (status, reason):
        return project
    change = {"old": project.status.value, "new": status.value, "reason": reason}
    project.status, project.status_reason = status, reason
    kind = ChangeKind.PROJECT_STATUS
    tell(session, actor, kind, at=at, project=name, details=change)
    return project


def delete(session: Session, actor: Actor, name: ProjectName, *, at: datetime) -> None:
    """Delete a project with its releases and files; its filenames stay taken for ever.

    Raises:
        NoSuchProject, NotPermitted.
    """
    project = get(session, name, lock=True)
    require(session, actor, Permission.PROJECT_DELETE, project)
    query = select(File).where(File.project_id == project.id)
    gone = session.scalars(query.options(joinedload(File.release))).all()
    for file in gone:
        tell_deleted(session, actor, file, name, at=at)
    details = {"files": len(gone)}
    tell(session, actor, ChangeKind.PROJECT_DELETED, at=at, project=name, details=details)
    session.delete(project)


def roles(session: Session, project: Project) -> Sequence[ProjectRole]:
    """Return the roles in `project`, their users loaded, by user name."""
    query = (
        select(ProjectRole)
        .join(ProjectRole.user)
        .options(joinedload(ProjectRole.user))
        .where(ProjectRole.project_id == project.id)
    )
    return sorted(session.scalars(query), key=lambda row: row.user.name)


def set_role(
    session: Session,
    actor: Actor,
    name: ProjectName,
    user_name: str,
    role: Role,
    *,
    at: datetime,
) -> None:
    """Give `user_name` the `role` in a project, in place of any other.

    Raises:
        NoSuchProject, NoSuchUser, NotPermitted.
        LastOwner: the only owner would become something less.
    """
    project = get(session, name, lock=True)
    require(session, actor, Permission.PROJECT_ROLES, project)
    user = users.get(session, user_name)
    row = session.get(ProjectRole, (project.id, user.id))
    old = row.role if row else None
    if old is role:
        return
    if old is Role.OWNER:
        _keep_an_owner(session, project)
    if row is None:
        session.add(ProjectRole(project_id=project.id, user_id=user.id, role=role))
    else:
        row.role = role
    _tell_role(session, actor, project, user_name, old, role, at=at)


def remove_role(
    session: Session, actor: Actor, name: ProjectName, user_name: str, *, at: datetime
) -> None:
    """Take from `user_name` any role in a project; nothing happens where there is none.

    Raises:
        NoSuchProject, NoSuchUser, NotPermitted.
        LastOwner: the project would be left without an owner.
    """
    project = get(session, name, lock=True)
    require(session, actor, Permission.PROJECT_ROLES, project)
    user = users.get(session, user_name)
    row = session.get(ProjectRole, (project.id, user.id))
    if row is None:
        return
    if row.role is Role.OWNER:
        _keep_an_owner(session, project)
    session.delete(row)
    _tell_role(session, actor, project, user_name, row.role, None, at=at)


def _keep_an_owner(session: Session, project: Project) -> None:
    owners = session.scalar(
        select(func.count()).where(
            ProjectRole.project_id == project.id, ProjectRole.role == Role.OWNER
        )
    )
    if owners is not None and owners <= 1:
        raise LastOwner(project.name)


def _tell_role(
    session: Session,
    actor: Actor,
    project: Project,
    user_name: str,
    old: Role | None,
    new: Role | None,
    *,
    at: datetime,
) -> None:
    details = {"user": user_name, "old": old and old.value, "new": new and new.value}
    kind = ChangeKind.ROLE_ADDED if new else ChangeKind.ROLE_REMOVED
    tell(session, actor, kind, at=at, project=project.name, details=details)
