"""Files of a copied tree that nothing in it speaks of.

Superseded versions and deleted release files may lie about for a while, under names that
say what is in them: they are held to that.  Whatever else nobody asked for has no business
in a tree.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime

from pyramid_pypi.errors import Refusal
from pyramid_pypi.following.findings import (
    MAX_HELD_BYTES,
    Fault,
    Finding,
    digest,
    is_other_deflate,
)
from pyramid_pypi.following.projects import METADATA
from pyramid_pypi.following.signatures import ROOM as SIGNED
from pyramid_pypi.following.sources import FolderSource, Source, SourceUnreadable, read
from pyramid_pypi.formats import segment_lists
from pyramid_pypi.formats.compression import gunzip_bytes, gzip_bytes
from pyramid_pypi.formats.events import parse_lines
from pyramid_pypi.formats.manifest import shadow_path
from pyramid_pypi.formats.segments import MAX_OPEN_BYTES
from pyramid_pypi.values.digests import sha256_hex

_BATCH = 10_000
_NO_BOUND = 2**63
_HASH_NAMED = re.compile(
    r"(?:repodata/|repodata/c/|(?:.+/)?v/)([0-9a-f]{64})(?![0-9a-f])[^/]*\Z"
)
_SEGMENT = re.compile(r"repodata/c/([0-9]{1,16})-([0-9]{1,16})(\.jsonl|-names\.json)\.gz\Z")
_METADATA_MEMBER = re.compile(r"[^/]+\.dist-info/METADATA")
_BLOB = re.compile(r"packages/([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{60})/([^/]+)\Z")


class NotingSource:
    """A source that remembers what was asked of it, on the disk, not in memory."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name, self.tally = source.name, source.tally
        self.signed: set[str] = set()
        """The signed documents among what was asked for and is there."""
        self._noted: list[tuple[bytes]] = []
        # A file without a name: SQLite removes it at the end, however that comes.
        self._database = sqlite3.connect("")
        self._database.execute("CREATE TABLE noted (path BLOB PRIMARY KEY) WITHOUT ROWID")

    def close(self) -> None:
        """Forget everything."""
        self._database.close()

    def blocks(self, path: str) -> Iterator[bytes] | None:
        """Return the document at `path` block by block; see `Source`."""
        self._noted.append((_key(path),))
        if len(self._noted) >= _BATCH:
            self._store()
        found = self._source.blocks(path)
        if found is not None and path.startswith(SIGNED):
            self.signed.add(path)
        return found

    def modified(self, path: str) -> datetime | None:
        """Return since when `path` shows what it shows; see `Source`."""
        return self._source.modified(path)

    def was_asked(self, path: str) -> bool:
        """Tell whether the document at `path` was asked for."""
        if self._noted:
            self._store()
        query = "SELECT 1 FROM noted WHERE path = ?"
        with closing(self._database.execute(query, (_key(path),))) as rows:
            return rows.fetchone() is not None

    def _store(self) -> None:
        self._database.executemany("INSERT OR IGNORE INTO noted VALUES (?)", self._noted)
        self._noted.clear()


def strays(
    folder: FolderSource,
    noting: NotingSource,
    *,
    unproven: tuple[str, ...],
    since: datetime,
) -> Iterator[Finding]:
    """Yield what is wrong with files that were not asked for, signed documents apart.

    Args:
        unproven: beginnings of paths below which something is lost that would speak of
            others; those are held to their shadows.
        since: what has come to the folder later is passed over: a tree may be at work.
    """
    for path in folder.files():
        if path.startswith(SIGNED) or (noting.was_asked(path) and not _is_shadow(path)):
            continue
        try:
            if folder.changed_after(path, since):
                continue
            reason = stray_fault(folder, path)
            if reason and path.startswith(unproven) and _has_shadow(folder, path):
                continue
        except SourceUnreadable as error:
            yield Finding(Fault.UNREADABLE, path, error.detail)
            continue
        if reason is not None:
            yield Finding(reason[0], path, reason[1], folder.modified(path))


