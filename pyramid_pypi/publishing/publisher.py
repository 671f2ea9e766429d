"""The one who publishes: closes the gap between the journal's serial and the tree's.

Whoever has committed a change publishes everything that is committed by then, alone in
its turn; those who waited for the turn find their own change published already.  So
changes batch by themselves, nothing is handed from thread to thread, and an upload can
be installed when its answer arrives (docs/adr/0002).

What installers read is written before the answer.  The rest follows at once, on the
clock of `publishing.caretaker`, or when a reader asks for it: companions of a project,
compressed twins of large documents, and the lists that grow with the index.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from pyramid_pypi.catalog import reading
from pyramid_pypi.changes import journal
from pyramid_pypi.environment import Environment
from pyramid_pypi.formats.compression import gzip_bytes
from pyramid_pypi.formats.pages import Site
from pyramid_pypi.publishing import documents, orphans, restored, touched
from pyramid_pypi.publishing.companions import Companions
from pyramid_pypi.publishing.failures import Failures, going_on
from pyramid_pypi.publishing.lists import Lists
from pyramid_pypi.publishing.patience import Patience
from pyramid_pypi.publishing.repository import Repository
from pyramid_pypi.publishing.state import Checkpoint, State
from pyramid_pypi.publishing.touched import EVERY
from pyramid_pypi.publishing.turns import Turn, TurnTaken
from pyramid_pypi.publishing.writer import DocumentWriter
from pyramid_pypi.values.names import ProjectName

_BATCH_CHANGES = 1000


class Publisher:
    """Writes the documents of one tree; safe for many threads and processes."""

    def __init__(self, environment: Environment, site: Site) -> None:
        self.environment = environment
        self.site = site
        self.state = State(environment.settings.data_dir)
        self.failures = Failures(environment.clock)
        self._writer = DocumentWriter(environment.tree, site)
        self._patience = Patience()
        self._companions = Companions(environment, self._writer, self.failures, self._patience)
        self._lists = Lists(environment, self._writer, self._patience, self._show)
        self.repository = Repository(
            environment, self._companions, self._lists, self.resting, title=site.title
        )
        self._reader = reading.SimpleReader()
        self._turn = Turn(environment.settings.data_dir / "publish.lock")
        # Projects published here since the last checkpoint: what follows is remembered.
        self._own: set[ProjectName] = set()
        self._files_deleted = False
        self._take_up(self.state.checkpoint())

    @property
    def serial(self) -> int:
        """Return the serial that the tree shows, whichever process published it."""
        return self.state.published()

    def begin(self) -> bool:
        """Take up what the last checkpoint tells; needs no database.

        Returns whether the tree was made by the present rules; if not, `rebuild_all`.
        This costs the same however large the index is.
        """
        with self._turn.taken():
            self._take_up(self.state.checkpoint())
            self._writer.static()
        return self._is_current

    def resume(self) -> None:
        """Publish what is committed since the last checkpoint, shown already or not.

        What was not flushed when the power was cut is written again.

        Raises:
            sqlalchemy.exc.DBAPIError, OSError: as `publish_until`.
        """
        self.reconcile()
        with self._turn.taken():
            self.state.set_back()
        self.publish_gap()

    def _take_up(self, last: Checkpoint) -> None:
        self._lists.serial = last.lists
        for name in map(ProjectName, last.failed):
            self.failures.remember(name, "it failed before the last start")
        made_by = (last.revision, last.site)
        by_present_rules = (documents.REVISION, repr(self.site))
        # Whether every document is made by the present rules.
        self._is_current = last == Checkpoint() or made_by == by_present_rules

    def publish_until(self, serial: int, *, wait_s: float) -> bool:
        """Return whether the tree shows `serial`, publishing it here if need be.

        Waits at most `wait_s` for another who publishes.

        Raises:
            sqlalchemy.exc.DBAPIError: the database is away.
            OSError: a document cannot be written.
        """
        if self.serial >= serial:
            return True
        try:
            with self._turn.taken(wait_s=wait_s):
                while self.serial < serial and self._publish_batch():
                    pass
        except TurnTaken:
            return False
        if self._files_deleted:
            self._files_deleted = False
            orphans.clear(self.environment)
        return self.serial >= serial

    def _show(self, serial: int) -> bool:
        return self.publish_until(serial, wait_s=self.environment.settings.publish_wait_s)

    def publish_gap(self) -> int:
        """Publish whatever is committed and not yet shown; return its newest serial.

        Raises:
            sqlalchemy.exc.DBAPIError, OSError: as `publish_until`.
        """
        newest = self.reconcile()
        self._show(newest)
        return newest

    def reconcile(self) -> int:
        """Return the journal's newest serial, made to go on where the tree has come further.

        Beside an older database put back, nothing committed next would be published else.

        Raises:
            DatabaseEmpty: the database is not the tree's.
            sqlalchemy.exc.DBAPIError: the database is away.
        """
        return restored.reconcile(self.environment, self.state, self._turn)

    def settle(self, name: ProjectName) -> None:
        """Write the companions of `name`, if they lag, for a reader who asks for them."""
        if self._companions.settle(name):
            self.repository.mark([name])

    def settle_all(self) -> bool:
        """Write all companions and compressed twins that lag; return whether none does now.

        Raises:
            sqlalchemy.exc.DBAPIError: the database is away.
        """
        with going_on() as attempt:
            with attempt():
                self._companions.settle_all()
            for path in list(self._writer.uncompressed):
                with attempt():
                    self._compress(path)
        return not (self._companions.lag or self._writer.uncompressed)

    def fresh_lists(self) -> None:
        """Write the lists of all projects, if they are older than the tree."""
        self._lists.refresh(self.serial)

    def fresh_pointer(self) -> None:
        """Bring the pointer of the repository up to date, for a reader who asks for it."""
        with self._patience.unless_away():
            self.repository.refresh_for_reader()

    def checkpoint(self) -> None:
        """Flush the documents to the disk, and note how far they have come.

        Another process may have published since the last checkpoint and died before it
        wrote what follows; so of its projects what stands is looked at.

        Raises:
            sqlalchemy.exc.DBAPIError: the database is away.
        """
        serial, last = self.serial, self.state.checkpoint()
        own, self._own = self._own, set()
        self.settle_all()
        with going_on() as attempt:
            since = touched.between(self.environment.database, last.serial, serial)
            for name, versions in since:
                if name not in own:
                    with attempt():
                        self._mend(name, versions)
        reached = Checkpoint(
            serial=serial,
            lists=min(self._lists.serial, serial),
            revision=documents.REVISION,
            site=repr(self.site),
            failed=tuple(sorted(self.failures)),
        )
        if reached != last and self._is_current:
            self.environment.tree.sync()
            self.state.set_checkpoint(reached)

    def _mend(self, name: ProjectName, versions: set[str]) -> None:
        self._companions.mend(name, versions)
        for path in documents.simple_paths(name):
            if self._writer.lacks_twin(path):
                self._compress(path)

    def retry_failures(self) -> None:
        """Try again the projects that could not be rendered."""
        self.rebuild(list(self.failures))

    def rebuild(self, names: Iterable[ProjectName]) -> None:
        """Write those documents of the projects `names` that differ from what stands.

        Raises:
            sqlalchemy.exc.DBAPIError: the database is away.
            OSError: a document cannot be written; the others are, all the same.
        """
        with going_on() as attempt:
            for name in names:
                with attempt():
                    with self._turn.taken(), self.environment.database.reading() as session:
                        self._publish_project(session, name, only_changed=True)
                    self._companions.write(name, {EVERY}, only_changed=True)
                    self.repository.mark([name])

    def rebuild_all(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Write every document that differs from what the database says it should be.

        Ends between two projects once `stopping` says so, to be begun again.

        Raises:
            sqlalchemy.exc.DBAPIError, OSError: as `rebuild`.
        """
        with self.environment.database.reading() as session:
            known = reading.every_name(session)
        left_over = set(self.environment.tree.names("simple")) - set(known)
        names = [*known, *map(ProjectName, sorted(left_over))]
        self.rebuild(itertools.takewhile(lambda _: not stopping(), names))
        if not stopping():
            self._is_current = True
            self.rebuild_lists()
            self.repository.rebuild()

    def rebuild_lists(self) -> None:
        """Write those lists of all projects that differ from what stands."""
        self._lists.serial = -1
        self.fresh_lists()

    @contextmanager
    def resting(self) -> Iterator[int]:
        """Publish all that is committed, then keep the pages still; yield their serial."""
        with self._turn.taken():
            while self._publish_batch():
                pass
            yield self.serial

    @contextmanager
    def at_rest(self, name: ProjectName) -> Iterator[None]:
        """Keep the tree still, with all that is committed of `name` published."""
        with self.resting():
            self._companions.mend(name, {EVERY})
            yield

    def _publish_batch(self) -> bool:
        with self.environment.database.reading() as session:
            changes = journal.since(session, self.serial, _BATCH_CHANGES)
            for name, versions in touched.by_project(changes).items():
                self._publish_project(session, name)
                self._companions.mark(name, versions)
                self._own.add(name)
        self._files_deleted |= orphans.doubt_deleted(self.environment, changes)
        if changes:
            self.state.set_published(changes[-1].serial)
        return bool(changes)

    def _publish_project(
        self, session: Session, name: ProjectName, *, only_changed: bool = False
    ) -> None:
        with self.failures.isolated(name):
            page = self._reader.page(session, name)
            self.failures.clear(name)
            if page is None:
                self._writer.forget_simple(name)
            else:
                self._writer.simple(page, only_changed=only_changed)

    def _compress(self, path: str) -> None:
        """Write the twin that the document at `path` lacks; compressing waits for nobody."""
        self._writer.uncompressed.discard(path)
        content = self.environment.tree.read(path)
        if content is None:
            return
        twin = gzip_bytes(content)
        with self._turn.taken():
            # Another version published meanwhile has its own turn to come.
            if self.environment.tree.holds(path, content):
                self._writer.twin(path, content, twin)
