"""SQLite twins of the createrepo documents, for old tools that read nothing else.

``yum`` of old asks for them, and for ``dnf`` they are of no use; so they are an option.
Each is made of the XML document it is the twin of, as ``sqliterepo_c`` makes it, and says
in ``db_info`` which one that was.  To make them takes time and room in proportion to the
document; memory stays the same.

Source: createrepo_c, ``sqlite.c``.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, cast

from pyramid_pypi.formats.packages_reading import PackageRow, changelogs, packages
from pyramid_pypi.formats.packages_xml import Kind
from pyramid_pypi.formats.repomd import DATABASE_VERSION
from pyramid_pypi.publishing.records import SpooledDocument
from pyramid_pypi.storage.spool import Spool

_BLOCK_BYTES = 256 * 1024

_PACKAGE_COLUMNS = (
    "pkgId TEXT, name TEXT, arch TEXT, version TEXT, epoch TEXT, release TEXT,"
    " summary TEXT, description TEXT, url TEXT, time_file INTEGER, time_build INTEGER,"
    " rpm_license TEXT, rpm_vendor TEXT, rpm_group TEXT, rpm_buildhost TEXT,"
    " rpm_sourcerpm TEXT, rpm_header_start INTEGER, rpm_header_end INTEGER,"
    " rpm_packager TEXT, size_package INTEGER, size_installed INTEGER,"
    " size_archive INTEGER, location_href TEXT, location_base TEXT, checksum_type TEXT"
)
_RELATION_TABLES = (
    "requires",
    "provides",
    "conflicts",
    "obsoletes",
    "suggests",
    "enhances",
    "recommends",
    "supplements",
)


def _trigger(name: str, tables: Iterable[str]) -> str:
    body = " ".join(f"DELETE FROM {table} WHERE pkgKey = old.pkgKey;" for table in tables)  # noqa: S608
    return f"CREATE TRIGGER {name} AFTER DELETE ON packages BEGIN {body} END"


_TABLES: dict[Kind, tuple[str, ...]] = {
    "primary": (
        f"CREATE TABLE packages (pkgKey INTEGER PRIMARY KEY, {_PACKAGE_COLUMNS})",
        "CREATE TABLE files (name TEXT, type TEXT, pkgKey INTEGER)",
        *(
            f"CREATE TABLE {table} (name TEXT, flags TEXT, epoch TEXT, version TEXT,"
            f" release TEXT, pkgKey INTEGER"
            f"{', pre BOOLEAN DEFAULT FALSE' if table == 'requires' else ''})"
            for table in _RELATION_TABLES
        ),
        _trigger("removals", ("files", *_RELATION_TABLES)),
    ),
    "filelists": (
        "CREATE TABLE packages (pkgKey INTEGER PRIMARY KEY, pkgId TEXT)",
        "CREATE TABLE filelist (pkgKey INTEGER, dirname TEXT, filenames TEXT, filetypes TEXT)",
        _trigger("remove_filelist", ("filelist",)),
    ),
    "other": (
        "CREATE TABLE packages (pkgKey INTEGER PRIMARY KEY, pkgId TEXT)",
        "CREATE TABLE changelog (pkgKey INTEGER, author TEXT, date INTEGER, changelog TEXT)",
        _trigger("remove_changelogs", ("changelog",)),
    ),
}
_INDEXES: dict[Kind, tuple[str, ...]] = {
    "primary": (
        "CREATE INDEX packagename ON packages (name)",
        "CREATE INDEX packageId ON packages (pkgId)",
        "CREATE INDEX filenames ON files (name)",
        "CREATE INDEX pkgfiles ON files (pkgKey)",
        *(f"CREATE INDEX pkg{table} ON {table} (pkgKey)" for table in _RELATION_TABLES),
        *(f"CREATE INDEX {table}name ON {table} (name)" for table in ("requires", "provides")),
    ),
    "filelists": (
        "CREATE INDEX keyfile ON filelist (pkgKey)",
        "CREATE INDEX pkgId ON packages (pkgId)",
        "CREATE INDEX dirnames ON filelist (dirname)",
    ),
    "other": (
        "CREATE INDEX keychange ON changelog (pkgKey)",
        "CREATE INDEX pkgId ON packages (pkgId)",
    ),
}


def twin(kind: Kind, document: Path, sha256: str, spool: Spool) -> SpooledDocument:
    """Make the twin of `document`, a ``KIND.xml.gz`` whose digest is `sha256`.

    Equal documents give equal twins, as long as SQLite's version is the same: it stands
    in the head of each database.
    """
    database, compressed = spool.new_path(), spool.new_path()
    try:
        with gzip.open(document) as stream:
            _write(kind, database, cast("BinaryIO", stream), sha256)
        return _compressed(f"{kind}_db", database, compressed)
    except BaseException:
        compressed.unlink(missing_ok=True)
        raise
    finally:
        database.unlink(missing_ok=True)


def _write(kind: Kind, path: Path, stream: BinaryIO, sha256: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # It is read once, compressed and thrown away: nothing of it needs to last.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE db_info (dbversion INTEGER, checksum TEXT)")
        for statement in _TABLES[kind]:
            connection.execute(statement)
        rows = packages(stream) if kind == "primary" else changelogs(stream)
        for key, row in enumerate(rows, start=1):
            for table, values in _inserts(key, row):
                marks = ", ".join("?" * len(values))
                connection.execute(f"INSERT INTO {table} VALUES ({marks})", values)  # noqa: S608
        for statement in _INDEXES[kind]:
            connection.execute(statement)
        connection.execute("INSERT INTO db_info VALUES (?, ?)", (DATABASE_VERSION, sha256))
        connection.execute("COMMIT")


def _inserts(key: int, row: PackageRow) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield the rows of one package: table, values in the order of its columns."""
    yield "packages", (key, *row.columns.values())
    for table, relations in row.relations.items():
        pre = ("FALSE",) if table == "requires" else ()
        for relation in relations:
            yield table, (*relation, key, *pre)
    for change in row.changes:
        yield "changelog", (key, *change)


def _compressed(kind: str, database: Path, path: Path) -> SpooledDocument:
    closed, opened = hashlib.sha256(), hashlib.sha256()
    compressor = bz2.BZ2Compressor()
    size = 0
    with database.open("rb") as source, path.open("xb") as target:
        while block := source.read(_BLOCK_BYTES):
            opened.update(block)
            size += target.write(part := compressor.compress(block))
            closed.update(part)
        size += target.write(part := compressor.flush())
        closed.update(part)
    return SpooledDocument(
        kind, path, closed.hexdigest(), size, opened.hexdigest(), database.stat().st_size
    )
