"""From an empty folder, or a stopped index, to one that works: the same for every face."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from pyramid_pypi import migrations
from pyramid_pypi.accounts import tokens, users
from pyramid_pypi.accounts.permissions import COMMAND_LINE, Scope
from pyramid_pypi.environment import Environment
from pyramid_pypi.errors import DatabaseAway, NotAuthenticated, SettingsInvalid
from pyramid_pypi.formats.pages import Site
from pyramid_pypi.models.accounts import Token
from pyramid_pypi.models.database import is_away
from pyramid_pypi.publishing import orphans
from pyramid_pypi.publishing.caretaker import Caretaker
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.storage import durable

log = logging.getLogger(__name__)

ADMINISTRATOR = "admin"
_TOKEN_LIFE = timedelta(days=365)
_RENEW_BEFORE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Index:
    """One index at work in this process."""

    environment: Environment
    publisher: Publisher
    caretaker: Caretaker

    def stop(self) -> None:
        """End the background work, leaving nothing to do for the next start."""
        self.caretaker.stop()
        self.environment.database.dispose()


def open_publisher(environment: Environment) -> Publisher:
    """Make the folders of the index and return the publisher of its tree."""
    environment.blobs.prepare()
    return publisher_of(environment)


def publisher_of(environment: Environment) -> Publisher:
    """Return the publisher of a tree to look at; nothing is made or cleared away."""
    settings = environment.settings
    site = Site(title=settings.site_title, public_url=settings.site_public_url)
    return Publisher(environment, site)


def start(environment: Environment) -> Index:
    """Prepare the index and begin its background work.

    With the database away, or the disk full, the published tree is served all the same,
    and the preparation is tried again in the background until it succeeds.
    """
    publisher = open_publisher(environment)
    begun: bool | None = None
    resumed = False

    def begin() -> bool:
        nonlocal begun, resumed
        if begun is None:
            begun = publisher.begin()
        if not resumed:
            prepare(environment)
            # What the last run committed and did not flush is shown before anybody asks,
            # and what it stored and did not commit is gone.
            publisher.resume()
            orphans.clear(environment)
            resumed = True
        return begun

    try:
        begin()
    except (DatabaseAway, DBAPIError, PoolTimeout, OSError) as error:
        log.warning("%s; serving what is published", error)
    caretaker = Caretaker(publisher, begin)
    caretaker.start()
    return Index(environment, publisher, caretaker)


def prepare(environment: Environment) -> Path:
    """Bring the database to the newest schema and return the path of the first token.

    A token is written when there is none in ``DIR/admin.token`` or it no longer works:
    whoever can write that folder owns the index in any case.

    Raises:
        DatabaseAway: the database does not answer.
        SettingsInvalid: the schema is not the newest and `database.upgrade` is off.
    """
    settings = environment.settings
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with _away_refused():
        if settings.database_upgrade:
            migrations.upgrade(environment.database)
        elif migrations.current(environment.database) != migrations.HEAD:
            raise SettingsInvalid("the schema is not the newest: run `pyramid-pypi db upgrade`")
        return _first_token(environment)


def _first_token(environment: Environment) -> Path:
    path = environment.settings.data_dir / "admin.token"
    now = environment.clock()
    with environment.database.reading() as session:
        if _lasts(session, path, environment):
            return path
    with environment.database.writing() as session:
        if users.find(session, ADMINISTRATOR) is None:
            users.add(session, COMMAND_LINE, ADMINISTRATOR, is_admin=True, at=now)
        secret, _ = tokens.create(
            session,
            COMMAND_LINE,
            ADMINISTRATOR,
            "first token, written at start",
            list(Scope),
            None,
            expires_at=now + _TOKEN_LIFE,
            at=now,
        )
        # Before the commit: where it cannot be written, no token stands that nobody has.
        durable.write_durably(path, secret.encode() + b"\n", mode=0o600)
    log.info("wrote a token of the administrator to %s", path)
    return path


def _lasts(session: Session, path: Path, environment: Environment) -> bool:
    try:
        secret = path.read_text(encoding="ascii").strip()
        actor = tokens.identify(session, secret, at=environment.clock())
    except (FileNotFoundError, UnicodeDecodeError, NotAuthenticated):
        return False
    token = session.get(Token, actor.token_id)
    return token is not None and token.expires_at - environment.clock() > _RENEW_BEFORE


@contextmanager
def _away_refused() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if is_away(error):
            raise DatabaseAway(str(error.orig).strip().partition("\n")[0]) from error
        raise
