from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_pypi.errors import Refusal
from pyramid_pypi.upload.refusals import BodyTruncated, FormTooComplex, UploadTooLarge
from pyramid_pypi.upload.values import MAX_FIELDS_BYTES, most_form_bytes
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


def form_of(count: int) -> bytes:
    field = b'--x\r\nContent-Disposition: form-data; name="requires_dist"\r\n\r\na\r\n'
    return field * count + b"--x--\r\n"


def test_a_form_may_have_thousands_of_fields_and_costs_little(
    new_path: Callable[[], Path],
) -> None:
    began_s = time.process_time()
    with multipart.received(environ(form_of(6000)), new_path, max_file_bytes=100) as received:
        assert len(received.form["requires_dist"]) == 6000
    assert time.process_time() - began_s < 1
    with (
        pytest.raises(FormTooComplex),
        multipart.received(environ(form_of(6001)), new_path, max_file_bytes=100),
    ):
        pass


def test_all_that_is_allowed_fits_what_may_be_announced(new_path: Callable[[], Path]) -> None:
    most = most_form_bytes(100)
    asked = environ(FORM[:-9]) | {"CONTENT_LENGTH": str(most)}
    with pytest.raises(BodyTruncated), multipart.received(asked, new_path, max_file_bytes=100):
        pass
    asked = environ(FORM) | {"CONTENT_LENGTH": str(most + 1)}
    with pytest.raises(UploadTooLarge), multipart.received(asked, new_path, max_file_bytes=100):
        pass
    assert most >= 100 + MAX_FIELDS_BYTES + len(form_of(6000))
