"""Projects that cannot be rendered, kept apart so that they stop nobody else (trust: D4)."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pyramid_pypi.values.instants import Clock
from pyramid_pypi.values.names import ProjectName

log = logging.getLogger(__name__)

_FAIL_ALL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE}
_FAIL_ONE = {errno.ENAMETOOLONG}


@dataclass(frozen=True, slots=True)
class Failure:
    """A project that could not be rendered; the others were published all the same."""

    project: ProjectName
    error: str
    at: datetime


class Failures(Mapping[ProjectName, Failure]):
    """The failures of now, by project; each is an alarm until a later try succeeds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[ProjectName, Failure] = {}

    def __getitem__(self, name: ProjectName) -> Failure:
        return self._failures[name]

    def __iter__(self) -> Iterator[ProjectName]:
        return iter(list(self._failures))

    def __len__(self) -> int:
        return len(self._failures)

    def remember(self, name: ProjectName, error: str) -> None:
        """Note that `name` could not be rendered, and why."""
        self._failures[name] = Failure(name, error, self._clock())

    def clear(self, name: ProjectName) -> None:
        """Forget what was noted of `name`, which is about to be tried."""
        self._failures.pop(name, None)

    @contextmanager
    def isolated(self, name: ProjectName) -> Iterator[None]:
        """Note what goes wrong with `name` alone; what would stop all goes through."""
        try:
            yield
        except Exception as error:
            if stops_all(error):
                raise
            log.exception("project %s cannot be rendered; the others go on", name)
            self.remember(name, repr(error))


def stops_all(error: Exception) -> bool:
    """Tell whether `error` has its reason outside of any project: no database, no disk."""
    if isinstance(error, OSError):
        return error.errno not in _FAIL_ONE
    return isinstance(error, DBAPIError | PoolTimeout)


@contextmanager
def going_on() -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Give what to do each of many things under, so that one failing stops none behind it.

    For a folder that cannot be written to.  What all would fail of, such as a full disk,
    stops at once.

    Raises:
        OSError: the first that was met, when all have been tried.
    """
    met: list[OSError] = []

    @contextmanager
    def attempt() -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FAIL_ALL:
                raise
            met.append(error)

    yield attempt
    if met:
        raise met[0]
