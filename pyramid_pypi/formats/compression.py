"""Compressed twins of documents, the same bytes on every machine."""

from __future__ import annotations

import zlib

# RFC 1952: deflate, no flags, no time, no hint at the level, system unknown.  Written
# out, because what the standard library puts there has changed between its versions.
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LEVEL = 6  # above it, hashes being noise, only the time grows


def gzip_bytes(content: bytes) -> bytes:
    """Return `content` as one gzip member without name or time (RFC 1952)."""
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflater.compress(content) + deflater.flush()
    checksum = zlib.crc32(content).to_bytes(4, "little")
    length = (len(content) & 0xFFFFFFFF).to_bytes(4, "little")
    return b"".join((_HEADER, body, checksum, length))
