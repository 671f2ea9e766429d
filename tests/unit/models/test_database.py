"""What the tables keep, and how the two doors behave."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.orm import Session

from pyramid_pypi.environment import Environment
from pyramid_pypi.models.accounts import Token, User
from pyramid_pypi.models.catalog import Project
from pyramid_pypi.models.database import Database, is_away
from tests.conftest import NOON


def test_instants_come_back_aware_and_in_utc(session: Session) -> None:
    east = datetime(2026, 3, 1, 14, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    session.add(User(name="ann", created_at=east))
    session.commit()
    session.expire_all()
    found = session.scalars(select(User.created_at).where(User.name == "ann")).one()
    assert found == east
    assert found.tzinfo is UTC


def test_naive_instants_are_refused(session: Session) -> None:
    session.add(User(name="ann", created_at=datetime(2026, 3, 1)))  # noqa: DTZ001
    with pytest.raises(StatementError, match="naive"):
        session.flush()


def test_none_and_the_empty_list_differ(session: Session) -> None:
    user = User(name="ann", created_at=NOON)
    for number, bound in enumerate((None, [], ["a"])):
        session.add(
            Token(
                user=user,
                label="",
                secret_sha256=str(number),
                scopes=["upload"],
                projects=bound,
                created_at=NOON,
                expires_at=NOON,
            )
        )
    session.commit()
    session.expire_all()
    query = select(Token.projects).where(Token.user_id == user.id).order_by(Token.id)
    assert session.scalars(query).all() == [None, [], ["a"]]
    unbound = select(Token.id).where(Token.user_id == user.id, Token.projects.is_(None))
    assert len(session.scalars(unbound).all()) == 1


def test_unknown_words_are_refused_by_the_database(session: Session) -> None:
    project = Project(name="a", display_name="a", confusable_name="a", created_at=NOON)
    session.add(project)
    session.commit()
    with pytest.raises(IntegrityError):
        session.execute(text("UPDATE project SET status = 'odd'"))


def test_names_are_sorted_by_byte(session: Session) -> None:
    names = ["a-b", "a0", "ab", "b", "z"]
    for name in reversed(names):
        session.add(
            Project(name=name, display_name=name, confusable_name=name, created_at=NOON)
        )
    session.flush()
    assert session.scalars(select(Project.name).order_by(Project.name)).all() == names


def test_a_reader_sees_one_state_while_others_write(services: Environment) -> None:
    query = select(User.name).order_by(User.name)
    with services.database.reading() as reading:
        before = reading.scalars(query).all()
        with services.database.writing() as session:
            session.add(User(name="late", created_at=NOON))
        assert reading.scalars(query).all() == before
    with services.database.reading() as reading:
        assert "late" in reading.scalars(query).all()


def test_writers_wait_for_each_other_and_none_is_refused(services: Environment) -> None:
    """A writer that had read before would be told at once that the database is locked."""
    errors: list[Exception] = []

    def write(number: int) -> None:
        try:
            for turn in range(5):
                with services.database.writing() as session:
                    session.scalars(select(User.name)).all()
                    session.add(User(name=f"u{number}-{turn}", created_at=NOON))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def failure(database: Database, statement: str) -> DBAPIError:
    with pytest.raises(DBAPIError) as raised, database.reading() as session:
        session.execute(text(statement))
    return raised.value


def test_a_wrong_statement_does_not_mean_the_database_is_away(services: Environment) -> None:
    assert not is_away(failure(services.database, "SELECT nonsense FROM nowhere"))


def test_a_server_that_is_not_there_is_away() -> None:
    gone = Database("postgresql+psycopg://nobody@127.0.0.1:1/none", timeout_s=1)
    assert is_away(failure(gone, "SELECT 1"))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_server_that_hangs_up_is_away(services: Environment) -> None:
    with services.database.reading() as session:
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        with services.database.writing() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        with pytest.raises(DBAPIError) as raised:
            session.execute(text("SELECT 1"))
    assert is_away(raised.value)
    with services.database.reading() as session:
        assert session.scalar(text("SELECT 1")) == 1


def test_values_stay_out_of_messages(session: Session) -> None:
    """What fails is logged, and values may be people's: addresses, digests of tokens."""
    with pytest.raises(DBAPIError) as caught:
        session.execute(
            text("SELECT * FROM nowhere WHERE a = :secret"), {"secret": "hush-hush"}
        )
    assert "hush-hush" not in str(caught.value)
