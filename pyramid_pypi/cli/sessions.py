"""Sessions of the command line: what fails is worded, what changes is published."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from pyramid_pypi import bootstrap
from pyramid_pypi.changes import journal
from pyramid_pypi.environment import Environment
from pyramid_pypi.errors import DatabaseAway, NotPrepared, Refusal
from pyramid_pypi.models.database import is_away
from pyramid_pypi.publishing.publisher import Publisher

_NO_SCHEMA = ("no such table", "no such column", "does not exist")


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn an unreachable or empty database into the refusal that says so.

    Raises:
        DatabaseAway: the database did not answer.
        NotPrepared: it answers, but has not our tables.
    """
    try:
        yield
    except PoolTimeout as error:
        raise DatabaseAway from error
    except DBAPIError as error:
        if is_away(error):
            raise DatabaseAway(str(error.orig)) from error
        if any(words in str(error.orig) for words in _NO_SCHEMA):
            raise NotPrepared(str(error.orig)) from error
        raise


@contextmanager
def reading(environment: Environment) -> Iterator[Session]:
    """Give a session that only reads.

    Raises:
        DatabaseAway: the database did not answer.
    """
    with database_errors(), environment.database.reading() as session:
        yield session


@contextmanager
def changing(environment: Environment) -> Iterator[Session]:
    """Give a session that writes; commit it, then publish what it changed.

    Raises:
        DatabaseAway: the database did not answer.
    """
    with database_errors():
        publisher = bootstrap.open_publisher(environment)
        publisher.reconcile()
        with environment.database.writing() as session:
            yield session
        publish(publisher, session)
        finish(publisher)


def publish(publisher: Publisher, session: Session) -> None:
    """Publish what `session` has committed; say so when it has to wait."""
    serial = journal.committed_serial(session)
    wait_s = publisher.environment.settings.publish_wait_s
    if serial is not None and not publisher.publish_until(serial, wait_s=wait_s):
        click.echo("The change stands, and waits to be published.", err=True)


def finish(publisher: Publisher) -> None:
    """Write what follows a change, and leave nothing of it to the next start."""
    publisher.fresh_lists()
    try:
        publisher.repository.refresh()
    except Refusal as refusal:
        click.echo(f"The change stands; the pointer does not tell of it: {refusal}", err=True)
    publisher.checkpoint()
