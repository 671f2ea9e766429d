"""One row for each bad upload, and ways to build the lying archives in it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.archives import STORED, Entry, extra_field, zeros_deflated, zip_bytes
from tests.distributions import record_row, sdist, wheel, wheel_entries

Content = Callable[[], bytes]
WHEEL = "demo-1.0-py3-none-any.whl"
SDIST = "demo-1.0.tar.gz"
MISMATCH = "upload.metadata-mismatch"
NOT_AN_SDIST = "upload.not-an-sdist"
GRIN = "\U0001f600".encode()
LICENSED = b"Metadata-Version: 2.4\nName: demo\nVersion: 1.0\nLicense-File: LICENSE\n"


@dataclass(frozen=True)
class BadUpload:
    """An upload that must be refused with `code`, and leave nothing behind."""

    label: str
    family: str
    filename: str
    content: Content
    code: str
    form: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GoodUpload:
    """An odd upload that must pass; all of these have their own filenames."""

    label: str
    filename: str
    content: Content
    form: dict[str, str]


def with_entry(entry: Entry) -> bytes:
    """Return a wheel that holds `entry` first; RECORD believes its size."""
    path = entry.path if isinstance(entry.path, str) else "odd"
    row = record_row(path, entry.content)
    if entry.size is not None:
        row = f"{row.rpartition(',')[0]},{entry.size}"
    return zip_bytes([entry, *wheel_entries(record=lambda rows: [row, *rows])])


def changed(change: Callable[[Entry], object]) -> bytes:
    """Return a wheel of which the first member went through `change`."""
    entry = Entry("first.py", b"def first():\n    return 1\n")
    change(entry)
    return with_entry(entry)


def local(**fields: int | bytes) -> Content:
    return lambda: changed(lambda entry: setattr(entry, "local", fields))


def central(**fields: int | bytes) -> Content:
    return lambda: changed(lambda entry: setattr(entry, "central", fields))


def fields(**values: object) -> Content:
    def change(entry: Entry) -> None:
        for name, value in values.items():
            setattr(entry, name, value)

    return lambda: changed(change)


def framed(**archive: object) -> Content:
    return lambda: zip_bytes(wheel_entries(), **archive)  # type: ignore[arg-type]


def hidden_member() -> bytes:
    hidden = Entry("demo.py", b"import os\n", central={"absent": 1})
    return zip_bytes([hidden, *wheel_entries()])


def overlapping() -> bytes:
    entries = wheel_entries()
    entries.insert(1, Entry("again.py", entries[0].content, central={"at": 0}))
    return zip_bytes(entries)


def stored(entry: Entry) -> Entry:
    entry.method = STORED
    return entry


def lying_bomb() -> bytes:
    bomb = Entry("demo.bin", packed=zeros_deflated(300), size=1000)
    return with_entry(bomb)


def directory_twice() -> bytes:
    first = zip_bytes(wheel_entries())
    return zip_bytes(wheel_entries(extra_members={"b.py": b""}), comment=first)


def many_members() -> bytes:
    return zip_bytes([Entry(f"m{n}", method=STORED) for n in range(20_001)])


def wide(*values: int, **changes: object) -> Content:
    """Return a wheel whose first member has a zip64 field of `values`."""
    wide = extra_field(1, struct.pack(f"<{len(values)}Q", *values))
    return fields(extra=wide, **changes)


def zip64_local_lie() -> bytes:
    entries = wheel_entries()
    lie = extra_field(1, struct.pack("<QQ", 5, len(entries[0].data())))
    entries[0].local = {"size": 0xFFFFFFFF, "packed": 0xFFFFFFFF, "extra": lie}
    return zip_bytes(entries)


def zip_row(code: str, label: str, content: Content, family: str = "U8") -> BadUpload:
    return BadUpload(label, family, WHEEL, content, f"upload.{code}")


def path_row(
    label: str, path: str | bytes, code: str = "member-name", **more: int
) -> BadUpload:
    def content() -> bytes:
        return with_entry(Entry(path, b"x", **more))  # type: ignore[arg-type]

    return zip_row(code, label, content, "U10")


def lying_record_row(label: str, change: Callable[[list[str]], list[str]]) -> BadUpload:
    return zip_row("record-mismatch", label, lambda: wheel(record=change), "U9")


def tar_row(code: str, label: str, more: Callable[[], bytes], family: str = "U10") -> BadUpload:
    return BadUpload(label, family, SDIST, lambda: sdist(more=more()), f"upload.{code}")


def form_row(code: str, label: str, **form: str) -> BadUpload:
    return BadUpload(label, "form", WHEEL, wheel, f"upload.{code}", form)


def named_row(
    code: str, filename: str, family: str = "form", content: Content = wheel
) -> BadUpload:
    return BadUpload(f"named {filename!r:.60}", family, filename, content, f"upload.{code}")


def told_row(label: str, *lines: str) -> BadUpload:
    """Return a wheel whose METADATA has the bad `lines`."""
    return BadUpload(
        label, "U3", WHEEL, lambda: wheel(metadata_lines=lines), "metadata.invalid"
    )
