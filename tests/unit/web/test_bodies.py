from __future__ import annotations

import io
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st
from webob import Request

from pyramid_pypi.web import bodies
from pyramid_pypi.web.refusals import WebRefusal


class Shape(msgspec.Struct, forbid_unknown_fields=True):
    word: str = ""
    number: int = 0


def request(body: bytes) -> Any:
    return Request.blank(
        "/",
        method="PUT",
        content_type="application/json",
        body_file=io.BytesIO(body),
        content_length=len(body),
    )


@given(body=st.binary(max_size=60))
@example(b"[" * 65_000)
@example(b'{"a":' * 10_000)
@example(b'{"number": 1e999}')
@example(b'{"number": ' + b"9" * 5000 + b"}")
@example(b'{"word": "\\udfff"}')
@example(b'["\\udfff"]')
@example(b"-Infinity")
@example(b"\xef\xbb\xbf{}")
def test_any_bytes_are_a_body_or_a_refusal(body: bytes) -> None:
    try:
        read = bodies.read(request(body), Shape)
    except WebRefusal:
        return
    assert read.word.encode() is not None


def test_good_bodies() -> None:
    assert bodies.read(request(b""), Shape) == Shape()
    assert bodies.read(request(b' {"word": "\xc3\xa9", "number": 3} '), Shape) == Shape(
        "\u00e9", 3
    )
