"""The audit: who did what to whom, written in the transaction of the act itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import event, insert
from sqlalchemy.orm import Session

from pyramid_pypi.accounts.permissions import Actor
from pyramid_pypi.models.accounts import AuditEntry
from pyramid_pypi.models.tables import table_of

_WAITING = "audit.waiting"
_ADD = insert(table_of(AuditEntry))


def record(
    session: Session,
    actor: Actor,
    action: str,
    subject: str,
    details: dict[str, Any] | None = None,
    *,
    at: datetime,
) -> None:
    """Add one entry; it is written when the caller's transaction commits, or not at all.

    Args:
        action: a verb with its domain, such as ``file-yanked``.
        subject: what it was done to: ``project NAME``, ``user NAME``, ``token 12``.
        details: old and new values, JSON; never a secret.
    """
    session.info.setdefault(_WAITING, []).append(
        {
            "at": at,
            "actor": actor.name,
            "token_id": actor.token_id,
            "action": action,
            "subject": subject,
            "details": details or {},
        }
    )


@event.listens_for(Session, "before_commit")
def _write(session: Session) -> None:
    waiting = session.info.pop(_WAITING, None)
    if waiting:
        session.execute(_ADD, waiting)


@event.listens_for(Session, "after_rollback")
def _forget(session: Session) -> None:
    session.info.pop(_WAITING, None)
