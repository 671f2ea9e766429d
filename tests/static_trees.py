"""Whole published trees, made by a real index at work, for readers that trust nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from pyramid_pypi import bootstrap, environment
from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.catalog import files, projects, releases
from pyramid_pypi.models.catalog import ProjectStatus
from pyramid_pypi.settings import Settings
from pyramid_pypi.values.names import normalize
from tests.conftest import ToldClock
from tests.distributions import wheel
from tests.factories import Workshop, record, sdist_of, wheel_of


@dataclass
class Origin:
    """An index whose time is told, one minute a change."""

    workshop: Workshop
    clock: ToldClock

    @property
    def tree(self) -> Path:
        return self.workshop.services.tree.root

    def add(
        self, name: str, version: str = "1.0", *, sdist: bool = False, size: int = 0
    ) -> str:
        """Upload a file, as far as it is installable; return its name."""
        content = f"sdist of {name} {version}".encode()
        if not sdist:
            content = wheel(name, version, extra_members={"padding": bytes(size)})
        made = (sdist_of if sdist else wheel_of)(name, version, content=content)
        with self.workshop.services.blobs.keeping():
            self.workshop.store(made, content)
            with self._changing() as session:
                record(session, COMMAND_LINE, made, at=self.clock())
        return made.filename

    def yank(self, name: str, version: str, reason: str = "") -> None:
        with self._changing() as session:
            releases.yank(
                session, COMMAND_LINE, normalize(name), version, reason, at=self.clock()
            )

    def unyank(self, name: str, version: str) -> None:
        with self._changing() as session:
            releases.unyank(session, COMMAND_LINE, normalize(name), version, at=self.clock())

    def set_status(self, name: str, status: ProjectStatus, reason: str = "") -> None:
        with self._changing() as session:
            projects.set_status(
                session, COMMAND_LINE, normalize(name), status, reason, at=self.clock()
            )

    def delete(self, name: str) -> None:
        with self._changing() as session:
            projects.delete(session, COMMAND_LINE, normalize(name), at=self.clock())
        self.workshop.publisher.checkpoint()

    def delete_file(self, name: str, filename: str) -> None:
        with self._changing() as session:
            files.delete(session, COMMAND_LINE, normalize(name), filename, at=self.clock())
        self.workshop.publisher.checkpoint()

    def point(self, *, whole: bool = True) -> None:
        """Bring the pointer, and with `whole` all that it names, to the present."""
        self.clock.advance(minutes=1)
        if whole:
            self.workshop.settle()
        else:
            self.workshop.publisher.repository.refresh()

    def close(self) -> None:
        self.workshop.services.database.dispose()

    @contextmanager
    def _changing(self) -> Iterator[Session]:
        self.clock.advance(minutes=1)
        with self.workshop.services.database.writing() as session:
            yield session
        self.workshop.show(session)


def origin(folder: Path, template: Path, clock: ToldClock) -> Origin:
    """Return a new index in `folder`, its database copied from `template`."""
    folder.mkdir()
    shutil.copy(template, folder / "index.sqlite")
    settings = Settings(
        data_dir=folder,
        database_url=f"sqlite:///{folder / 'index.sqlite'}",
        site_public_url="http://localhost",
    )
    services = environment.build(settings, clock)
    bootstrap.prepare(services)
    publisher = bootstrap.open_publisher(services)
    publisher.begin()
    return Origin(Workshop(services, publisher, COMMAND_LINE), clock)


def busy_tree(folder: Path, template: Path, clock: ToldClock) -> Origin:
    """Return an index with something of every kind in its tree, superseded documents too."""
    made = origin(folder, template, clock)
    for number in range(34):
        made.add(f"small-{number}")
    made.point()
    clock.advance(hours=3)
    for number in range(12):
        made.add("large", f"1.{number}", sdist=number % 3 == 0)
    made.point()
    clock.advance(days=8)
    made.add("large", "2.0", size=200_000)
    made.yank("large", "1.1", 'broken on "Sundays"')
    made.add("small-1", "2.0")
    made.point(whole=False)
    clock.advance(days=1)
    made.delete_file("large", made.add("large", "2.1"))
    made.delete("small-2")
    made.add("bad-one")
    made.set_status("bad-one", ProjectStatus.QUARANTINED, "malware?")
    made.set_status("small-3", ProjectStatus.ARCHIVED)
    made.point()
    return made
