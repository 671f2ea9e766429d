"""Paths of documents within a tree, as other trees name them."""

from __future__ import annotations

import re

MAX_PATH_CHARS = 1024

# Each part begins with a letter or digit (or `_`): nothing hidden, no `.` or `..`; then
# what names, versions and digests are made of.  Nothing that a URL would escape but `!`.
_PART = "[A-Za-z0-9_][A-Za-z0-9._+!-]*"
_PATH = re.compile(f"{_PART}(?:/{_PART})*", re.ASCII)


def is_relative_path(path: str) -> bool:
    """Tell whether `path` is relative and normalized, so that it stays within its tree."""
    return len(path) <= MAX_PATH_CHARS and _PATH.fullmatch(path) is not None
