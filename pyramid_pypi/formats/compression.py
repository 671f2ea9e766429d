"""Compressed twins of documents, the same bytes on every machine."""

from __future__ import annotations

import zlib

# RFC 1952: deflate, no flags, no time, no hint at the level, system unknown.  Written
# out, because what the standard library puts there has changed between its versions.
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_BLOCK_BYTES = 64 * 1024
TWIN_FROM_BYTES = 1024
"""A smaller document has no compressed twin beside it: it fits one packet as it is."""

_LEVEL = 6  # above it, hashes being noise, only the time grows


def gzip_bytes(content: bytes) -> bytes:
    """Return `content` as one gzip member without name or time (RFC 1952)."""
    deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflater.compress(content) + deflater.flush()
    checksum = zlib.crc32(content).to_bytes(4, "little")
    length = (len(content) & 0xFFFFFFFF).to_bytes(4, "little")
    return b"".join((_HEADER, body, checksum, length))


def gunzip_bytes(content: bytes, most_bytes: int) -> bytes:
    """Return what the gzip members of `content`, one after the other, hold together.

    Raises:
        ValueError: it is no gzip, is cut short or damaged, or holds more than `most_bytes`.
    """
    parts: list[bytes] = []
    offset, room = 0, most_bytes
    while offset < len(content) or not parts:
        inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        while not inflater.eof:
            # In blocks: what is left over after each member is copied.
            block = content[offset : offset + _BLOCK_BYTES]
            if not block:
                raise ValueError("the gzip is cut short")
            try:
                parts.append(inflater.decompress(block, room + 1))
            except zlib.error as error:
                raise ValueError(f"no gzip: {error}") from error
            offset += len(block) - len(inflater.unused_data) - len(inflater.unconsumed_tail)
            room -= len(parts[-1])
            if room < 0:
                raise ValueError(f"it unpacks to more than {most_bytes} bytes")
    return b"".join(parts)