def stray_fault(source: Source, path: str) -> tuple[Fault, str] | None:
    """Return what is wrong with the file at `path`, None for one that may be there."""
    if named := _HASH_NAMED.match(path):
        if not _is_called(source, path, named[1]):
            return Fault.WRONG, "its name is not its sha256"
        return None
    if named := _SEGMENT.match(path):
        told = _segment_fault(source, path, int(named[1]), int(named[2]))
        return (Fault.WRONG, told) if told else None
    if named := _BLOB.match(path):
        told = _blob_fault(source, path, named[1] + named[2] + named[3])
        return (Fault.WRONG, told) if told else None
    return Fault.UNNAMED, "nothing in the tree speaks of it"


def _is_shadow(path: str) -> bool:
    return "/v/" in path and _HASH_NAMED.match(path) is not None


def _is_called(source: Source, path: str, sha256: str) -> bool:
    """Tell whether a file is called by its sha256, or a twin by that of its document."""
    found = digest(source, path, _NO_BOUND)
    if found is None or found[0] == sha256:
        return True
    if not path.endswith(".gz"):
        return False
    packed = read(source, path, MAX_HELD_BYTES) or b""
    try:
        content = gunzip_bytes(packed, MAX_HELD_BYTES)
    except ValueError:
        return False
    is_whole = packed == gzip_bytes(content) or is_other_deflate(packed, content)
    return is_whole and sha256_hex(content) == sha256


def _segment_fault(source: Source, path: str, first: int, last: int) -> str | None:
    """Return what is wrong with a superseded file of changes."""
    content = read(source, path, MAX_OPEN_BYTES) or b""
    try:
        lines = gunzip_bytes(content, MAX_OPEN_BYTES)
        if path.endswith("-names.json.gz"):
            serials = segment_lists.parse_names(content).values()
            is_named = all(first <= serial <= last for serial in serials)
        else:
            serials_told = [event.serial for event in parse_lines(lines)]
            is_named = [first, last] == [*serials_told[:1], *serials_told[-1:]]
    except (Refusal, ValueError) as error:
        return str(error)
    if not is_named:
        return "it tells of other changes than its name"
    # Flipped where unpacking does not notice: in a header, or after the last bit.
    flipped = len(content) == len(gzip_bytes(lines)) and content != gzip_bytes(lines)
    return "it is packed in another way" if flipped else None


def _has_shadow(folder: FolderSource, path: str) -> bool:
    """Tell whether the document at `path` also lies under its hash."""
    found = digest(folder, path, _NO_BOUND)
    if found is None:
        return True
    return folder.blocks(shadow_path(path, found[0])) is not None


def _blob_fault(source: Source, path: str, sha256: str) -> str | None:
    """Return what is wrong with a release file that no page names.

    It may be of a project in quarantine, or deleted not long ago.
    """
    if path.endswith(METADATA):
        told = wheel_metadata(source, path) if isinstance(source, FolderSource) else None
        is_other = told is not None and told != read(source, path, MAX_HELD_BYTES)
        return "it is not what is in the wheel" if is_other else None
    found = digest(source, path, _NO_BOUND)
    return "its path is not its sha256" if found and found[0] != sha256 else None


def wheel_metadata(folder: FolderSource, path: str) -> bytes | None:
    """Return what should be at `path`, the sibling of a wheel, by the wheel itself.

    None where it is no wheel, or a broken one, which is found by its own path.
    """
    try:
        with zipfile.ZipFile(folder.place(path.removesuffix(METADATA))) as wheel:
            for name in filter(_METADATA_MEMBER.fullmatch, wheel.namelist()):
                with wheel.open(name) as member:
                    return member.read(MAX_HELD_BYTES)
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError, zlib.error, EOFError):
        pass
    return None


def _key(path: str) -> bytes:
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()[:16]
