"""Small RPM packages, made up without rpmbuild: what createrepo_c reads of real ones.

Each has five files, two changes and two requirements, in a header of some 1.5 kB.
Source: rpm.org, "RPM V4 package format".
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

_INT16, _INT32, _STRING, _BINARY, _STRINGS, _I18N = 3, 4, 6, 7, 8, 9
_WIDTHS = {_INT16: (2, "H"), _INT32: (4, "I")}
_OF_SIGNATURE, _OF_HEADER = 62, 63  # region tags: where an untouched header ends
_SECONDS = 1767225600

Value = str | bytes | list[int] | list[str]


def write(folder: Path, count: int) -> None:
    """Write `count` packages to `folder`, no two alike."""
    folder.mkdir(parents=True)
    for number in range(count):
        write_one(folder, number)


def write_one(folder: Path, number: int, release: str = "1") -> None:
    """Write the package `number`; another `release` has other bytes."""
    (folder / f"package{number}-1.{number}-1.noarch.rpm").write_bytes(package(number, release))


def package(number: int, release: str) -> bytes:
    """Return one package: lead, signature, header, and a payload nobody looks into."""
    name, version = f"package{number}", f"1.{number}"
    lead = struct.pack(
        ">4sBBhh66shh16s", b"\xed\xab\xee\xdb", 3, 0, 0, 1, name.encode(), 1, 5, b""
    )
    header = _header(_OF_HEADER, _tags(name, version, release))
    payload = hashlib.sha256(f"{name} {release}".encode()).digest()
    digest = hashlib.md5(header + payload, usedforsecurity=False).digest()
    signature = _header(
        _OF_SIGNATURE,
        [(1000, _INT32, [len(header) + len(payload)]), (1004, _BINARY, digest)],
    )
    return lead + signature + bytes(-len(signature) % 8) + header + payload


def _tags(name: str, version: str, release: str) -> list[tuple[int, int, Value]]:
    files = ["__init__.py", "core.py", "cli.py", "py.typed", "METADATA"]
    five = range(5)
    return [
        (100, _STRINGS, ["C"]),
        (1000, _STRING, name),
        (1001, _STRING, version),
        (1002, _STRING, release),
        (1004, _I18N, [f"What {name} is good for"]),
        (1005, _I18N, [f"A longer text that tells what {name} is good for, and whom."]),
        (1006, _INT32, [_SECONDS]),
        (1007, _STRING, "builder.example.org"),
        (1009, _INT32, [4096]),
        (1014, _STRING, "MIT"),
        (1016, _I18N, ["Unspecified"]),
        (1020, _STRING, f"https://example.org/{name}"),
        (1021, _STRING, "linux"),
        (1022, _STRING, "noarch"),
        (1028, _INT32, [100 + n for n in five]),
        (1030, _INT16, [0o100644 for _ in five]),
        (1034, _INT32, [_SECONDS for _ in five]),
        (1037, _INT32, [0 for _ in five]),
        (1044, _STRING, f"{name}-{version}-{release}.src.rpm"),
        (1047, _STRINGS, [name]),
        (1048, _INT32, [12, 12]),
        (1049, _STRINGS, ["python3", "python3dist(requests)"]),
        (1050, _STRINGS, ["3.9", "2.31"]),
        (1080, _INT32, [_SECONDS, _SECONDS - 86400]),
        (1081, _STRINGS, [f"Somebody <somebody@example.org> - {version}-1"] * 2),
        (1082, _STRINGS, ["- New release", "- First release"]),
        (1112, _INT32, [8]),
        (1113, _STRINGS, [f"{version}-{release}"]),
        (1116, _INT32, [0 for _ in five]),
        (1117, _STRINGS, files),
        (1118, _STRINGS, [f"/usr/lib/python3/site-packages/{name}/"]),
        (1124, _STRING, "cpio"),
        (1125, _STRING, "gzip"),
    ]


def _header(region: int, tags: list[tuple[int, int, Value]]) -> bytes:
    index, store = bytearray(), bytearray()
    for tag, kind, value in tags:
        width, code = _WIDTHS.get(kind, (1, ""))
        store += bytes(-len(store) % width)
        count = 1 if isinstance(value, str) else len(value)
        index += struct.pack(">IIII", tag, kind, len(store), count)
        store += _stored(value, code)
    entries = len(tags) + 1
    index[:0] = struct.pack(">IIII", region, _BINARY, len(store), 16)
    store += struct.pack(">IIiI", region, _BINARY, -16 * entries, 16)
    magic = b"\x8e\xad\xe8\x01\x00\x00\x00\x00"
    return magic + struct.pack(">II", entries, len(store)) + bytes(index) + bytes(store)


def _stored(value: Value, code: str) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode() + b"\0"
    return b"".join(
        struct.pack(f">{code}", part) if isinstance(part, int) else part.encode() + b"\0"
        for part in value
    )
