"""The files of a project, for whoever wants neither its page nor its metadata."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, bindparam, select
from sqlalchemy.orm import Session

from pyramid_pypi.errors import NoSuchFile, NoSuchProject
from pyramid_pypi.formats.project import ProjectFile
from pyramid_pypi.models.catalog import File, Project, ProjectStatus, Release
from pyramid_pypi.models.tables import table_of
from pyramid_pypi.values.names import ProjectName

_project, _release, _file = table_of(Project), table_of(Release), table_of(File)

_PROJECT = select(_project.c.id, _project.c.status).where(_project.c.name == bindparam("name"))
_FILES = (
    select(_file, _release.c.version)
    .join(_release, _release.c.id == _file.c.release_id)
    .where(_file.c.project_id == bindparam("project"))
    .order_by(_release.c.sort_key, _file.c.filename)
)
_ONE_FILE = _FILES.where(_file.c.filename == bindparam("filename"))


def files_of(session: Session, name: ProjectName) -> list[ProjectFile]:
    """Return the files of the project `name`, oldest version first.

    A quarantined project shows none.

    Raises:
        NoSuchProject: there is none of that name.
    """
    project_id = _listed(session, name)
    rows = session.execute(_FILES, {"project": project_id})
    return [_project_file(row) for row in rows]


def file_of(session: Session, name: ProjectName, filename: str) -> ProjectFile:
    """Return one file of the project `name`.

    Raises:
        NoSuchProject: there is none of that name.
        NoSuchFile: the project has no such file, or shows none.
    """
    project_id = _listed(session, name)
    row = session.execute(_ONE_FILE, {"project": project_id, "filename": filename}).first()
    if row is None:
        raise NoSuchFile(f"{name} has no file {filename!r}")
    return _project_file(row)


def _listed(session: Session, name: ProjectName) -> int | None:
    """Return the number of the project's row, None while its files are not shown."""
    project = session.execute(_PROJECT, {"name": name}).first()
    if project is None:
        raise NoSuchProject(name)
    return None if project.status is ProjectStatus.QUARANTINED else project.id


def _project_file(row: Row[*tuple[Any, ...]]) -> ProjectFile:
    return ProjectFile(
        filename=row.filename,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        uploaded_at=row.uploaded_at,
        requires_python=row.requires_python,
        yanked=row.yanked,
        yanked_reason=row.yanked_reason,
        core_metadata_sha256=row.core_metadata_sha256,
        version=row.version,
        packagetype=row.packagetype.value,
        python_tag=row.python_tag,
        blake2b_256=row.blake2b_256,
        md5=row.md5,
        uploaded_by=row.uploaded_by,
    )
