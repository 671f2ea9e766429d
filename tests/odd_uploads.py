"""Odd but legal uploads, each with its own filename."""

from __future__ import annotations

import struct

from tests.archives import STORED, Entry, extra_field, pax, streamed, tar_member, zip_bytes
from tests.bad_uploads import GoodUpload
from tests.distributions import metadata, record_row, sdist, wheel_entries


def _good_wheel(number: int, label: str, **knobs: object) -> GoodUpload:
    version = f"1.{number}"

    def content() -> bytes:
        archive = {k: knobs[k] for k in ("comment", "zip64", "end") if k in knobs}
        rest = {k: v for k, v in knobs.items() if k not in archive and k != "change"}
        entries = wheel_entries("good", version, **rest)  # type: ignore[arg-type]
        change = knobs.get("change")
        if callable(change):
            change(entries[0])
        return zip_bytes(entries, **archive)  # type: ignore[arg-type]

    form = {"name": "good", "version": version}
    return GoodUpload(label, f"good-{version}-py3-none-any.whl", content, form)


def _good_sdist(number: int, label: str, name: str, **knobs: object) -> GoodUpload:
    version = f"2.{number}"
    stem = name.format(version=version)

    def content() -> bytes:
        return sdist("good.two", version, root=stem, **knobs)  # type: ignore[arg-type]

    form = {"name": "Good_Two", "version": version}
    return GoodUpload(label, f"{stem}.tar.gz", content, form)


def _zip64_everywhere(entry: Entry) -> None:
    full = 0xFFFFFFFF
    wide = extra_field(1, struct.pack("<QQ", len(entry.content), len(entry.data())))
    entry.local = {"size": full, "packed": full, "extra": wide}
    entry.central = {"size": full, "packed": full, "extra": wide}


GOOD_UPLOADS: tuple[GoodUpload, ...] = (
    _good_wheel(0, "plain"),
    _good_wheel(1, "comment", comment=b"built on a Tuesday"),
    _good_wheel(2, "zip64 end", zip64={}),
    _good_wheel(3, "zip64 end only", zip64={}, end={"start": 0xFFFFFFFF, "length": 0xFFFFFFFF}),
    _good_wheel(4, "zip64 sizes", change=_zip64_everywhere),
    _good_wheel(5, "sizes after the data", change=streamed),
    _good_wheel(6, "stored", change=lambda entry: setattr(entry, "method", STORED)),
    _good_wheel(7, "extra field", change=lambda entry: setattr(
        entry, "extra", extra_field(0x5455, b"\1aaaa"))),
    _good_wheel(8, "path beyond ASCII", extra_members={"d\u00e9mo.py": b""}),
    _good_wheel(9, "two columns of PKCS", record=lambda rows: [*rows, ""]),
    _good_wheel(10, "entry points", replace={
        "entry_points.txt": b"[console_scripts]\ngood = demo:answer\n\n[demo.plugins]\na=b\n"}),
    _good_wheel(11, "requirements", metadata_lines=[
        "Requires-Dist: attrs>=20; python_version < '3.12'", "Requires-Python: >=3.8",
        "Provides-Extra: test", "Keywords: one,two", "Project-URL: Home, https://example.org/",
        "Description-Content-Type: text/markdown; charset=UTF-8; variant=GFM"]),
    _good_wheel(12, "sha512", record=lambda rows: [
        record_row("demo.py", b"def answer():\n    return 42\n", "sha512"), *rows[1:]]),
    _good_sdist(0, "sdist of PEP 625", "good_two-{version}"),
    _good_sdist(1, "sdist with a dot", "good.two-{version}"),
    _good_sdist(2, "sdist with a hyphen", "good-two-{version}"),
    _good_sdist(3, "global PAX comment", "good_two-{version}", more=pax(kind=b"g", comment="x")
        + tar_member("good_two-2.3/x.py")),
    _good_sdist(4, "long PAX path", "good_two-{version}",
        more=pax(path="good_two-2.4/" + "x" * 200)
        + tar_member("good_two-2.4/x")),
    _good_sdist(5, "long GNU path", "good_two-{version}", more=tar_member("././@LongLink",
        b"good_two-2.5/" + b"x" * 200 + b"\0", kind=b"L") + tar_member("good_two-2.5/x")),
    _good_sdist(6, "POSIX prefix", "good_two-{version}", more=tar_member(
        "x.py", prefix=b"good_two-2.6")),
    _good_sdist(7, "directory twice", "good_two-{version}", more=tar_member(
        "good_two-2.7/", kind=b"5")),
    GoodUpload("zipped sdist", "good_two-3.0.zip", lambda: zip_bytes([Entry("good_two-3.0/",
        attributes=0o040755 << 16),
        Entry("good_two-3.0/PKG-INFO", metadata("good.two", "3.0"))]),
        {"name": "good.two", "version": "3.0"}),
)  # fmt: skip
