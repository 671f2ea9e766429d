"""The steps lead to the schema of the models, on both databases, there and back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import make_url

from pyramid_pypi import migrations
from pyramid_pypi.errors import NotPrepared
from pyramid_pypi.models import Base
from pyramid_pypi.models.database import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table."""
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'empty.sqlite'}")
        yield database
        database.dispose()
        return
    shared = make_url(request.getfixturevalue("postgres_database"))
    name = f"{shared.database}_empty"
    server = Database(shared.render_as_string(hide_password=False))
    autocommit = server.writing_engine.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name}"))
    database = Database(shared.set(database=name).render_as_string(hide_password=False))
    yield database
    database.dispose()
    with autocommit.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


def tables(database: Database) -> set[str]:
    return set(inspect(database.reading_engine).get_table_names())


def checks(connection: Connection, table: str) -> set[tuple[str, str]]:
    found = inspect(connection).get_check_constraints(table)
    return {(str(check["name"]), str(check["sqltext"])) for check in found}


def test_the_newest_step_is_the_one_told() -> None:
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert script.get_heads() == [migrations.HEAD]


def test_an_empty_database_is_brought_to_the_newest_step_once(empty: Database) -> None:
    assert migrations.current(empty) is None
    assert migrations.upgrade(empty)
    assert migrations.current(empty) == migrations.HEAD
    assert not migrations.upgrade(empty)


def test_the_steps_make_what_the_models_say(empty: Database) -> None:
    migrations.upgrade(empty)
    with empty.writing_engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_the_steps_make_the_same_checks_as_the_models(tmp_path: Path) -> None:
    stepped = Database(f"sqlite:///{tmp_path / 'stepped.sqlite'}")
    made = Database(f"sqlite:///{tmp_path / 'made.sqlite'}")
    migrations.upgrade(stepped)
    Base.metadata.create_all(made.writing_engine)
    with stepped.reading_engine.connect() as one, made.reading_engine.connect() as other:
        for table in Base.metadata.tables:
            assert checks(one, table) == checks(other, table), table
        statement = text("SELECT name, sql LIKE '%AUTOINCREMENT%' FROM sqlite_master")
        told = {tuple(row) for row in one.execute(statement)}
        assert told - {tuple(row) for row in other.execute(statement)} <= {
            ("alembic_version", 0),
            ("sqlite_autoindex_alembic_version_1", None),
        }
    stepped.dispose()
    made.dispose()


def test_the_way_back_and_forth_again(empty: Database) -> None:
    migrations.upgrade(empty)
    there = tables(empty)
    with empty.writing_engine.begin() as connection:
        command.downgrade(migrations._config(connection), "base")
    assert tables(empty) == {"alembic_version"}
    assert migrations.upgrade(empty)
    assert tables(empty) == there


def test_processes_that_start_together_take_turns(empty: Database) -> None:
    ready = threading.Barrier(4)
    errors: list[Exception] = []

    def start() -> None:
        ready.wait()
        try:
            migrations.upgrade(empty)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert migrations.current(empty) == migrations.HEAD


def test_a_database_of_a_later_program_is_left_alone(empty: Database) -> None:
    migrations.upgrade(empty)
    with empty.writing_engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(NotPrepared, match="9999"):
        migrations.upgrade(empty)
    assert migrations.current(empty) == "9999"
