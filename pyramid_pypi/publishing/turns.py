"""Taking turns at one piece of work, among threads and among processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pyramid_pypi.storage import durable


class TurnTaken(Exception):
    """Others had the turn for as long as one was ready to wait."""


class Turn:
    """A lock for the threads of this process and, by the lock file `path`, for others."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, *, wait_s: float = -1) -> Iterator[None]:
        """Hold the turn, waiting at most `wait_s` for others (for ever if negative).

        Raises:
            TurnTaken: others had it all that time.
        """
        deadline = time.monotonic() + wait_s
        with ExitStack() as held:
            if not self._lock.acquire(timeout=wait_s):
                raise TurnTaken
            held.callback(self._lock.release)
            left_s = wait_s if wait_s < 0 else max(0.0, deadline - time.monotonic())
            try:
                held.enter_context(durable.locked(self._path, wait_s=left_s))
            except BlockingIOError as error:
                raise TurnTaken from error
            yield
