"""The published tree: documents at stable paths, replaced atomically.

Three promises of every stable path, by which readers and rsync live:

- A reader finds the old document or the new one, whole.
- Each version also lies under its hash (a *shadow*, the same inode) from before the
  stable path shows it until some time after it was superseded.
- Modification times are whole seconds and strictly increase, so that a copier that
  compares size and second never takes a new document for the old.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from pyramid_pypi.storage import durable
from pyramid_pypi.storage.spool import Spool
from pyramid_pypi.values.instants import Clock

SHADOWS = "v"
_SHADOWED_ROOM = "simple"


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

        With `shadow`, the sha256 of the document (of a compressed twin, that of the
        document it is the twin of), the version also appears as ``v/SHADOW.EXT`` beside
        it, first.  A twin is given the `mtime` of its document, by which readers tell
        that they belong together.
        """
        # Plain strings: this is done half a dozen times for each upload.
        target = f"{self._root}{path}"
        temporary = str(self._spool.new_path())
        if mtime is None:
            mtime = self._next_mtime(target)
        try:
            _write(temporary, content, mtime)
            if shadow is not None:
                folder, _, name = target.rpartition("/")
                extension = name.partition(".")[2]
                _link(temporary, f"{folder}/{SHADOWS}/{shadow}.{extension}")
            _replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return mtime

    def holds(self, path: str, content: bytes) -> bool:
        """Tell whether the stable `path` shows just `content` already."""
        target = self.root / path
        try:
            return target.stat().st_size == len(content) and target.read_bytes() == content
        except (FileNotFoundError, NotADirectoryError):
            return False

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
        (self.root / path).unlink(missing_ok=True)

    def remove_folder(self, path: str) -> None:
        """Remove the folder `path` with all that is in it.

        Raises:
            OSError: something of it cannot be removed.
        """
        folder = self.root / path
        while folder.exists():
            # A sweep beside us may be the first to remove a shadow.
            with suppress(FileNotFoundError):
                shutil.rmtree(folder)

    def names(self, room: str) -> Iterator[str]:
        """Yield the names of the folders in `room`, such as ``simple``, in byte order."""
        try:
            with os.scandir(self.root / room) as entries:
                found = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return
        yield from sorted(found)

    def sweep(self, *, keep_s: int) -> int:
        """Remove shadows superseded more than `keep_s` ago; return how many.

        A version was superseded when the next one of its kind was written.
        """
        before = self._clock().timestamp() - keep_s
        return sum(
            self._sweep_folder(self.root / _SHADOWED_ROOM / name / SHADOWS, before)
            for name in self.names(_SHADOWED_ROOM)
        )

    def sync(self) -> None:
        """Return when every document shown so far would survive a power cut."""
        durable.sync_filesystem(self.root)

    def _next_mtime(self, target: str) -> int:
        now = int(self._clock().timestamp())
        try:
            return max(now, int(os.stat(target).st_mtime) + 1)
        except (FileNotFoundError, NotADirectoryError):
            return now

    def _sweep_folder(self, folder: Path, before: float) -> int:
        try:
            shadows = [(p.stat().st_mtime, p.name, p) for p in folder.iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return 0
        removed = 0
        by_kind: dict[str, list[tuple[float, str, Path]]] = {}
        for shadow in shadows:
            by_kind.setdefault(shadow[1].partition(".")[2], []).append(shadow)
        for versions in by_kind.values():
            versions.sort()
            for (_, _, path), (superseded_at, _, _) in pairwise(versions):
                if superseded_at < before:
                    path.unlink(missing_ok=True)
                    removed += 1
        return removed


def _write(path: str, content: bytes, mtime: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.utime(descriptor, (mtime, mtime))
    finally:
        os.close(descriptor)


def _link(temporary: str, shadow: str) -> None:
    try:
        os.link(temporary, shadow)
    except FileNotFoundError:
        Path(shadow).parent.mkdir(parents=True, exist_ok=True)
        os.link(temporary, shadow)
    except FileExistsError:
        # An earlier version has come back, and is the newest again by its time.
        os.replace(temporary, shadow)
        os.link(shadow, temporary)


def _replace(temporary: str, target: str) -> None:
    try:
        os.replace(temporary, target)
    except FileNotFoundError:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, target)
