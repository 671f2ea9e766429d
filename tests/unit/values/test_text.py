from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pyramid_pypi.errors import BadValue
from pyramid_pypi.values.digests import Digester, file_path, sha256_hex
from pyramid_pypi.values.instants import iso_instant, system_clock
from pyramid_pypi.values.text import MAX_LINE_CHARS, plain_line


@pytest.mark.parametrize("text", ["", "plain", "ünïcode 🐍", "<b>&amp;", "a" * MAX_LINE_CHARS])
def test_plain_lines_stay_as_they_are(text: str) -> None:
    assert plain_line(text, "reason") == text


def test_space_around_is_dropped() -> None:
    assert plain_line("  a b\n", "reason") == "a b"


@pytest.mark.parametrize(
    "text",
    [
        "a\nb",
        "a\tb",
        "\x00",
        "\x7f",
        "a\u2028b",
        "\u202e",
        "\ud800",
        "a" * (MAX_LINE_CHARS + 1),
    ],
)
def test_other_lines_are_refused_by_name(text: str) -> None:
    with pytest.raises(BadValue, match="reason"):
        plain_line(text, "reason")


def test_digests_are_those_of_the_whole() -> None:
    digester = Digester()
    for chunk in (b"a", bytearray(b"b"), memoryview(b"c")):
        digester.update(chunk)
    found = digester.digests()
    assert found.size_bytes == 3
    assert found.sha256 == sha256_hex(b"abc")
    assert found.md5 == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321
    assert found.blake2b_256 == (
        "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319"
    )


def test_a_file_lies_below_three_folders_of_its_digest() -> None:
    digest = sha256_hex(b"")
    assert file_path(digest, "a.whl") == f"packages/e3/b0/{digest[4:]}/a.whl"


def test_instants_are_written_in_utc_with_microseconds() -> None:
    east = datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    assert iso_instant(east) == "2026-02-28T23:00:00.000000Z"
    assert system_clock().tzinfo is UTC
