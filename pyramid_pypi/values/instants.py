"""Instants and the clock.  Domain code is handed an instant and never asks for one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Something that tells the present instant, aware and in UTC."""


def system_clock() -> datetime:
    """Return the present instant in UTC."""
    return datetime.now(UTC)


def iso_instant(at: datetime) -> str:
    """Return `at` as PEP 700 writes upload times: ``yyyy-mm-ddThh:mm:ss.ffffffZ``."""
    # Not by strftime, which gives years before 1000 fewer digits on some systems.
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def instant_of(text: str) -> datetime:
    """Return the instant that `iso_instant` wrote as `text`.

    Raises:
        ValueError: it is written in any other way.
    """
    try:
        at = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        at = None
    if at is None or iso_instant(at) != text:
        raise ValueError(f"{text[:40]!r} is not written as an instant")
    return at
