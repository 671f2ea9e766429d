"""What it takes for bytes to survive a power cut, in the words of POSIX.

Measured on ext4: a renamed file whose content was not fsynced is gone or old after a
power cut; one whose folder was not fsynced is missing under its new name.  Both, then.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_S = 0.002


def sync_file(path: Path) -> None:
    """Return when the content of `path` is on the disk."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Return when the names in the folder `path` are on the disk."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def sync_filesystem(path: Path) -> None:
    """Return when everything written so far on the file system of `path` is on the disk.

    One call for thousands of small documents, where an fsync each would cost a commit
    of the file system's journal each (syncfs(2); elsewhere than on Linux sync(2)).
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if syncfs is None:
            os.sync()
        elif syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, *, shared: bool = False, wait_s: float = -1) -> Iterator[None]:
    """Hold the lock file `path`, with others who share it or alone.

    The kernel gives it back when the holder dies, however it dies (flock(2)).  Waits at
    most `wait_s` for it, for ever if negative.

    Raises:
        BlockingIOError: somebody else held it all that time.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        if wait_s < 0:
            fcntl.flock(descriptor, kind)
        else:
            _lock_within(descriptor, kind, wait_s)
        yield
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` by `content`: after a power cut it holds the old bytes or the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with open(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _lock_within(descriptor: int, kind: int, wait_s: float) -> None:
    """Ask again and again: flock(2) knows no deadline."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_POLL_S)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
