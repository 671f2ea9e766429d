"""Users, their tokens, and the audit of what they did."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pyramid_pypi.models.base import Base


class User(Base):
    """A person or a robot that may act on the index."""

    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    email: Mapped[str | None]
    is_admin: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class Token(Base):
    """A credential of a user, bounded in what it may do, where, and how long.

    Only the sha256 of the secret is kept: a copy of the database lets nobody in.
    """

    __tablename__ = "token"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    label: Mapped[str]
    secret_sha256: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]]  # values of accounts.permissions.Scope
    projects: Mapped[list[str] | None]  # normalized names; None reaches every project
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]  # exact to an hour: see accounts.tokens.touch
    revoked_at: Mapped[datetime | None]

    user: Mapped[User] = relationship()


class AuditEntry(Base):
    """One act of one actor, written in the transaction of the act; never changed."""

    __tablename__ = "audit_entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str]  # user name as it was then, or "command line"
    token_id: Mapped[int | None]  # no foreign key: the entry outlives the token
    action: Mapped[str]
    subject: Mapped[str]  # "project NAME", "user NAME", "token 12"
    details: Mapped[dict[str, Any]]
