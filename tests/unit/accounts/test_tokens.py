"""A token lets in its user, as far and as long as it says, and keeps its secret."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.orm import Session

from pyramid_pypi.accounts import tokens, users
from pyramid_pypi.accounts.permissions import COMMAND_LINE, Actor, Scope
from pyramid_pypi.environment import Environment
from pyramid_pypi.errors import (
    BadValue,
    NoSuchToken,
    NoSuchUser,
    NotAuthenticated,
    NotPermitted,
)
from pyramid_pypi.models.accounts import Token
from tests.conftest import NOON

SECOND = timedelta(seconds=1)
YEAR = timedelta(days=365)


def made(
    session: Session,
    *,
    scopes: frozenset[Scope] = frozenset({Scope.UPLOAD}),
    projects: list[str] | None = None,
    expires_at: datetime = NOON + YEAR,
) -> tuple[str, Token]:
    if users.find(session, "ann") is None:
        users.add(session, COMMAND_LINE, "ann", at=NOON)
    return tokens.create(
        session, COMMAND_LINE, "ann", "ci", scopes, projects, expires_at=expires_at, at=NOON
    )


def assert_unknown(session: Session, secret: str, at: datetime = NOON) -> None:
    with pytest.raises(NotAuthenticated) as refused:
        tokens.identify(session, secret, at=at)
    assert refused.value.detail == ""  # the reason is nobody's business


def test_a_token_speaks_for_its_user_as_far_as_it_says(session: Session) -> None:
    secret, token = made(
        session, scopes=frozenset({Scope.UPLOAD, Scope.MANAGE}), projects=["b", "a"]
    )
    actor = tokens.identify(session, secret, at=NOON)
    assert (actor.name, actor.user_id, actor.is_admin) == ("ann", token.user_id, False)
    assert actor.scopes == frozenset({Scope.UPLOAD, Scope.MANAGE})
    assert actor.projects == frozenset({"a", "b"})
    assert actor.token_id == token.id


def test_a_token_bound_to_no_project_reaches_none(session: Session) -> None:
    secret, _ = made(session, projects=[])
    assert tokens.identify(session, secret, at=NOON).projects == frozenset()


@pytest.mark.parametrize(
    "secret", ["", "ppi-", "x", "ppi-" + "A" * 48, "é", "\x00", "\udcff", "a" * 100_000]
)
def test_other_secrets_let_nobody_in(session: Session, secret: str) -> None:
    made(session)
    assert_unknown(session, secret)


def test_a_token_ends_at_its_expiry(session: Session) -> None:
    secret, _ = made(session, expires_at=NOON + YEAR)
    assert tokens.identify(session, secret, at=NOON + YEAR - SECOND).name == "ann"
    assert_unknown(session, secret, at=NOON + YEAR)


def test_a_revoked_token_lets_nobody_in_and_stays_as_it_was(session: Session) -> None:
    secret, token = made(session)
    other, _ = made(session)
    tokens.revoke(session, COMMAND_LINE, token.id, at=NOON)
    tokens.revoke(session, COMMAND_LINE, token.id, at=NOON + YEAR)
    assert_unknown(session, secret)
    assert token.revoked_at == NOON
    assert tokens.identify(session, other, at=NOON).name == "ann"


def test_a_disabled_user_is_let_in_by_no_token(session: Session) -> None:
    secret, token = made(session)
    token.user.disabled_at = NOON
    session.flush()
    assert_unknown(session, secret)


def test_a_secret_is_in_no_column_of_any_table(services: Environment, session: Session) -> None:
    secret, _ = made(session)
    session.commit()
    with services.database.reading() as reading:
        stored = [
            repr(row)
            for table in inspect(services.database.reading_engine).get_table_names()
            for row in reading.execute(text(f'SELECT * FROM "{table}"'))
        ]
    assert any("ann" in row for row in stored)
    assert not any(secret.removeprefix("ppi-")[:20] in row for row in stored)


def test_secrets_differ_and_say_whose_they_are(session: Session) -> None:
    secrets = {made(session)[0] for _ in range(3)}
    assert len(secrets) == 3
    assert all(s.startswith("ppi-") and s.isascii() and len(s) == 52 for s in secrets)


@pytest.mark.parametrize(
    ("scopes", "projects", "expires_at"),
    [
        (frozenset(), None, NOON + YEAR),
        (frozenset({Scope.UPLOAD}), ["Not_Normal"], NOON + YEAR),
        (frozenset({Scope.UPLOAD}), None, NOON),
        (frozenset({Scope.UPLOAD}), None, NOON - SECOND),
    ],
)
def test_tokens_that_would_let_nobody_in_are_not_made(
    session: Session, scopes: frozenset[Scope], projects: list[str] | None, expires_at: datetime
) -> None:
    with pytest.raises(BadValue):
        made(session, scopes=scopes, projects=projects, expires_at=expires_at)
    assert len(tokens.listing(session)) == 1  # the first token of the index


def test_a_label_is_one_plain_line(session: Session) -> None:
    made(session)
    with pytest.raises(BadValue, match="label"):
        tokens.create(
            session,
            COMMAND_LINE,
            "ann",
            "two\nlines",
            [Scope.UPLOAD],
            None,
            expires_at=NOON + YEAR,
            at=NOON,
        )


def test_listing_tells_whose_tokens(session: Session) -> None:
    _, token = made(session)
    assert [t.id for t in tokens.listing(session, "ann")] == [token.id]
    assert {t.user.name for t in tokens.listing(session)} == {"admin", "ann"}
    with pytest.raises(NoSuchUser):
        tokens.listing(session, "nobody")


def test_only_administrators_make_and_end_tokens(session: Session) -> None:
    _, token = made(session)
    ann = Actor(token.user_id, "ann", is_admin=False, scopes=frozenset(Scope), projects=None)
    with pytest.raises(NotPermitted):
        tokens.create(
            session, ann, "ann", "x", [Scope.UPLOAD], None, expires_at=NOON + YEAR, at=NOON
        )
    with pytest.raises(NotPermitted):
        tokens.revoke(session, ann, token.id, at=NOON)
    with pytest.raises(NoSuchToken):
        tokens.revoke(session, COMMAND_LINE, 10**6, at=NOON)


def test_use_is_noted_to_the_hour(session: Session) -> None:
    secret, token = made(session)

    def used(at: datetime) -> datetime | None:
        tokens.touch(session, tokens.identify(session, secret, at=at), at=at)
        session.refresh(token)
        return token.last_used_at

    assert used(NOON) == NOON
    assert used(NOON + timedelta(minutes=59)) == NOON
    assert used(NOON + timedelta(minutes=61)) == NOON + timedelta(minutes=61)


def test_use_by_the_command_line_is_nowhere_noted(session: Session) -> None:
    made(session)
    tokens.touch(session, COMMAND_LINE, at=NOON)
    assert all(token.last_used_at is None for token in tokens.listing(session))
