"""What is wrong with a tree, and how a document is looked at.

A document is read by the reader's rule: its stable path; where that shows something else,
its shadow, which is named for its hash, or at last its compressed twin.  So one altered
byte is found where it is, and all that lies below it can be looked at all the same.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from pyramid_pypi.following.sources import Source, SourceUnreadable, read
from pyramid_pypi.formats.compression import gunzip_bytes, gzip_bytes
from pyramid_pypi.formats.manifest import shadow_path
from pyramid_pypi.formats.simple import serial_of
from pyramid_pypi.values.digests import sha256_hex

MAX_HELD_BYTES = 256 * 1024 * 1024
"""A document that is larger is not read whole, whatever the tree says of its size."""

UNKNOWN_SIZE = -1

_SHOWN_DIGITS = 12
_GZIP_HEADER = gzip_bytes(b"")[:10]


class Fault(enum.StrEnum):
    """What sort of fault a document of a tree has."""

    MISSING = "missing"
    WRONG = "wrong"  # other bytes than those that are named
    UNREADABLE = "unreadable"  # the disk or the server fails, or the bytes mean nothing
    TWIN = "twin-differs"  # two forms of one document do not say the same
    MISPLACED = "misplaced"  # it speaks of what has its place elsewhere
    GAP = "gap"  # the change feed does not lead from the first serial to the last
    UNSIGNED = "unsigned"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    ROLLBACK = "rollback"
    UNNAMED = "unnamed"  # nothing in the tree speaks of it


@dataclass(frozen=True, slots=True)
class Named:
    """What the tree says of one of its documents; `shadow` is where else it may lie.

    The size is `UNKNOWN_SIZE` where the tree does not tell it.
    """

    path: str
    sha256: str
    size_bytes: int
    shadow: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: at which path, in words, and since when the path shows what it shows.

    `named` is what should be there, where that is known.
    """

    fault: Fault
    path: str
    detail: str = ""
    since: datetime | None = None
    repaired: bool = False
    named: Named | None = None
    superseded: bool = False  # what is named is to be had; the path may show a later version


@dataclass(frozen=True, slots=True)
class Looked:
    """How a document was found: its content if that is to be had, and what is wrong."""

    content: bytes | None
    finding: Finding | None = None
    beside: bytes | None = None
    """What stands at the stable path instead, believed by nobody."""


def shadowed(path: str, sha256: str, size_bytes: int) -> Named:
    """Return what is named at `path`, with the shadow that every version of it has."""
    return Named(path, sha256, size_bytes, shadow_path(path, sha256))


def look(source: Source, named: Named, max_bytes: int = MAX_HELD_BYTES) -> Looked:
    """Return the document that is `named`, read by the reader's rule.

    Nothing that is said to be larger than `max_bytes` is read at all.
    """
    if named.size_bytes > max_bytes:
        detail = f"of {named.size_bytes} bytes: more than a reader holds"
        return Looked(None, Finding(Fault.UNREADABLE, named.path, detail))
    finding, beside = None, None
    try:
        beside = read(source, named.path, named.size_bytes)
    except SourceUnreadable as error:
        finding = Finding(Fault.UNREADABLE, named.path, error.detail, named=named)
    if beside is not None and is_named(beside, named):
        return Looked(beside)
    place, content = _elsewhere(source, named) or (None, None)
    if finding is None:
        finding = _finding(source, named, beside, place)
    return Looked(content, finding, beside)


def is_named(content: bytes, named: Named) -> bool:
    """Tell whether `content` is the document that is `named`."""
    size_fits = named.size_bytes in {UNKNOWN_SIZE, len(content)}
    return size_fits and sha256_hex(content) == named.sha256


