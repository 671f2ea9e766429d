"""Rows become the values of the Simple API here; documents are made of values alone."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from operator import itemgetter
from threading import Lock
from typing import Any

from sqlalchemy import Row, bindparam, select
from sqlalchemy.orm import Session

from pyramid_pypi.formats.pages import HomeDocument, NewFile
from pyramid_pypi.formats.simple import SimpleFile, SimpleList, SimplePage
from pyramid_pypi.models.catalog import File, Project, ProjectStatus, Release
from pyramid_pypi.models.tables import table_of
from pyramid_pypi.values.names import ProjectName, is_normalized

log = logging.getLogger(__name__)

_project, _release, _file = table_of(Project), table_of(Release), table_of(File)

# Projects of fewer files are read whole, in one statement; larger ones by what is new.
_SMALL_FILES = 64
_MOST_BY_ID = 500
_PAGES_AT_A_TIME = 500

_FIND = select(
    _project.c.id, _project.c.serial, _project.c.status, _project.c.status_reason
).where(_project.c.name == bindparam("name"))
_SIMPLE_FILES = select(
    _file.c.id,
    _file.c.revision,
    _release.c.version,
    _file.c.filename,
    _file.c.sha256,
    _file.c.size_bytes,
    _file.c.uploaded_at,
    _file.c.requires_python,
    _file.c.yanked,
    _file.c.yanked_reason,
    _file.c.core_metadata_sha256,
).join(_release, _release.c.id == _file.c.release_id)
_OF_PROJECT = _file.c.project_id == bindparam("project")
_IN_ORDER = (_release.c.sort_key, _file.c.filename)
_FIRST_FILES = _SIMPLE_FILES.where(_OF_PROJECT).order_by(*_IN_ORDER).limit(_SMALL_FILES + 1)
_ALL_FILES = _SIMPLE_FILES.where(_OF_PROJECT)
_SOME_FILES = _SIMPLE_FILES.where(_file.c.id.in_(bindparam("ids", expanding=True)))
_LISTED = (
    select(_project.c.name, _project.c.serial)
    .where(_project.c.status != ProjectStatus.QUARANTINED)
    .order_by(_project.c.name)
)
_KEYS = (
    select(_file.c.id, _file.c.revision, _release.c.version)
    .join(_release, _release.c.id == _file.c.release_id)
    .where(_OF_PROJECT)
    .order_by(*_IN_ORDER)
)
_NEXT_PROJECTS = (
    select(_project.c.id, _project.c.name, _project.c.serial)
    .add_columns(_project.c.status, _project.c.status_reason)
    .where(_project.c.name > bindparam("after"))
    .order_by(_project.c.name)
    .limit(_PAGES_AT_A_TIME)
)
_THEIR_FILES = (
    _SIMPLE_FILES.add_columns(_file.c.project_id)
    .where(_file.c.project_id.in_(bindparam("projects", expanding=True)))
    .order_by(_file.c.project_id, *_IN_ORDER)
)


class SimpleReader:
    """Reads simple pages, and remembers files from one page of a project to the next.

    A file is remembered under its row and the revision of its row, so what is remembered
    is never wrong; its rendered fragments ride along.  That is what makes one more file
    in a project of thousands cheap.  At most `most_files` are kept, some 2 kB each; those
    that nobody used for longest go first.
    """

    def __init__(self, most_files: int = 10_000) -> None:
        self._most = most_files
        self._files: OrderedDict[tuple[int, int], SimpleFile] = OrderedDict()
        self._lock = Lock()

    def page(self, session: Session, name: ProjectName) -> SimplePage | None:
        """Return the simple page of the project `name`, None when there is no such."""
        project = session.execute(_FIND, {"name": name}).first()
        if project is None:
            return None
        rows = session.execute(_FIRST_FILES, {"project": project.id}).all()
        if len(rows) <= _SMALL_FILES:
            versions = [row.version for row in rows]
            files = [_simple_file(row) for row in rows]
        else:
            versions, files = self._many(session, project.id)
        return SimplePage(
            name=name,
            serial=project.serial,
            status=project.status.value,
            status_reason=project.status_reason,
            # No release is without files, and rows come in the order of versions.
            versions=tuple(dict.fromkeys(versions)),
            files=tuple(files),
        )

    def _many(self, session: Session, project_id: int) -> tuple[list[str], list[SimpleFile]]:
        rows = session.execute(_KEYS, {"project": project_id}).all()
        keys = [(row.id, row.revision) for row in rows]
        with self._lock:
            known = {key: self._files[key] for key in keys if key in self._files}
        missing = [file_id for file_id, revision in keys if (file_id, revision) not in known]
        if missing:
            few = len(missing) <= _MOST_BY_ID
            found = session.execute(
                _SOME_FILES if few else _ALL_FILES,
                {"ids": missing} if few else {"project": project_id},
            )
            known |= {(row.id, row.revision): _simple_file(row) for row in found}
        self._remember(keys, known)
        return [row.version for row in rows], [known[key] for key in keys]

    def _remember(
        self, used: list[tuple[int, int]], known: dict[tuple[int, int], SimpleFile]
    ) -> None:
        with self._lock:
            for key in used:
                self._files[key] = known[key]
                self._files.move_to_end(key)
            while len(self._files) > self._most:
                self._files.popitem(last=False)


def _simple_file(row: Sequence[Any]) -> SimpleFile:
    _, _, _, filename, sha256, size, uploaded_at, python, yanked, reason, metadata = row
    return SimpleFile(
        filename=filename,
        sha256=sha256,
        size_bytes=size,
        uploaded_at=uploaded_at,
        requires_python=python,
        yanked=yanked,
        yanked_reason=reason,
        core_metadata_sha256=metadata,
    )


def every_page(session: Session) -> Iterator[SimplePage]:
    """Yield the simple page of every project, in order of names, many read at a time."""
    after = ""
    while projects := session.execute(_NEXT_PROJECTS, {"after": after}).all():
        found: dict[int, list[Row[*tuple[Any, ...]]]] = {row.id: [] for row in projects}
        for row in session.execute(_THEIR_FILES, {"projects": list(found)}):
            found[row[-1]].append(row)
        for project_id, name, serial, status, reason in projects:
            rows = found[project_id]
            yield SimplePage(
                name=name,
                serial=serial,
                status=status.value,
                status_reason=reason,
                versions=tuple(dict.fromkeys(row[2] for row in rows)),
                files=tuple(_simple_file(row[:-1]) for row in rows),
            )
        after = projects[-1].name


def simple_list(session: Session) -> SimpleList:
    """Return every project that installers may see, in order of its name.

    Quarantined projects are left out (PEP 792).  The list's serial is the newest of its
    projects', so it never exceeds theirs.
    """
    # Some at a time: there may be a million.
    rows = session.execute(_LISTED.execution_options(yield_per=10_000))
    projects = tuple((name, serial) for name, serial in rows)
    return SimpleList(serial=max(map(itemgetter(1), projects), default=0), projects=projects)


def serial_of(session: Session, name: ProjectName) -> int | None:
    """Return the serial of the newest change of `name`, None when there is no such."""
    return session.scalar(select(Project.serial).where(Project.name == name))


def every_name(session: Session) -> list[ProjectName]:
    """Return the name of every project, quarantined ones too, in order.

    Without what is no name, which no document can be called by; `fsck` tells of it.
    """
    names = session.scalars(select(Project.name).order_by(Project.name))
    return [ProjectName(name) for name in names if is_normalized(name)]


def every_serial(session: Session) -> dict[ProjectName, int]:
    """Return the serial of every project's newest change, quarantined ones too."""
    rows = session.execute(select(Project.name, Project.serial))
    return {ProjectName(row.name): row.serial for row in rows}


def home_document(session: Session, listed: SimpleList, *, newest: int = 20) -> HomeDocument:
    """Return what the home page tells: how many projects, and the `newest` files.

    None of them where one cannot be read: all lists wait for this page.
    """
    query = (
        select(Project.name, Release.version, File.filename, File.uploaded_at)
        .join(Project, Project.id == File.project_id)
        .join(Release, Release.id == File.release_id)
        .where(Project.status != ProjectStatus.QUARANTINED)
        .order_by(File.uploaded_at.desc(), File.id.desc())
        .limit(newest)
    )
    try:
        rows = session.execute(query).all()
    except ValueError as error:
        log.warning("the home page goes without files: %s", error)
        rows = []
    return HomeDocument(
        serial=listed.serial,
        project_count=len(listed.projects),
        newest=tuple(
            NewFile(
                project=row.name,
                version=row.version,
                filename=row.filename,
                uploaded_at=row.uploaded_at,
            )
            for row in rows
        ),
    )
