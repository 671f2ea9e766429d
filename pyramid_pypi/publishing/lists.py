"""The lists of all projects, and the home page: what grows with the index.

They are written when a reader asks for them and they lag, or by the clock, never on the
way of a publish (docs/adr/0003).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from pyramid_pypi.catalog import reading
from pyramid_pypi.changes import journal
from pyramid_pypi.environment import Environment
from pyramid_pypi.publishing.patience import Patience
from pyramid_pypi.publishing.turns import Turn
from pyramid_pypi.publishing.writer import DocumentWriter


class Lists:
    """Writes the lists, and remembers which serial of the tree they show.

    `show` publishes up to a serial, and tells whether it did so in time.
    """

    def __init__(
        self,
        environment: Environment,
        writer: DocumentWriter,
        patience: Patience,
        show: Callable[[int], bool],
    ) -> None:
        self.serial = -1
        self._database = environment.database
        self._writer = writer
        self._patience = patience
        self._show = show
        self._turn = Turn(environment.settings.data_dir / "lists.lock")

    def still(self) -> AbstractContextManager[None]:
        """Keep the lists as they are meanwhile."""
        return self._turn.taken()

    def refresh(self, serial: int) -> None:
        """Write the lists unless they show `serial` of the tree or a later one.

        With the database away the present ones stay, for readers to go on with.
        """
        if self.serial >= serial or self._patience.is_away:
            return
        with self._patience.unless_away(), self._turn.taken():
            if self.serial >= serial:
                return
            with self._database.reading() as session:
                newest = journal.newest(session)
                listed = reading.simple_list(session)
                home = reading.home_document(session, listed)
            # The pages first: whoever finds a project listed must find its page.
            if self._show(newest):
                self._writer.lists(listed, home)
                self.serial = max(serial, newest)
