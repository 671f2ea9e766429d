"""What the pointer begins from when nothing stands: all pages, and the whole journal."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from pyramid_pypi.changes import journal
from pyramid_pypi.changes.journal import ChangeEntry
from pyramid_pypi.formats import hash_tree, segment_lists
from pyramid_pypi.formats.hash_tree import Entry, Root
from pyramid_pypi.formats.hash_tree_edit import EMPTY
from pyramid_pypi.formats.repomd import LAST_WHOLE
from pyramid_pypi.formats.simple import serial_of
from pyramid_pypi.models.database import Database
from pyramid_pypi.publishing import documents, segment_files
from pyramid_pypi.publishing.hash_trees import VANISHED, HashTree
from pyramid_pypi.publishing.pointer import BEFORE_ANY, shown_at
from pyramid_pypi.publishing.segments import Segments
from pyramid_pypi.storage.tree import Tree

_CHANGES_AT_A_TIME = 20_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Base:
    """From where a round goes on: the journal up to `serial`, of the instant `at`, is in."""

    serial: int
    at: datetime
    shards: Root
    changes: bytes | None

    def after(self, change: ChangeEntry, shards: Root, changes: bytes) -> Base:
        """Return the base with everything up to `change` in it."""
        return Base(change.serial, shown_at(change.at), shards, changes)


def from_nothing(
    tree: Tree,
    database: Database,
    shards: HashTree,
    until: int,
    pages: Mapping[str, Entry] | None = None,
) -> Base:
    """Return the hash tree of all pages that stand, and the journal up to the serial `until`.

    Pages published meanwhile may be in it, and vanished ones: the changes that made them
    are still to come.  `pages` are those that were all written just now, if they were.
    """
    if pages is None:
        names = tree.holding("simple", "index.json")
        root = shards.build(names, lambda name: page_of(tree, name) or VANISHED)
    else:
        root = shards.build(pages, pages.__getitem__, shadows=False)
    log.info("hash tree: %d projects", root.count)
    told = _journal(tree, database, until)
    log.info("segments: up to %d", until)
    return replace(told, serial=until, shards=root)


def page_of(tree: Tree, name: str) -> Entry | None:
    """Return the entry of the simple page of the project `name`, None when there is none."""
    content = tree.read(documents.simple_paths(name)[1])
    if content is None:
        return None
    # A serial that no leaf may hold is one of no journal.
    serial = serial_of(content) or 0
    return hash_tree.entry_of(content, serial if serial <= LAST_WHOLE else 0)


def _journal(tree: Tree, database: Database, until: int) -> Base:
    held = _Held(tree)
    segments = Segments(held)
    reached = Base(0, BEFORE_ANY, EMPTY, None)
    while reached.serial < until:
        with database.reading() as session:
            changes = journal.since(session, reached.serial, _CHANGES_AT_A_TIME)
        changes = [change for change in changes if change.serial <= until]
        if not changes:
            break
        reached = reached.after(changes[-1], EMPTY, segments.extend(reached.changes, changes))
        held.settle(reached.changes)
    held.settle(reached.changes, whole=True)
    return reached


class _Held:
    """Files of the feed that are written only if they last.

    Of the hours and days of past years nothing would be left but their weeks.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._waiting: dict[str, bytes] = {}

    def read(self, path: str) -> bytes | None:
        """Return the file at `path`, None when there is none."""
        waiting = self._waiting.get(path)
        return self._tree.read(path) if waiting is None else waiting

    def holds(self, path: str, content: bytes) -> bool:
        """Tell whether the file at `path` is just `content` already."""
        waiting = self._waiting.get(path)
        return self._tree.holds(path, content) if waiting is None else waiting == content

    def put(self, path: str, content: bytes) -> int:
        """Keep `content` for `path`; the time it is given means nothing."""
        self._waiting[path] = content
        return 0

    def settle(self, last: bytes | None, *, whole: bool = False) -> None:
        """Write what the record `last` leads to for good, or the `whole` of it; drop the rest.

        Weeks stand for good; days and hours are merged into them.
        """
        if last is None:
            return
        record = segment_lists.parse_record(last)
        named = segment_files.named(record, segment_files.periods_of(self, record))
        kept, waiting = {}, self._waiting
        for path, is_final in named:
            if path in waiting and (whole or is_final):
                self._tree.put(path, waiting.pop(path))
            elif path in waiting:
                kept[path] = waiting[path]
        self._waiting = kept
