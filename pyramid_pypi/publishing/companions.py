"""The companions of a project's simple pages: its page, JSON and XML, and the JSON API.

They follow after the answer, because nobody waits for them and some are costly: a
README may take seconds to render.  So they have a turn of their own, and never hold up
the publishing of what installers read.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Iterable
from contextlib import suppress

from pyramid_pypi.catalog import describing, reading
from pyramid_pypi.environment import Environment
from pyramid_pypi.publishing.failures import Failures, going_on
from pyramid_pypi.publishing.patience import Patience
from pyramid_pypi.publishing.touched import EVERY
from pyramid_pypi.publishing.turns import Turn, TurnTaken
from pyramid_pypi.publishing.writer import DocumentWriter
from pyramid_pypi.values.names import ProjectName

_READER_WAITS_S = 2.0
_AT_A_TIME = 20


class Companions:
    """Writes companions, and remembers whose lag behind."""

    def __init__(
        self,
        environment: Environment,
        writer: DocumentWriter,
        failures: Failures,
        patience: Patience,
    ) -> None:
        self._database = environment.database
        self._writer = writer
        self._failures = failures
        self._patience = patience
        self._turn = Turn(environment.settings.data_dir / "companions.lock")
        # Project -> (number of the mark, versions whose own documents changed).
        self._lagging: dict[ProjectName, tuple[int, frozenset[str]]] = {}
        self._marks = itertools.count()
        self._marking = threading.Lock()
        # Project -> times of its page and its companions that were found to agree.
        self._met: dict[ProjectName, tuple[int, int]] = {}

    @property
    def lag(self) -> bool:
        """Tell whether the companions of any project lag."""
        return bool(self._lagging)

    def mark(self, name: ProjectName, versions: Collection[str]) -> None:
        """Note that the companions of `name` lag, and the documents of `versions`."""
        with self._marking:
            _, before = self._lagging.get(name, (0, frozenset()))
            self._lagging[name] = (next(self._marks), before.union(versions))

    def settle(self, name: ProjectName) -> bool:
        """Write the companions of `name` if they lag, for a reader who asks for them.

        With the database away, or another README that takes its time, the present ones
        stay for the reader to go on with.  Returns whether they were written though no
        change here asks for them: nobody else may know.
        """
        if self._patience.is_away:
            return False
        with self._patience.unless_away(), suppress(TurnTaken):
            if name in self._lagging:
                self._settle([name], wait_s=_READER_WAITS_S)
            else:
                return self._follow_others(name)
        return False

    def settle_all(self) -> None:
        """Write all companions that lag, some at a time, so that readers get a turn.

        Raises:
            sqlalchemy.exc.DBAPIError: the database is away.
            OSError: a document cannot be written; its project lags on, the others do not.
        """
        waiting = list(self._lagging)
        with going_on() as attempt:
            for start in range(0, len(waiting), _AT_A_TIME):
                with attempt():
                    self._settle(waiting[start : start + _AT_A_TIME])

    def write(
        self, name: ProjectName, versions: Collection[str], *, only_changed: bool = False
    ) -> None:
        """Write the companions of `name` and the documents of `versions`, lagging or not."""
        with self._turn.taken():
            self._write(name, versions, only_changed=only_changed)

    def mend(self, name: ProjectName, versions: Collection[str], *, wait_s: float = -1) -> None:
        """Write the companions of `name` if those that stand are older than its rows.

        Looks at the documents, not at the marks, which die with their process.

        Raises:
            TurnTaken: others had the turn for `wait_s`.
        """
        with self._turn.taken(wait_s=wait_s):
            with self._database.reading() as session:
                serial = reading.serial_of(session, name)
            if self._writer.lags(name, serial):
                self._write(name, versions)

    def _follow_others(self, name: ProjectName) -> bool:
        """Write the companions of `name` where another process published and they lag.

        Pages that changed often within a second have times ahead of the clock; those
        whose companions have been found right are not looked into again.
        """
        written = self._writer.times(name)
        page, companions = written
        if (page > companions or page < 0 <= companions) and written != self._met.get(name):
            self.mend(name, {EVERY}, wait_s=_READER_WAITS_S)
            self._met[name] = written
            return True
        return False

    def _settle(self, names: Iterable[ProjectName], *, wait_s: float = -1) -> None:
        with self._turn.taken(wait_s=wait_s), going_on() as attempt:
            for name in names:
                found = self._lagging.get(name)
                if found is None:
                    continue
                with attempt():
                    self._write(name, found[1])
                    self._unmark(name, found)

    def _unmark(self, name: ProjectName, found: tuple[int, frozenset[str]]) -> None:
        with self._marking:
            if self._lagging.get(name) == found:
                del self._lagging[name]

    def _write(
        self, name: ProjectName, versions: Collection[str], *, only_changed: bool = False
    ) -> None:
        with self._failures.isolated(name):
            # A release may be committed whose mark is still to come: what stands tells,
            # and never claims a serial without the documents of its releases.
            shown = self._writer.companions_serial(name)
            wanted = None if EVERY in versions or shown is None else versions
            # Closed before anything is rendered, which may take seconds.
            with self._database.reading() as session:
                document = describing.project_document(session, name, wanted, since=shown)
            if document is None:
                self._writer.forget_companions(name)
                return
            if wanted is None or shown is None:
                changed = {release.version for release in document.releases}
            else:
                changed = document.changed_after(shown).union(wanted)
            self._writer.companions(document, changed, only_changed=only_changed)
