"""Putting documents of another tree into a folder, once they have been found right."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from pyramid_pypi.following.findings import MAX_HELD_BYTES, UNKNOWN_SIZE, Named
from pyramid_pypi.following.sources import FolderSource
from pyramid_pypi.storage import durable


def put(folder: FolderSource, path: str, content: bytes) -> None:
    """Replace the document at `path` by `content`, durably and at once.

    Raises:
        OSError: it cannot be written.
        SourceUnreadable: a symbolic link leads out of the folder.
    """
    target = Path(folder.place(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    durable.write_durably(target, content)


def put_if(folder: FolderSource, named: Named, blocks: Iterator[bytes]) -> bool:
    """Put what comes at the path of `named`, if it turns out to be that; tell whether.

    It is not held in memory, and no more is taken than was named.

    Raises:
        OSError, SourceUnreadable: as `put`; or what comes breaks off.
    """
    target = Path(folder.place(named.path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    is_unknown = named.size_bytes == UNKNOWN_SIZE
    most = MAX_HELD_BYTES if is_unknown else named.size_bytes
    taken, size_bytes = hashlib.sha256(), 0
    try:
        with open(temporary, "wb") as out:
            for block in blocks:
                size_bytes += len(block)
                if size_bytes > most:
                    return False
                taken.update(block)
                out.write(block)
            out.flush()
            os.fsync(out.fileno())
        if taken.hexdigest() != named.sha256 or not (is_unknown or size_bytes == most):
            return False
        os.replace(temporary, target)
        durable.sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return True


class Overlay:
    """A folder with some documents replaced, to ask what would be if they were."""

    def __init__(self, folder: FolderSource, replaced: Mapping[str, bytes]) -> None:
        self._folder = folder
        self._replaced = replaced
        self.name, self.tally = folder.name, folder.tally

    def blocks(self, path: str) -> Iterator[bytes] | None:
        """Return the document at `path` block by block; see `Source`."""
        content = self._replaced.get(path)
        return self._folder.blocks(path) if content is None else iter([content])

    def modified(self, path: str) -> datetime | None:
        """Return since when `path` shows what it shows; see `Source`."""
        return self._folder.modified(path)
