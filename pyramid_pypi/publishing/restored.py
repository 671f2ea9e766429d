"""A database put back from a backup, beside a tree that has come further."""

from __future__ import annotations

import logging

from pyramid_pypi.catalog import reading
from pyramid_pypi.changes import journal
from pyramid_pypi.environment import Environment
from pyramid_pypi.errors import DatabaseEmpty
from pyramid_pypi.formats.simple import serial_of
from pyramid_pypi.models.journal import ChangeKind
from pyramid_pypi.publishing import documents, pointer
from pyramid_pypi.publishing.state import State
from pyramid_pypi.publishing.turns import Turn
from pyramid_pypi.values.names import ProjectName

log = logging.getLogger(__name__)

_ACTOR = "publisher"
_RESTORED = {"reason": "restored"}


def reconcile(environment: Environment, state: State, turn: Turn) -> int:
    """Return the journal's newest serial, made one that the tree has not outrun.

    Raises:
        DatabaseEmpty: nothing was ever committed to it, so it is not the tree's.
    """
    # Before the journal, which others make longer meanwhile.
    shown = max(state.published(), pointer.standing(environment.tree).serial)
    newest = _newest(environment)
    if shown > newest:
        with turn.taken():
            _outrun(environment, shown)
        newest = _newest(environment)
    return newest


def _outrun(environment: Environment, shown: int) -> None:
    """Have the journal go on beyond the serial `shown` of the tree, if it ends before.

    No serial is given twice then, and no project's goes back: a project whose page tells
    another serial than its row changes once more, and one without a row is deleted.  To
    publish these changes is all that the tree needs.
    """
    at = environment.clock()
    with environment.database.writing() as session:
        newest = journal.newest(session)
        if newest >= shown:
            return  # another process was faster
        if newest == 0:
            raise DatabaseEmpty(f"the tree shows serial {shown}")
        journal.jump(session, shown, actor=_ACTOR, at=at)
        known = reading.every_serial(session)
        for name in sorted({*known, *map(ProjectName, environment.tree.names("simple"))}):
            if name not in known:
                kind = ChangeKind.PROJECT_DELETED
            elif _shown(environment, name) != known[name]:
                kind = ChangeKind.METADATA_CHANGED
            else:
                continue
            journal.append(session, kind, actor=_ACTOR, at=at, project=name, details=_RESTORED)
    log.warning(
        "the tree shows serial %d, the journal ended at %d: an older database was put back; "
        "the journal goes on beyond, and the tree follows the database",
        shown,
        newest,
    )


def _shown(environment: Environment, name: ProjectName) -> int | None:
    _, path = documents.simple_paths(name)
    content = environment.tree.read(path)
    return serial_of(content) if content else None


def _newest(environment: Environment) -> int:
    with environment.database.reading() as session:
        return journal.newest(session)
