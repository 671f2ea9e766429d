"""The one who publishes: closes the gap between the journal's serial and the tree's.

Whoever has committed a change publishes everything that is committed by then, alone
under a lock; those who waited for the lock find their own change published already.  So
changes batch by themselves, nothing is handed from thread to thread, and an upload can
be installed when its answer arrives.

What installers read is written before the answer.  The rest follows at once, on the
clock of `publishing.caretaker`, or when a reader asks for it: companions of a project,
compressed twins of large documents, and the lists that grow with the index.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from pyramid_pypi.catalog import describing, reading
from pyramid_pypi.changes import journal
from pyramid_pypi.changes.journal import ChangeEntry
from pyramid_pypi.environment import Environment
from pyramid_pypi.formats.pages import Site
from pyramid_pypi.models.journal import ChangeKind
from pyramid_pypi.publishing import documents, orphans
from pyramid_pypi.publishing.state import Checkpoint, State
from pyramid_pypi.publishing.writer import DocumentWriter
from pyramid_pypi.storage import durable
from pyramid_pypi.values.names import ProjectName

log = logging.getLogger(__name__)

_BATCH_CHANGES = 1000
_AWAY_S = 1.0
_EVERY = "*"  # among versions: all of them


@dataclass(frozen=True, slots=True)
class Failure:
    """A project that could not be rendered; the others were published all the same."""

    project: ProjectName
    error: str
    at: datetime


class Publisher:
    """Writes the documents of one tree; safe for many threads and processes."""

    def __init__(self, environment: Environment, site: Site) -> None:
        self.environment = environment
        self.site = site
        self.state = State(environment.settings.data_dir)
        self.failures: dict[ProjectName, Failure] = {}
        self.woken = threading.Event()  # tells the caretaker that there is work
        self._writer = DocumentWriter(environment.tree, site)
        self._reader = reading.SimpleReader()
        self._lock = threading.Lock()
        self._serial = 0
        self._stamp = -1
        self._lists_serial = -1
        # Companions yet to be written: project -> versions whose own documents changed.
        self._companions: dict[ProjectName, set[str]] = {}
        self._files_deleted = False
        self._away_until = 0.0  # time.monotonic()

    @property
    def serial(self) -> int:
        """Return the serial that the tree shows, whichever process published it."""
        stamp = self.state.stamp()
        if stamp != self._stamp:
            self._serial, self._stamp = self.state.published(), stamp
        return self._serial

    @property
    def lists_lag(self) -> bool:
        """Tell whether the lists of all projects are older than the tree."""
        return self._lists_serial < self.serial

    def begin(self) -> bool:
        """Take up the work where the last checkpoint left it.

        Returns whether the tree was made by the present rules; if not, `rebuild` it.
        This costs the same however large the index is.
        """
        with self._alone():
            last = self.state.begin()
            self._lists_serial = last.lists
            now = self.environment.clock()
            for name in map(ProjectName, last.failed):
                self.failures[name] = Failure(name, "it failed before the last start", now)
            self._writer.static()
        made_by = (last.revision, last.site)
        return last == Checkpoint() or made_by == (documents.REVISION, repr(self.site))

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
            with self._alone(wait_s):
                while self.serial < serial and self._publish_batch():
                    pass
        except TimeoutError:
            return False
        if self._files_deleted:
            self._files_deleted = False
            orphans.clear(self.environment)
        self.woken.set()
        return self.serial >= serial

    def publish_gap(self) -> None:
        """Publish whatever is committed and not yet shown.

        Raises:
            sqlalchemy.exc.DBAPIError, OSError: as `publish_until`.
        """
        with self.environment.database.reading() as session:
            newest = journal.newest(session)
        self.publish_until(newest, wait_s=self.environment.settings.publish_wait_s)

    def retry_failures(self) -> None:
        """Try again the projects that could not be rendered."""
        self.rebuild(list(self.failures))

    def rebuild(self, names: Iterable[ProjectName]) -> None:
        """Write those documents of the projects `names` that differ from what stands."""
        for name in names:
            with self._alone(), self.environment.database.reading() as session:
                self._publish_project(session, name, only_changed=True)
                self._write_companions(session, name, None)

    def rebuild_all(self) -> None:
        """Write every document that differs from what the database says it should be."""
        with self.environment.database.reading() as session:
            known = reading.every_name(session)
        left_over = set(self.environment.tree.names("simple")) - set(known)
        self.rebuild([*known, *map(ProjectName, sorted(left_over))])
        self._lists_serial = -1
        self.fresh_lists()

    def settle(self, name: ProjectName) -> None:
        """Write the companion documents of `name`, if they lag behind its simple page.

        With the database away the present ones stay, for readers to go on with.
        """
        if name in self._companions and not self._is_away():
            with self._unless_away(), self._alone():
                versions = self._companions.get(name)
                if versions is not None:
                    with self.environment.database.reading() as session:
                        self._write_companions(session, name, versions)
                    self._companions.pop(name, None)

    def settle_all(self) -> bool:
        """Write all companions and compressed twins that lag; return whether none does."""
        for name in list(self._companions):
            self.settle(name)
        for path in list(self._writer.uncompressed):
            with self._alone():
                self._writer.compress(path)
        return not self._companions and not self._writer.uncompressed

    def fresh_lists(self) -> None:
        """Write the lists of all projects, if they are older than the tree.

        With the database away the present ones stay, for readers to go on with.
        """
        if self.lists_lag and not self._is_away():
            with self._unless_away(), self._alone():
                serial = self.serial
                if self._lists_serial < serial:
                    with self.environment.database.reading() as session:
                        listed = reading.simple_list(session)
                        home = reading.home_document(session, listed)
                    self._writer.lists(listed, home)
                    self._lists_serial = serial

    def checkpoint(self) -> None:
        """Flush the documents to the disk, and note how far they have come.

        Another process may have published since the last checkpoint and died before it
        wrote what follows; so what stands is looked at, not what this process remembers.
        """
        self.settle_all()
        with self._alone():
            last = self.state.checkpoint()
            with self.environment.database.reading() as session:
                self._mend(session, last.serial)
            if self._companions or self._writer.uncompressed:
                return
            reached = Checkpoint(
                serial=self.serial,
                lists=self._lists_serial,
                revision=documents.REVISION,
                site=repr(self.site),
                failed=tuple(sorted(self.failures)),
            )
            if reached != last:
                self.environment.tree.sync()
                self.state.set_checkpoint(reached)

    def _mend(self, session: Session, since: int) -> None:
        """Write the companions and twins that lag among the projects changed `since`."""
        while since < self.serial:
            changes = journal.since(session, since, _BATCH_CHANGES)
            if not changes:
                return
            for name, versions in _touched(changes).items():
                if self._writer.lags(name, reading.serial_of(session, name)):
                    self._write_companions(session, name, versions)
                self._writer.compress_missing(name)
            since = changes[-1].serial

    def _publish_batch(self) -> bool:
        with self.environment.database.reading() as session:
            changes = journal.since(session, self.serial, _BATCH_CHANGES)
            for name, versions in _touched(changes).items():
                if self._publish_project(session, name):
                    self._companions.setdefault(name, set()).update(versions)
        self._doubt_deleted_files(changes)
        if changes:
            self.state.set_published(changes[-1].serial)
        return bool(changes)

    def _publish_project(
        self, session: Session, name: ProjectName, *, only_changed: bool = False
    ) -> bool:
        """Write the simple pages of `name`; return whether there is such a project."""
        with self._isolated(name):
            page = self._reader.page(session, name)
            self.failures.pop(name, None)
            if page is None:
                self._writer.forget(name)
                self._companions.pop(name, None)
                return False
            self._writer.simple(page, only_changed=only_changed)
        return True

    def _write_companions(
        self, session: Session, name: ProjectName, versions: set[str] | None
    ) -> None:
        """Write the companions of `name`, with the documents of `versions` (None: all)."""
        with self._isolated(name):
            document = describing.project_document(session, name)
            if document is None:
                return
            every = {release.version for release in document.releases}
            whole = versions is None or _EVERY in versions
            self._writer.companions(
                document, every if whole else versions or (), only_changed=versions is None
            )

    @contextmanager
    def _isolated(self, name: ProjectName) -> Iterator[None]:
        """Keep one project that cannot be rendered from stopping the others (trust: D4)."""
        try:
            yield
        except (DBAPIError, OSError):
            raise
        except Exception as error:
            log.exception("project %s cannot be rendered; the others go on", name)
            self.failures[name] = Failure(name, repr(error), self.environment.clock())

    def _doubt_deleted_files(self, changes: list[ChangeEntry]) -> None:
        """Mark the bytes of deleted files for removal.

        To remove them here would mean to wait for uploads while holding the publisher's
        lock, and an import publishes while it holds the uploads' one.
        """
        for change in changes:
            if change.kind is ChangeKind.FILE_DELETED and change.filename:
                self.environment.blobs.doubt(str(change.details["sha256"]), change.filename)
                self._files_deleted = True

    @contextmanager
    def _alone(self, wait_s: float = -1) -> Iterator[None]:
        if not self._lock.acquire(timeout=wait_s):
            raise TimeoutError
        try:
            with durable.locked(self.environment.settings.data_dir / "publish.lock"):
                yield
        finally:
            self._lock.release()

    def _is_away(self) -> bool:
        return time.monotonic() < self._away_until

    @contextmanager
    def _unless_away(self) -> Iterator[None]:
        """Let readers go on with what stands when the database does not answer."""
        try:
            yield
        except DBAPIError:
            log.warning("the database does not answer; documents stay as they are")
            self._away_until = time.monotonic() + _AWAY_S


def _touched(changes: Iterable[ChangeEntry]) -> dict[ProjectName, set[str]]:
    """Return the versions that `changes` touch, by project."""
    found: dict[ProjectName, set[str]] = {}
    for change in changes:
        if change.project is not None:
            versions = found.setdefault(ProjectName(change.project), set())
            if change.version is not None:
                versions.add(change.version)
            elif change.kind is ChangeKind.PROJECT_STATUS:
                versions.add(_EVERY)  # quarantine hides the documents of all releases
    return found
