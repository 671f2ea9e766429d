"""The request, with what views need of the index."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from pyramid.decorator import reify
from pyramid.request import Request as PyramidRequest
from sqlalchemy.orm import Session

from pyramid_pypi.accounts import tokens
from pyramid_pypi.accounts.permissions import Actor
from pyramid_pypi.environment import Environment
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.web.security import secret_in

Result = TypeVar("Result")


class Request(PyramidRequest):
    """A request.  Whatever costs something is made when it is first asked for."""

    @property
    def environment(self) -> Environment:
        """Return the services of the index."""
        environment: Environment = self.registry.environment
        return environment

    @property
    def publisher(self) -> Publisher:
        """Return the publisher of the tree."""
        publisher: Publisher = self.registry.publisher
        return publisher

    @reify
    def now(self) -> datetime:
        """Return the instant at which the request asked for it first."""
        return self.environment.clock()

    @reify
    def reading(self) -> Session:
        """Return a session that only reads; it is closed when the request ends."""
        session = self.environment.database.reading_session()
        self.add_finished_callback(lambda _request: session.close())
        return session

    @reify
    def actor(self) -> Actor:
        """Return who asks.

        Raises:
            NotAuthenticated: the request carries no good token.
        """
        secret = secret_in(self.environ.get("HTTP_AUTHORIZATION"))
        actor = tokens.identify(self.reading, secret, at=self.now)
        # The upload that follows may take minutes; no snapshot is held open meanwhile.
        self.reading.rollback()
        return actor

    def write(self, act: Callable[[Session], Result]) -> Result:
        """Run `act` in a transaction, and publish what it changed (`web.transactions`)."""
        result, serial = self.commit(act)
        self.show(serial)
        return result

    def commit(self, act: Callable[[Session], Result]) -> tuple[Result, int | None]:
        """Run `act` in a transaction; return its result and the serial of its change."""

        def act_and_touch(session: Session) -> Result:
            result = act(session)
            tokens.touch(session, self.actor, at=self.now)
            return result

        committed: tuple[Result, int | None] = self.registry.writer.commit(act_and_touch)
        return committed

    def show(self, serial: int | None) -> None:
        """Wait until the change `serial` is published."""
        self.registry.writer.show(serial)
