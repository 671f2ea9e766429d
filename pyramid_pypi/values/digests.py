"""Digests of release files, taken in one pass, and the path they give a file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Digests:
    """Digests of one file in lower-case hex, with its size."""

    sha256: str
    blake2b_256: str
    md5: str
    size_bytes: int


class Digester:
    """Take all digests of a stream while it passes."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._blake2b = hashlib.blake2b(digest_size=32)
        # Old uploaders (poetry, flit) send md5; it proves nothing and guards nothing.
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take `chunk`, the next bytes of the file."""
        self._sha256.update(chunk)
        self._blake2b.update(chunk)
        self._md5.update(chunk)
        self._size += len(chunk)

    def digests(self) -> Digests:
        """Return the digests of everything taken so far."""
        return Digests(
            sha256=self._sha256.hexdigest(),
            blake2b_256=self._blake2b.hexdigest(),
            md5=self._md5.hexdigest(),
            size_bytes=self._size,
        )


def sha256_hex(content: bytes) -> str:
    """Return the sha256 of `content` in lower-case hex."""
    return hashlib.sha256(content).hexdigest()


def file_path(sha256: str, filename: str) -> str:
    """Return where a release file lies, relative to the root of the tree.

    The path begins with ``packages/``, which bandersnatch demands, and never changes
    for given bytes.
    """
    return f"packages/{sha256[:2]}/{sha256[2:4]}/{sha256[4:]}/{filename}"
