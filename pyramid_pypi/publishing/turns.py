"""Taking turns at one piece of work, among threads and among processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyramid_pypi.storage import durable


class Turn:
    """A lock for the threads of this process and, by the lock file `path`, for others."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, *, wait_s: float = -1) -> Iterator[None]:
        """Hold the turn, waiting at most `wait_s` for another thread (for ever if negative).

        Raises:
            TimeoutError: another thread had it all that time.
        """
        if not self._lock.acquire(timeout=wait_s):
            raise TimeoutError
        try:
            with durable.locked(self._path):
                yield
        finally:
            self._lock.release()
