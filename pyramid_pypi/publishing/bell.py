"""Waking those who wait for the next change to be published."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_LOOK_S = 0.25  # other processes publish too, and ring no bell here


class Bell:
    """Rung by the thread that publishes, heard by any number of others."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._is_closed = False

    def ring(self) -> None:
        """Have everybody who waits look whether it is for them."""
        with self._condition:
            self._condition.notify_all()

    def close(self) -> None:
        """Send away those who wait, and let nobody wait any more: the process ends."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()

    def wait_for(
        self,
        come: Callable[[], bool],
        *,
        wait_s: float,
        given_up: Callable[[], bool] = lambda: False,
    ) -> None:
        """Return when `come` says so, after `wait_s`, or when nobody waits any more.

        Both callables are asked at each ring, and four times a second.
        """
        deadline = time.monotonic() + wait_s
        with self._condition:
            while not (come() or given_up() or self._is_closed):
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return
                self._condition.wait(min(left_s, _LOOK_S))
