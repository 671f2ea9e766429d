"""Zip and tar archives written field by field, so that each field can lie."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

STORED, DEFLATED = 0, 8
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_END_64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR_64 = struct.Struct("<4sIQI")


@dataclass
class Entry:
    """A zip member; `local` and `central` override single fields of its two headers."""

    path: str | bytes
    content: bytes = b""
    method: int = DEFLATED
    flags: int = 0
    packed: bytes | None = None
    size: int | None = None
    crc: int | None = None
    attributes: int = 0o100644 << 16
    extra: bytes = b""
    comment: bytes = b""
    descriptor: bytes = b""
    before: bytes = b""
    local: Mapping[str, int | bytes] = field(default_factory=dict)
    central: Mapping[str, int | bytes] = field(default_factory=dict)

    def data(self) -> bytes:
        if self.packed is not None:
            return self.packed
        return deflated(self.content) if self.method == DEFLATED else self.content

    def fields(self) -> dict[str, int | bytes]:
        path = self.path.encode() if isinstance(self.path, str) else self.path
        return {
            "path": path,
            "flags": self.flags | (0 if path.isascii() or self.flags else 0x800),
            "method": self.method,
            "crc": zlib.crc32(self.content) if self.crc is None else self.crc,
            "packed": len(self.data()),
            "size": len(self.content) if self.size is None else self.size,
            "extra": self.extra,
            "disk": 0,
        }


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def zeros_deflated(mebibytes: int) -> bytes:
    """Return `mebibytes` of zeros as raw deflate, at once: a full flush can be repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(bytes(1024 * 1024)) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece * mebibytes + packer.flush()


def zip_bytes(
    entries: Iterable[Entry],
    *,
    prefix: bytes = b"",
    gap: bytes = b"",
    comment: bytes = b"",
    suffix: bytes = b"",
    zip64: Mapping[str, int] | None = None,
    end: Mapping[str, int] | None = None,
) -> bytes:
    """Return a zip archive; `end` and `zip64` override fields of the end records.

    `zip64` of any kind, even empty, asks for the zip64 records.
    """
    body = bytearray(prefix)
    directory = bytearray()
    count = 0
    for entry in entries:
        body += entry.before
        at = len(body)
        values = entry.fields()
        body += _local({**values, **entry.local})
        body += entry.data() + entry.descriptor
        if entry.central.get("absent"):
            continue
        directory += _central({**values, "at": at, **entry.central}, entry)
        count += 1
    body += gap
    start = len(body)
    fields = {
        "count": count,
        "here": count,
        "length": len(directory),
        "start": start,
        "disk": 0,
    }
    body += directory
    if zip64 is not None:
        body += _ends_64({**fields, "at": len(body), "after": 44, **zip64})
    fields |= {"comment": len(comment), **(end or {})}
    names = ("disk", "disk", "here", "count", "length", "start", "comment")
    record = _END.pack(b"PK\5\6", *(fields[name] for name in names))
    return bytes(body + record + comment + suffix)


def _local(values: Mapping[str, int | bytes]) -> bytes:
    path, extra = values["path"], values["extra"]
    assert isinstance(path, bytes)
    assert isinstance(extra, bytes)
    names = ("flags", "method", "disk", "disk", "crc", "packed", "size")
    numbers = [values[name] for name in names]
    numbers[2:4] = [0, 0x5821]  # the time of day and the day
    return _LOCAL.pack(b"PK\3\4", 20, *numbers, len(path), len(extra)) + path + extra


def _central(values: Mapping[str, int | bytes], entry: Entry) -> bytes:
    path, extra = values["path"], values["extra"]
    assert isinstance(path, bytes)
    assert isinstance(extra, bytes)
    numbers = [values[name] for name in ("crc", "packed", "size")]
    return (
        _CENTRAL.pack(
            b"PK\1\2", 3 << 8 | 20, 20, values["flags"], values["method"], 0, 0x5821, *numbers,
            len(path), len(extra), len(entry.comment), values["disk"], 0, entry.attributes,
            values["at"],
        )
        + path + extra + entry.comment
    )  # fmt: skip


def _ends_64(fields: Mapping[str, int]) -> bytes:
    names = ("disk", "disk", "here", "count", "length", "start")
    record = _END_64.pack(b"PK\6\6", fields["after"], 45, 45, *(fields[n] for n in names))
    record += bytes(max(0, fields["after"] - 44))
    if fields.get("only_locator"):
        record = b""
    locator = _LOCATOR_64.pack(b"PK\6\7", fields["disk"], fields["at"], 1)
    return record if fields.get("only_record") else record + locator


def descriptor(entry: Entry, *, sign: bytes = b"PK\7\x08", **lies: int) -> bytes:
    values = {**entry.fields(), **lies}
    return sign + struct.pack("<III", values["crc"], values["packed"], values["size"])


def streamed(entry: Entry, *, sign: bytes = b"PK\7\x08", **lies: int) -> Entry:
    """Return `entry` as one written without seeking: its sizes follow the data."""
    entry.flags |= 8
    entry.descriptor = descriptor(entry, sign=sign, **lies)
    entry.local = {"crc": 0, "packed": 0, "size": 0, **entry.local}
    return entry


def extra_field(tag: int, content: bytes) -> bytes:
    return struct.pack("<HH", tag, len(content)) + content


def tar_member(
    path: str,
    content: bytes = b"",
    *,
    kind: bytes = b"0",
    size: int | None = None,
    link: str = "",
    prefix: bytes = b"",
    magic: bytes = b"ustar\x0000",
) -> bytes:
    """Return one tar member, padded; `size` is what its header states."""
    stated = len(content) if size is None else size
    header = bytearray(512)
    header[:100] = path.encode()[:100].ljust(100, b"\0")
    header[100:124] = b"0000644\x000000000\x000000000\x00"
    header[124:136] = b"%011o\0" % stated
    header[136:148] = b"00000000000\0"
    header[156:157] = kind
    header[157:257] = link.encode().ljust(100, b"\0")
    header[257:265] = magic
    header[345:500] = prefix.ljust(155, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + content + bytes(-len(content) % 512)


def pax(*, kind: bytes = b"x", **records: str) -> bytes:
    """Return a PAX header that says `records` of the next member."""
    content = b"".join(_record(keyword, value) for keyword, value in records.items())
    return tar_member("PaxHeader", content, kind=kind)


def _record(keyword: str, value: str) -> bytes:
    rest = f" {keyword.replace('__', '.')}={value}\n".encode()
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def gzipped(tar: bytes) -> bytes:
    return gzip.compress(tar, mtime=0)


def gzipped_with_zeros(tar: bytes, mebibytes: int) -> bytes:
    """Return a gzip file of `tar` and many zeros, built at once; its checksum is wrong."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = packer.compress(tar) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + head + zeros_deflated(mebibytes) + bytes(8)
