"""What an exporter remembers from run to run: rounds that wait, and files that leave.

Kept beside the export, never in it.  A run that is killed leaves notes that the next one
clears up: what it was about to place is written down before it is placed.  Losing the
ledger costs one run that looks at everything.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyramid_pypi.formats import repomd
from pyramid_pypi.formats.repomd import Repomd, RepomdUnreadable
from pyramid_pypi.publishing.export_pointer import JSON, Document, PointerSet

_SCHEMA = """
CREATE TABLE IF NOT EXISTS round (
    number INTEGER PRIMARY KEY, placed_at REAL NOT NULL, stamp TEXT NOT NULL,
    pointer BLOB NOT NULL, documents TEXT NOT NULL, installed INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS pointer (
    number INTEGER, position INTEGER, path TEXT NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (number, position));
CREATE TABLE IF NOT EXISTS leaving (
    key BLOB PRIMARY KEY, path TEXT NOT NULL, is_stable INTEGER NOT NULL,
    number INTEGER NOT NULL, since REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS doubted (
    key BLOB PRIMARY KEY, path TEXT NOT NULL, is_stable INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS going (
    key BLOB PRIMARY KEY, path TEXT NOT NULL, is_stable INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS coming (key BLOB PRIMARY KEY) WITHOUT ROWID;
"""

_FOREVER = 2.0**62
_BUFFERED = 2000

Leaver = tuple[str, bool]
"""A path, and whether it is a stable one: of those no reader may find the old version."""


@dataclass(frozen=True)
class PlacedRound:
    """A round whose documents are all in the export; `placed_at` is a Unix time."""

    number: int
    placed_at: float
    stamp: str
    repomd: Repomd
    documents: tuple[str, ...]  # paths of what was placed for this round alone
    installed: bool


class Ledger:
    """The ledger of one export; have the export's turn."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = self._opened()
        self._empty()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def begin(self, now: float) -> None:
        """Clear up after a run that was cut off: what it placed leaves in its time."""
        self._empty()
        with self._database as tx:
            tx.execute(
                "INSERT OR IGNORE INTO leaving SELECT key, path, is_stable, 0, ? FROM doubted",
                (now,),
            )
            for table in ("doubted", "going", "coming"):
                tx.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            # A clock set back makes no round wait for longer than one that is new.
            tx.execute("UPDATE round SET placed_at = ? WHERE placed_at > ?", (now, now))

    def newest(self) -> PlacedRound | None:
        """Return the round that was placed last, None before the first."""
        return self._round(_FOREVER)

    def due(self, before: float) -> PlacedRound | None:
        """Return the newest round placed before the Unix time `before`, if it waits."""
        found = self._round(before)
        return found if found and not found.installed else None

    def waiting_since(self) -> float | None:
        """Return when the first of the rounds that wait was placed."""
        query = "SELECT min(placed_at) FROM round WHERE NOT installed"
        ((found,),) = self._rows(query, ())
        return None if found is None else float(found)

    def pointers(self, number: int) -> list[Document]:
        """Return the pointers of a round that waits, in order."""
        query = "SELECT path, content FROM pointer WHERE number = ? ORDER BY position"
        return self._rows(query, (number,))

    def note(
        self, coming: Iterable[str], doubted: Iterable[Leaver], going: Iterable[Leaver]
    ) -> None:
        """Write down what the present round names, is about to add, and names no more."""
        self._coming += ((_key(path),) for path in coming)
        self._going += ((_key(path), path, is_stable) for path, is_stable in going)
        self._doubted += ((_key(path), path, is_stable) for path, is_stable in doubted)
        # Doubts must stand before anything is placed; the rest dies with the run.
        if self._doubted or len(self._coming) + len(self._going) > _BUFFERED:
            self._flush()

    def is_coming(self, path: str) -> bool:
        """Tell whether the present round names `path`."""
        self._flush()
        return bool(self._rows("SELECT 1 FROM coming WHERE key = ?", (_key(path),)))

    def complete(self, placed: PointerSet, at: float) -> int:
        """Note that every document of the present round stands; return its number."""
        self._flush()
        ((last,),) = self._rows("SELECT coalesce(max(number), 0) FROM round", ())
        number = int(last) + 1
        content = dict(placed.pointers)[JSON]
        paths = json.dumps([path for path, _ in placed.documents])
        with self._database as tx:
            tx.execute("DELETE FROM leaving WHERE key IN (SELECT key FROM coming)")
            tx.execute(
                "INSERT OR IGNORE INTO leaving SELECT key, path, is_stable, ?, NULL"
                " FROM going WHERE key NOT IN (SELECT key FROM coming)",
                (number,),
            )
            for table in ("doubted", "going", "coming"):
                tx.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            tx.execute(
                "INSERT INTO round VALUES (?, ?, ?, ?, ?, 0)",
                (number, at, placed.stamp, content, paths),
            )
            tx.executemany(
                "INSERT INTO pointer VALUES (?, ?, ?, ?)",
                [(number, place, *pointer) for place, pointer in enumerate(placed.pointers)],
            )
        return number

    def outdated(self, number: int) -> list[str]:
        """Return the stable paths that show nothing any more once round `number` is in."""
        query = "SELECT path FROM leaving WHERE is_stable AND since IS NULL AND number <= ?"
        return [path for (path,) in self._rows(query, (number,))]

    def installed(self, number: int, at: float) -> None:
        """Note that the pointers of round `number` were replaced at the Unix time `at`."""
        with self._database as tx:
            tx.execute(
                "DELETE FROM leaving WHERE is_stable AND since IS NULL AND number <= ?",
                (number,),
            )
            tx.execute(
                "UPDATE leaving SET since = ? WHERE since IS NULL AND number <= ?", (at, number)
            )
            tx.execute("DELETE FROM pointer WHERE number <= ?", (number,))
            tx.execute("DELETE FROM round WHERE number < ?", (number,))
            tx.execute("UPDATE round SET installed = 1 WHERE number = ?", (number,))

    def expired(self, before: float) -> list[str]:
        """Return the paths that were named last before the Unix time `before`."""
        query = "SELECT path FROM leaving WHERE since < ?"
        return [path for (path,) in self._rows(query, (before,))]

    def forget(self, paths: Iterable[str]) -> None:
        """Note that `paths` are gone."""
        with self._database as tx:
            tx.executemany(
                "DELETE FROM leaving WHERE key = ?", [(_key(path),) for path in paths]
            )

    def _flush(self) -> None:
        with self._database as tx:
            tx.executemany("INSERT OR IGNORE INTO coming VALUES (?)", self._coming)
            tx.executemany("INSERT OR IGNORE INTO going VALUES (?, ?, ?)", self._going)
            tx.executemany("INSERT OR IGNORE INTO doubted VALUES (?, ?, ?)", self._doubted)
        self._empty()

    def _empty(self) -> None:
        self._coming: list[tuple[bytes]] = []
        self._going: list[tuple[bytes, str, bool]] = []
        self._doubted: list[tuple[bytes, str, bool]] = []

    def _round(self, before: float) -> PlacedRound | None:
        query = (
            "SELECT number, placed_at, stamp, pointer, documents, installed FROM round"
            " WHERE placed_at <= ? ORDER BY number DESC LIMIT 1"
        )
        for row in self._rows(query, (before,)):
            number, placed_at, stamp, pointer, documents, installed = row
            with suppress(RepomdUnreadable):
                known = repomd.parse_json(pointer)
                paths = tuple(json.loads(documents))
                return PlacedRound(number, placed_at, stamp, known, paths, bool(installed))
        return None

    def _rows(self, query: str, values: tuple[object, ...]) -> list[Any]:
        with closing(self._database.execute(query, values)) as rows:
            return rows.fetchall()

    def _opened(self) -> sqlite3.Connection:
        try:
            return _prepared(self._path)
        except sqlite3.DatabaseError:
            for leftover in _files(self._path):
                leftover.unlink(missing_ok=True)
            return _prepared(self._path)


def _prepared(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path)
    # What a power cut takes are the last notes; the file itself stays whole.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.executescript(_SCHEMA)
    database.execute("SELECT count(*) FROM round")
    return database


def _files(path: Path) -> Iterator[Path]:
    for ending in ("", "-wal", "-shm"):
        yield path.with_name(path.name + ending)


def _key(path: str) -> bytes:
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()[:16]
