"""Gzip of others: unpacked within bounds, or refused."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_pypi.formats.compression import gunzip_bytes, gzip_bytes

LARGE = bytes(range(256)) * 2000


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
def test_members_one_after_the_other(parts: list[bytes]) -> None:
    packed = b"".join(map(gzip_bytes, parts))
    assert gunzip_bytes(packed, 2000) == b"".join(parts) == gzip.decompress(packed)


def test_members_longer_than_a_block() -> None:
    packed = gzip.compress(LARGE, 0) + gzip_bytes(b"") + gzip.compress(LARGE, 0)
    assert gunzip_bytes(packed, 2 * len(LARGE)) == LARGE * 2
    with pytest.raises(ValueError, match="more than"):
        gunzip_bytes(packed, 2 * len(LARGE) - 1)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip_bytes(bytes(50_000_000))
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        gunzip_bytes(bomb, 1000)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"plain",
        gzip_bytes(LARGE)[:-1],
        gzip_bytes(LARGE)[:50],
        gzip_bytes(LARGE) + b"more",
        gzip_bytes(LARGE)[:-8] + bytes(8),
    ],
    ids=["nothing", "plain", "cut", "cut-early", "more", "checksum"],
)
def test_what_is_no_gzip(content: bytes) -> None:
    with pytest.raises(ValueError, match="gzip"):
        gunzip_bytes(content, 10**7)
