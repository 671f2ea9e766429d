"""SQLite twins, beside those that createrepo's own program makes of the same documents."""

from __future__ import annotations

import bz2
import hashlib
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import createrepo_c
import pytest

from pyramid_pypi.formats.packages_xml import KINDS, Kind
from pyramid_pypi.publishing.records import SpooledDocument
from pyramid_pypi.publishing.sqlite_twins import twin
from pyramid_pypi.storage.spool import Spool
from tests.clients import made_repository
from tests.conftest import unavailable

Dump = dict[str, Any]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return made_repository.write(tmp_path / "repository")


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    return spool


def document(repository: Path, kind: Kind) -> Path:
    [path] = (repository / "repodata").glob(f"*-{kind}.xml.gz")
    return path


def made(repository: Path, kind: Kind, spool: Spool) -> SpooledDocument:
    path = document(repository, kind)
    return twin(kind, path, hashlib.sha256(path.read_bytes()).hexdigest(), spool)


def dump(path: Path, scratch: Path) -> Dump:
    """Everything a reader of a twin can see: schema, and each table's rows in order."""
    scratch.write_bytes(bz2.decompress(path.read_bytes()))
    with closing(sqlite3.connect(scratch)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        schema = {
            (kind, name, table): " ".join((sql or "").lower().split())
            for kind, name, table, sql in connection.execute(
                "SELECT type, name, tbl_name, sql FROM sqlite_master"
            )
        }
        tables = [name for kind, name, _ in schema if kind == "table"]
        columns = {
            name: [tuple(column) for column in connection.execute(f"PRAGMA table_info({name})")]
            for name in tables
        }
        rows = {
            # createrepo keeps relations in the order of the XML within a package, too.
            name: connection.execute(f"SELECT * FROM {name} ORDER BY rowid").fetchall()
            for name in tables
        }
    return {"names": sorted(schema), "columns": columns, "rows": rows}


@pytest.mark.parametrize("kind", KINDS)
class TestTwin:
    def test_equals_that_of_sqliterepo_c(
        self, kind: Kind, repository: Path, spool: Spool, tmp_path: Path
    ) -> None:
        program = shutil.which("sqliterepo_c")
        if program is None:
            unavailable("sqliterepo_c is not installed")
        mine = made(repository, kind, spool)
        done = subprocess.run(
            [program, "--quiet", str(repository)], capture_output=True, check=False, text=True
        )
        assert done.returncode == 0, done.stderr
        [theirs] = (repository / "repodata").glob(f"*-{kind}.sqlite.*")

        assert dump(mine.path, tmp_path / "mine") == dump(theirs, tmp_path / "theirs")

    def test_tells_of_itself(
        self, kind: Kind, repository: Path, spool: Spool, tmp_path: Path
    ) -> None:
        found = made(repository, kind, spool)
        record = createrepo_c.RepomdRecord(f"{kind}_db", str(found.path))
        path = found.path.rename(tmp_path / "twin.sqlite.bz2")
        record = createrepo_c.RepomdRecord(f"{kind}_db", str(path))
        record.fill(createrepo_c.SHA256)

        assert found.kind == f"{kind}_db"
        assert found.sha256 == record.checksum
        assert found.size_bytes == record.size
        assert found.open_sha256 == record.checksum_open
        assert found.open_size_bytes == record.size_open

    def test_equal_documents_give_equal_bytes(
        self, kind: Kind, repository: Path, spool: Spool
    ) -> None:
        one, two = (made(repository, kind, spool) for _ in range(2))

        assert one.path.read_bytes() == two.path.read_bytes()
        assert len(list(spool.folder.iterdir())) == 2

    def test_a_torn_document_leaves_nothing_behind(
        self, kind: Kind, repository: Path, spool: Spool
    ) -> None:
        path = document(repository, kind)
        path.write_bytes(path.read_bytes()[:-40])

        with pytest.raises((EOFError, SyntaxError)):
            made(repository, kind, spool)

        assert list(spool.folder.iterdir()) == []
