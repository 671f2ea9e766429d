"""Adding one file to the catalog: the index's most frequent write, kept short.

Statements are built once, and rows go in without the unit of work: made anew for each
upload, they cost more CPU than everything else an upload does.  The unique constraints
decide races; the statement of the loser raises IntegrityError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, literal, or_, select, union_all
from sqlalchemy.orm import Session

from pyramid_pypi.accounts.permissions import Actor, Permission, require
from pyramid_pypi.catalog.telling import tell
from pyramid_pypi.models.catalog import (
    File,
    PackageType,
    Project,
    ProjectRole,
    ProjectStatus,
    Release,
    Role,
    UsedFilename,
)
from pyramid_pypi.models.journal import ChangeKind
from pyramid_pypi.models.tables import table_of
from pyramid_pypi.values.digests import Digests
from pyramid_pypi.values.names import ProjectName, confusable, normalize

_project, _role = table_of(Project), table_of(ProjectRole)
_release, _file, _used = table_of(Release), table_of(File), table_of(UsedFilename)

_FIND_PROJECT = select(
    _project.c.id, _project.c.name, _project.c.status, _project.c.size_bytes
).where(_project.c.name == bindparam("name"))
_LOCK_PROJECT = _FIND_PROJECT.with_for_update()
_CONFUSABLE = select(_project.c.name).where(
    _project.c.confusable_name == bindparam("confusable"), _project.c.name != bindparam("name")
)
_ADD_PROJECT = insert(_project).returning(_project.c.id)
_ADD_ROLE = insert(_role)
_FIND_RELEASE = select(_release.c.id, _release.c.version, _release.c.created_at).where(
    _release.c.project_id == bindparam("project"), _release.c.version == bindparam("text")
)
_ADD_RELEASE = insert(_release).returning(_release.c.id)
_ADD_FILE = insert(_file)
_ADD_USED = insert(_used)
_HOLDERS = union_all(
    select(_file.c.filename, _file.c.sha256, literal(True).label("stands")).where(
        or_(
            _file.c.filename == bindparam("filename"),
            _file.c.filename_key == bindparam("key"),
            _file.c.sha256 == bindparam("sha256"),
        )
    ),
    select(_used.c.filename, _used.c.sha256, literal(False)).where(
        or_(_used.c.filename == bindparam("filename"), _used.c.filename_key == bindparam("key"))
    ),
)


@dataclass(frozen=True, slots=True)
class KnownProject:
    """What an upload must know of its project."""

    id: int
    name: ProjectName
    status: ProjectStatus
    size_bytes: int


@dataclass(frozen=True, slots=True)
class KnownRelease:
    """What an upload must know of its release."""

    id: int
    version: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a filename or a content: a file that stands, or one that stood once."""

    filename: str
    sha256: str
    stands: bool


@dataclass(frozen=True, slots=True)
class NewFile:
    """What the index records of a file besides its project and release."""

    filename: str
    filename_key: str
    digests: Digests
    packagetype: PackageType
    python_tag: str
    requires_python: str | None
    core_metadata_sha256: str | None


def find_project(
    session: Session, name: ProjectName, *, lock: bool = False
) -> KnownProject | None:
    """Return the project called `name`, or None; with `lock`, hold its row."""
    row = session.execute(_LOCK_PROJECT if lock else _FIND_PROJECT, {"name": name}).first()
    return KnownProject(*row) if row else None


def find_confusable(session: Session, name: ProjectName) -> str | None:
    """Return the name of the project that people would mistake for `name`, or None (U1)."""
    found: str | None = session.scalar(
        _CONFUSABLE, {"confusable": confusable(name), "name": name}
    )
    return found


def holders(
    session: Session, filename: str, filename_key: str | None, sha256: str
) -> Sequence[Holder]:
    """Return everybody who has this filename, another spelling of it, or this content."""
    wanted = {"filename": filename, "key": filename_key, "sha256": sha256}
    return [Holder(*row) for row in session.execute(_HOLDERS, wanted)]


