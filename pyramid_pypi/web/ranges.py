"""Parts of a file (RFC 9110, section 14)."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

# One range of ``bytes=A-B``, ``bytes=A-`` or ``bytes=-N``.
_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*\Z", re.IGNORECASE)


class OutOfRange(Exception):
    """The range begins beyond the end of the file: 416."""


def asked(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """Return the first and last byte that a `Range` header asks for.

    None stands for the whole file: there is no header, it is malformed, or it asks for
    several ranges, which a server may answer as a whole.

    Raises:
        OutOfRange: the file has no such bytes.
    """
    found = _RANGE.match(header) if header else None
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        if int(last) == 0 or size_bytes == 0:
            raise OutOfRange
        return max(0, size_bytes - int(last)), size_bytes - 1
    if last and int(last) < int(first):
        return None
    if int(first) >= size_bytes:
        raise OutOfRange
    return int(first), min(int(last), size_bytes - 1) if last else size_bytes - 1


def still_holds(if_range: str | None, etag: str, modified_s: int) -> bool:
    """Tell whether an `If-Range` header lets the `Range` beside it count.

    It names an ETag, compared strongly, or the modification time in seconds since 1970.
    """
    if if_range is None:
        return True
    if_range = if_range.strip()
    if if_range.startswith(('"', "W/")):
        return if_range == etag
    try:
        return int(parsedate_to_datetime(if_range).timestamp()) == modified_s
    except (ValueError, TypeError, OverflowError):
        return False
