"""The published tree: documents at stable paths, replaced atomically.

Three promises of every stable path, by which readers and rsync live:

- A reader finds the old document or the new one, whole.
- Each version also lies under its hash (a *shadow*, the same inode) from before the
  stable path shows it until some time after it was superseded.
- Modification times are whole seconds and strictly increase, so that a copier that
  compares size and second never takes a new document for the old.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pyramid_pypi.storage import durable, shadows
from pyramid_pypi.storage.spool import Spool
from pyramid_pypi.values.instants import Clock

SHADOWS = shadows.SHADOWS


class Tree:
    """The folder that servers serve and mirrors copy."""

    def __init__(self, root: Path, spool: Path, clock: Clock) -> None:
        self.root = root
        self._root = f"{root}/"
        self._spool = Spool(spool)
        self._clock = clock

    def put(
        self, path: str, content: bytes, *, shadow: str | None = None, mtime: int | None = None
    ) -> int:
        """Show `content` at the stable `path`; return its modification time in seconds.

        With `shadow`, a path, the version also appears there, first; and so does the one
        it supersedes, if that was put without, as the first versions of a large index
        are.  A compressed twin is given the `mtime` of its document, by which readers
        tell that they belong together.
        """
        # Plain strings: this is done half a dozen times for each upload.
        target = f"{self._root}{_within(path)}"
        temporary = str(self._spool.new_path())
        standing = _stat(target)
        if mtime is None:
            mtime = self._next_mtime(standing)
        try:
            if shadow is not None and standing is not None:
                shadows.keep(target, f"{self._root}{shadow}")
            _write(temporary, content, mtime)
            if shadow is not None:
                shadows.link(temporary, f"{self._root}{shadow}")
            _replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return mtime

    def adopt(self, path: str, file: Path) -> None:
        """Show the finished `file`, of the same file system, at the stable `path`.

        For documents too large to be held in memory; their name is their hash, so the
        time of the file is as good as any.
        """
        _replace(str(file), f"{self._root}{path}")

    def touch(self, path: str) -> None:
        """Give the document at `path` a time of now, if there is one."""
        now = int(self._clock().timestamp())
        with suppress(FileNotFoundError):
            os.utime(self.root / path, (now, now))

    def link(self, path: str, shadow: str) -> None:
        """Show the version that stands at `path` at the path `shadow` too.

        Raises:
            FileNotFoundError: nothing stands at `path`.
        """
        temporary = str(self._spool.new_path())
        os.link(f"{self._root}{path}", temporary)
        # One that has come back is a name of this version too, which dies with it.
        shadows.entering(f"{self._root}{shadow}", lambda to: os.replace(temporary, to))
        Path(temporary).unlink(missing_ok=True)  # the two were one file already

    def holds(self, path: str, content: bytes) -> bool:
        """Tell whether the stable `path` shows just `content` already."""
        target = self.root / path
        try:
            return target.stat().st_size == len(content) and target.read_bytes() == content
        except (FileNotFoundError, NotADirectoryError):
            return False

    def sha256(self, path: str) -> str | None:
        """Return the sha256 of the document at `path`, None when there is none."""
        try:
            with open(self.root / path, "rb") as document:
                return hashlib.file_digest(document, "sha256").hexdigest()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def size_bytes(self, path: str) -> int:
        """Return the size of the document at `path`, 0 when there is none."""
        try:
            return (self.root / path).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def exists(self, path: str) -> bool:
        """Tell whether there is a document at the stable `path`."""
        return (self.root / path).is_file()

    def mtime(self, path: str) -> int:
        """Return the modification time of the document at `path` in seconds."""
        return int((self.root / path).stat().st_mtime)

    def read(self, path: str) -> bytes | None:
        """Return the document at the stable `path`, None when there is none."""
        try:
            return (self.root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def remove(self, path: str) -> None:
        """Remove the document at `path`; its shadows stay until `sweep`."""
        (self.root / _within(path)).unlink(missing_ok=True)

    def retire(self, path: str) -> None:
        """Remove the document at `path`; its version stays under its hash until `sweep`."""
        target = self.root / _within(path)
        with suppress(OSError):  # on a full disk, to remove is what helps
            shadows.keep(str(target))
        target.unlink(missing_ok=True)

    def remove_documents(self, folder: str) -> None:
        """Remove everything in `folder` but its shadows, which stay until `sweep`.

        Versions that had none yet get theirs: readers may be on their way to them.

        Raises:
            OSError: something of it cannot be removed.
        """
        try:
            entries = sorted((self.root / _within(folder)).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in entries:
            if entry.name == SHADOWS:
                continue
            if entry.is_dir() and not entry.is_symlink():
                self.remove_documents(f"{folder}/{entry.name}")
            else:
                self.retire(f"{folder}/{entry.name}")
        with suppress(OSError):
            (self.root / folder).rmdir()

    def remove_folder(self, path: str) -> None:
        """Remove the folder `path` with all that is in it, shadows too.

        Raises:
            OSError: something of it cannot be removed.
        """
        folder = self.root / _within(path)
        while folder.exists():
            # A sweep beside us may be the first to remove a shadow.
            with suppress(FileNotFoundError):
                shutil.rmtree(folder)

    def names(self, room: str) -> Iterator[str]:
        """Yield the names of the folders in `room`, such as ``simple``, in byte order.

        Folders where nothing but shadows is left do not count.
        """
        try:
            with os.scandir(self.root / room) as entries:
                found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return
        for name in sorted(found):
            # In a room a project may be called so; below it no release is.
            is_shadows = name == SHADOWS and "/" in room
            if not is_shadows and self._has_documents(f"{room}/{name}"):
                yield name

    def holding(self, room: str, name: str) -> Iterator[str]:
        """Yield the names of the folders in `room` where a document `name` stands.

        In no order; at some 3 µs for each folder, which `names` takes ten times as long for.
        """
        folder = f"{self._root}{room}"
        with suppress(FileNotFoundError):
            for inside in os.listdir(folder):
                if os.path.isfile(f"{folder}/{inside}/{name}"):  # noqa: PTH113 - a million
                    yield inside

    def _has_documents(self, folder: str) -> bool:
        try:
            with os.scandir(self.root / folder) as entries:
                inside = [entry for entry in entries if entry.name != SHADOWS]
        except (FileNotFoundError, NotADirectoryError):
            return False
        return any(
            not entry.is_dir(follow_symlinks=False)
            or self._has_documents(f"{folder}/{entry.name}")
            for entry in inside
        )

    def sweep(self, room: str, *, keep_s: int) -> int:
        """Remove the shadows below `room` superseded more than `keep_s` ago; return how many.

        A shadow is current while a document beside it is the same inode.  When it ceased
        to be, the kernel has noted: the loss of a name is a change of the inode.
        """
        before = self._clock().timestamp() - keep_s
        found = shadows.folders(f"{self._root}{room}")
        return sum(shadows.sweep(Path(folder), before) for folder in found)

    def sync(self) -> None:
        """Return when every document shown so far would survive a power cut."""
        durable.sync_filesystem(self.root)

    def _next_mtime(self, standing: os.stat_result | None) -> int:
        now = int(self._clock().timestamp())
        return max(now, int(standing.st_mtime) + 1) if standing is not None else now


def _within(path: str) -> str:
    """Return `path`, made of names that no door should have let in else."""
    if path.startswith("/") or "/../" in f"/{path}/":
        raise ValueError(f"{path!r:.200} leads out of the tree")
    return path


def _stat(target: str) -> os.stat_result | None:
    try:
        return os.stat(target)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _write(path: str, content: bytes, mtime: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.utime(descriptor, (mtime, mtime))
    finally:
        os.close(descriptor)


def _replace(temporary: str, target: str) -> None:
    shadows.entering(target, lambda to: os.replace(temporary, to))
