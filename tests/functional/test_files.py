"""Release files over HTTP."""

from __future__ import annotations

import email.utils
import hashlib
import io
from typing import Any
from wsgiref.util import FileWrapper

import pytest

from tests.distributions import wheel
from tests.functional.conftest import Client

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

# Text that does not compress, so that the file is sent from the disk, not from memory.
_NOISE = hashlib.shake_256(b"noise").hexdigest(100_000).encode()
CONTENTS = {
    "small": wheel("demo", "1.0"),
    "large": wheel("demo", "1.0", extra_members={"noise.txt": _NOISE}),
}


@pytest.fixture(params=CONTENTS)
def content(request: pytest.FixtureRequest, client: Client) -> bytes:
    content = CONTENTS[request.param]
    client.upload(content=content)
    return content


@pytest.fixture
def path(content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return f"/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/demo-1.0-py3-none-any.whl"


def test_whole(client: Client, content: bytes, path: str) -> None:
    response = client.get(path, Accept_Encoding="gzip")

    assert response.body == content
    assert response.headers["ETag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Content-Length"] == str(len(content))
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert "immutable" in response.headers["Cache-Control"]
    assert "Content-Encoding" not in response.headers
    assert email.utils.parsedate_to_datetime(response.headers["Last-Modified"])


def test_head(client: Client, content: bytes, path: str) -> None:
    response = client.app.head(path, headers={"Range": "bytes=0-1"}, status=200)

    assert response.headers["Content-Length"] == str(len(content))
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.body == b""


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=3-9", slice(3, 10)),
        ("bytes=7-", slice(7, None)),
        ("bytes=-5", slice(-5, None)),
        ("bytes=-99999999", slice(0, None)),
        ("bytes=4-99999999", slice(4, None)),
        ("BYTES=0-4", slice(0, 5)),
    ],
)
@pytest.mark.parametrize("wrapper", [None, FileWrapper])
def test_part(
    client: Client, content: bytes, path: str, asked: str, part: slice, wrapper: Any
) -> None:
    environ = {"wsgi.file_wrapper": wrapper} if wrapper else {}
    response = client.app.get(path, headers={"Range": asked}, status=206, extra_environ=environ)
    first, last, _ = part.indices(len(content))

    assert response.body == content[part]
    assert response.headers["Content-Range"] == f"bytes {first}-{last - 1}/{len(content)}"
    assert response.headers["Content-Length"] == str(last - first)


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0"])
def test_beyond_the_end(client: Client, content: bytes, path: str, asked: str) -> None:
    response = client.get(path, status=416, Range=asked)

    assert response.headers["Content-Range"] == f"bytes */{len(content)}"


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,4-5", "lines=0-1", "bytes=", "bytes=-", "bytes=5-3", "bytes=x-y", ""]
)
def test_what_is_no_single_range_gets_the_whole(
    client: Client, content: bytes, path: str, asked: str
) -> None:
    assert client.get(path, Range=asked).body == content


def test_if_range(client: Client, content: bytes, path: str) -> None:
    whole = client.get(path)
    for holds in (whole.headers["ETag"], whole.headers["Last-Modified"]):
        assert (
            client.get(path, status=206, Range="bytes=0-3", If_Range=holds).body == content[:4]
        )
    for fails in (
        '"other"',
        f"W/{whole.headers['ETag']}",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "nonsense",
        "Sun, 99 Nov 1994",
    ):
        assert client.get(path, Range="bytes=0-3", If_Range=fails).body == content


def test_unchanged(client: Client, path: str) -> None:
    etag = client.get(path).headers["ETag"]

    assert client.get(path, status=304, If_None_Match=etag).body == b""
    assert client.get(path, status=304, If_None_Match=etag, Range="bytes=0-1").body == b""


def test_metadata_sibling_has_its_own_etag(client: Client, path: str) -> None:
    sibling = client.get(path + ".metadata")

    assert sibling.headers["ETag"] != client.get(path).headers["ETag"]
    assert b"Name: demo" in sibling.body


@pytest.mark.parametrize(
    "path",
    [
        "/packages/aa/bb/" + "c" * 60 + "/demo-1.0.tar.gz",
        "/packages/aa/bb/" + "c" * 60 + "/.hidden",
        "/packages/aa/bb/" + "C" * 60 + "/demo-1.0.tar.gz",
        "/packages/aa/bb/cc/demo-1.0.tar.gz",
        "/packages/aa/bb/" + "c" * 60,
        "/packages/aa/bb/" + "c" * 60 + "/a%2Fb",
        "/packages/simple/index.html",
    ],
)
def test_nothing_there(client: Client, path: str) -> None:
    client.get(path, status=404)


@pytest.mark.parametrize(
    "path", ["/packages/../index.sqlite", "/packages/%2e%2e/x", "/static/..%2fapp.py/../x"]
)
def test_dot_segments_are_refused(wsgi: Any, client: Client, path: str) -> None:
    response = client.app.get(path, status="*")

    assert response.status_int in {400, 404}


def test_a_part_in_the_middle_ends_where_it_ends(wsgi: Any) -> None:
    """Servers' own means send to the end of the file; a part before it must not use them."""
    from pyramid_pypi.web.sending import FileAnswer

    sent = FileAnswer("206 Partial Content", [], io.BytesIO(b"0123456789"), 2, 3, to_end=False)
    environ = {"REQUEST_METHOD": "GET", "wsgi.file_wrapper": FileWrapper}
    assert b"".join(sent(environ, lambda status, headers: None)) == b"234"


def test_a_large_file_is_opened_once(
    client: Client, content: bytes, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyramid_pypi.web import sending

    opened = []

    def counting(name: str, *more: Any) -> Any:
        opened.append(name)
        return open(name, *more)

    monkeypatch.setattr(sending, "open", counting, raising=False)
    assert client.get(path).body == content
    assert len(opened) == 1
