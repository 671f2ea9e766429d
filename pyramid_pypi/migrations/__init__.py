"""The schema's steps, run by Alembic on SQLite and PostgreSQL alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from pyramid_pypi.errors import NotPrepared
from pyramid_pypi.models.database import Database

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0001"
"""The newest step; told here because importing Alembic costs more than a start may."""


def current(database: Database) -> str | None:
    """Return the step that `database` is at, None when it has no schema of ours.

    Raises:
        sqlalchemy.exc.DBAPIError: the database is away.
    """
    with database.reading_engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        step: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return step


def upgrade(database: Database) -> bool:
    """Bring `database` to `HEAD`; return whether there was anything to do.

    Processes that start together take turns, so each step runs once.

    Raises:
        NotPrepared: the database is at a step that this program does not know.
    """
    if current(database) == HEAD:
        return False
    from alembic import command
    from alembic.util import CommandError

    with database.writing_engine.begin() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(1835624306)"))
        try:
            command.upgrade(_config(connection), "head")
        except CommandError as error:
            raise NotPrepared(f"another version made the database: {error}") from error
    return True


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "pyramid_pypi:migrations")
    config.attributes["connection"] = connection
    return config
