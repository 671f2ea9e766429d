"""Records: the documents that the pointer names, each under its own hash."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pyramid_pypi.formats import repomd
from pyramid_pypi.formats.compression import gzip_bytes
from pyramid_pypi.formats.repomd import Record
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.digests import sha256_hex

ROOM = "repodata"
ORDER = (
    "primary",
    "filelists",
    "other",
    "primary_db",
    "filelists_db",
    "other_db",
    "shards",
    "companions",
    "changes",
    "projects",
    "site",
    "mirrors",
)
"""The types of records, in the order in which the pointer names them."""


@dataclass(frozen=True, slots=True)
class SpooledDocument:
    """A finished document in the spool at `path`, to be renamed to its place.

    `kind` is the type of its record; `open_sha256` and `open_size_bytes` are those of what
    is compressed in it.
    """

    kind: str
    path: Path
    sha256: str
    size_bytes: int
    open_sha256: str
    open_size_bytes: int


class Records:
    """Puts records into the tree and tells what the pointer says of each.

    Each is of one state of the index: the newest change it covers, and its instant.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def json(self, kind: str, content: bytes, serial: int, at: datetime) -> Record:
        """Put the JSON document `content` as the record `kind`."""
        digest = sha256_hex(content)
        href = f"{ROOM}/{digest}-{kind}.json"
        self._put(href, content)
        return Record(
            type=kind, href=href, sha256=digest, size_bytes=len(content), at=at, serial=serial
        )

    def compressed_json(self, kind: str, content: bytes, serial: int, at: datetime) -> Record:
        """Put the JSON document `content`, compressed, as the record `kind`."""
        compressed = gzip_bytes(content)
        digest = sha256_hex(compressed)
        href = f"{ROOM}/{digest}-{kind}.json.gz"
        self._put(href, compressed)
        return Record(
            type=kind,
            href=href,
            sha256=digest,
            size_bytes=len(compressed),
            at=at,
            serial=serial,
            open_sha256=sha256_hex(content),
            open_size_bytes=len(content),
        )

    def assembled(self, document: SpooledDocument, serial: int, at: datetime) -> Record:
        """Take a document out of the spool as the record of its kind."""
        extension = "sqlite.bz2" if document.kind.endswith("_db") else "xml.gz"
        href = f"{ROOM}/{document.sha256}-{document.kind.removesuffix('_db')}.{extension}"
        if self._tree.sha256(href) != document.sha256:
            self._tree.adopt(href, document.path)
        return Record(
            type=document.kind,
            href=href,
            sha256=document.sha256,
            size_bytes=document.size_bytes,
            at=at,
            serial=serial,
            open_sha256=document.open_sha256,
            open_size_bytes=document.open_size_bytes,
            database_version=(
                repomd.DATABASE_VERSION if document.kind.endswith("_db") else None
            ),
        )

    def content(self, record: Record | None) -> bytes | None:
        """Return the document of `record`, None without a record or without it whole."""
        content = self._tree.read(record.href) if record else None
        if record is None or content is None:
            return None
        return content if sha256_hex(content) == record.sha256 else None

    def _put(self, href: str, content: bytes) -> None:
        # Its name is its hash: what stands is either the same or torn.
        if not self._tree.holds(href, content):
            self._tree.put(href, content)
