"""Writing: one transaction a request, tried again when it lost a race, then published."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import transaction
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker
from zope.sqlalchemy import register

from pyramid_pypi.changes import journal
from pyramid_pypi.environment import Environment
from pyramid_pypi.publishing.publisher import Publisher

_TRIES = 4

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Writer:
    """Runs the writing part of requests; one for the whole application."""

    def __init__(self, environment: Environment, publisher: Publisher) -> None:
        self._publisher = publisher
        self._wait_s = environment.settings.publish_wait_s
        self._transactions = transaction.ThreadTransactionManager()
        self._sessions = sessionmaker(environment.database.writing_engine)
        # "changed": core statements write too, and the listeners see only the ORM's.
        # The session is kept past the commit, because it knows the serial it was given.
        register(
            self._sessions,
            initial_state="changed",
            transaction_manager=self._transactions,
            keep_session=True,
        )

    def commit(self, act: Callable[[Session], Result]) -> tuple[Result, int | None]:
        """Run `act` in a transaction; return what it returns, and the serial it was given.

        `act` may run several times, each time from the start: on a serialization failure,
        and when another request has just inserted the same row, so that it meets that
        row as an ordinary conflict.  What it returns must be plain values.
        """
        for tries_left in reversed(range(_TRIES)):
            with self._sessions() as session:
                self._transactions.begin()
                try:
                    result = act(session)
                    self._transactions.commit()
                except Exception as error:
                    again = tries_left > 0 and self._lost_race(error)
                    self._transactions.abort()
                    if not again:
                        raise
                except BaseException:
                    self._transactions.abort()
                    raise
                else:
                    return result, journal.committed_serial(session)
        raise AssertionError("the last try returns or raises")

    def show(self, serial: int | None) -> None:
        """Wait until the change `serial` is published; at most as the settings allow."""
        try:
            if serial is not None:
                self._publisher.publish_until(serial, wait_s=self._wait_s)
        except Exception:
            # The caretaker publishes it later; to refuse now would deny a write that stands.
            _log.exception("change %d is committed, but could not be published yet", serial)

    def _lost_race(self, error: Exception) -> bool:
        # Asked before the abort, which forgets the session that knows its database.
        return isinstance(error, IntegrityError) or bool(
            self._transactions.get().isRetryableError(error)
        )
