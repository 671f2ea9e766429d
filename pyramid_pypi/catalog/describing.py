"""Rows become the value of a whole project here, from which its page, JSON and XML come."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, bindparam, select
from sqlalchemy.orm import Session

from pyramid_pypi.formats import core_metadata
from pyramid_pypi.formats.project import ProjectDocument, ProjectFile, ProjectRelease
from pyramid_pypi.models.accounts import User
from pyramid_pypi.models.catalog import File, Project, ProjectRole, Release
from pyramid_pypi.models.tables import table_of
from pyramid_pypi.values.names import ProjectName

_project, _release, _file = table_of(Project), table_of(Release), table_of(File)
_role, _user = table_of(ProjectRole), table_of(User)

_PROJECT = select(_project).where(_project.c.name == bindparam("name"))
_RELEASES = (
    select(*(column for column in _release.c if column.name != "description"))
    .where(_release.c.project_id == bindparam("project"))
    .order_by(_release.c.sort_key.desc())
)
_DESCRIPTIONS = select(_release.c.version, _release.c.description).where(
    _release.c.project_id == bindparam("project"),
    _release.c.version.in_(bindparam("versions", expanding=True)),
)
_FILES = (
    select(_file).where(_file.c.project_id == bindparam("project")).order_by(_file.c.filename)
)
_ROLES = (
    select(_user.c.name, _role.c.role)
    .join(_user, _user.c.id == _role.c.user_id)
    .where(_role.c.project_id == bindparam("project"))
)


def project_document(
    session: Session,
    name: ProjectName,
    versions: Collection[str] | None = (),
    *,
    since: int | None = None,
) -> ProjectDocument | None:
    """Return everything that is public of the project `name`, None when there is no such.

    Only the latest release, the given `versions` (None: all) and those changed after the
    serial `since` come with descriptions: all of them may be megabytes, and most
    documents show one.
    """
    project = session.execute(_PROJECT, {"name": name}).first()
    if project is None:
        return None
    wanted = {"project": project.id}
    releases = session.execute(_RELEASES, wanted).all()
    known = {release.id: release.version for release in releases}
    files: dict[int, list[ProjectFile]] = {release.id: [] for release in releases}
    for row in session.execute(_FILES, wanted):
        files[row.release_id].append(_project_file(row, known[row.release_id]))
    document = ProjectDocument(
        name=project.name,
        display_name=project.display_name,
        serial=project.serial,
        status=project.status.value,
        status_reason=project.status_reason,
        created_at=project.created_at,
        roles=tuple(sorted((r.name, r.role.value) for r in session.execute(_ROLES, wanted))),
        releases=tuple(_project_release(row, tuple(files[row.id])) for row in releases),
    )
    latest = document.latest
    described = set(versions if versions is not None else known.values())
    if since is not None:
        described |= document.changed_after(since)
    if latest is not None:
        described.add(latest.version)
    return _with_descriptions(session, project.id, document, described)


def _with_descriptions(
    session: Session, project_id: int, document: ProjectDocument, versions: Collection[str]
) -> ProjectDocument:
    wanted = {"project": project_id, "versions": list(versions)}
    found = session.execute(_DESCRIPTIONS, wanted)
    texts = {row.version: row.description for row in found}
    return replace(
        document,
        releases=tuple(
            replace(
                release, metadata=replace(release.metadata, description=texts[release.version])
            )
            if texts.get(release.version) is not None
            else release
            for release in document.releases
        ),
    )


def _project_release(
    row: Row[*tuple[Any, ...]], files: tuple[ProjectFile, ...]
) -> ProjectRelease:
    return ProjectRelease(
        version=row.version,
        serial=row.serial,
        created_at=row.created_at,
        metadata=core_metadata.from_json(row.core_metadata),
        files=files,
        yanked=bool(files) and all(file.yanked for file in files),
    )


def _project_file(row: Row[*tuple[Any, ...]], version: str) -> ProjectFile:
    return ProjectFile(
        filename=row.filename,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        uploaded_at=row.uploaded_at,
        requires_python=row.requires_python,
        yanked=row.yanked,
        yanked_reason=row.yanked_reason,
        core_metadata_sha256=row.core_metadata_sha256,
        version=version,
        packagetype=row.packagetype.value,
        python_tag=row.python_tag,
        blake2b_256=row.blake2b_256,
        md5=row.md5,
        uploaded_by=row.uploaded_by,
    )
