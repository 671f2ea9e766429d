"""The repository: from what was published to one pointer that vouches for all of it.

Three things follow the pages of projects, each at its own pace (docs/adr/0006):

- the hash tree of the pages and the segments of the journal, at most once a second: one
  change costs one leaf, a few nodes and one segment, however large the index is;
- the hash tree of companions, once they are written;
- what grows with the index (`publishing.whole`), seldom.

Each round starts from what the pointer names, writes what has changed since, and ends
with the next pointer.  What it names is exact: every page was read while nobody
published, so it stands for all changes up to its revision and none after, and a follower
that replays them comes to the same root.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import replace

from pyramid_pypi.changes import journal
from pyramid_pypi.changes.journal import ChangeEntry
from pyramid_pypi.environment import Environment
from pyramid_pypi.formats import hash_tree
from pyramid_pypi.formats.events import EventUnreadable
from pyramid_pypi.formats.hash_tree import Entry, TreeUnreadable
from pyramid_pypi.formats.hash_tree_edit import Change
from pyramid_pypi.formats.repomd import Record, Repomd
from pyramid_pypi.formats.segments import SegmentsUnreadable
from pyramid_pypi.publishing import touched
from pyramid_pypi.publishing.beginning import Base, from_nothing, page_of
from pyramid_pypi.publishing.companion_tree import CompanionTree
from pyramid_pypi.publishing.companions import Companions
from pyramid_pypi.publishing.hash_trees import HashTree
from pyramid_pypi.publishing.lists import Lists
from pyramid_pypi.publishing.pointer import NOTHING, Pointer
from pyramid_pypi.publishing.records import ORDER, Records
from pyramid_pypi.publishing.segments import Segments
from pyramid_pypi.publishing.state import State
from pyramid_pypi.publishing.turns import Turn, TurnTaken
from pyramid_pypi.publishing.whole import Whole
from pyramid_pypi.values.names import ProjectName, is_normalized

log = logging.getLogger(__name__)

SHARDS_ROOM = "repodata/t"
_OWN = ("shards", "companions", "changes")
_AT_A_TIME = 1000
_LEAST_APART_S = 1.0
_READER_WAITS_S = 2.0

Resting = Callable[[], AbstractContextManager[int]]
"""Holds the publishing of pages, and tells the serial that all of them show."""


class Repository:
    """Writes the metadata of the whole tree; one at a time, of all processes."""

    def __init__(
        self,
        environment: Environment,
        companions: Companions,
        lists: Lists,
        resting: Resting,
        *,
        title: str,
    ) -> None:
        self._database = environment.database
        self._tree = environment.tree
        self._state = State(environment.settings.data_dir)
        self._companions = CompanionTree(environment, companions)
        self._whole = Whole(environment, lists)
        self._pointer = Pointer(environment, title=title)
        self._resting = resting
        self._records = Records(environment.tree)
        self._shards = HashTree(environment.tree, SHARDS_ROOM)
        self._segments = Segments(environment.tree)
        self._turn = Turn(environment.settings.data_dir / "repository.lock")
        self._ended = -_LEAST_APART_S
        self._marked: set[ProjectName] = set()
        # Entries of all pages, while the whole tree is written at once.
        self._written: Mapping[str, Entry] | None = None

    @property
    def serial(self) -> int:
        """Return the serial that the pointer shows."""
        return self._pointer.standing().serial

    def refresh(self, *, whole: bool = False) -> None:
        """Bring the pointer to what is published; with `whole`, all that it names.

        Raises:
            sqlalchemy.exc.DBAPIError: the database is away.
            OSError: a document cannot be written; the pointer stays as it was.
        """
        with self._turn.taken():
            self._round(whole=whole)

    def refresh_for_reader(self) -> None:
        """Bring the pointer up to date if it lags, for a reader who asks for it.

        Not more often than once a second: its time, in whole seconds, has to grow.  What
        may take long is left to the clock.
        """
        if time.monotonic() - self._ended < _LEAST_APART_S:
            return
        if self.serial >= self._state.published():
            return
        try:
            with self._turn.taken(wait_s=_READER_WAITS_S):
                if time.monotonic() - self._ended >= _LEAST_APART_S:
                    self._round(briefly=True)
        except TurnTaken:
            return

    def mark(self, names: Iterable[ProjectName]) -> None:
        """Have the documents of `names` looked at again, whatever the journal tells.

        For those that were written without a change, after they had failed or were torn.
        """
        self._marked.update(filter(is_normalized, names))

    def rebuild(self) -> None:
        """Make all of it from the database and the pages, whatever stands.

        Raises:
            sqlalchemy.exc.DBAPIError, OSError: as `refresh`.
        """
        with self._turn.taken():
            self._whole.forget()
            self._pointer.forget()
            self._round(whole=True, standing=NOTHING)

    def begin(self, pages: Mapping[str, Entry], *, companions: bool) -> None:
        """Make all of it for a tree whose `pages` were all written just now.

        With `companions`, those of every project too; else of whom they stand.

        Raises:
            sqlalchemy.exc.DBAPIError, OSError: as `refresh`.
        """
        self._written = pages
        try:
            with self._companions.leaving_out(not companions):
                self.rebuild()
        finally:
            self._written = None

    def _round(
        self,
        *,
        whole: bool = False,
        briefly: bool = False,
        standing: Repomd | None = None,
    ) -> None:
        if standing is None:
            standing = self._pointer.standing()
        marked = frozenset(self._marked)
        found = {record.type: record for record in standing.records}
        if whole or not (briefly or self._whole.is_fresh(self._state.published(), found)):
            # First, so that no record tells more than the revision.
            own = {kind: found[kind] for kind in found if kind in _OWN}
            found = own | self._whole.records(found)
        shown = self._follow_pages(standing, found, marked)
        if not briefly:
            found["companions"] = self._companions.follow(shown, found, marked)
        records = tuple(found[kind] for kind in ORDER if kind in found)
        self._pointer.show(replace(shown, records=records))
        if not briefly:
            self._marked -= marked
        self._ended = time.monotonic()

    def _follow_pages(
        self, standing: Repomd, found: dict[str, Record], marked: AbstractSet[ProjectName]
    ) -> Repomd:
        """Bring shards and changes to the present; return its serial and instant."""
        try:
            reached = self._advance(self._base(standing, found), marked)
        except (TreeUnreadable, SegmentsUnreadable, EventUnreadable) as error:
            log.warning("the hash tree and the segments are made anew: %s", error)
            reached = self._advance(self._from_nothing(), marked)
        serial, at = reached.serial, reached.at
        root = hash_tree.root(reached.shards)
        found["shards"] = self._records.json("shards", root, serial, at)
        changes = reached.changes or self._segments.extend(None, [])
        found["changes"] = self._records.json("changes", changes, serial, at)
        return Repomd(serial, at, ())

    def _base(self, standing: Repomd, found: Mapping[str, Record]) -> Base:
        shards, changes = (
            self._records.content(found.get(kind)) for kind in ("shards", "changes")
        )
        if shards is None or changes is None:
            return self._from_nothing()
        return Base(standing.serial, standing.at, hash_tree.parse_root(shards), changes)

    def _from_nothing(self) -> Base:
        shown = self._state.published()
        return from_nothing(self._tree, self._database, self._shards, shown, self._written)

    def _advance(self, base: Base, marked: AbstractSet[ProjectName]) -> Base:
        # What is committed and not yet published has pages of before: they have to rest.
        while len(changes := self._changes(base.serial, self._state.published())) == _AT_A_TIME:
            pages = self._pages(changes)
            base = self._take(base, changes, pages)
        with self._resting() as serial:
            changes = list(self._every_change(base.serial, serial))
            pages = self._pages(changes) | {name: self._page(name) for name in marked}
        return self._take(base, changes, pages)

    def _take(
        self, base: Base, changes: list[ChangeEntry], pages: Mapping[str, Change]
    ) -> Base:
        shards = self._shards.edit(base.shards, pages) if pages else base.shards
        if not changes:
            return replace(base, shards=shards)
        return base.after(changes[-1], shards, self._segments.extend(base.changes, changes))

    def _every_change(self, after: int, until: int) -> Iterator[ChangeEntry]:
        while changes := self._changes(after, until):
            yield from changes
            after = changes[-1].serial

    def _changes(self, after: int, until: int | None = None) -> list[ChangeEntry]:
        with self._database.reading() as session:
            changes = journal.since(session, after, _AT_A_TIME)
        return [change for change in changes if until is None or change.serial <= until]

    def _pages(self, changes: Iterable[ChangeEntry]) -> dict[str, Change]:
        return {name: self._page(name) for name in touched.by_project(changes)}

    def _page(self, name: str) -> Entry | None:
        return page_of(self._tree, name)
