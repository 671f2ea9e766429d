"""Readers of settings: from the text that a source gives to the value that is used.

Each raises ValueError with words that name neither the setting nor its text, for the text
may hold a password.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

_DATABASES = frozenset({"sqlite", "postgresql", "postgresql+psycopg"})
_VISIBLE_ASCII = re.compile(r"[!-~]+")


def words(text: str) -> tuple[str, ...]:
    """Return the words of `text`, which spaces separate."""
    return tuple(text.split())


def flag(text: str) -> bool:
    """Return whether `text` says yes, as INI files and shells spell it."""
    word = text.strip().lower()
    if word in {"true", "yes", "on", "1"}:
        return True
    if word in {"false", "no", "off", "0"}:
        return False
    raise ValueError("expected true or false")


def path(text: str) -> Path:
    """Return the path that `text` names; ``~`` is a home folder."""
    try:
        return Path(text.strip()).expanduser()
    except RuntimeError as error:
        raise ValueError(str(error).rstrip(".")) from error


def database_url(text: str) -> str:
    """Return `text` if it is empty, or an SQLAlchemy URL that this Python can connect to."""
    text = text.strip()
    if not text:
        return text
    from sqlalchemy.engine import make_url  # noqa: PLC0415 (slow, and mostly not needed)
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # What SQLAlchemy says may quote a password that has an unquoted slash or at sign.
        raise ValueError("expected postgresql+psycopg://USER:PASSWORD@HOST/NAME") from None
    if url.drivername not in _DATABASES:
        raise ValueError(f"expected one of {', '.join(sorted(_DATABASES))} before ://")
    if url.drivername == "sqlite" and url.database in (None, "", ":memory:"):
        raise ValueError("expected a file, as in sqlite:////srv/pypi/index.sqlite")
    try:
        url.get_dialect().import_dbapi()
    except ImportError as error:
        raise ValueError(f"{error}; pip install 'pyramid_pypi[postgres]'") from error
    return text


def public_url(text: str) -> str:
    """Return `text` if it is empty, or the http or https address of a site."""
    text = text.strip()
    if text and not _is_address(text):
        raise ValueError("expected an address such as https://pypi.example.org")
    return text


def _is_address(text: str) -> bool:
    if not _VISIBLE_ASCII.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    named = parts.scheme in ("http", "https") and parts.hostname and port != 0
    return bool(named) and not (parts.query or parts.fragment or parts.username is not None)
