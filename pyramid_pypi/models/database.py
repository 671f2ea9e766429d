"""The two doors to the database: one that reads, one that writes.

SQLite gives the write lock to a transaction that asks for it at its first statement;
one that read before it asks is refused when others write (``database is locked``, at
once, whatever the timeout).  So a writing session begins IMMEDIATE, and a reading
session, which never locks anybody, is another door.  On PostgreSQL both share one pool.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

# Writers queue for SQLite's lock; each holds it for one commit, some ms to a busy disk.
_SQLITE_LOCK_TIMEOUT_S = 30


class Database:
    """Engines and sessions of one database."""

    def __init__(self, url: str, *, timeout_s: int = 5) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self.writing_engine = _sqlite_engine(url, writes=True)
            self.reading_engine = _sqlite_engine(url, writes=False)
        else:
            self.writing_engine = create_engine(
                url,
                hide_parameters=True,
                pool_pre_ping=True,
                pool_size=10,
                max_overflow=20,
                pool_timeout=timeout_s,
                connect_args={"connect_timeout": timeout_s},
            )
            # A document is read by several statements, which must see one state.
            self.reading_engine = self.writing_engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        self._reading = sessionmaker(self.reading_engine, autoflush=False)
        self._writing = sessionmaker(self.writing_engine)

    def reading_session(self) -> Session:
        """Return a session that only reads; close it when done."""
        return self._reading()

    def writing_session(self) -> Session:
        """Return a session whose first statement takes SQLite's write lock."""
        return self._writing()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session that only reads, and close it."""
        with self._reading() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Give a session that writes; commit it at the end, or roll it back."""
        with self._writing.begin() as session:
            yield session

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.reading_engine.dispose()
        self.writing_engine.dispose()


def is_away(error: DBAPIError) -> bool:
    """Tell whether `error` means that the server is gone, not that a statement is wrong."""
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    # 08: connection, 57P: shutdown.  No state at all: the connection never came about.
    if state is not None:
        return bool(state.startswith(("08", "57P")))
    return type(error.orig).__name__ in {"OperationalError", "ConnectionTimeout"} and not (
        isinstance(error.orig, sqlite3.Error)
    )


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _sqlite_engine(url: str, *, writes: bool) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        # No isolation level: the driver begins nothing by itself, the event below does.
        connect_args={"timeout": _SQLITE_LOCK_TIMEOUT_S, "isolation_level": None},
        pool_size=10,
        max_overflow=40,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        # SQLite keeps any bytes as text; some that are none would stop whoever reads the
        # table, with an error that looks as if the database were away.
        connection.text_factory = _text
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        # FULL, or a power cut takes back commits that were acknowledged.
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def start(connection: Any) -> None:
        if writes:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            # To read takes no lock and cannot fail, so the driver is asked directly: it
            # costs a twentieth, and every upload begins to read three times.
            connection.connection.driver_connection.execute("BEGIN")

    return engine
