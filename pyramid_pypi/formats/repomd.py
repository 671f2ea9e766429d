"""The pointer of a repository: ``repomd.xml`` as createrepo writes it, and ``repomd.json``.

Both name the same records in the same order: each a document under ``repodata/`` by href,
sha256 and size.  The revision is the serial of the newest change the records cover, in
decimal, which every parser hands back as text.  The JSON says more, to readers of ours:
the serial of each record, and instants to the microsecond.

Readers of the XML know literal tag names only: the default namespace has no prefix, and
there is no element that createrepo does not write, for each one earns a warning.

Source: createrepo_c, ``xml_dump_repomd.c``; librepo, ``repomd.c``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from pyramid_pypi.errors import Refusal
from pyramid_pypi.formats.canonical import json_document
from pyramid_pypi.values.instants import instant_of, iso_instant

__all__ = ["MAX_BYTES", "Record", "Repomd", "RepomdUnreadable", "json", "parse_json", "xml"]

MAX_BYTES = 256 * 1024
"""A pointer that is larger is not read.  Ours has about a dozen records in 4 kB."""

MAX_RECORDS = 64
MAX_HREF_CHARS = 255
LAST_WHOLE = 2**53 - 1  # the largest integer that every reader of JSON keeps
DATABASE_VERSION = 10
"""What createrepo's SQLite twins say of their schema."""

_TYPE = re.compile(r"[a-z][a-z0-9_-]{0,39}\Z", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)
# No empty part, no `.` or `..`, nothing hidden, nothing that a URL or XML would escape:
# librepo 1.14 aborts at a href that climbs out of the repository.
_HREF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*\Z", re.ASCII)


class RepomdUnreadable(Refusal):
    """The `repomd.json` of a repository is not what it should be; it is not trusted."""

    code = "repomd.unreadable"
    title = "The pointer of the repository cannot be read"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One document of a repository.

    `href` is relative to the folder that ``repodata/`` is in.  `at` is the instant of the
    newest change the document covers, `serial` that change's number.  `open_sha256` and
    `open_size_bytes` are of the uncompressed document, None for one that is not compressed;
    `database_version` only SQLite twins have.

    Raises:
        ValueError: a value that no pointer may hold; the text names it.
    """

    type: str
    href: str
    sha256: str
    size_bytes: int
    at: datetime
    serial: int
    open_sha256: str | None = None
    open_size_bytes: int | None = None
    database_version: int | None = None

    def __post_init__(self) -> None:
        if not _TYPE.match(self.type):
            raise ValueError(f"{self.type!r:.60} is no type of a record")
        if len(self.href) > MAX_HREF_CHARS or not _HREF.match(self.href):
            raise ValueError(f"{self.href!r:.80} is no relative, normalized href")
        for digest in (self.sha256, self.open_sha256):
            if digest is not None and not _SHA256.match(digest):
                raise ValueError(f"{self.type}: {digest!r:.80} is no sha256")
        if (self.open_sha256 is None) is not (self.open_size_bytes is None):
            raise ValueError(f"{self.type}: an open digest and an open size go together")
        _check_instant(self.at, self.type)
        wholes = (self.size_bytes, self.serial, self.open_size_bytes, self.database_version)
        _check_wholes(wholes, self.type)


@dataclass(frozen=True)
class Repomd:
    """A pointer: the newest serial it stands for, that change's instant, the records.

    Raises:
        ValueError: two records of one type, or a value that no pointer may hold.
    """

    serial: int
    at: datetime
    records: tuple[Record, ...]

    def __post_init__(self) -> None:
        if len(self.records) > MAX_RECORDS:
            raise ValueError(f"it has more than {MAX_RECORDS} records")
        if len({record.type for record in self.records}) < len(self.records):
            raise ValueError("two records are of one type")
        _check_instant(self.at, "repomd")
        _check_wholes((self.serial,), "repomd")

    def record(self, kind: str) -> Record | None:
        """Return the record of type `kind`, None if there is none."""
        return next((record for record in self.records if record.type == kind), None)


def xml(repomd: Repomd) -> bytes:
    """Return `repomd` as ``repomd.xml``."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<repomd xmlns="http://linux.duke.edu/metadata/repo"'
        ' xmlns:rpm="http://linux.duke.edu/metadata/rpm">',
        f"  <revision>{repomd.serial}</revision>",
    ]
    for record in repomd.records:
        lines.append(f'  <data type="{record.type}">')
        lines.extend(f"    {element}" for element in _elements(record))
        lines.append("  </data>")
    lines.append("</repomd>\n")
    return "\n".join(lines).encode("ascii")


