"""Who may write, for how long one waits, and what stops nobody behind it."""

from __future__ import annotations

import errno
import time
from pathlib import Path

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pyramid_pypi.publishing.failures import going_on
from pyramid_pypi.publishing.patience import Patience
from pyramid_pypi.publishing.turns import Turn, TurnTaken
from pyramid_pypi.storage import durable


def fail(error: Exception) -> None:
    raise error


def test_another_process_is_not_waited_for_longer_than_asked(tmp_path: Path) -> None:
    turn = Turn(tmp_path / "lock")
    begun = time.monotonic()
    with durable.locked(tmp_path / "lock"), pytest.raises(TurnTaken), turn.taken(wait_s=0.05):
        pass
    assert 0.05 <= time.monotonic() - begun < 5
    with turn.taken(wait_s=0):
        pass


def test_an_error_within_a_turn_is_not_taken_for_a_wait(tmp_path: Path) -> None:
    turn = Turn(tmp_path / "lock")
    for kind in (TimeoutError, BlockingIOError):
        with pytest.raises(kind), turn.taken(wait_s=1):
            fail(kind())
    with turn.taken(wait_s=0):
        pass


def test_patience_covers_a_pool_without_a_free_connection() -> None:
    patience = Patience()
    with patience.unless_away():
        fail(PoolTimeout())
    assert patience.is_away


def test_one_failing_is_raised_when_all_have_been_tried() -> None:
    tried = []

    def work() -> None:
        with going_on() as attempt:
            for number in range(3):
                with attempt():
                    tried.append(number)
                    raise PermissionError(errno.EACCES, str(number))

    with pytest.raises(PermissionError, match="0"):
        work()
    assert tried == [0, 1, 2]


def test_a_full_disk_ends_all_at_once() -> None:
    tried = []

    def work() -> None:
        with going_on() as attempt:
            for number in range(3):
                with attempt():
                    tried.append(number)
                    raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full"):
        work()
    assert tried == [0]
