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

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, suppress
from dataclasses import replace

from pyramid_pypi.changes import journal
from pyramid_pypi.changes.journal import ChangeEntry
from pyramid_pypi.environment import Environment
from pyramid_pypi.errors import Refusal
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
_READER_WAITS_S = 0.2
_SOON_MADE = 1000  # changes that a reader can wait for until the first pointer

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
        self._marked: dict[ProjectName, int] = {}
        self._marks = itertools.count()
        # Entries of all pages and their serial, while the whole tree is written at once.
        self._written: tuple[int, Mapping[str, Entry]] | None = None

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

    def finish(self) -> None:
        """Leave nothing to the next process but what takes long.

        Raises:
            sqlalchemy.exc.DBAPIError, OSError: as `refresh`.
        """
        found = {record.type: record for record in self._pointer.standing().records}
        self.refresh(whole=self._whole.is_small(found))

    def refresh_for_reader(self) -> None:
        """Bring the pointer up to date if it lags, for a reader who asks for it.

        Not more often than once a second: its time, in whole seconds, has to grow.  What
        may take long is left to the clock, and so is to tell that it cannot be signed.

        Raises:
            sqlalchemy.exc.DBAPIError, OSError: as `refresh`.
        """
        if not self._is_time():
            return
        standing, published = self._pointer.standing(), self._state.published()
        is_first = not standing.records
        if standing.serial >= published + is_first or (is_first and published > _SOON_MADE):
            return
        with suppress(TurnTaken), self._turn.taken(wait_s=_READER_WAITS_S):
            if not self._is_time():
                return
            try:
                if is_first:
                    self._round(whole=True)
                else:
                    self._show_pages(standing)
            except Refusal as refusal:
                log.debug("the pointer stays as it is: %s", refusal)
            finally:
                self._ended = time.monotonic()

    def _is_time(self) -> bool:
        return time.monotonic() - self._ended >= _LEAST_APART_S

    def mark(self, names: Iterable[ProjectName]) -> None:
        """Have the documents of `names` looked at again, whatever the journal tells.

        For those that were written without a change, after they had failed or were torn.
        """
        for name in filter(is_normalized, names):
            self._marked[name] = next(self._marks)

    def rebuild(self) -> None:
        """Make all of it from the database and the pages, whatever stands.

        Raises:
            sqlalchemy.exc.DBAPIError, OSError: as `refresh`.
        """
        with self._turn.taken():
            self._rebuild()

    def begin(self, serial: int, pages: Mapping[str, Entry], *, companions: bool) -> None:
        """Make all of it for a tree whose `pages` were all written just now, at `serial`.

        With `companions`, those of every project too; else of whom they stand.

        Raises:
            sqlalchemy.exc.DBAPIError, OSError: as `refresh`.
        """
        with self._turn.taken(), self._companions.leaving_out(not companions):
            self._written = serial, pages
            try:
                self._rebuild()
            finally:
                self._written = None

    def _rebuild(self) -> None:
        self._whole.forget()
        self._pointer.forget()
        self._round(whole=True, standing=NOTHING)

    def _round(self, *, whole: bool = False, standing: Repomd | None = None) -> None:
        if standing is None:
            standing = self._pointer.standing()
        found = {record.type: record for record in standing.records}
        if found:
            # First, so that nothing of what takes long, or fails, holds up the pages.
            standing = self._step(standing, found)
        if whole or not self._whole.is_fresh(self._state.published(), found):
            own = {kind: found[kind] for kind in found if kind in _OWN}
            found = own | self._whole.records(found)
            # Again, so that no record tells more than the revision.
            self._step(standing, found)
        self._ended = time.monotonic()

    def _step(self, standing: Repomd, found: dict[str, Record]) -> Repomd:
        """Show what pages and companions have become; return it, and note it in `found`."""
        marked = dict(self._marked)
        shown = self._follow_pages(standing, found, marked.keys())
        try:
            found["companions"] = self._companions.follow(shown, found, marked.keys())
        except OSError:
            log.exception("companions stay as they were; the pages go on")
            marked.clear()
        self._show(shown, found)
        for name, number in marked.items():
            if self._marked.get(name) == number:
                del self._marked[name]
        return shown

    def _show_pages(self, standing: Repomd) -> None:
        found = {record.type: record for record in standing.records}
        base = self._base(standing, found)
        self._show(self._tell(self._advance(base, frozenset()), found), found)

    def _show(self, shown: Repomd, found: Mapping[str, Record]) -> None:
        records = tuple(found[kind] for kind in ORDER if kind in found)
        self._pointer.show(replace(shown, records=records))

    def _follow_pages(
        self, standing: Repomd, found: dict[str, Record], marked: AbstractSet[ProjectName]
    ) -> Repomd:
        """Bring shards and changes to the present; return its serial and instant."""
        try:
            base = self._base(standing, found) if "shards" in found else self._from_nothing()
            reached = self._advance(base, marked)
        except (TreeUnreadable, SegmentsUnreadable, EventUnreadable) as error:
            log.warning("the hash tree and the segments are made anew: %s", error)
            reached = self._advance(self._from_nothing(), marked)
        return self._tell(reached, found)

    def _tell(self, reached: Base, found: dict[str, Record]) -> Repomd:
        """Put the records of what was reached; return its serial and instant."""
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
            raise TreeUnreadable("a record is lost")
        return Base(standing.serial, standing.at, hash_tree.parse_root(shards), changes)

    def _from_nothing(self) -> Base:
        serial, pages = self._written or (self._state.published(), None)
        return from_nothing(self._tree, self._database, self._shards, serial, pages)

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
