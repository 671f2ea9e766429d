"""Keeping a threaded server small."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_ARENA_MAX = -8  # M_ARENA_MAX of malloc.h
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3


def share_arenas() -> None:
    """Let all threads share two heaps, and give large blocks back when they are freed.

    glibc gives each thread a heap of its own, and each keeps the largest page that was
    ever written or sent in it.  Other C libraries have no such call; they are left alone.
    """
    with suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_ARENA_MAX, 2)
        libc.mallopt(_MMAP_THRESHOLD, 256 * 1024)
        libc.mallopt(_TRIM_THRESHOLD, 256 * 1024)
