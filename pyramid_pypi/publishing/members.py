"""What each project contributes to the documents of all files, rendered and compressed.

One SQLite file, which is a cache: it can be made anew from the index at any time, so one
that is torn, or made by other rules, is dropped without a question.  What it keeps of a
project are three members (RFC 1952) for three documents, each as XML and as gzip.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from pyramid_pypi.formats.compression import gzip_bytes
from pyramid_pypi.formats.packages_xml import KINDS, Kind, Members
from pyramid_pypi.values.names import ProjectName

_FORM = 1  # raised when the tables change
_TORN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
# A temporary table goes to the disk when it grows, as the names of a whole index do.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS progress (
    rules TEXT NOT NULL, serial INTEGER NOT NULL, entry TEXT NOT NULL,
    most_files INTEGER NOT NULL, outside INTEGER NOT NULL, digests TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS project (
    name BLOB PRIMARY KEY, files INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS member (
    kind INTEGER, name BLOB, xml BLOB NOT NULL, gzip BLOB NOT NULL,
    PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failed (name BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TEMPORARY TABLE waiting (name BLOB PRIMARY KEY) WITHOUT ROWID;
"""


class MembersTorn(Exception):
    """The cache is no database, or not one of ours; forget it."""


class Progress(NamedTuple):
    """How far the members have come.

    `entry` tells the change `serial` from one of the same number in another journal, and
    `outside` the window they were rendered for (`catalog.window`), of `most_files`.
    `digests` are those of the documents last assembled, none after a member changed.
    """

    serial: int
    entry: str
    most_files: int
    outside: int
    digests: tuple[str, ...] = ()


class MemberStore:
    """The file at `path`, with members made by the rules that the text `rules` names."""

    def __init__(self, path: Path, rules: str) -> None:
        self._path = path
        self._rules = f"{_FORM} {rules}"

    @contextmanager
    def opened(self) -> Iterator[OpenMembers]:
        """Give the members to read and change, by one at a time.

        Raises:
            MembersTorn: the file cannot be understood.
            OSError: it cannot be read or written.
        """
        try:
            with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
                # NORMAL, not OFF: after a power cut the last changes may be missing, but
                # none is there by half.
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.executescript(_SCHEMA)
                yield OpenMembers(connection, self._rules)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _TORN:
                raise MembersTorn(str(error)) from error
            raise OSError(f"{self._path}: {error}") from error

    def forget(self) -> None:
        """Remove the file, so that every project is rendered again."""
        for ending in ("", "-wal", "-shm"):
            self._path.with_name(f"{self._path.name}{ending}").unlink(missing_ok=True)


class OpenMembers:
    """The members of all projects, open."""

    def __init__(self, connection: sqlite3.Connection, rules: str) -> None:
        self._connection = connection
        self._rules = rules

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep all that is changed within, or nothing of it."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def progress(self) -> Progress | None:
        """Return how far the members have come; None when there are none.

        Raises:
            MembersTorn: they were made by other rules.
        """
        row = self._connection.execute("SELECT * FROM progress").fetchone()
        if row is None:
            return None
        if row[0] != self._rules:
            raise MembersTorn(f"made by {row[0]}")
        _, serial, entry, most_files, outside, digests = row
        return Progress(serial, entry, most_files, outside, tuple(digests.split()))

    def set_progress(self, progress: Progress) -> None:
        """Note how far the members have come."""
        self._connection.execute("DELETE FROM progress")
        row = (self._rules, *progress[:4], " ".join(progress.digests))
        self._connection.execute("INSERT INTO progress VALUES (?, ?, ?, ?, ?, ?)", row)

    def ask(self, names: Iterable[ProjectName]) -> None:
        """Have `names` wait to be rendered."""
        waiting = ((name.encode(),) for name in names)
        self._connection.executemany("INSERT OR IGNORE INTO waiting VALUES (?)", waiting)

    def asked(self) -> Iterator[ProjectName]:
        """Yield each project that waits to be rendered, in order."""
        for (name,) in self._connection.execute("SELECT name FROM waiting ORDER BY name"):
            yield ProjectName(name.decode())

    def failed(self) -> list[ProjectName]:
        """Return the projects that could not be rendered the last time."""
        rows = self._connection.execute("SELECT name FROM failed ORDER BY name")
        return [ProjectName(name.decode()) for (name,) in rows]

    def put(self, name: ProjectName, members: Members) -> bool:
        """Keep the `members` of `name`; return whether they differ from those before."""
        key, execute = name.encode(), self._connection.execute
        execute("DELETE FROM failed WHERE name = ?", (key,))
        changed = False
        for number, kind in enumerate(KINDS):
            xml = members.of(kind)
            same = "SELECT 1 FROM member WHERE kind = ? AND name = ? AND xml = ?"
            if execute(same, (number, key, xml)).fetchone() is None:
                row = (number, key, xml, gzip_bytes(xml))
                execute("INSERT OR REPLACE INTO member VALUES (?, ?, ?, ?)", row)
                changed = True
        if changed:
            counted = (key, members.count)
            execute("INSERT OR REPLACE INTO project VALUES (?, ?)", counted)
        return changed

    def drop(self, name: ProjectName, *, failed: bool = False) -> bool:
        """Have no members of `name`; return whether there were any.

        With `failed`, because they cannot be rendered: it is to be tried again.
        """
        key, execute = name.encode(), self._connection.execute
        execute("DELETE FROM failed WHERE name = ?", (key,))
        if failed:
            execute("INSERT INTO failed VALUES (?)", (key,))
        for number in range(len(KINDS)):
            execute("DELETE FROM member WHERE kind = ? AND name = ?", (number, key))
        return execute("DELETE FROM project WHERE name = ?", (key,)).rowcount > 0

    def file_count(self) -> int:
        """Return how many files all members list."""
        count = self._connection.execute("SELECT coalesce(sum(files), 0) FROM project")
        return int(count.fetchone()[0])

    def members(self, kind: Kind) -> Iterator[tuple[bytes, bytes]]:
        """Yield the member of each project for the document `kind`, in order of names.

        As XML, and as gzip.
        """
        return self._connection.execute(
            "SELECT xml, gzip FROM member WHERE kind = ? ORDER BY name", (KINDS.index(kind),)
        )
