"""The newest files of the index: what documents that list files of all projects cover.

A window is told by the file just outside it, as its row's number: it holds every file with
a greater one.  Zero means that it holds all.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from pyramid_pypi.models.catalog import File, Project
from pyramid_pypi.models.tables import table_of
from pyramid_pypi.values.names import ProjectName

_file, _project = table_of(File), table_of(Project)

_AT_A_TIME = 5000
_OUTSIDE = select(_file.c.id).order_by(_file.c.id.desc()).offset(bindparam("most")).limit(1)
_NEWEST = select(func.coalesce(func.max(_file.c.id), 0))
_BETWEEN = (
    select(_file.c.id, _project.c.name)
    .join(_project, _project.c.id == _file.c.project_id)
    .where(_file.c.id > bindparam("after"), _file.c.id <= bindparam("until"))
    .order_by(_file.c.id)
    .limit(_AT_A_TIME)
)
_WITHIN = (
    select(_file.c.filename)
    .join(_project, _project.c.id == _file.c.project_id)
    .where(_project.c.name == bindparam("name"), _file.c.id > bindparam("outside"))
)


def outside(session: Session, most: int) -> int:
    """Return the newest file that is not among the newest `most`, 0 when there is none."""
    return session.scalar(_OUTSIDE, {"most": most}) or 0


def newest_file(session: Session) -> int:
    """Return the newest file's number, 0 when there is no file."""
    return session.scalar(_NEWEST) or 0


def names_between(session: Session, after: int, until: int) -> Iterator[ProjectName]:
    """Yield the projects of the files with numbers above `after` and up to `until`.

    In no order, and a project with many files may come more than once.
    """
    while after < until:
        rows = session.execute(_BETWEEN, {"after": after, "until": until}).all()
        yield from {ProjectName(row.name) for row in rows}
        after = rows[-1].id if rows else until


def filenames(session: Session, name: ProjectName, outside: int) -> frozenset[str]:
    """Return the files of the project `name` that the window beyond `outside` holds."""
    return frozenset(session.scalars(_WITHIN, {"name": name, "outside": outside}))
