"""Who acts, and what a role or a token lets them do: one table, asked at the act itself.

A permission holds when three things agree: the user's part (administrator, or a role in
the project, looked up now and never remembered), the scopes of the token that speaks for
the user, and the projects the token is bound to.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from pyramid_pypi.errors import NotPermitted
from pyramid_pypi.models.catalog import ProjectRole, ProjectStatus, Role


class Scope(enum.StrEnum):
    """What a token may be used for."""

    UPLOAD = "upload"
    MANAGE = "manage"
    ADMIN = "admin"


class Permission(enum.StrEnum):
    """One thing that can be done."""

    PROJECT_CREATE = "project.create"
    PROJECT_UPLOAD = "project.upload"
    PROJECT_YANK = "project.yank"
    PROJECT_DELETE = "project.delete"
    PROJECT_STATUS = "project.status"
    PROJECT_ROLES = "project.roles"
    INDEX_ADMIN = "index.admin"


ROLE_PERMISSIONS = {
    Role.MAINTAINER: frozenset({Permission.PROJECT_UPLOAD, Permission.PROJECT_YANK}),
    Role.OWNER: frozenset(
        {
            Permission.PROJECT_UPLOAD,
            Permission.PROJECT_YANK,
            Permission.PROJECT_DELETE,
            Permission.PROJECT_STATUS,
            Permission.PROJECT_ROLES,
        }
    ),
}

SCOPE_PERMISSIONS = {
    Scope.UPLOAD: frozenset({Permission.PROJECT_CREATE, Permission.PROJECT_UPLOAD}),
    Scope.MANAGE: frozenset(
        {
            Permission.PROJECT_YANK,
            Permission.PROJECT_DELETE,
            Permission.PROJECT_STATUS,
            Permission.PROJECT_ROLES,
        }
    ),
    Scope.ADMIN: frozenset({Permission.INDEX_ADMIN}),
}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a user through one token, or the operator at the command line."""

    user_id: int | None
    name: str
    is_admin: bool
    scopes: frozenset[Scope]
    projects: frozenset[str] | None  # normalized names the token is bound to; None: all
    token_id: int | None = None
    token_used_at: datetime | None = None


class ProjectKey(Protocol):
    """A project, as far as permissions need to know it."""

    @property
    def id(self) -> int:
        """Return the number of its row."""

    @property
    def name(self) -> str:
        """Return its normalized name."""

    @property
    def status(self) -> ProjectStatus:
        """Return its status (PEP 792)."""


_ROLE_OF = select(ProjectRole.role).where(
    ProjectRole.project_id == bindparam("project"), ProjectRole.user_id == bindparam("user")
)

COMMAND_LINE = Actor(
    user_id=None,
    name="command line",
    is_admin=True,
    scopes=frozenset(Scope),
    projects=None,
)


def reaches(actor: Actor, permission: Permission, project: str | None = None) -> bool:
    """Tell whether the token of `actor` reaches `permission` in `project` at all.

    This is the part that needs no database; `require` asks for the rest.  `project` is
    a normalized name, or None where none is concerned.
    """
    if not any(permission in SCOPE_PERMISSIONS[scope] for scope in actor.scopes):
        return False
    return actor.projects is None or (project is not None and project in actor.projects)


def require(
    session: Session, actor: Actor, permission: Permission, project: ProjectKey | None = None
) -> None:
    """Return when `actor` may do `permission` in `project` at this moment.

    Raises:
        NotPermitted: the token does not reach so far, the user has no such role, or the
            project is quarantined, which leaves it to administrators.
    """
    if not reaches(actor, permission, project.name if project else None):
        raise NotPermitted(f"this token does not reach {permission}{_of(project)}")
    if actor.is_admin or permission is Permission.PROJECT_CREATE:
        return
    if project is None or permission not in _granted(session, actor, project):
        raise NotPermitted(f"{actor.name} has no role that allows {permission}{_of(project)}")
    # Uploads are refused by a rule of their own, which says so better.
    quarantined = project.status is ProjectStatus.QUARANTINED
    if quarantined and permission is not Permission.PROJECT_UPLOAD:
        raise NotPermitted(f"{project.name} is quarantined: only an administrator changes it")


def _granted(session: Session, actor: Actor, project: ProjectKey) -> frozenset[Permission]:
    role = session.scalar(_ROLE_OF, {"project": project.id, "user": actor.user_id})
    return ROLE_PERMISSIONS[role] if role is not None else frozenset()


def _of(project: ProjectKey | None) -> str:
    return f" in {project.name}" if project else ""
