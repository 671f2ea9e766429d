"""Which documents a change touches: project → versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyramid_pypi.changes import journal
from pyramid_pypi.changes.journal import ChangeEntry
from pyramid_pypi.models.database import Database
from pyramid_pypi.models.journal import ChangeKind
from pyramid_pypi.values.names import ProjectName, is_normalized

EVERY = "*"
"""In place of a version: every release has changed.  No version is spelled so."""

_AT_A_TIME = 1000
# Quarantine hides the documents of all releases; a restored project may differ anywhere.
_OF_ALL_RELEASES = {ChangeKind.PROJECT_STATUS, ChangeKind.METADATA_CHANGED}


def by_project(changes: Iterable[ChangeEntry]) -> dict[ProjectName, set[str]]:
    """Return the versions that `changes` touch, by project.

    What is no project's name has no documents: it might lead out of the tree.
    """
    found: dict[ProjectName, set[str]] = {}
    for change in changes:
        if change.project is not None and is_normalized(change.project):
            versions = found.setdefault(ProjectName(change.project), set())
            if change.version is not None:
                versions.add(change.version)
            elif change.kind in _OF_ALL_RELEASES:
                versions.add(EVERY)
    return found


def between(
    database: Database, after: int, until: int
) -> Iterator[tuple[ProjectName, set[str]]]:
    """Yield what changes after the serial `after` and up to `until` touch.

    A project that changed often may come more than once.
    """
    while after < until:
        with database.reading() as session:
            changes = journal.since(session, after, _AT_A_TIME)
        if not changes:
            return
        yield from by_project(changes).items()
        after = changes[-1].serial
