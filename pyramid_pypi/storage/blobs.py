"""Release files, stored by digest inside the published tree.

A blob is durable before a row of the database names it, and a row makes it visible.
Until the row stands the blob is *doubted*: a mark in a folder beside the store says so,
which outlives a crash, so that whoever starts next can remove blobs without a row.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from pathlib import Path

from pyramid_pypi.storage import durable
from pyramid_pypi.storage.spool import Spool
from pyramid_pypi.values.digests import file_path, sha256_hex

METADATA_SUFFIX = ".metadata"
_PATH = re.compile(
    r"packages/([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{60})/([^/]+?)(\.metadata)?\Z"
)
_DELETED = ".deleted"
# Left free by release files: without room for the database's log and for documents,
# nothing could be published, and nothing deleted to make room.
_RESERVE_BYTES = 8 * 1024 * 1024


class Blobs:
    """The store of release files under ``tree/packages/``."""

    def __init__(self, tree_root: Path, spool: Path, lock: Path) -> None:
        self.root = tree_root
        self.spool = spool
        self._spool = Spool(spool)
        self._lock = lock
        self._flushed: set[Path] = set()
        self._doubts = lock.with_name("doubts")

    def prepare(self) -> None:
        """Make the folders, and remove what a crash left in the spool."""
        for folder in (self.root / "packages", self._doubts):
            folder.mkdir(parents=True, exist_ok=True)
        self._spool.prepare()

    def new_spool_path(self) -> Path:
        """Return an unused path in the spool, on the file system of the store."""
        return self._spool.new_path()

    def keeping(self) -> AbstractContextManager[None]:
        """Hold off the removal of blobs, from `keep` until the row is committed.

        Without it, a blob that is kept again while its old row is being deleted could be
        removed after the new row has been acknowledged.
        """
        return durable.locked(self._lock, shared=True)

    def sweeping(self, *, wait: bool = True) -> AbstractContextManager[None]:
        """Hold off `keeping`, to ask whether a blob has a row and remove it if not.

        Raises:
            BlockingIOError: with `wait` False, when somebody is keeping.
        """
        return durable.locked(self._lock, wait_s=-1 if wait else 0)

    def keep(
        self,
        spooled: Path,
        sha256: str,
        filename: str,
        metadata: bytes | None,
        *,
        flush: bool = True,
    ) -> None:
        """Move `spooled` to its place by digest, durably; `metadata` becomes its sibling.

        Whoever keeps many files may pass `flush` as False, and call `flush` once before
        any row names them.  The blob is doubted until `confirm`.

        Raises:
            OSError: it cannot be stored; ENOSPC when the room that is left is needed for
                the database and the documents.
        """
        self._check_room()
        self.doubt(sha256, filename)
        target = self.root / file_path(sha256, filename)
        sibling = target.with_name(target.name + METADATA_SUFFIX)
        target.parent.mkdir(parents=True, exist_ok=True)
        if metadata is not None:
            _place(self._spool_bytes(metadata), sibling)
        _place(spooled, target)
        if flush:
            durable.sync_file(target)
            if metadata is not None:
                durable.sync_file(sibling)
            self._sync_way_to(target.parent)

    def doubt(self, sha256: str, filename: str) -> None:
        """Mark a blob as one that may have no row; a mark survives what the blob does."""
        self._mark(sha256, filename).touch()

    def doubt_deleted(self, sha256: str, filename: str, at: datetime) -> None:
        """Mark a blob whose row was deleted at the instant `at`; `confirm` leaves the mark."""
        mark = self._mark(sha256, filename)
        mark = mark.with_name(mark.name + _DELETED)
        mark.touch()
        os.utime(mark, (at.timestamp(), at.timestamp()))

    def confirm(self, sha256: str, filename: str) -> None:
        """Take the mark back: a committed row names the blob."""
        self._mark(sha256, filename).unlink(missing_ok=True)

    def doubted(self) -> dict[str, list[Path]]:
        """Return the marks of doubted blobs by sha256."""
        found: dict[str, list[Path]] = {}
        if self._doubts.is_dir():
            for mark in sorted(self._doubts.iterdir()):
                found.setdefault(mark.name.partition(".")[0], []).append(mark)
        return found

    def doubted_since(self, before: datetime) -> dict[str, list[Path]]:
        """Return `doubted` without blobs whose row was deleted after the instant `before`."""
        return {
            sha256: marks
            for sha256, marks in self.doubted().items()
            if not any(_is_deleted_after(mark, before.timestamp()) for mark in marks)
        }

    def keep_only(self, sha256: str, filenames: Collection[str]) -> None:
        """Remove blobs of `sha256` under other names; hold `sweeping` meanwhile."""
        try:
            names = sorted(os.listdir((self.root / file_path(sha256, "x")).parent))
        except FileNotFoundError:
            return
        for name in names:
            filename = name.removesuffix(METADATA_SUFFIX)
            if filename not in filenames:
                self.remove(sha256, filename)

    def holds(self, sha256: str, filename: str) -> bool:
        """Tell whether the bytes of a file are there, whole or not."""
        return (self.root / file_path(sha256, filename)).exists()

    def flush(self) -> None:
        """Return when every file kept so far would survive a power cut."""
        durable.sync_filesystem(self.root)

    def remove(self, sha256: str, filename: str) -> None:
        """Remove a blob, its sibling and its folder; hold `sweeping` meanwhile."""
        target = self.root / file_path(sha256, filename)
        target.unlink(missing_ok=True)
        target.with_name(target.name + METADATA_SUFFIX).unlink(missing_ok=True)
        with suppress(OSError):  # not empty, or gone already
            target.parent.rmdir()

    def walk(self) -> Iterator[tuple[str, str, Path]]:
        """Yield ``(sha256, filename, path)`` of each blob, siblings included, in order."""
        for path in sorted((self.root / "packages").glob("??/??/*/*")):
            found = _PATH.match(path.relative_to(self.root).as_posix())
            if found:
                first, second, rest, filename, _ = found.groups()
                yield first + second + rest, filename, path

    def has_room(self, size_bytes: int = 0) -> bool:
        """Tell whether so much more may be stored."""
        room = os.statvfs(self.root)
        return room.f_bavail * room.f_frsize >= _RESERVE_BYTES + size_bytes

    def _check_room(self) -> None:
        if not self.has_room():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.root))

    def _mark(self, sha256: str, filename: str) -> Path:
        # With the filename itself the mark's name could be too long for a file system.
        return self._doubts / f"{sha256}.{sha256_hex(filename.encode())[:32]}"

    def _sync_way_to(self, folder: Path) -> None:
        """Flush the names in `folder`, and its own, and those above not known to be flushed.

        Whoever made a folder may not have come to flushing it yet, so only what this
        process has flushed itself counts.  The folders of digests are never removed.
        """
        durable.sync_folder(folder)
        for above in folder.parents:
            durable.sync_folder(above)
            if above in self._flushed or above == self.root:
                break
        self._flushed.update(folder.parents[: len(folder.relative_to(self.root).parts)])

    def _spool_bytes(self, content: bytes) -> Path:
        path = self.new_spool_path()
        path.write_bytes(content)
        return path


def _is_deleted_after(mark: Path, before: float) -> bool:
    try:
        return mark.suffix == _DELETED and mark.stat().st_mtime > before
    except FileNotFoundError:
        return False


def _place(spooled: Path, target: Path) -> None:
    """Name the bytes at `spooled` as `target`, in place of what stands there, whole or not.

    They are named first and flushed then: the file system commits both together, and
    until the row is there nobody looks.  What stands already may have its row, though,
    so that nothing but flushed bytes may replace it.
    """
    try:
        os.link(spooled, target)
    except FileExistsError:
        durable.sync_file(spooled)
        os.replace(spooled, target)
    else:
        spooled.unlink()
