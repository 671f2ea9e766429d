"""``pyramid-pypi doctor``: one look at everything an index stands on.

A check returns what it saw; what keeps the index from working well is a finding.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from pyramid_pypi import fetching, migrations
from pyramid_pypi.cli.invocation import FINDINGS, Invocation
from pyramid_pypi.cli.options import pass_invocation, shared_options
from pyramid_pypi.cli.sessions import database_errors
from pyramid_pypi.environment import Environment
from pyramid_pypi.errors import Refusal
from pyramid_pypi.publishing import fsck, standing
from pyramid_pypi.publishing.keys import Keyring

_LEAST_SQLITE = (3, 35, 0)  # RETURNING and ALTER TABLE DROP COLUMN
_LEAST_FREE_BYTES = 1024**3
_LIST_BYTES = 256 * 1024**2
_SERVER_DEADLINE_S = 3.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What one check saw."""

    good: bool
    detail: str


@click.command()
@shared_options
@pass_invocation
def doctor(invocation: Invocation) -> None:
    """Look for what keeps the index from working well.

    Ends with status 3 on findings.
    """
    environment = invocation.environment(in_use=False)
    rows = [
        {"check": name, "good": seen.good, "detail": seen.detail}
        for name, seen in examine(environment)
    ]
    invocation.show(rows)
    wrong = sum(not row["good"] for row in rows)
    noun = "finding" if wrong == 1 else "findings"
    invocation.say(f"{wrong} {noun}." if wrong else "All is well.")
    if wrong:
        raise click.exceptions.Exit(FINDINGS)


def examine(environment: Environment) -> Iterator[tuple[str, Seen]]:
    """Yield the name of each check and what it saw; no check ends the others."""
    for name, look in _CHECKS.items():
        try:
            with database_errors():
                yield name, look(environment)
        except (Refusal, OSError) as error:
            yield name, Seen(good=False, detail=str(error))


def _database(environment: Environment) -> Seen:
    database = environment.database
    if not database.is_sqlite:
        with database.reading_engine.connect() as connection:
            version = connection.exec_driver_sql("SHOW server_version").scalar()
        return Seen(good=True, detail=f"PostgreSQL {version}")
    if not Path(str(database.url.database)).exists():
        return Seen(good=False, detail="no database yet: run `pyramid-pypi init`")
    with database.reading_engine.connect() as connection:
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        flush = connection.exec_driver_sql("PRAGMA synchronous").scalar()
    good = sqlite3.sqlite_version_info >= _LEAST_SQLITE and (mode, flush) == ("wal", 2)
    detail = f"SQLite {sqlite3.sqlite_version}, journal {mode}, synchronous {flush}"
    return Seen(good, detail)


def _schema(environment: Environment) -> Seen:
    if _is_new(environment):
        return Seen(good=False, detail="none yet")
    current = migrations.current(environment.database)
    return Seen(current == migrations.HEAD, f"{current}, the newest is {migrations.HEAD}")


def _folder(environment: Environment) -> Seen:
    folder = environment.settings.data_dir
    if not folder.exists():
        return Seen(good=False, detail=f"{folder.absolute()} does not exist")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Seen(good=False, detail=f"{folder.absolute()} cannot be written to")
    places = (environment.settings.tree_dir, environment.settings.spool_dir)
    devices = {place.stat().st_dev for place in (folder, *places) if place.exists()}
    # Documents and release files take their place by rename, which cannot cross devices.
    if len(devices) > 1:
        return Seen(good=False, detail="tree and spool lie on different file systems")
    return Seen(good=True, detail=str(folder.absolute()))


def _room(environment: Environment) -> Seen:
    if not environment.settings.data_dir.exists():
        return Seen(good=False, detail="no data folder yet")
    free_bytes = shutil.disk_usage(environment.settings.data_dir).free
    return Seen(free_bytes >= _LEAST_FREE_BYTES, f"{free_bytes / 1024**3:.1f} GiB free")


def _token(environment: Environment) -> Seen:
    path = environment.settings.data_dir / "admin.token"
    if not path.exists():
        return Seen(good=True, detail="no token file")
    mode = stat.S_IMODE(path.stat().st_mode)
    return Seen(mode & 0o077 == 0, f"{path.absolute()} has mode {mode:04o}")


def _tree(environment: Environment) -> Seen:
    if _is_new(environment):
        return Seen(good=False, detail="nothing published yet")
    shown, newest = fsck.serials(environment)
    return Seen(shown == newest, f"the tree shows serial {shown}, the journal ends at {newest}")


def _keys(environment: Environment) -> Seen:
    if not environment.settings.signing_enabled:
        return Seen(good=True, detail="signing.enabled is off")
    keyring = Keyring(environment.settings.keys_dir)
    found = standing.look(environment.tree, keyring, environment.clock())
    sentences = [*found.due, *(f"advice: {sentence}" for sentence in found.advice)]
    return Seen(not found.due, "; ".join(sentences) or f"{len(found.keys)} keys")


def _address(environment: Environment) -> Seen:
    url = environment.settings.site_public_url
    if not url:
        return Seen(good=False, detail="site.public_url is not set, and `serve` never ran")
    return Seen(good=True, detail=url)


def _server(environment: Environment) -> Seen:
    url = environment.settings.site_public_url
    if not url:
        return Seen(good=False, detail="no address to ask at")
    answer = fetching.fetch(
        f"{url.rstrip('/')}/simple/", deadline_s=_SERVER_DEADLINE_S, max_bytes=_LIST_BYTES
    )
    serial = answer.headers.get("x-pypi-last-serial", "")
    detail = f"{url}/simple/: status {answer.status}, serial {serial}, {answer.elapsed_ms} ms"
    if not (answer.status == 200 and serial.isdigit()):
        return Seen(good=False, detail=detail)
    # Somebody else's index may answer there too.
    if answer.content != environment.tree.read("simple/index.html"):
        return Seen(good=False, detail=f"{detail}: not the list of this data folder")
    return Seen(good=True, detail=detail)


def _is_new(environment: Environment) -> bool:
    database = environment.database
    return database.is_sqlite and not Path(str(database.url.database)).exists()


_CHECKS: dict[str, Callable[[Environment], Seen]] = {
    "database": _database,
    "schema": _schema,
    "data folder": _folder,
    "disk": _room,
    "token file": _token,
    "published tree": _tree,
    "signing keys": _keys,
    "address": _address,
    "server": _server,
}