def stream(source: Source, named: Named) -> Finding | None:
    """Look at a large document without holding it; return what is wrong with it."""
    unknown = named.size_bytes == UNKNOWN_SIZE
    try:
        found = digest(source, named.path, MAX_HELD_BYTES if unknown else named.size_bytes)
    except SourceUnreadable as error:
        return Finding(Fault.UNREADABLE, named.path, error.detail, named=named)
    if found is None:
        return Finding(Fault.MISSING, named.path, _expected(named), named=named)
    sha256, size_bytes = found
    if sha256 == named.sha256 and (unknown or size_bytes == named.size_bytes):
        return None
    detail = f"{_told(sha256, size_bytes)}, not {_told(named.sha256, named.size_bytes)}"
    return Finding(Fault.WRONG, named.path, detail, source.modified(named.path), named=named)


def digest(source: Source, path: str, max_bytes: int) -> tuple[str, int] | None:
    """Return sha256 and size of the document at `path`, None if there is none.

    No more than one byte beyond `max_bytes` is looked at.

    Raises:
        SourceUnreadable: it cannot be read.
    """
    blocks = source.blocks(path)
    if blocks is None:
        return None
    taken, size_bytes = hashlib.sha256(), 0
    for block in blocks:
        taken.update(block)
        size_bytes += len(block)
        if size_bytes > max_bytes:
            break
    return taken.hexdigest(), size_bytes


def twin(source: Source, path: str, content: bytes) -> Iterator[Finding]:
    """Look at the compressed twin of the document `content` at `path`, if there is one."""
    twin_path = f"{path}.gz"
    expected = gzip_bytes(content)
    try:
        found = read(source, twin_path, len(content) + 1024)
    except SourceUnreadable as error:
        yield Finding(Fault.UNREADABLE, twin_path, error.detail)
        return
    if found is not None and found != expected and not is_other_deflate(found, content):
        detail = f"it does not unpack to {path}"
        yield Finding(Fault.TWIN, twin_path, detail, source.modified(twin_path))


def is_other_deflate(found: bytes, content: bytes) -> bool:
    """Tell whether `found` is `content` compressed by another zlib than ours.

    Such a one has another length, almost surely; so with the same length one of its bits
    was flipped where unpacking does not notice.
    """
    if not found.startswith(_GZIP_HEADER) or len(found) == len(gzip_bytes(content)):
        return False
    try:
        return gunzip_bytes(found, len(content)) == content
    except ValueError:
        return False


def _elsewhere(source: Source, named: Named) -> tuple[str, bytes] | None:
    """Return where else the document that is `named` lies, and its content."""
    if named.shadow is None:
        return None
    for place, path in (("shadow", named.shadow), ("compressed twin", f"{named.path}.gz")):
        with suppress(SourceUnreadable, ValueError):
            content = read(source, path, named.size_bytes + 1024)
            if content is not None and path != named.shadow:
                content = gunzip_bytes(content, named.size_bytes)
            if content is not None and is_named(content, named):
                return place, content
    return None


def _finding(
    source: Source, named: Named, beside: bytes | None, elsewhere: str | None
) -> Finding:
    served = f"; its {elsewhere} is right" if elsewhere else ""
    if beside is None:
        return Finding(Fault.MISSING, named.path, _expected(named) + served, named=named)
    size = f"more than {named.size_bytes}" if len(beside) > named.size_bytes else len(beside)
    shown = f"sha256 {sha256_hex(beside)[:_SHOWN_DIGITS]}… of {size} bytes"
    detail = f"{shown}, not {_told(named.sha256, named.size_bytes)}{served}"
    serial = serial_of(beside)
    if serial is not None:
        detail += f"; it shows serial {serial}"
    since = source.modified(named.path)
    is_had = elsewhere is not None
    return Finding(Fault.WRONG, named.path, detail, since, named=named, superseded=is_had)


def _expected(named: Named) -> str:
    return f"{_told(named.sha256, named.size_bytes)} should be there"


def _told(sha256: str, size_bytes: int) -> str:
    size = "" if size_bytes == UNKNOWN_SIZE else f" of {size_bytes} bytes"
    return f"sha256 {sha256[:_SHOWN_DIGITS]}…{size}"
