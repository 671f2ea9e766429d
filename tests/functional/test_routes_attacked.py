"""Requests that nobody meant well, at what serves the repository: answered, never a fault."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.clients.serving import LiveIndex, live_index
from tests.distributions import wheel

PATIENCE_S = 20.0
MOST_HEAD_BYTES = 32 * 1024
SHA = "0" * 64
FOLDERS = (
    "/repodata",
    "/repodata/t",
    "/repodata/t/00",
    "/repodata/t/00/1f/1f/1f/1f/1f",
    "/repodata/p",
    "/repodata/c",
    "/repodata/v",
    "/repodata/proof",
    "/tuf",
    "/rss",
    "/rss/project",
    "/rss/project/demo",
    "/simple/demo",
    "/simple/demo/v",
    "/simple/demo/repodata",
    "/projects/demo",
    "/projects/demo/v",
    "/pypi/demo",
    "/pypi/demo/v",
    "/pypi/demo/1.0",
    "/pypi/demo/1.0/v",
    "/static",
    "/static/v",
    "/changes",
    "/simple",
    "/simple/v",
    "",
)
SEGMENTS = (
    "",
    "/",
    ".",
    "..",
    "../..",
    "%2e%2e",
    "%2e%2e/%2e%2e/index.sqlite",
    "..%2f..%2fadmin.token",
    "..%5c..%5cadmin.token",
    "%00",
    "a%00b",
    "%0a",
    "%0d%0aX-Evil:%201",
    "%ff%fe",
    "%c0%ae%c0%ae",
    "%ed%a0%80",
    "%u002e",
    "%",
    "%zz",
    "%252e%252e",
    "~",
    "v",
    "v/",
    "v/v/v",
    "index.json/",
    "index.json/x",
    "index.html.gz.gz",
    "repomd.xml%00.gz",
    "repomd.xml ",
    "repomd.xml?",
    "repomd.XML",
    "repomd.xml.gz",
    "repomd.xml/..",
    f"{SHA}",
    f"{SHA}.xml.gz",
    f"{SHA}-primary.xml.gz",
    f"{SHA}-" + "a" * 300,
    f"{SHA}-periods.json",
    "1-2.jsonl.gz",
    f"{'9' * 400}-1.jsonl.gz",
    "-1-2.jsonl.gz",
    "1-2-names.json.gz",
    "00.json",
    "1f.json",
    "20.json",
    "0.json",
    "00",
    "\u0660\u0660.json",
    "timestamp.json",
    "1.root.json",
    f"{'1' * 300}.root.json",
    "0.root.json",
    "1.\u0131.json",
    "x" * 5_000,
    "x/" * 500,
    "x" * 255 + ".json",
    "CON",
    "demo",
    "Demo",
    "DE_MO",
    "d%C4%B1mo",
    ":",
    ";x=1",
    "@",
    "+",
    "*",
    "?",
    "#",
    "[",
    "{x}",
    "<script>",
    "'\"",
    "\\",
    "$(id)",
    "|",
    "&",
    "documents.json",
    "releases.xml",
    "updates.xml",
    "packages.xml",
    "json",
    "primary.xml.gz",
    "keys/online.pem",
    "admin.token",
    ".git",
    "packages/..",
)
HEADERS: tuple[dict[str, str], ...] = (
    {"Range": "bytes=0-0"},
    {"Range": "bytes=-1"},
    {"Range": "bytes=5-2"},
    {"Range": "bytes=0-,1-"},
    {"Range": "bytes=" + ",".join(f"{n}-{n}" for n in range(1000))},
    {"Range": "lines=1-2"},
    {"Range": "bytes=" + "9" * 400 + "-"},
    {"Range": "bytes=\u0661-"},
    {"Range": "bytes=0-" + "9" * 5000},
    {"If-None-Match": "*"},
    {"If-None-Match": '"' + "x" * 8000},
    {"If-None-Match": ',,,W/,""'},
    {"If-Modified-Since": "nonsense"},
    {"If-Modified-Since": "Mon, 99 Foo 99999 99:99:99 GMT"},
    {"If-Modified-Since": "Thu, 01 Jan 0001 00:00:00 GMT"},
    {"If-Range": '"x"', "Range": "bytes=0-1"},
    {"If-Match": "*"},
    {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
    {"Accept": "*/*;q=1e400"},
    {"Accept": "text/html;q=nan, a/b;q=--1"},
    {"Accept": "," * 8000},
    {"Accept": "application/x-ndjson;q=" + "0." + "0" * 4000},
    {"Accept-Encoding": "gzip;q=\u0661"},
    {"Accept-Encoding": "gzip;q=0, *;q=0"},
    {"Accept-Encoding": "gzip" + ";q=1" * 2000},
    {"Authorization": "Basic \xff"},
    {"Authorization": "Bearer " + "x" * 8000},
    {"Host": "evil.example"},
    {"X-Forwarded-For": "'; DROP TABLE", "Forwarded": "for=_x"},
    {"Content-Length": "5"},
    {"Transfer-Encoding": "chunked"},
)
QUERIES = (
    "",
    "name=",
    "name=demo",
    "name=Demo&name=de.mo",
    "name=../x",
    "name=%00",
    "name=%ff",
    "name=a%",
    "&".join(f"name=p{n}" for n in range(200)),
    "&".join(f"name=p{n}" for n in range(5_000)),
    "name=" + "x" * 50_000,
    "NAME=demo",
    "name[]=demo",
    "x=1",
    "=",
    "&&&&",
    ";",
    "name",
    "since=1e400",
    "since=-1",
    "since=" + "9" * 5_000,
    "since=\u0661",
    "since=0x10",
    "since=1&since=2",
    "since=9007199254740991",
    "since=9007199254740992",
    "limit=0",
    "limit=10001",
    "limit=-1",
    "limit=1_0",
    "limit= 1",
    "limit=1.0",
    "wait=61",
    "wait=-1",
    "wait=nan",
    "wait=1e1",
    "wait=",
    "format=xml",
    "format=%00",
    "format=jsonl&format=json",
    "since=%00",
    "since=%ff",
    "since=+1",
    "wait=60&since=0",
    "&".join(f"since{n}=1" for n in range(20)),
)
METHODS = (
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "PATCH",
    "TRACE",
    "PROPFIND",
    "get",
    "X" * 900,
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveIndex]:
    """Serve an index with one project; at the end, its log must be without a traceback."""
    with live_index(tmp_path_factory.mktemp("attacked")) as live:
        upload(live, "1.0")
        yield live


def upload(index: LiveIndex, version: str) -> float:
    """Upload a wheel; return how many seconds it took."""
    began = time.monotonic()
    answer = requests.post(
        index.legacy,
        data={
            ":action": "file_upload",
            "protocol_version": "1",
            "name": "demo",
            "version": version,
        },
        files={"content": (f"demo-{version}-py3-none-any.whl", wheel("demo", version))},
        auth=("__token__", index.token),
        timeout=PATIENCE_S,
    )
    assert answer.status_code == 200, answer.text
    return time.monotonic() - began


def ask(
    index: LiveIndex, target: str, method: str = "GET", headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Send just this request, by no client that would correct it; return status and answer."""
    host, _, port = index.url.removeprefix("http://").partition(":")
    lines = {"Host": f"{host}:{port}", **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    request = f"{method} {target} HTTP/1.1\r\nConnection: close\r\n{head}\r\n".encode()
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall(request)
        if "Content-Length" in lines or "Transfer-Encoding" in lines:
            connection.sendall(b"0\r\n\r\n")
        parts = []
        try:
            while part := connection.recv(65536):
                parts.append(part)
        except ConnectionResetError:
            if len(request) < MOST_HEAD_BYTES:
                raise
            return 431, b""  # it was refused before all of it was read
    answer = b"".join(parts)
    assert answer.startswith(b"HTTP/1."), (method, target[:80], answer[:80])
    return int(answer.split(b" ", 2)[1]), answer


def fits(index: LiveIndex, target: str, method: str = "GET", **headers: str) -> None:
    """Fail unless the request is answered, by no fault of ours and nothing of ours is told."""
    status, answer = ask(
        index, target, method, {k.replace("_", "-"): v for k, v in headers.items()}
    )
    # 501: a method or coding that nobody speaks; 505: a version of HTTP.
    assert status < 500 or status in {501, 505}, (method, target[:200], headers, status)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"X-Evil" not in head
    assert index.token.encode() not in answer
    assert b"root:x:" not in body
    assert b"Traceback" not in body


@pytest.mark.parametrize("folder", FOLDERS)
def test_odd_paths(index: LiveIndex, folder: str) -> None:
    for segment in SEGMENTS:
        target = f"{folder}/{segment}".replace(" ", "%20")
        fits(index, target)
        fits(index, f"/{target}", "HEAD")


DOCUMENTS = (
    "/repodata/repomd.xml",
    "/repodata/repomd.json",
    "/repodata/t/00.json",
    "/tuf/timestamp.json",
    "/rss/updates.xml",
    "/rss/project/demo/releases.xml",
    "/simple/demo/index.json",
    "/simple/demo/repodata/repomd.xml",
    "/projects/demo/documents.json",
    "/changes",
    "/repodata/proof?name=demo",
    "/repodata/proof",
    "/simple/demo/primary.xml.gz",
    "/index.html",
)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_odd_headers_and_methods(index: LiveIndex, document: str) -> None:
    for headers in HEADERS:
        fits(
            index,
            document,
            **{name.replace("-", "_"): value for name, value in headers.items()},
        )
    for method in METHODS:
        fits(index, document, method)


@pytest.mark.parametrize(
    "path", ["/repodata/proof", "/changes", "/rss/updates.xml", "/simple/"]
)
def test_odd_queries(index: LiveIndex, path: str) -> None:
    for query in QUERIES:
        began = time.monotonic()
        fits(index, f"{path}?{query}".replace(" ", "%20"))
        assert time.monotonic() - began < PATIENCE_S, query


def test_those_who_wait_keep_no_upload_waiting(index: LiveIndex) -> None:
    """Two hundred who wait for a change hold no thread that an upload or a page needs."""
    upload(index, "2.0")
    since = requests.get(f"{index.url}/changes", timeout=PATIENCE_S).json()["serial"]
    told: list[int] = []

    def wait() -> None:
        told.append(ask(index, f"/changes?since={since}&wait=15")[0])

    waiting = [threading.Thread(target=wait) for _ in range(200)]
    for one in waiting:
        one.start()
    time.sleep(1)
    assert requests.get(f"{index.url}/repodata/repomd.xml", timeout=5).status_code == 200
    assert requests.get(f"{index.url}/repodata/proof?name=demo", timeout=5).status_code == 200
    assert max(upload(index, f"3.{number}") for number in range(5)) < 5
    for one in waiting:
        one.join(PATIENCE_S)
    assert len(told) == 200
    assert set(told) <= {200, 429, 503}


def test_many_at_once(index: LiveIndex) -> None:
    """Proofs, pointers and feeds while uploads go on: all are answered."""
    asked = [*DOCUMENTS, "/repodata/proof?" + "&".join(f"name=p{n}" for n in range(200))] * 20
    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(lambda target: ask(index, target)[0], asked)
        uploads = [pool.submit(upload, index, f"4.{number}") for number in range(10)]
        assert set(answers) <= {200, 400, 404, 503}
        assert all(one.result() < PATIENCE_S for one in uploads)


def test_a_tree_without_its_parts_is_answered_too(index: LiveIndex) -> None:
    """What is lost on the disk is missing, or served all the same; never a fault."""
    tree: Path = index.folder / "tree"
    time.sleep(3)
    spoiled = [
        *tree.glob("repodata/*-shards.json"),
        *tree.glob("projects/demo/documents.json"),
        *tree.glob("repodata/repomd.json"),
    ]
    for content in (b"", b"{}", b"\xff" * 10, b"[" * 10_000, b"null"):
        for path in spoiled:
            path.unlink(missing_ok=True)
            path.write_bytes(content)
        for document in DOCUMENTS:
            status, answer = ask(index, document)
            assert status in {200, 400, 404, 503}, (document, status)
            assert b"Traceback" not in answer
    upload(index, "5.0")
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        status, answer = ask(index, "/repodata/proof?name=demo")
        if status == 200 and b"documents" in answer:
            return
        time.sleep(0.5)
    raise AssertionError((status, answer[:300]))
