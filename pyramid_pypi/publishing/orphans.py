"""Release files without a row: of uploads that came to nothing, and of deleted files.

They are looked for where a mark says that there may be one (`Blobs.doubt`), so this costs
the same however large the store is; `fsck` looks everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from pyramid_pypi.changes.journal import ChangeEntry
from pyramid_pypi.environment import Environment
from pyramid_pypi.models.catalog import File
from pyramid_pypi.models.journal import ChangeKind


def doubt_deleted(environment: Environment, changes: Iterable[ChangeEntry]) -> bool:
    """Mark the bytes of files that `changes` deleted for removal; return whether there are any.

    To remove them while publishing would mean to wait for uploads, and an import
    publishes while it holds off the removal of blobs.
    """
    marked = False
    for change in changes:
        if change.kind is ChangeKind.FILE_DELETED and change.filename:
            environment.blobs.doubt(str(change.details["sha256"]), change.filename)
            marked = True
    return marked


def clear(environment: Environment) -> bool:
    """Remove doubted blobs without a row; return False when uploads are under way.

    Nobody is waited for: an upload may hold the store for as long as a commit takes.

    Raises:
        sqlalchemy.exc.DBAPIError: the database is away.
    """
    blobs = environment.blobs
    if not blobs.doubted():
        return True
    try:
        with blobs.sweeping(wait=False):
            for sha256, marks in blobs.doubted().items():
                # Opened when the mark has been seen: who marks what a deletion left has
                # committed that before, and an older session would not know of it.
                with environment.database.reading() as session:
                    rows = session.scalars(select(File.filename).where(File.sha256 == sha256))
                    filenames = rows.all()
                blobs.keep_only(sha256, filenames)
                for mark in marks:
                    mark.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    return True
