"""Clearing a copy of what nothing in it names any more.

A reader may still be on the way to what the pointer of a moment ago named, so a file is
first noted as superseded, by taking from everybody the right to write it; and the kernel
notes when that was (the ``ctime``).  After some time it goes.  So it does not matter how
often a copy is brought to the present, or who was stopped on the way.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from pyramid_pypi.storage.tree import Tree

KEEP_S = 24 * 3600
"""How long superseded documents stay, as at the index by default."""
_SWEEP_EVERY_S = 6 * 3600  # it walks over all projects
_SHADOWED_ROOMS = ("simple", "projects", "pypi", "repodata/t", "repodata/p")
_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_HASH_NAMED = re.compile(r"[0-9a-f]{64}(?:[-.].*)?", re.ASCII)
_ROOMS = {
    "repodata": _HASH_NAMED,
    "repodata/v": _HASH_NAMED,
    "repodata/c": re.compile(r"(?:[0-9]{1,16}-[0-9]{1,16}|[0-9a-f]{64}-periods)\..*", re.ASCII),
    # Never those of root and targets, which clients walk from the first on.
    "tuf": re.compile(r"[0-9]{1,16}\.(?:snapshot|repomd)\.json", re.ASCII),
}


def clear(tree: Tree, named: Collection[str], at: datetime, *, keep_s: int = KEEP_S) -> int:
    """Remove records, change segments and signed rounds long superseded; return how many.

    Args:
        named: the paths that the pointer of now leads to.
        at: now.

    Raises:
        OSError: a folder cannot be read.
    """
    before = at.timestamp() - keep_s
    return sum(
        _is_cleared(file, is_named=f"{room}/{file.name}" in named, before=before)
        for room, pattern in _ROOMS.items()
        for file in _files(tree.root / room)
        if pattern.fullmatch(file.name)
    )


def sweep(tree: Tree, mark: Path, at: datetime, *, keep_s: int = KEEP_S) -> int:
    """Remove superseded versions of pages and the like; return how many.

    It is done every few hours; the file `mark` bears when it was done last.

    Raises:
        OSError: a folder cannot be read.
    """
    with suppress(FileNotFoundError):
        if mark.stat().st_mtime > at.timestamp() - _SWEEP_EVERY_S:
            return 0
    removed = sum(tree.sweep(room, keep_s=keep_s) for room in _SHADOWED_ROOMS)
    mark.touch()
    os.utime(mark, (at.timestamp(), at.timestamp()))
    return removed


def _is_cleared(file: Path, *, is_named: bool, before: float) -> bool:
    """Note whether `file` is superseded, or remove it if it long was; tell whether."""
    status = file.lstat()
    is_noted = not status.st_mode & _WRITE
    if is_named == is_noted:
        # Somebody else's file can be removed, for the folder is ours, but not noted.
        with suppress(PermissionError):
            noted = status.st_mode & ~_WRITE
            file.chmod(noted | stat.S_IWUSR if is_named else noted)
        return False
    if is_named or status.st_ctime >= before:
        return False
    file.unlink(missing_ok=True)
    return True


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]
    except (FileNotFoundError, NotADirectoryError):
        return []
