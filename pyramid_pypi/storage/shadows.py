"""Shadows: versions of documents under their hashes, in the folder ``v`` beside them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

SHADOWS = "v"
_NAME = re.compile(r"[0-9a-f]{64}(\..*)?")
_DIGITS = 64
_TRIES = 5  # a sweep may remove an empty folder that a document is just about to enter


def keep(target: str, shadow: str | None = None) -> None:
    """Show the version that stands at `target` under its hash, beside `shadow`.

    Without `shadow`, in the folder beside `target`.  A compressed twin bears the hash of
    its document, so it is passed over: readers who follow hashes ask for the document
    itself.  The number of links tells nothing, as an export has links of its own.

    Raises:
        OSError: nothing stands at `target`, or the disk is full.
    """
    folder, _, name = target.rpartition("/")
    if shadow is None:
        folder, ending = f"{folder}/{SHADOWS}", "".join(name.partition(".")[1:])
    else:
        folder, _, name = shadow.rpartition("/")
        if not _NAME.fullmatch(name):
            return
        ending = name[_DIGITS:]
    if target.endswith(".gz"):
        return
    with open(target, "rb") as document:
        digest = hashlib.file_digest(document, "sha256").hexdigest()
    with suppress(FileExistsError):
        entering(f"{folder}/{digest}{ending}", lambda to: os.link(target, to))


def link(temporary: str, shadow: str) -> None:
    """Show the finished file `temporary` at the path `shadow` too."""
    try:
        entering(shadow, lambda to: os.link(temporary, to))
    except FileExistsError:
        # An earlier version has come back, and is the newest again by its time.
        os.replace(temporary, shadow)
        os.link(shadow, temporary)


def entering(target: str, enter: Callable[[str], None]) -> None:
    """Do `enter` with `target`, whose folder is made if need be."""
    for _ in range(_TRIES):
        try:
            return enter(target)
        except FileNotFoundError:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
    return enter(target)


def folders(room: str) -> Iterator[str]:
    """Yield the folders in and below `room` that hold shadows, the deepest first.

    A folder of two names holds no other, or its file system does not count so; that
    spares looking into most of a million.
    """
    try:
        with os.scandir(room) as entries:
            inside = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return
    for path in inside:
        with suppress(FileNotFoundError):
            if os.stat(path).st_nlink != 2:
                yield from folders(path)
    if f"{room}/{SHADOWS}" in inside:
        yield room


def sweep(folder: Path, before: float) -> int:
    """Remove the shadows in `folder` superseded before the Unix time `before`.

    And what is empty then; return how many were removed.
    """
    removed = 0
    try:
        with os.scandir(folder) as beside:
            current = {entry.inode() for entry in beside if not entry.is_dir()}
        with os.scandir(folder / SHADOWS) as shadows:
            found = [entry for entry in shadows if _NAME.fullmatch(entry.name)]
        for shadow in found:
            if shadow.inode() not in current and shadow.stat().st_ctime < before:
                Path(shadow).unlink(missing_ok=True)
                removed += 1
        (folder / SHADOWS).rmdir()
        folder.rmdir()
    except OSError:
        return removed  # what is not empty stays, and what another removed is gone
    return removed
