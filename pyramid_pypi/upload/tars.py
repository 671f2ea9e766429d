"""Tar archives, read header by header from a bounded stream.

`tarfile` keeps long names and PAX headers of any length in memory before anyone can
refuse them, so the few kinds of header an sdist has are read here.

Source: POSIX.1-2017 "pax", and the GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from pyramid_pypi.formats.metadata_checks import shown
from pyramid_pypi.upload.inflating import GzipStream
from pyramid_pypi.upload.members import check_count, check_path
from pyramid_pypi.upload.refusals import MemberType, TarFraming
from pyramid_pypi.upload.values import Limits

_BLOCK_BYTES = 512
_MAX_EXTENDED_BYTES = 64 * 1024
_ZEROS = bytes(_BLOCK_BYTES)
_OCTAL = re.compile(rb" *([0-7]+)[ \0]*\Z")
_PAX_LENGTH = re.compile(rb"([1-9][0-9]{0,9}) ")

_FILES, _DIRECTORY = (b"0", b"\0"), b"5"
_LONG_NAME, _PAX, _PAX_GLOBAL = b"L", b"x", b"g"


def tar_members(
    stream: GzipStream, limits: Limits, *, is_wanted: Callable[[str], bool]
) -> Iterator[tuple[str, bytes | None]]:
    """Yield each member's path, and its contents if it is a file whose path `is_wanted`.

    Paths of directories end in a slash.

    Raises:
        MemberName, MemberType, TooManyMembers: a member is unsafe.
        TarFraming: a header is damaged, or readers could differ about it.
        TarBomb: the stream unpacks to more than it may.
    """
    longer: dict[str, str] = {}
    extended: set[bytes] = set()
    count = 0
    while (header := _header(stream)) is not None:
        kind, size_bytes = header[156:157], _number(header[124:136])
        if kind in (_LONG_NAME, _PAX, _PAX_GLOBAL):
            found = _extended(kind, _extended_content(stream, size_bytes))
            if kind in extended or longer.keys() & found.keys():
                raise TarFraming("a member has two extended headers of a kind.")
            extended.add(kind)
            longer |= found
            continue
        extended.clear()
        count += 1
        check_count(count, limits)
        path = _path(header, kind, longer.pop("path", ""))
        if longer.pop("size", str(size_bytes)) != str(size_bytes):
            raise TarFraming(f"{shown(path)} has two sizes.")
        check_path(path, limits)
        if not stream.allows(size_bytes):
            raise stream.too_much()
        if path.endswith("/") and size_bytes:
            raise TarFraming(f"{shown(path)} is a directory with contents.")
        yield path, _content(stream, path, size_bytes, limits, keep=is_wanted(path))
    if extended:
        raise TarFraming("an extended header has no member.")


def _header(stream: GzipStream) -> bytes | None:
    """Return the next header; None at the end of the archive."""
    header = stream.read(_BLOCK_BYTES)
    if len(header) < _BLOCK_BYTES:
        raise TarFraming("it ends early.")
    if header == _ZEROS:
        while rest := stream.read(64 * _BLOCK_BYTES):
            if rest.strip(b"\0"):
                raise TarFraming("there are members after its end.")
        return None
    if _number(header[148:156]) != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        raise TarFraming("the checksum of a header is wrong.")
    return header


def _content(
    stream: GzipStream, path: str, size_bytes: int, limits: Limits, *, keep: bool
) -> bytes | None:
    padding = -size_bytes % _BLOCK_BYTES
    if not keep:
        if not stream.skip(size_bytes + padding):
            raise TarFraming(f"{shown(path)} ends early.")
        return None
    if size_bytes > limits.max_document_bytes:
        raise TarFraming(f"{shown(path)} has more than {limits.max_document_bytes} bytes.")
    content = stream.read(size_bytes)
    if len(content) < size_bytes or not stream.skip(padding):
        raise TarFraming(f"{shown(path)} ends early.")
    return content


def _path(header: bytes, kind: bytes, longer: str) -> str:
    """Return the path of a file or directory, which `longer` overrides if given."""
    name, prefix = _text(header[:100]), _text(header[345:500])
    path = longer or (f"{prefix}/{name}" if prefix else name)
    if kind not in (*_FILES, _DIRECTORY):
        raise MemberType(f"{shown(path)}.")
    # In the old GNU format other things lie where POSIX has the prefix.
    if prefix and not header.startswith(b"ustar\0", 257):
        raise TarFraming(f"{shown(path)} is in a format that readers take differently.")
    if kind == _DIRECTORY:
        return path.removesuffix("/") + "/"
    if path.endswith("/"):
        raise MemberType(f"{shown(path)} is both file and directory.")
    return path


def _extended_content(stream: GzipStream, size_bytes: int) -> bytes:
    if size_bytes > _MAX_EXTENDED_BYTES:
        raise TarFraming(f"an extended header has more than {_MAX_EXTENDED_BYTES} bytes.")
    content = stream.read(size_bytes)
    if len(content) < size_bytes or not stream.skip(-size_bytes % _BLOCK_BYTES):
        raise TarFraming("it ends early.")
    return content


def _extended(kind: bytes, content: bytes) -> dict[str, str]:
    """Return the path and size that an extended header gives the next member."""
    if kind == _LONG_NAME:
        return {"path": _text(content)}
    told = list(_records(content))
    records = dict(told)
    if any(keyword.startswith(b"GNU.sparse.") for keyword in records):
        raise MemberType("a sparse file.")
    found = {
        key: _utf8(records[key.encode()]) for key in ("path", "size") if key.encode() in records
    }
    if sum(keyword in (b"path", b"size") for keyword, _ in told) > len(found):
        raise TarFraming("a PAX header gives a member two paths or two sizes.")
    if kind == _PAX_GLOBAL and found:
        raise TarFraming("a global header renames or resizes members.")
    if "\0" in found.get("path", ""):
        raise TarFraming("a path holds a NUL.")
    return found


def _records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keyword and value of each PAX record, a line "LENGTH KEYWORD=VALUE"."""
    at = 0
    while at < len(content):
        match = _PAX_LENGTH.match(content, at)
        end = at + int(match[1]) if match else 0
        if match is None or end > len(content) or content[end - 1 : end] != b"\n":
            raise TarFraming("a PAX header is damaged.")
        keyword, equals, value = content[match.end() : end - 1].partition(b"=")
        if not equals or end <= match.end():
            raise TarFraming("a PAX header is damaged.")
        yield keyword, value
        at = end


def _number(field: bytes) -> int:
    """Return a number in octal, or in base 256 as GNU tar writes large ones."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    match = _OCTAL.match(field)
    if match is None:
        # Directories of some writers leave the size empty.
        if not field.strip(b" \0"):
            return 0
        raise TarFraming("a number in a header is damaged.")
    return int(match[1], 8)


def _text(field: bytes) -> str:
    return _utf8(field.partition(b"\0")[0])


def _utf8(field: bytes) -> str:
    try:
        return field.decode("utf-8")
    except UnicodeDecodeError:
        raise TarFraming(f"the path {field[:100]!r} is not in UTF-8.") from None
