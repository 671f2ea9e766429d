"""Core metadata: what real files hold, what is refused, and the way to JSON and back."""

from __future__ import annotations

import dataclasses
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.metadata import parse_email

from pyramid_pypi.formats.core_metadata import (
    CoreMetadata,
    MetadataInvalid,
    from_json,
    parse,
    to_json,
)

FULL = """\
Metadata-Version: 2.5
Name: Demo.Name
Version: 1.0rc1
Summary: A demonstration
Description-Content-Type: text/markdown; charset=utf-8; variant="GFM"
Keywords: one, two
Home-page: https://example.org/
Download-URL: https://example.org/download
Author: Zoë
Author-email: zoe@example.org
Maintainer: Ann
Maintainer-email: ann@example.org
License: MIT
  or so
License-Expression: MIT OR Apache-2.0
License-File: LICENSE
License-File: licenses/NOTICE
Classifier: Programming Language :: Python
Classifier: Framework :: Pyramid
Requires-Dist: attrs>=20
Requires-Dist: rich; extra == "color"
Requires-Python: >=3.8,
  <4
Requires-External: libc
Project-URL: Home, https://example.org/
Project-URL: Docs, https://example.org/docs,more
Provides-Extra: color
Provides-Dist: other
Obsoletes-Dist: old
Platform: any
Supported-Platform: linux
Dynamic: Summary
Import-Name: demo
Import-Namespace: space
X-Unknown: passed over

# Demo

It works.
"""
LEAST = "Metadata-Version: 1.0\nName: demo\nVersion: 1\n"


def test_every_field_is_read() -> None:
    found = parse(FULL.encode())
    assert found == CoreMetadata(
        metadata_version="2.5",
        name="Demo.Name",
        version="1.0rc1",
        summary="A demonstration",
        description="# Demo\n\nIt works.\n",
        description_content_type='text/markdown; charset=utf-8; variant="GFM"',
        keywords=("one", "two"),
        home_page="https://example.org/",
        download_url="https://example.org/download",
        author="Zoë",
        author_email="zoe@example.org",
        maintainer="Ann",
        maintainer_email="ann@example.org",
        license="MIT\n  or so",
        license_expression="MIT OR Apache-2.0",
        license_files=("LICENSE", "licenses/NOTICE"),
        classifiers=("Programming Language :: Python", "Framework :: Pyramid"),
        requires_dist=("attrs>=20", 'rich; extra == "color"'),
        requires_python=">=3.8, <4",
        requires_external=("libc",),
        project_urls=(
            ("Home", "https://example.org/"),
            ("Docs", "https://example.org/docs,more"),
        ),
        provides_extra=("color",),
        provides_dist=("other",),
        obsoletes_dist=("old",),
        platforms=("any",),
        supported_platforms=("linux",),
        dynamic=("Summary",),
        import_names=("demo",),
        import_namespaces=("space",),
    )
    assert all(getattr(found, field.name) for field in dataclasses.fields(found))


def test_json_keeps_everything_and_omits_what_is_empty() -> None:
    found = parse(FULL.encode())
    assert from_json(json.loads(json.dumps(to_json(found)))) == found
    least = parse(LEAST.encode())
    assert to_json(least) == {"metadata_version": "1.0", "name": "demo", "version": "1"}
    assert from_json(to_json(least)) == least


def test_fields_agree_with_packaging() -> None:
    """The reference parser of the packaging library reads the same."""
    raw, unparsed = parse_email(FULL.replace("  or so\n", "").replace(",\n  <4", ", <4"))
    found = parse(FULL.replace("  or so\n", "").encode())
    assert list(unparsed) == ["x-unknown"]
    assert raw.pop("project_urls") == dict(found.project_urls)
    for field, value in raw.items():
        ours = getattr(found, field)
        assert (list(ours) if isinstance(ours, tuple) else ours) == value


def test_old_description_loses_its_margin() -> None:
    head = (
        LEAST
        + "Description: First\n        second\n        \n          indented\n       |bar\n"
    )
    assert parse(head.encode()).description == "First\nsecond\n\n  indented\nbar"


def test_indented_code_in_the_body_stays_indented() -> None:
    assert parse((LEAST + "\n\tcode\n        more\n").encode()).description == (
        "\tcode\n        more\n"
    )