def json(repomd: Repomd) -> bytes:
    """Return `repomd` as ``repomd.json``: canonical, the same records in the same order."""
    return json_document(
        {
            "records": [_plain(record) for record in repomd.records],
            "revision": str(repomd.serial),
            "serial": repomd.serial,
            "time": iso_instant(repomd.at),
        }
    )


def parse_json(content: bytes) -> Repomd:
    """Return the pointer that `json` made `content` of.

    Keys it does not know are passed over, so that a later index may say more.

    Raises:
        RepomdUnreadable: it is no pointer, or holds what none may; the detail says why.
    """
    if len(content) > MAX_BYTES:
        raise RepomdUnreadable(f"it has more than {MAX_BYTES} bytes.")
    try:
        return _repomd(_decoder.decode(content))
    # msgspec's own errors are ValueErrors; deep nesting and bad UTF-8 are not all.
    except (ValueError, RecursionError) as error:
        raise RepomdUnreadable(f"{error}.") from None


_Whole = Annotated[int, msgspec.Meta(ge=0, le=LAST_WHOLE)]


class _ReadRecord(msgspec.Struct):
    type: str
    href: str
    sha256: str
    size: _Whole
    time: str
    serial: _Whole
    open_sha256: str | msgspec.UnsetType = msgspec.UNSET
    open_size: _Whole | msgspec.UnsetType = msgspec.UNSET
    database_version: _Whole | msgspec.UnsetType = msgspec.UNSET


class _Read(msgspec.Struct):
    records: Annotated[list[_ReadRecord], msgspec.Meta(max_length=MAX_RECORDS)]
    revision: str
    serial: _Whole
    time: str


_decoder = msgspec.json.Decoder(_Read)


def _repomd(read: _Read) -> Repomd:
    if read.revision != str(read.serial):
        raise ValueError("its revision is not its serial")
    records = tuple(_record(record) for record in read.records)
    return Repomd(read.serial, instant_of(read.time), records)


def _record(read: _ReadRecord) -> Record:
    return Record(
        type=read.type,
        href=read.href,
        sha256=read.sha256,
        size_bytes=read.size,
        at=instant_of(read.time),
        serial=read.serial,
        open_sha256=_known(read.open_sha256),
        open_size_bytes=_known(read.open_size),
        database_version=_known(read.database_version),
    )


def _known(value: Any) -> Any:
    return None if value is msgspec.UNSET else value


def _plain(record: Record) -> dict[str, Any]:
    plain = {
        "type": record.type,
        "href": record.href,
        "sha256": record.sha256,
        "size": record.size_bytes,
        "time": iso_instant(record.at),
        "serial": record.serial,
        "open_sha256": record.open_sha256,
        "open_size": record.open_size_bytes,
        "database_version": record.database_version,
    }
    return {key: value for key, value in plain.items() if value is not None}


def _elements(record: Record) -> Sequence[str]:
    """Return what stands within a record's element, in createrepo's order."""
    elements = [f'<checksum type="sha256">{record.sha256}</checksum>']
    if record.open_sha256 is not None:
        elements.append(f'<open-checksum type="sha256">{record.open_sha256}</open-checksum>')
    elements += [
        f'<location href="{record.href}"/>',
        # Whole seconds: readers cut a fraction off at the dot, or fail.
        f"<timestamp>{int(record.at.timestamp())}</timestamp>",
        f"<size>{record.size_bytes}</size>",
    ]
    if record.open_size_bytes is not None:
        elements.append(f"<open-size>{record.open_size_bytes}</open-size>")
    if record.database_version is not None:
        elements.append(f"<database_version>{record.database_version}</database_version>")
    return elements


def _check_instant(at: datetime, of: str) -> None:
    if at.tzinfo is None or at < datetime(1970, 1, 1, tzinfo=UTC):
        raise ValueError(f"{of}: {at} is no instant since 1970 in a known zone")


def _check_wholes(wholes: Sequence[int | None], of: str) -> None:
    for whole in wholes:
        if whole is not None and not 0 <= whole <= LAST_WHOLE:
            raise ValueError(f"{of}: {whole} is out of range")
