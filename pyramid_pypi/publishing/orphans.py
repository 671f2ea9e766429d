"""Release files without a row: of uploads that came to nothing, and of deleted files.

They are looked for where a mark says that there may be one (`Blobs.doubt`), so this costs
the same however large the store is; `fsck` looks everywhere.

Bytes of deleted files stay for `files.keep_deleted_s`, as superseded documents do: the
pointer still leads there for a moment, createrepo's documents for longer, and a mirror
copies what the pointer named when it began.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

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
            sha256 = str(change.details["sha256"])
            environment.blobs.doubt_deleted(sha256, change.filename, change.at)
            marked = True
    return marked


def clear(environment: Environment) -> bool:
    """Remove doubted blobs without a row; return False when uploads are under way.

    Where there is no room for the largest file, also those that would stay for a while.
    Nobody is waited for: an upload may hold the store for as long as a commit takes.

    Raises:
        sqlalchemy.exc.DBAPIError: the database is away.
    """
    blobs, settings = environment.blobs, environment.settings
    has_room = blobs.has_room(settings.upload_max_file_bytes)
    keep_s = settings.files_keep_deleted_s if has_room else 0
    before = environment.clock() - timedelta(seconds=keep_s)
    if not blobs.doubted_since(before):
        return True
    try:
        with blobs.sweeping(wait=False):
            for sha256, marks in blobs.doubted_since(before).items():
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
