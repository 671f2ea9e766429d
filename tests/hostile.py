"""Uploads that must be refused, with the code of each refusal, and odd ones that must not.

Contents are built when asked for.  Families are those of the threat model: U3 metadata
that disagrees, U6 zip bombs, U7 tar bombs, U8 zip archives that readers read differently,
U9 RECORD that lies, U10 paths and members that escape; `form` is the upload form.
"""

from __future__ import annotations

from tests.bad_uploads import (
    GRIN,
    LICENSED,
    MISMATCH,
    NOT_AN_SDIST,
    SDIST,
    WHEEL,
    BadUpload,
    GoodUpload,
    form_row,
    lying_record_row,
    named_row,
    told_row,
    zip_row,
)
from tests.distributions import metadata, record_row, sdist, wheel
from tests.hostile_archives import BOMBS, ESCAPES, ZIPS
from tests.odd_uploads import GOOD_UPLOADS

__all__ = ["BAD_UPLOADS", "GOOD_UPLOADS", "BadUpload", "GoodUpload", "sdist", "wheel"]

_FORM = (
    form_row("form-invalid", "protocol 2", protocol_version="2"),
    form_row("form-invalid", "filetype of an sdist", filetype="sdist"),
    form_row("form-invalid", "unknown filetype", filetype="bdist_magic"),
    form_row("form-invalid", "unknown metadata version", metadata_version="9.9"),
    form_row("type-unsupported", "filetype of an egg", filetype="bdist_egg"),
    form_row("digest-mismatch", "wrong sha256", sha256_digest="0" * 64),
    form_row("digest-mismatch", "sha256 that is none", sha256_digest="x"),
    form_row("digest-mismatch", "wrong blake2", blake2_256_digest="0" * 64),
    form_row("digest-mismatch", "wrong md5", md5_digest="0" * 32),
    named_row("type-unsupported", "demo-1.0-py3.11.egg"),
    named_row("filename-invalid", "demo-1.0.tar.gz.zip"),
    named_row("type-unsupported", "demo-1.0.exe"),
    named_row("type-unsupported", "demo-1.0.tar.bz2"),
    named_row("filename-invalid", "demo-1.0-py3-none.whl"),
    named_row("filename-invalid", "demo-one-py3-none-any.whl"),
    named_row("filename-invalid", f"demo-1.{'9' * 201}-py3-none-any.whl"),
    named_row("filename-invalid", f"demo-{'1' * 5000}-py3-none-any.whl"),
    named_row("filename-invalid", "demo.tar.gz", content=sdist),
    named_row("filename-invalid", "../demo-1.0.tar.gz", "U10", sdist),
    named_row("filename-invalid", "a/demo-1.0.tar.gz", "U10", sdist),
    named_row("filename-invalid", "a\\demo-1.0.tar.gz", "U10", sdist),
    named_row("filename-invalid", ".demo-1.0.tar.gz", "U10", sdist),
    named_row("filename-invalid", "demo\x01-1.0.tar.gz", "U10", sdist),
    named_row("filename-invalid", "d\u00e9mo-1.0.tar.gz", "U10", sdist),
    BadUpload("no bytes", "form", WHEEL, lambda: b"", "upload.not-a-wheel"),
    BadUpload("one byte", "form", WHEEL, lambda: b"PK"[:1], "upload.not-a-wheel"),
    BadUpload(
        "no archive", "form", WHEEL, lambda: b"not a zip archive at all", "upload.not-a-wheel"
    ),
    BadUpload("wheel that is an sdist", "form", WHEEL, sdist, "upload.not-a-wheel"),
    BadUpload("no bytes", "form", SDIST, lambda: b"", "upload.not-an-sdist"),
    BadUpload("sdist that is a wheel", "form", SDIST, wheel, "upload.not-an-sdist"),
    BadUpload("zip that is a tar", "form", "demo-1.0.zip", sdist, "upload.not-an-sdist"),
)

