from __future__ import annotations

import threading
from typing import Any

import pytest

from pyramid_pypi.changes import journal
from pyramid_pypi.environment import Environment
from pyramid_pypi.models.journal import ChangeKind
from tests.conftest import NOON


def tell(session: Any, project: str) -> None:
    journal.append(
        session, ChangeKind.FILE_ADDED, actor="ann", at=NOON, project=project, details={"n": 1}
    )


def test_changes_are_numbered_in_order_at_commit(services: Environment) -> None:
    with services.database.writing() as session:
        before = journal.newest(session)
        tell(session, "one")
        tell(session, "two")
        assert journal.newest(session) == before
    assert journal.committed_serial(session) == before + 2
    with services.database.reading() as reading:
        changes = journal.since(reading, before, 10)
    assert [(c.serial, c.project) for c in changes] == [
        (before + 1, "one"),
        (before + 2, "two"),
    ]
    assert changes[0].details == {"n": 1}
    assert changes[0].at == NOON


def test_a_change_rolled_back_was_never_there(services: Environment) -> None:
    def fail() -> None:
        with services.database.writing() as session:
            tell(session, "gone")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with services.database.reading() as session:
        assert journal.newest(session) == 0


def test_a_session_that_changes_nothing_commits_no_serial(services: Environment) -> None:
    with services.database.writing() as session:
        journal.newest(session)
    assert journal.committed_serial(session) is None


def test_followers_of_sixteen_writers_never_stand_behind_a_gap(services: Environment) -> None:
    """Serial order is commit order, or a follower would skip what commits late (R9)."""
    writers, each = 16, 10
    done = threading.Event()
    seen: list[list[int]] = [[] for _ in range(3)]

    def write(number: int) -> None:
        for turn in range(each):
            with services.database.writing() as session:
                tell(session, f"p{number}-{turn}")

    def follow(serials: list[int]) -> None:
        last = 0
        while True:
            finished = done.is_set()
            with services.database.reading() as session:
                fresh = [c.serial for c in journal.since(session, last, 1000)]
            serials.extend(fresh)
            last = fresh[-1] if fresh else last
            if finished and not fresh:
                return

    followers = [threading.Thread(target=follow, args=(serials,)) for serials in seen]
    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in followers + threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    for thread in followers:
        thread.join()
    assert all(serials == list(range(1, writers * each + 1)) for serials in seen)
