"""Users of the index."""

from __future__ import annotations

import re
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pyramid_pypi.accounts import audit
from pyramid_pypi.accounts.permissions import Actor, Permission, require
from pyramid_pypi.errors import BadValue, NoSuchUser, UserExists
from pyramid_pypi.models.accounts import User

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?\Z")


def find(session: Session, name: str) -> User | None:
    """Return the user called `name`, or None."""
    if not _NAME.match(name):  # nor may PostgreSQL be asked for a text with NUL
        return None
    return session.scalar(select(User).where(User.name == name))


def get(session: Session, name: str) -> User:
    """Return the user called `name`.

    Raises:
        NoSuchUser: there is none.
    """
    user = find(session, name)
    if user is None:
        raise NoSuchUser(name)
    return user


def add(
    session: Session,
    actor: Actor,
    name: str,
    *,
    email: str | None = None,
    is_admin: bool = False,
    at: datetime,
) -> User:
    """Add a user called `name` and return it.

    Raises:
        BadValue: the name is not 1-64 of ``a-z 0-9 . _ -``, or the address has no ``@``.
        UserExists: the name is taken.
        NotPermitted: `actor` is no administrator.
    """
    require(session, actor, Permission.INDEX_ADMIN)
    if not _NAME.match(name):
        raise BadValue(f"user name {name!r}: use 1 to 64 of a-z, 0-9, dot, dash, underscore")
    if email is not None and not re.match(r"[^@\s]{1,64}@[^@\s]{1,190}\Z", email):
        raise BadValue(f"e-mail address {email!r}")
    if find(session, name) is not None:
        raise UserExists(name)
    user = User(name=name, email=email, is_admin=is_admin, created_at=at)
    session.add(user)
    session.flush()
    audit.record(session, actor, "user.add", f"user {name}", {"is_admin": is_admin}, at=at)
    return user
