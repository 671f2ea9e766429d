"""Zip archives that every reader reads alike.

Installers read the central directory, streaming readers the local headers, and some
search for either.  An archive passes only if all of them must see the same: members lie
back to back from the first byte, the central directory follows, then the end record.

Source: PKWARE APPNOTE.TXT, section 4.3 and 4.5.3.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from pyramid_pypi.formats.metadata_checks import shown
from pyramid_pypi.upload.members import check_count, check_path, check_tree
from pyramid_pypi.upload.refusals import MemberType, ZipBomb, ZipFraming
from pyramid_pypi.upload.values import Limits

STORED, DEFLATED = 0, 8

_END = struct.Struct("<4sHHHHIIH")
_END_64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR_64 = struct.Struct("<4sIQI")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_TAG = struct.Struct("<HH")
_MAX_COMMENT_BYTES = 0xFFFF
_MAX_DIRECTORY_BYTES = 16 * 1024 * 1024
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF
_ZIP64_TAG, _UNICODE_PATH_TAG = 0x0001, 0x7075

_DESCRIPTOR_FLAG, _UTF8_FLAG = 0x0008, 0x0800
# Bits 1 and 2 tell how hard deflate tried; every other bit asks for what we refuse.
_KNOWN_FLAGS = 0x0006 | _DESCRIPTOR_FLAG | _UTF8_FLAG


@dataclass(slots=True)
class Member:
    """One file or directory of a zip archive, as the central directory has it."""

    path: str
    raw_path: bytes
    flags: int
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    header_at: int
    data_at: int = 0

    @property
    def is_directory(self) -> bool:
        """Tell whether this is a directory: its path ends in a slash."""
        return self.path.endswith("/")


def read_directory(file: BinaryIO, size_bytes: int, limits: Limits) -> dict[str, Member]:
    """Return the members of the zip archive `file` by their paths, in order of their data.

    Raises:
        ZipFraming: readers could differ about what is in it.
        MemberName, MemberType, DuplicateMember, TooManyMembers: a member is unsafe.
        ZipBomb: the members declare more bytes than an archive of this size may have.
    """
    count, start, end = _find_directory(file, size_bytes)
    check_count(count, limits)
    if end - start > _MAX_DIRECTORY_BYTES:
        raise ZipFraming("the central directory is too large.")
    file.seek(start)
    members = _members(file.read(end - start), count, limits)
    check_tree([member.path for member in members])
    allowed = limits.unpacked_bytes(size_bytes)
    # Unpacking stops at each declared size, so this sum bounds the real one.
    if sum(member.size_bytes for member in members) > allowed:
        raise ZipBomb(f"an archive of {size_bytes} bytes may unpack to {allowed}.")
    members.sort(key=lambda member: member.header_at)
    position = 0
    for member in members:
        position = _check_local(file, member, position)
    if position != start:
        raise ZipFraming("there are bytes between the members and the central directory.")
    return {member.path: member for member in members}


def _find_directory(file: BinaryIO, size_bytes: int) -> tuple[int, int, int]:
    """Return how many entries the central directory has, where it starts, where it ends."""
    tail_at = max(0, size_bytes - _END.size - _MAX_COMMENT_BYTES - _LOCATOR_64.size)
    file.seek(tail_at)
    tail = file.read(size_bytes - tail_at)
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or len(tail) - found < _END.size:
        raise ZipFraming("it has no end record.")
    _, disk, first_disk, here, count, length, start, comment = _END.unpack_from(tail, found)
    if found + _END.size + comment != len(tail):
        raise ZipFraming("there are bytes after the end record.")
    if disk or first_disk or here != count:
        raise ZipFraming("it has more than one disk.")
    end = tail_at + found
    locator_at = found - _LOCATOR_64.size
    if locator_at >= 0 and tail.startswith(b"PK\x06\x07", locator_at):
        narrow = (count, length, start)
        locator = tail[locator_at:found]
        count, length, start, end = _read_end_64(file, locator, end, narrow)
    if start + length != end:
        raise ZipFraming("the end record does not point at the central directory.")
    return count, start, end


def _read_end_64(
    file: BinaryIO, locator: bytes, end: int, narrow: tuple[int, int, int]
) -> tuple[int, int, int, int]:
    _, disk, record_at, disks = _LOCATOR_64.unpack(locator)
    if disk or disks > 1 or record_at + _END_64.size + _LOCATOR_64.size != end:
        raise ZipFraming("the zip64 locator does not point at the zip64 end record.")
    file.seek(record_at)
    fields = _END_64.unpack(file.read(_END_64.size))
    signature, length_after, _, _, disk, first_disk, here, count, length, start = fields
    if signature != b"PK\x06\x06" or length_after != _END_64.size - 12:
        raise ZipFraming("the zip64 end record is damaged.")
    unset = (_FULL_16, _FULL_32, _FULL_32)
    for stated, full, real in zip(narrow, unset, (count, length, start), strict=True):
        if stated not in (full, real):
            raise ZipFraming("the two end records contradict each other.")
    if disk or first_disk or here != count:
        raise ZipFraming("it has more than one disk.")
    return count, length, start, record_at


def _members(directory: bytes, count: int, limits: Limits) -> list[Member]:
    members = []
    at = 0
    for _ in range(count):
        if at + _CENTRAL.size > len(directory):
            raise ZipFraming("the central directory ends early.")
        member, at = _member(directory, at)
        check_path(member.path, limits)
        members.append(member)
    if at != len(directory):
        raise ZipFraming("the central directory has entries beyond the stated number.")
    return members


def _member(directory: bytes, at: int) -> tuple[Member, int]:
    (
        signature, _, _, flags, method, _, _, crc, packed, size,
        path_length, extra_length, comment_length, disk, _, attributes, header_at,
    ) = _CENTRAL.unpack_from(directory, at)  # fmt: skip
    path_at = at + _CENTRAL.size
    extra_at = path_at + path_length
    end = extra_at + extra_length
    if signature != b"PK\x01\x02" or comment_length or end > len(directory):
        raise ZipFraming("an entry of the central directory is damaged or has a comment.")
    raw_path, extra = directory[path_at:extra_at], directory[extra_at:end]
    if extra:
        size, packed, header_at, disk = _widen(extra, (size, packed, header_at, disk))
    member = Member(
        path=_decoded(raw_path, flags),
        raw_path=raw_path,
        flags=flags,
        method=method,
        crc=crc,
        packed_bytes=packed,
        size_bytes=size,
        header_at=header_at,
    )
    if disk:
        raise ZipFraming(f"{shown(member.path)} is on another disk.")
    _check_kind(member, attributes)
    return member, end


def _check_kind(member: Member, attributes: int) -> None:
    """Refuse what is neither a plain file nor an empty directory, or how it is packed."""
    if member.flags & ~_KNOWN_FLAGS:
        raise ZipFraming(f"{shown(member.path)} is encrypted or oddly packed.")
    if member.method not in (STORED, DEFLATED):
        raise ZipFraming(f"{shown(member.path)} is neither stored nor deflated.")
    if member.method == STORED and member.packed_bytes != member.size_bytes:
        raise ZipFraming(f"{shown(member.path)} is stored, but has two sizes.")
    # Where a stored member ends, a reader of the stream could only guess.
    if member.method == STORED and member.flags & _DESCRIPTOR_FLAG and member.size_bytes:
        raise ZipFraming(f"{shown(member.path)} is stored with its size after the data.")
    # Installers look at the Unix mode whatever system the archive says it is from.
    file_type = attributes >> 28
    if file_type not in (0, 0o10, 0o04):
        raise MemberType(f"{shown(member.path)}.")
    if (file_type == 0o04 and not member.is_directory) or (
        member.is_directory and (file_type == 0o10 or member.size_bytes)
    ):
        raise MemberType(f"{shown(member.path)} is both file and directory.")


def _check_local(file: BinaryIO, member: Member, position: int) -> int:
    """Hold the local header at `position` against `member`; return where its data ends."""
    if member.header_at != position:
        raise ZipFraming(f"{shown(member.path)} does not begin where the one before ends.")
    file.seek(position)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size:
        raise ZipFraming("it ends early.")
    signature, _, flags, method, _, _, crc, packed, size, path_length, extra_length = (
        _LOCAL.unpack(header)
    )
    variable = file.read(path_length + extra_length)
    raw_path, extra = variable[:path_length], variable[path_length:]
    if (
        signature != b"PK\x03\x04"
        or (flags, method, raw_path) != (member.flags, member.method, member.raw_path)
        or len(extra) != extra_length
    ):
        raise ZipFraming(f"{shown(member.path)} differs from its local header.")
    is_wide = bool(extra) and _ZIP64_TAG in _extras(extra)
    member.data_at = position + _LOCAL.size + path_length + extra_length
    end = member.data_at + member.packed_bytes
    if flags & _DESCRIPTOR_FLAG:
        _check_unset(member, crc, (size, packed))
        return _check_descriptor(file, member, end, is_wide=is_wide)
    if is_wide:
        size, packed, _, _ = _widen(extra, (size, packed, 0, 0))
    if (crc, packed, size) != (member.crc, member.packed_bytes, member.size_bytes):
        raise ZipFraming(f"{shown(member.path)} differs from its local header.")
    return end


def _check_unset(member: Member, crc: int, sizes: tuple[int, int]) -> None:
    """Refuse a local header that states other sizes than those that follow the data."""
    if crc not in (0, member.crc):
        raise ZipFraming(f"{shown(member.path)} has two checksums.")
    for stated, real in zip(sizes, (member.size_bytes, member.packed_bytes), strict=True):
        if stated not in (0, _FULL_32, real):
            raise ZipFraming(f"{shown(member.path)} has two sizes.")


def _check_descriptor(file: BinaryIO, member: Member, end: int, *, is_wide: bool) -> int:
    """Hold the data descriptor at `end` against `member`; return where it ends."""
    layout = struct.Struct("<4sIQQ" if is_wide else "<4sIII")
    file.seek(end)
    fields = (b"PK\x07\x08", member.crc, member.packed_bytes, member.size_bytes)
    if not is_wide and max(member.packed_bytes, member.size_bytes) > _FULL_32:
        raise ZipFraming(f"{shown(member.path)} is too large for its descriptor.")
    if file.read(layout.size) != layout.pack(*fields):
        raise ZipFraming(f"{shown(member.path)} differs from its data descriptor.")
    return end + layout.size


def _decoded(raw_path: bytes, flags: int) -> str:
    # Without the flag readers disagree about every byte beyond ASCII.
    try:
        return raw_path.decode("utf-8" if flags & _UTF8_FLAG else "ascii")
    except UnicodeDecodeError:
        raise ZipFraming(f"the path {raw_path[:100]!r} is not in UTF-8.") from None


def _extras(extra: bytes) -> dict[int, bytes]:
    """Return the extra fields of one header by tag."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(extra):
        if at + _TAG.size > len(extra):
            raise ZipFraming("an extra field ends early.")
        tag, length = _TAG.unpack_from(extra, at)
        at += _TAG.size + length
        if at > len(extra) or tag in found or tag == _UNICODE_PATH_TAG:
            raise ZipFraming("an extra field ends early, is there twice, or renames a member.")
        found[tag] = extra[at - length : at]
    return found


def _widen(extra: bytes, fields: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Return size, packed size, offset and disk, with those of the zip64 field put in.

    The field holds, in this order, the values whose place says "all ones"; a writer
    that states both sizes needlessly must state the same ones.
    """
    wide = _extras(extra).get(_ZIP64_TAG)
    if wide is None:
        return fields
    size, packed, header_at, disk = fields
    if len(wide) == 16 and _FULL_32 not in (size, packed):
        if struct.unpack("<QQ", wide) != (size, packed):
            raise ZipFraming("a zip64 field contradicts its header.")
        return fields
    layout = "<" + "".join("Q" for value in (size, packed, header_at) if value == _FULL_32)
    layout += "I" if disk == _FULL_16 else ""
    if len(wide) != struct.calcsize(layout):
        raise ZipFraming("a zip64 field has the wrong length.")
    values = iter(struct.unpack(layout, wide))
    size, packed, header_at = (
        next(values) if value == _FULL_32 else value for value in (size, packed, header_at)
    )
    return size, packed, header_at, next(values) if disk == _FULL_16 else disk
