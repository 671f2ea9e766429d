"""The companions of a project's simple pages: its page, JSON and XML, and the JSON API.

They follow after the answer, because nobody waits for them and some are costly: a
README may take seconds to render.  So they have a turn of their own, and never hold up
the publishing of what installers read.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Collection, Iterable

from sqlalchemy.orm import Session

from pyramid_pypi.catalog import describing, reading
from pyramid_pypi.environment import Environment
from pyramid_pypi.publishing.failures import Failures
from pyramid_pypi.publishing.patience import Patience
from pyramid_pypi.publishing.turns import Turn
from pyramid_pypi.publishing.writer import DocumentWriter
from pyramid_pypi.values.names import ProjectName

EVERY = "*"
"""In place of a version: every release has changed.  No version is spelled so."""

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

    @property
    def lag(self) -> bool:
        """Tell whether the companions of any project lag."""
        return bool(self._lagging)

    def mark(self, name: ProjectName, versions: Collection[str]) -> None:
        """Note that the companions of `name` lag, and the documents of `versions`."""
        with self._marking:
            _, before = self._lagging.get(name, (0, frozenset()))
            self._lagging[name] = (next(self._marks), before.union(versions))

    def settle(self, name: ProjectName) -> None:
        """Write the companions of `name` if they lag, for a reader who asks for them.

        With the database away, or another README that takes its time, the present ones
        stay for the reader to go on with.
        """
        if name in self._lagging and not self._patience.is_away:
            with self._patience.unless_away():
                try:
                    self._settle([name], wait_s=_READER_WAITS_S)
                except TimeoutError:
                    return

    def settle_all(self) -> None:
        """Write all companions that lag, some at a time, so that readers get a turn.

        Raises:
            sqlalchemy.exc.DBAPIError: the database is away.
        """
        waiting = list(self._lagging)
        for start in range(0, len(waiting), _AT_A_TIME):
            self._settle(waiting[start : start + _AT_A_TIME])

    def write(
        self, name: ProjectName, versions: Collection[str], *, only_changed: bool = False
    ) -> None:
        """Write the companions of `name` and the documents of `versions`, lagging or not."""
        with self._turn.taken(), self._database.reading() as session:
            self._write(session, name, versions, only_changed=only_changed)

    def mend(self, name: ProjectName, versions: Collection[str]) -> None:
        """Write the companions of `name` if those that stand are older than its rows.

        Looks at the documents, not at the marks, which die with their process.
        """
        with self._turn.taken(), self._database.reading() as session:
            if self._writer.lags(name, reading.serial_of(session, name)):
                self._write(session, name, versions)

    def _settle(self, names: Iterable[ProjectName], *, wait_s: float = -1) -> None:
        with self._turn.taken(wait_s=wait_s), self._database.reading() as session:
            for name in names:
                found = self._lagging.get(name)
                if found is None:
                    continue
                self._write(session, name, found[1])
                with self._marking:
                    if self._lagging.get(name) == found:
                        del self._lagging[name]

    def _write(
        self,
        session: Session,
        name: ProjectName,
        versions: Collection[str],
        *,
        only_changed: bool = False,
    ) -> None:
        with self._failures.isolated(name):
            document = describing.project_document(session, name)
            if document is None:
                self._writer.forget_companions(name)
                return
            if EVERY in versions:
                versions = [release.version for release in document.releases]
            self._writer.companions(document, versions, only_changed=only_changed)
