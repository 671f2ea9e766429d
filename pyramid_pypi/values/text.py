"""Free text that people give, made fit for every document."""

from __future__ import annotations

from pyramid_pypi.errors import BadValue

MAX_LINE_CHARS = 1000


def plain_line(text: str, called: str) -> str:
    """Return `text` stripped, as one line that every document can carry.

    Raises:
        BadValue: it is over 1,000 characters or has control characters; `called` names it.
    """
    text = text.strip()
    if len(text) > MAX_LINE_CHARS or not all(c.isprintable() for c in text):
        raise BadValue(f"{called}: use one line of at most {MAX_LINE_CHARS} characters")
    return text
