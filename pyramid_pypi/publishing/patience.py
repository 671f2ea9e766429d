"""Going on with what stands while the database does not answer, or the disk is full."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)

_AWAY_S = 1.0


class Patience:
    """Spares readers the wait for what has just failed another."""

    def __init__(self) -> None:
        self._away_until = 0.0  # time.monotonic()

    @property
    def is_away(self) -> bool:
        """Tell whether database or disk failed within the last second."""
        return time.monotonic() < self._away_until

    @contextmanager
    def unless_away(self) -> Iterator[None]:
        """Let the caller go on with what stands when the database or the disk fails."""
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            log.warning("documents stay as they are: %s", error)
            self._away_until = time.monotonic() + _AWAY_S