def test_unknown_means_absent() -> None:
    old = LEAST + "Summary: UNKNOWN\nLicense: UNKNOWN\nPlatform: UNKNOWN\nHome-page:\n"
    found = parse((old + "\nUNKNOWN\n").encode())
    assert (found.summary, found.license, found.platforms) == (None, None, ())
    assert (found.home_page, found.description) == (None, None)


def test_windows_line_ends_are_read() -> None:
    assert parse(FULL.replace("\n", "\r\n").encode()) == parse(FULL.encode())


def test_tabs_and_line_ends_may_stand_in_a_description() -> None:
    assert parse((LEAST + "\na\tb\rc\u2028d\x85").encode()).description == "a\tb\rc\u2028d\x85"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a header line"),
        (b"\n" + LEAST.encode(), "not a header line"),
        (b"Name: demo\nVersion: 1\n", "metadata-version"),
        (b"Metadata-Version: 2.1\nVersion: 1\n", "name"),
        (b"Metadata-Version: 2.1\nName: demo\n", "version"),
        (LEAST.encode() + b"Name : x\n", "not a header line"),
        (LEAST.encode() + b"Name: x\n", "name"),
        (LEAST.encode() + b"Summary: \xff\n", "not UTF-8 after"),
        (LEAST.encode() + b"\n\x00", "U\\+0000"),
        (LEAST.encode() + b"\n\x1b[31m", "U\\+001B"),
        (LEAST.encode() + "\n\ufffe".encode(), "U\\+FFFE"),
        (LEAST.encode() + b"Description: a\n\nb", "description"),
        (LEAST.replace("demo", "-demo").encode(), "Invalid value for name"),
        (LEAST.replace("demo", "d\u017fmo").encode(), "Invalid value for name"),
        (LEAST.replace("demo", "d" * 129).encode(), "Invalid value for name"),
        (LEAST.replace(": 1\n", ": one\n").encode(), "Invalid value for version"),
        (LEAST.replace(": 1\n", f": {'1' * 201}\n").encode(), "Invalid value for version"),
        (LEAST.replace(": 1\n", f": {'1.' * 150}1\n").encode(), "Invalid value for version"),
        (LEAST.encode() + b"Requires-Dist: a @ file:///x\n", "direct dependency"),
        (LEAST.encode() + b"Requires-Python: >=3.*.1\n", "requires-python"),
        (LEAST.encode() + b"Provides-Extra: a b\n", "provides-extra"),
        (b"\xef\xbb\xbf" + LEAST.encode(), "not a header line"),
        (b"x" * (12 * 1024 * 1024 + 1), "bytes"),
    ],
)
def test_bad_metadata_is_refused_by_field(content: bytes, words: str) -> None:
    with pytest.raises(MetadataInvalid, match=words) as refused:
        parse(content)
    assert refused.value.sentence.isascii()
    assert len(refused.value.sentence) < 500


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail_otherwise(tail: bytes) -> None:
    try:
        found = parse(LEAST.encode() + tail)
    except MetadataInvalid:
        return
    assert from_json(to_json(found)) == found


@pytest.mark.parametrize(
    "line",
    [
        "Summary: " + " " * 2_000_000,
        "License: " + "\n " * 700_000,
        "Keywords: " + "," * 2_000_000,
        "Description-Content-Type: text/plain" + ";" * 2_000_000,
        "Requires-Python: " + ">=1," * 999,
        "Requires-Dist: a" + " " * 3_900 + "!",
        "Requires-Dist: " + "a[" * 1_900,
        "Author: x" + "\n\t " * 700_000,
    ],
    ids=lambda line: line[:20],
)
def test_long_fields_take_little_time(line: str) -> None:
    start = time.process_time()
    try:  # noqa: SIM105
        parse((LEAST + line + "\n").encode())
    except MetadataInvalid:
        pass
    assert time.process_time() - start < 1.5


def test_a_page_break_in_the_description_is_a_blank() -> None:
    """As READMEs of old have them; in a header it is refused like any control character."""
    content = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n\nOne\n\f\nTwo\n"
    assert parse(content).description == "One\n \nTwo\n"
    with pytest.raises(MetadataInvalid, match=r"U\+000C"):
        parse(b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\nSummary: a\fb\n")