def create_project(
    session: Session, actor: Actor, display_name: str, *, at: datetime
) -> KnownProject:
    """Make a project and give `actor` the role of owner in it; its name is checked before.

    Raises:
        NotPermitted: the token of `actor` may not make projects.
    """
    require(session, actor, Permission.PROJECT_CREATE)
    name = normalize(display_name)
    row = {
        "name": name,
        "display_name": display_name,
        "confusable_name": confusable(name),
        "created_at": at,
    }
    project_id = session.execute(_ADD_PROJECT, row).scalar_one()
    tell(session, actor, ChangeKind.PROJECT_CREATED, at=at, project=name)
    if actor.user_id is not None:
        role = {"project_id": project_id, "user_id": actor.user_id, "role": Role.OWNER}
        session.execute(_ADD_ROLE, role)
        given = {"user": actor.name, "old": None, "new": Role.OWNER.value}
        tell(session, actor, ChangeKind.ROLE_ADDED, at=at, project=name, details=given)
    return KnownProject(project_id, name, ProjectStatus.ACTIVE, 0)


def find_or_create_release(
    session: Session,
    actor: Actor,
    project: KnownProject,
    version: str,
    sort_key: str,
    core_metadata: dict[str, Any],
    *,
    at: datetime,
) -> KnownRelease:
    """Return a release of `project`, made from `core_metadata` when it is new."""
    wanted = {"project": project.id, "text": version}
    found = session.execute(_FIND_RELEASE, wanted).first()
    if found:
        return KnownRelease(*found)
    row = {
        "project_id": project.id,
        "version": version,
        "sort_key": sort_key,
        "core_metadata": {k: v for k, v in core_metadata.items() if k != "description"},
        "description": core_metadata.get("description"),
        "created_at": at,
    }
    release_id = session.execute(_ADD_RELEASE, row).scalar_one()
    kind = ChangeKind.RELEASE_CREATED
    tell(session, actor, kind, at=at, project=project.name, version=version)
    return KnownRelease(release_id, version, at)


def add_file(
    session: Session,
    actor: Actor,
    project: KnownProject,
    release: KnownRelease,
    new: NewFile,
    *,
    at: datetime,
    name_is_spent: bool,
) -> None:
    """Record a file whose bytes are in the store already.

    `name_is_spent` tells that the very file stood here once, so its name is registered.
    """
    row = {
        "project_id": project.id,
        "release_id": release.id,
        "filename": new.filename,
        "filename_key": new.filename_key,
        "sha256": new.digests.sha256,
        "blake2b_256": new.digests.blake2b_256,
        "md5": new.digests.md5,
        "size_bytes": new.digests.size_bytes,
        "packagetype": new.packagetype,
        "python_tag": new.python_tag,
        "requires_python": new.requires_python,
        "core_metadata_sha256": new.core_metadata_sha256,
        "uploaded_at": at,
        "uploaded_by": actor.name,
    }
    session.execute(_ADD_FILE, row)
    if not name_is_spent:
        kept = ("filename", "filename_key", "sha256")
        session.execute(_ADD_USED, {key: row[key] for key in kept} | {"used_at": at})
    tell(
        session,
        actor,
        ChangeKind.FILE_ADDED,
        at=at,
        project=project.name,
        version=release.version,
        release_id=release.id,
        filename=new.filename,
        details=_told(new),
        grown_bytes=new.digests.size_bytes,
    )


def _told(new: NewFile) -> dict[str, Any]:
    """Return what followers must know to show the file on its simple page themselves."""
    told = {
        "sha256": new.digests.sha256,
        "size": new.digests.size_bytes,
        "type": new.packagetype.value,
        "requires_python": new.requires_python,
        "core_metadata_sha256": new.core_metadata_sha256,
    }
    return {key: value for key, value in told.items() if value is not None}
