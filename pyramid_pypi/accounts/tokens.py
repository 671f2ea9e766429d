"""API tokens: made once, shown once, kept as a hash, bounded in scope and time."""

from __future__ import annotations

import base64
import hashlib
import secrets
import zlib
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session, joinedload

from pyramid_pypi.accounts import audit, users
from pyramid_pypi.accounts.permissions import Actor, Permission, Scope, require
from pyramid_pypi.errors import BadValue, NoSuchToken, NotAuthenticated
from pyramid_pypi.models.accounts import Token, User
from pyramid_pypi.values.names import is_normalized
from pyramid_pypi.values.text import plain_line

# Scanners for leaked secrets look for the prefix; the checksum spares them false alarms.
PREFIX = "ppi-"
_SECRET_BYTES = 32
_TOUCH_EVERY = timedelta(hours=1)

_BY_SECRET = (
    select(
        Token.id,
        Token.scopes,
        Token.projects,
        Token.expires_at,
        Token.revoked_at,
        Token.last_used_at,
        User.id.label("user_id"),
        User.name,
        User.is_admin,
        User.disabled_at,
    )
    .join(User, User.id == Token.user_id)
    .where(Token.secret_sha256 == bindparam("secret_sha256"))
)


def identify(session: Session, secret: str, *, at: datetime) -> Actor:
    """Return who speaks through the token `secret` at the instant `at`.

    The look-up is by the sha256 of 256 random bits, so its timing tells nothing.

    Raises:
        NotAuthenticated: the token is unknown, expired or revoked, or its user disabled.
            All are told alike.
    """
    row = session.execute(_BY_SECRET, {"secret_sha256": _digest(secret)}).first()
    if row is None or row.revoked_at or row.disabled_at or row.expires_at <= at:
        raise NotAuthenticated
    return Actor(
        user_id=row.user_id,
        name=row.name,
        is_admin=row.is_admin,
        scopes=frozenset(Scope(scope) for scope in row.scopes),
        projects=None if row.projects is None else frozenset(row.projects),
        token_id=row.id,
        token_used_at=row.last_used_at,
    )


def create(
    session: Session,
    actor: Actor,
    user_name: str,
    label: str,
    scopes: Collection[Scope],
    projects: Collection[str] | None,
    *,
    expires_at: datetime,
    at: datetime,
) -> tuple[str, Token]:
    """Make a token for `user_name`; return its secret, which is shown once, and its row.

    Args:
        scopes: what the token may be used for; at least one.
        projects: normalized names the token is bound to; None reaches every project.

    Raises:
        NoSuchUser, BadValue, NotPermitted: see `users.get`, `permissions.require`.
    """
    require(session, actor, Permission.INDEX_ADMIN)
    user = users.get(session, user_name)
    if not scopes or expires_at <= at:
        raise BadValue("a token needs at least one scope, and an expiry in the future")
    if projects is not None and not all(is_normalized(name) for name in projects):
        raise BadValue(f"projects {sorted(projects)}: use normalized names")
    secret = _new_secret()
    token = Token(
        user=user,
        label=plain_line(label, "label"),
        secret_sha256=_digest(secret),
        scopes=sorted(scopes),
        projects=None if projects is None else sorted(projects),
        created_at=at,
        expires_at=expires_at,
    )
    session.add(token)
    session.flush()
    details = {"user": user.name, "scopes": token.scopes, "projects": token.projects}
    audit.record(session, actor, "token.create", f"token {token.id}", details, at=at)
    return secret, token


def listing(session: Session, user_name: str | None = None) -> Sequence[Token]:
    """Return all tokens, or those of `user_name`, oldest first, their users loaded."""
    query = select(Token).options(joinedload(Token.user)).order_by(Token.id)
    if user_name is not None:
        query = query.where(Token.user_id == users.get(session, user_name).id)
    return session.scalars(query).all()


def revoke(session: Session, actor: Actor, token_id: int, *, at: datetime) -> None:
    """End the token numbered `token_id` now; a token ended before stays as it is.

    Raises:
        NoSuchToken: there is none.
    """
    require(session, actor, Permission.INDEX_ADMIN)
    token = session.get(Token, token_id)
    if token is None:
        raise NoSuchToken(str(token_id))
    if token.revoked_at is None:
        token.revoked_at = at
        audit.record(session, actor, "token.revoke", f"token {token_id}", at=at)


def touch(session: Session, actor: Actor, *, at: datetime) -> None:
    """Note that the token of `actor` was used, to the hour: a write a request is too dear."""
    used_at = actor.token_used_at
    if actor.token_id is None or (used_at is not None and at - used_at < _TOUCH_EVERY):
        return
    session.execute(
        update(Token).where(Token.id == actor.token_id).values(last_used_at=at),
        execution_options={"synchronize_session": False},
    )


def _new_secret() -> str:
    random = secrets.token_bytes(_SECRET_BYTES)
    checked = random + zlib.crc32(random).to_bytes(4, "big")
    return PREFIX + base64.urlsafe_b64encode(checked).decode().rstrip("=")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
