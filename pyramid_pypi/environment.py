"""The services of one index, built once and the same in every face."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyramid_pypi.models.database import Database
from pyramid_pypi.settings import Settings
from pyramid_pypi.storage.blobs import Blobs
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.instants import Clock, system_clock

ADDRESS_NAME = "address"
"""File of the data folder in which `serve` notes where it listens."""
_DEFAULT_ADDRESS = "http://127.0.0.1:6543"


@dataclass(frozen=True, slots=True)
class Environment:
    """Settings, clock, database, release files and published tree."""

    settings: Settings
    clock: Clock
    database: Database
    blobs: Blobs
    tree: Tree


def build(settings: Settings, clock: Clock = system_clock) -> Environment:
    """Return the environment that `settings` describe; nothing is opened or made yet."""
    return Environment(
        settings=settings,
        clock=clock,
        database=Database(settings.database, timeout_s=settings.database_timeout_s),
        blobs=Blobs(settings.tree_dir, settings.spool_dir, settings.data_dir / "blobs.lock"),
        tree=Tree(settings.tree_dir, settings.spool_dir, clock),
    )


def with_address(settings: Settings) -> Settings:
    """Return `settings` with the public address that `serve` listened on, if none is set.

    Some documents carry it, so every process that publishes must know the same.  Before
    the first `serve` it is the address that `serve` takes unless told otherwise.
    """
    if settings.site_public_url:
        return settings
    path = settings.data_dir / ADDRESS_NAME
    noted = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
    return replace(settings, site_public_url=noted or _DEFAULT_ADDRESS)
