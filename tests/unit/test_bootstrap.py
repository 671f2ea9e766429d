"""From an empty folder to an index at work, again and again."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from sqlalchemy import func, select

from pyramid_pypi import bootstrap, environment, migrations
from pyramid_pypi.accounts import tokens
from pyramid_pypi.accounts.permissions import COMMAND_LINE, Scope
from pyramid_pypi.environment import Environment
from pyramid_pypi.errors import DatabaseAway, SettingsInvalid
from pyramid_pypi.models.accounts import AuditEntry, Token, User
from pyramid_pypi.settings import Settings
from pyramid_pypi.storage import durable
from tests.conftest import ToldClock


def token_path(services: Environment) -> Path:
    return services.settings.data_dir / "admin.token"


def secret(services: Environment) -> str:
    return token_path(services).read_text().strip()


def rows(services: Environment) -> tuple[int, ...]:
    with services.database.reading() as session:
        return tuple(
            session.scalar(select(func.count()).select_from(table)) or 0
            for table in (User, Token, AuditEntry)
        )


def test_the_first_token_lets_the_administrator_do_everything(services: Environment) -> None:
    with services.database.reading() as session:
        actor = tokens.identify(session, secret(services), at=services.clock())
    assert (actor.name, actor.is_admin, actor.projects) == ("admin", True, None)
    assert actor.scopes == frozenset(Scope)


def test_nobody_else_may_read_the_first_token(services: Environment) -> None:
    assert stat.S_IMODE(token_path(services).stat().st_mode) == 0o600


def test_to_prepare_twice_changes_nothing(services: Environment) -> None:
    before, told = rows(services), secret(services)
    assert bootstrap.prepare(services) == token_path(services)
    assert (rows(services), secret(services)) == (before, told)


@pytest.mark.parametrize("content", [None, b"", b"garbled\n", b"\xff\xfe\x00"])
def test_a_token_lost_or_garbled_is_made_anew(
    services: Environment, content: bytes | None
) -> None:
    before, old = rows(services), secret(services)
    if content is None:
        token_path(services).unlink()
    else:
        token_path(services).write_bytes(content)
    bootstrap.prepare(services)
    assert secret(services) != old
    assert stat.S_IMODE(token_path(services).stat().st_mode) == 0o600
    assert rows(services) == (before[0], before[1] + 1, before[2] + 1)
    with services.database.reading() as session:
        assert tokens.identify(session, secret(services), at=services.clock()).is_admin


def test_a_token_that_cannot_be_written_down_is_not_made(
    services: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(services)
    token_path(services).unlink()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "write_durably", full)
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            bootstrap.prepare(services)
    assert rows(services) == before


def test_a_token_that_soon_expires_is_made_anew(
    services: Environment, clock: ToldClock
) -> None:
    old = secret(services)
    clock.advance(days=334)
    bootstrap.prepare(services)
    assert secret(services) == old
    clock.advance(days=2)
    bootstrap.prepare(services)
    assert secret(services) != old


def test_a_revoked_token_is_made_anew(services: Environment) -> None:
    old = secret(services)
    with services.database.writing() as session:
        actor = tokens.identify(session, old, at=services.clock())
        assert actor.token_id is not None
        tokens.revoke(session, COMMAND_LINE, actor.token_id, at=services.clock())
    bootstrap.prepare(services)
    assert secret(services) != old


def test_an_old_schema_is_refused_where_upgrades_are_off(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "new", database_upgrade=False)
    services = environment.build(settings)
    with pytest.raises(SettingsInvalid, match="db upgrade"):
        bootstrap.prepare(services)
    migrations.upgrade(services.database)
    assert bootstrap.prepare(services).exists()
    services.database.dispose()


def test_an_absent_database_is_said_to_be_away(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url="postgresql+psycopg://a@127.0.0.1:1/b")
    with pytest.raises(DatabaseAway):
        bootstrap.prepare(environment.build(settings))


def test_an_index_starts_without_its_database_and_stops(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url="postgresql+psycopg://a@127.0.0.1:1/b")
    index = bootstrap.start(environment.build(settings))
    assert (tmp_path / "tree" / "static").is_dir()
    index.stop()


def test_an_index_shows_at_its_start_what_was_committed_before(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "index")
    first = bootstrap.start(environment.build(settings))
    first.stop()
    lists = tmp_path / "index" / "tree" / "simple" / "index.html"
    before = lists.stat().st_mtime_ns
    second = bootstrap.start(environment.build(settings))
    second.stop()
    assert lists.stat().st_mtime_ns == before