_DISAGREEING = (
    BadUpload("form names another", "U3", WHEEL, wheel, MISMATCH, {"name": "other"}),
    BadUpload("form versions another", "U3", WHEEL, wheel, MISMATCH, {"version": "2.0"}),
    BadUpload("form versions nonsense", "U3", WHEEL, wheel, MISMATCH, {"version": "x"}),
    BadUpload("sdist, form names another", "U3", SDIST, sdist, MISMATCH, {"name": "other"}),
    BadUpload(
        "form hides requirements", "U3", WHEEL,
        lambda: wheel(metadata_lines=["Requires-Dist: evil"]), MISMATCH,
        {"requires_dist": "good"},
    ),
    BadUpload("form adds a requirement", "U3", WHEEL, wheel, MISMATCH,
        {"requires_dist": "evil"}),
    BadUpload(
        "METADATA of another project", "U3", WHEEL,
        lambda: wheel(replace={"METADATA": metadata("other")}), MISMATCH,
    ),
    BadUpload(
        "METADATA of another version", "U3", WHEEL,
        lambda: wheel(replace={"METADATA": metadata(version="2.0")}), MISMATCH,
    ),
    BadUpload(
        "wheel of another project", "U3", WHEEL, lambda: wheel("other"),
        "upload.dist-info-mismatch",
    ),
    BadUpload(
        "wheel of another version", "U3", WHEEL, lambda: wheel(version="2.0"),
        "upload.dist-info-mismatch",
    ),
    BadUpload(
        "sdist of another version", "U3", SDIST,
        lambda: sdist(pkg_info=metadata(version="2.0")), MISMATCH,
    ),
    BadUpload(
        "sdist of another project", "U3", SDIST, lambda: sdist(pkg_info=metadata("other")),
        MISMATCH
    ),
    BadUpload("sdist in another directory", "U3", SDIST, lambda: sdist("other"), NOT_AN_SDIST),
    told_row("no requirement", "Requires-Dist: ???"),
    told_row("direct reference", "Requires-Dist: evil @ https://evil.example/evil.whl"),
    told_row("nested marker", "Requires-Dist: a; " + "(" * 1900 + "os_name=='x'" + ")" * 1900),
    told_row("endless version", "Requires-Dist: a==" + "1" * 3990),
    told_row("endless requirements", *("Requires-Dist: a[" + "b," * 1900 + "c]",) * 70),
    told_row("too many requirements", *("Requires-Dist: a",) * 5001),
    told_row("no specifier", "Requires-Python: three"),
    told_row("two names", "Name: other"),
    told_row("unknown content type", "Description-Content-Type: text/html"),
    told_row("unknown charset", "Description-Content-Type: text/x-rst; charset=latin-1"),
    told_row("long summary", "Summary: " + "x" * 513),
    told_row("control character", "Summary: a\x0bb"),
    told_row("no character of XML", "Summary: a\uffffb"),
    told_row("bare carriage return", "Summary: a\rName: other"),
    told_row("no header", "and now for something completely different"),
    told_row("no URL", "Project-URL: Home"),
    told_row("dynamic name", "Dynamic: Name"),
    told_row("no license expression", "License-Expression: Free as in Beer"),
    told_row("nested license", "License-Expression: " + "(" * 1900 + "MIT" + ")" * 1900),
    BadUpload(
        "lone surrogate", "U3", WHEEL,
        lambda: wheel(replace={"METADATA": metadata() + b"\xed\xa0\x80"}), "metadata.invalid",
    ),
    BadUpload(
        "unknown metadata version", "U3", WHEEL,
        lambda: wheel(replace={"METADATA": b"Metadata-Version: 7\nName: demo\nVersion: 1.0\n"}),
        "metadata.invalid",
    ),
    BadUpload(
        "nameless", "U3", SDIST,
        lambda: sdist(pkg_info=b"Metadata-Version: 2.1\nVersion: 1.0\n"), "metadata.invalid",
    ),
    BadUpload(
        "empty METADATA", "U3", WHEEL, lambda: wheel(replace={"METADATA": b""}),
        "metadata.invalid"
    ),
    BadUpload(
        "description of 11.5 MB", "U3", WHEEL,
        lambda: wheel(replace={"METADATA": metadata() + b"x" * 11_500_000}), "metadata.invalid",
    ),
    BadUpload(
        "description of 11.5 MB beyond the BMP", "U3", WHEEL,
        lambda: wheel(replace={"METADATA": metadata() + b"x" * 11_500_000 + GRIN}),
        "metadata.invalid",
    ),
    told_row("a million headers", *("A:",) * 1_000_000),
    told_row("a million commas", "Keywords: " + "," * 1_000_000),
    BadUpload(
        "license file not there", "U3", WHEEL,
        lambda: wheel(replace={"METADATA": LICENSED}), "upload.license-file-missing",
    ),
    BadUpload(
        "license file not there, sdist", "U3", SDIST,
        lambda: sdist(pkg_info=LICENSED), "upload.license-file-missing",
    ),
)  # fmt: skip

_RECORDS = (
    zip_row("not-a-wheel", "no RECORD", lambda: wheel(replace={"RECORD": None}), "U9"),
    zip_row("not-a-wheel", "no METADATA", lambda: wheel(replace={"METADATA": None}), "U9"),
    zip_row("not-a-wheel", "no WHEEL", lambda: wheel(replace={"WHEEL": None}), "U9"),
    zip_row("not-a-wheel", "wheel version 2", lambda: wheel(
        replace={"WHEEL": b"Wheel-Version: 2.0\n"}), "U9"),
    zip_row("not-a-wheel", "two .dist-info", lambda: wheel(
        extra_members={"evil-1.0.dist-info/METADATA": metadata("evil")}), "U9"),
    lying_record_row("lists too few", lambda rows: rows[1:]),
    lying_record_row("lists too many", lambda rows: ["evil.py,sha256=x,1", *rows]),
    lying_record_row("wrong hash", lambda rows: [record_row("demo.py", b"x" * 28), *rows[1:]]),
    lying_record_row("wrong size", lambda rows: [rows[0] + "9", *rows[1:]]),
    lying_record_row("no hash", lambda rows: ["demo.py,,28", *rows[1:]]),
    lying_record_row("weak hash", lambda rows: [record_row("demo.py", b"", "md5"), *rows[1:]]),
    lying_record_row("one twice", lambda rows: [rows[0], *rows]),
    lying_record_row("two columns", lambda rows: ["demo.py,28", *rows[1:]]),
    lying_record_row("open quote", lambda rows: ['"demo.py', *rows[1:]]),
    lying_record_row("thousands of lines", lambda rows: rows + [""] * 5000),
    lying_record_row("eight million bytes", lambda rows: [*rows, "x" * 7_900_000]),
    lying_record_row("one short line in millions", lambda rows: [*rows, *("a,,",) * 1_900_000]),
    lying_record_row("no UTF-8", lambda rows: [*rows, "\udcff"]),
    zip_row("entry-point-invalid", "script elsewhere", lambda: wheel(
        replace={"entry_points.txt": b"[console_scripts]\n../evil = demo:answer\n"}), "U10"),
    zip_row("entry-point-invalid", "no entry points", lambda: wheel(
        replace={"entry_points.txt": b"evil"}), "U10"),
)  # fmt: skip

BAD_UPLOADS: tuple[BadUpload, ...] = (
    *_FORM,
    *_DISAGREEING,
    *BOMBS,
    *ZIPS,
    *_RECORDS,
    *ESCAPES,
)
