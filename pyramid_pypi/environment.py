"""The services of one index, built once and the same in every face."""

from __future__ import annotations

from dataclasses import dataclass

from pyramid_pypi.models.database import Database
from pyramid_pypi.settings import Settings
from pyramid_pypi.storage.blobs import Blobs
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.instants import Clock, system_clock


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
