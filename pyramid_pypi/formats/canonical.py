"""Canonical JSON, and text that every form of a document can carry.

Canonical means: keys sorted, UTF-8, no spaces, a newline at the end.  Equal values give
equal bytes on any machine, so documents can be compared and named by their digest.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

NOT_PRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""A character that cannot stand in any XML document, escaped or not (XML 1.0, 2.2), or,
being a lone surrogate, in UTF-8."""
_REPLACEMENT = "\ufffd"

_encoder = msgspec.json.Encoder(order="deterministic")


def printable(text: str) -> str:
    """Return `text` with U+FFFD for each character that XML or UTF-8 cannot carry.

    The index refuses such text where it comes in; this keeps one old row from making a
    whole document unreadable.
    """
    return NOT_PRINTABLE.sub(_REPLACEMENT, text)


def encode(value: Any) -> bytes:
    """Return `value` as canonical JSON without the newline, to stand within a document."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(_printable_within(value))


def json_document(value: Any) -> bytes:
    """Return `value` as a canonical JSON document."""
    return encode(value) + b"\n"


def _printable_within(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): _printable_within(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable_within(item) for item in value]
    return value
