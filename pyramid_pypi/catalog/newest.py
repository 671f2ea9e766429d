"""The newest of the catalog, for feeds: rows by their numbers, which are given in order.

Nothing that is quarantined or deleted shows.  Of the metadata only the summary is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from pyramid_pypi.errors import NoSuchProject
from pyramid_pypi.models.catalog import Project, ProjectStatus, Release
from pyramid_pypi.models.tables import table_of
from pyramid_pypi.values.names import ProjectName

_project, _release = table_of(Project), table_of(Release)
_summary = _release.c.core_metadata["summary"].as_string()
_SHOWN = _project.c.status != ProjectStatus.QUARANTINED

_RELEASES = (
    select(_project.c.name, _release.c.version, _summary, _release.c.created_at)
    .join(_project, _project.c.id == _release.c.project_id)
    .where(_SHOWN)
    .order_by(_release.c.id.desc())
    .limit(bindparam("most"))
)
_OF_PROJECT = _RELEASES.where(_release.c.project_id == bindparam("project"))
_NEWEST_SUMMARY = (
    select(_summary)
    .where(_release.c.project_id == _project.c.id)
    .order_by(_release.c.id.desc())
    .limit(1)
    .scalar_subquery()
)
_PROJECTS = (
    select(_project.c.name, _NEWEST_SUMMARY, _project.c.created_at)
    .where(_SHOWN)
    .order_by(_project.c.id.desc())
    .limit(bindparam("most"))
)
_FIND = select(_project.c.id).where(_project.c.name == bindparam("name"))


@dataclass(frozen=True, slots=True)
class News:
    """A new project, or with `version` a new release; `at` is when it was made."""

    project: str
    version: str | None
    summary: str
    at: datetime


def releases(session: Session, most: int) -> list[News]:
    """Return the newest releases of all projects, at most `most`, newest first."""
    return _releases(session, _RELEASES, {"most": most})


def releases_of(session: Session, name: ProjectName, most: int) -> list[News]:
    """Return the newest releases of the project `name`; none while it is quarantined.

    Raises:
        NoSuchProject: there is none of that name.
    """
    project_id = session.scalar(_FIND, {"name": name})
    if project_id is None:
        raise NoSuchProject(name)
    return _releases(session, _OF_PROJECT, {"most": most, "project": project_id})


def projects(session: Session, most: int) -> list[News]:
    """Return the newest projects, at most `most`, newest first."""
    rows = session.execute(_PROJECTS, {"most": most})
    return [News(name, None, summary or "", at) for name, summary, at in rows]


def _releases(
    session: Session, query: Select[*tuple[Any, ...]], values: dict[str, int]
) -> list[News]:
    rows = session.execute(query, values)
    return [News(name, version, summary or "", at) for name, version, summary, at in rows]
