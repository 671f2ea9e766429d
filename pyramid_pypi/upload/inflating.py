"""Unpack data piece by piece, so that memory stays flat whatever the data claims."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from pyramid_pypi.formats.metadata_checks import shown
from pyramid_pypi.upload.refusals import ArchiveCorrupt, TarBomb, TarFraming
from pyramid_pypi.upload.values import Limits
from pyramid_pypi.upload.zips import STORED, Member

_PIECE_BYTES = 64 * 1024
_UNPACKED_PIECE_BYTES = 256 * 1024
_RAW_DEFLATE, _GZIP = -15, 31


def read_member(file: BinaryIO, member: Member, max_bytes: int) -> bytes:
    """Return the contents of the zip `member`, a document short enough to keep.

    Raises:
        ArchiveCorrupt: it is too long, or does not unpack to its size and checksum.
    """
    if member.size_bytes > max_bytes:
        raise ArchiveCorrupt(f"{shown(member.path)} has more than {max_bytes} bytes.")
    return b"".join(member_pieces(file, member))


def member_pieces(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """Yield the contents of the zip `member`, never more than its declared size.

    Raises:
        ArchiveCorrupt: the data does not unpack to that size and checksum.
    """
    file.seek(member.data_at)
    crc = size = 0
    for piece in _unpacked(file, member):
        size += len(piece)
        if size > member.size_bytes:
            break
        crc = zlib.crc32(piece, crc)
        yield piece
    if size != member.size_bytes or crc != member.crc:
        raise ArchiveCorrupt(f"{shown(member.path)} has other contents than declared.")


def _unpacked(file: BinaryIO, member: Member) -> Iterator[bytes]:
    left = member.packed_bytes
    inflater = None if member.method == STORED else zlib.decompressobj(_RAW_DEFLATE)
    while left:
        packed = file.read(min(left, _PIECE_BYTES))
        if not packed:
            raise ArchiveCorrupt(f"{shown(member.path)} ends early.")
        left -= len(packed)
        if inflater is None:
            yield packed
            continue
        while packed:
            yield _inflate(inflater, packed, member.path)
            packed = inflater.unconsumed_tail
        if inflater.unused_data:
            raise ArchiveCorrupt(f"{shown(member.path)} has bytes after its end.")
    if inflater is not None:
        while not inflater.eof:
            piece = _inflate(inflater, b"", member.path)
            if not piece and not inflater.eof:
                raise ArchiveCorrupt(f"{shown(member.path)} ends early.")
            yield piece


def _inflate(inflater: zlib._Decompress, packed: bytes, path: str) -> bytes:
    try:
        return inflater.decompress(packed, _UNPACKED_PIECE_BYTES)
    except zlib.error:
        raise ArchiveCorrupt(f"{shown(path)} cannot be unpacked.") from None


class GzipStream:
    """The contents of a gzip file, in order, no further than its limits allow."""

    def __init__(self, file: BinaryIO, size_bytes: int, limits: Limits) -> None:
        self._file = file
        self._inflater = zlib.decompressobj(_GZIP)
        self._packed = b""
        self._ready = bytearray()
        self._allowed = limits.unpacked_bytes(size_bytes)
        self._size_bytes = size_bytes
        self._unpacked_bytes = 0

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes, fewer only at the end.

        Raises:
            TarBomb: the file unpacks to more than it may.
            TarFraming: it is damaged, or goes on after its gzip stream.
        """
        while len(self._ready) < count:
            piece = self._piece()
            if not piece:
                break
            self._ready += piece
        taken = bytes(self._ready[:count])
        del self._ready[:count]
        return taken

    def skip(self, count: int) -> bool:
        """Pass over `count` bytes; tell whether there were as many."""
        while count > len(self._ready):
            count -= len(self._ready)
            self._ready.clear()
            piece = self._piece()
            if not piece:
                return False
            self._ready += piece
        del self._ready[:count]
        return True

    def allows(self, count: int) -> bool:
        """Tell whether `count` further bytes could still come within the limits."""
        return self._unpacked_bytes - len(self._ready) + count <= self._allowed

    def too_much(self) -> TarBomb:
        """Return the refusal that says how much was allowed."""
        return TarBomb(f"an archive of {self._size_bytes} bytes may unpack to {self._allowed}.")

    def _piece(self) -> bytes:
        """Return some bytes that come next, none at the end."""
        while not self._inflater.eof:
            packed = self._packed or self._file.read(_PIECE_BYTES)
            try:
                piece = self._inflater.decompress(packed, _UNPACKED_PIECE_BYTES)
            except zlib.error:
                raise TarFraming("it cannot be unpacked.") from None
            self._packed = self._inflater.unconsumed_tail
            if piece:
                self._unpacked_bytes += len(piece)
                if self._unpacked_bytes > self._allowed:
                    raise self.too_much()
                return piece
            if not packed and not self._inflater.eof:
                raise TarFraming("it ends early.")
        if self._inflater.unused_data or self._file.read(1):
            raise TarFraming("there are bytes after the gzip stream.")
        return b""
