"""Names of projects, in the spellings the index compares by."""

from __future__ import annotations

import re
from typing import NewType

ProjectName = NewType("ProjectName", str)
"""A name in the normalized spelling of PEP 503."""

MAX_NAME_CHARS = 128
_RUNS = re.compile(r"[-_.]+")
_SEPARATORS = re.compile(r"[-_.]")
# `\Z`, not `$`: a name may not end in a newline; ASCII, or U+017F would match "s" (U1).
_VALID = re.compile(r"[A-Z0-9](?:[A-Z0-9._-]*[A-Z0-9])?\Z", re.IGNORECASE | re.ASCII)
_NORMAL = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")


def normalize(name: str) -> ProjectName:
    """Return `name` as PEP 503 compares it: lower case, runs of ``-_.`` as ``-``."""
    return ProjectName(_RUNS.sub("-", name).lower())


def is_normalized(name: str) -> bool:
    """Tell whether `name` is spelled as PEP 503 compares it, and is valid at all."""
    return len(name) <= MAX_NAME_CHARS and _NORMAL.match(name) is not None


def is_valid(name: str) -> bool:
    """Tell whether `name` may be a project's (core metadata, "Name"), within our length."""
    return len(name) <= MAX_NAME_CHARS and _VALID.match(name) is not None


def confusable(name: str) -> str:
    """Return the spelling in which names that people mistake for each other are equal.

    Separators are dropped, ``l`` and ``i`` read as ``1``, ``o`` as ``0``, as PyPI does:
    ``fl-ask`` and ``f1ask`` meet ``flask``.
    """
    bare = _SEPARATORS.sub("", name).lower()
    return bare.replace("l", "1").replace("i", "1").replace("o", "0")
