from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_pypi.errors import Refusal
from pyramid_pypi.upload.refusals import UploadTooLarge
from pyramid_pypi.web import multipart

FORM = (
    b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--x\r\nContent-Disposition: form-data; name="gpg_signature"; filename="s"\r\n\r\nP\r\n'
    b'--x\r\nContent-Disposition: form-data; name="content"; filename="f.whl"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\nPK\r\n\r\n--y\r\n"
    b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xc3\xa9\r\n--x--\r\n'
)


def environ(body: bytes) -> dict[str, Any]:
    return {
        "CONTENT_TYPE": 'multipart/form-data; boundary="x"',
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }


@pytest.fixture
def new_path(tmp_path: Path) -> Callable[[], Path]:
    numbers: Iterator[int] = count()
    return lambda: tmp_path / str(next(numbers))


def test_a_form(tmp_path: Path, new_path: Callable[[], Path]) -> None:
    with multipart.received(environ(FORM), new_path, max_file_bytes=100) as received:
        content = received.file.path.read_bytes()
        assert received.form == {"a": ("1", "\u00e9")}
        assert content == b"PK\r\n\r\n--y"
        assert received.file.filename == "f.whl"
        assert received.file.digests.sha256 == hashlib.sha256(content).hexdigest()
        assert received.file.digests.size_bytes == len(content)
    assert list(tmp_path.iterdir()) == []


def test_what_was_moved_away_stays(tmp_path: Path, new_path: Callable[[], Path]) -> None:
    with multipart.received(environ(FORM), new_path, max_file_bytes=100) as received:
        received.file.path.replace(tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_too_large_a_file_stops_at_once(tmp_path: Path, new_path: Callable[[], Path]) -> None:
    head, tail = FORM.split(b"PK\r\n")
    body = head + bytes(10_000_000) + tail
    asked = environ(body)
    with (
        pytest.raises(UploadTooLarge),
        multipart.received(asked, new_path, max_file_bytes=1000),
    ):
        pass
    assert asked["wsgi.input"].tell() < 200_000
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_read_of_what_announces_too_much(new_path: Callable[[], Path]) -> None:
    asked = environ(FORM) | {"CONTENT_LENGTH": str(2**40)}
    with (
        pytest.raises(UploadTooLarge),
        multipart.received(asked, new_path, max_file_bytes=1000),
    ):
        pass
    assert asked["wsgi.input"].tell() == 0


@settings(max_examples=300, deadline=None)
@given(
    cuts=st.lists(
        st.tuples(st.integers(0, len(FORM)), st.integers(0, 9), st.binary(max_size=9)),
        max_size=4,
    ),
    content_type=st.one_of(st.just('multipart/form-data; boundary="x"'), st.text(max_size=40)),
)
def test_any_bytes_are_a_form_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[Any], content_type: str
) -> None:
    body = FORM
    for at, length, put in cuts:
        body = body[:at] + put + body[at + length :]
    folder = tmp_path_factory.mktemp("spool")
    asked = environ(body) | {"CONTENT_TYPE": content_type}
    try:
        with multipart.received(asked, lambda: folder / "f", max_file_bytes=100) as received:
            assert received.form is not None
    except Refusal:
        pass
    assert list(folder.iterdir()) == []
