"""What is refused at the door, and how refusals look to each sort of client."""

from __future__ import annotations

import errno
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from webob import Request
from webtest import TestApp

from pyramid_pypi import environment
from pyramid_pypi.app import make_app
from pyramid_pypi.environment import Environment
from pyramid_pypi.errors import every_refusal
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.storage.blobs import Blobs
from pyramid_pypi.web.resources import Root
from tests.functional.conftest import Client

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def ask(wsgi: Any, path: str = "/simple/", **environ: Any) -> Any:
    blank = Request.blank("/")
    blank.environ.update({"PATH_INFO": path} | environ)
    return blank.get_response(wsgi)


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8080", "LOCALHOST", "127.0.0.1:1", "[::1]:6543", "localhost."],
)
def test_hosts_of_ours(wsgi: Any, host: str) -> None:
    assert ask(wsgi, HTTP_HOST=host).status_int == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.2", 421),
        ("localhost, evil.example", 400),
        ("localhost:x", 400),
        ("user@localhost", 400),
        ('a b"<>', 400),
        ("localhost/../x", 400),
        ("", 400),
    ],
)
def test_hosts_of_others(wsgi: Any, host: str, status: int) -> None:
    response = ask(wsgi, HTTP_HOST=host)

    assert response.status_int == status
    assert not host or host not in response.text
    assert all(host not in value for value in response.headers.values() if host)


def test_no_host(wsgi: Any) -> None:
    blank = Request.blank("/simple/")
    del blank.environ["HTTP_HOST"]

    assert blank.get_response(wsgi).status_int == 400


@pytest.mark.parametrize(
    "header", ["HTTP_X_FORWARDED_HOST", "HTTP_FORWARDED", "HTTP_X_VHM_ROOT", "HTTP_X_HOST"]
)
def test_headers_that_lead_elsewhere_are_not_heard(wsgi: Any, header: str) -> None:
    plain = ask(wsgi, "/simple/Demo", HTTP_ACCEPT=BROWSER)
    led = ask(wsgi, "/simple/Demo", HTTP_ACCEPT=BROWSER, **{header: "evil.example"})

    assert (led.status, led.body, led.headerlist) == (
        plain.status,
        plain.body,
        plain.headerlist,
    )


def test_named_hosts(services: Environment, publisher: Publisher) -> None:
    def status(hosts: tuple[str, ...], asked: str) -> int:
        settings = replace(services.settings, site_hosts=hosts)
        answered: int = ask(
            make_app(replace(services, settings=settings), publisher), HTTP_HOST=asked
        ).status_int
        return answered

    assert status(("pypi.example.org",), "pypi.example.org:443") == 200
    assert status(("pypi.example.org",), "other.example.org") == 421
    assert status(("*",), "other.example.org") == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/simple/\x00/", 400),
        ("/simple/\xff/", 400),
        ("/simple/../x", 400),
        ("/simple/./x", 400),
        ("/..", 400),
        ("/@@simple", 400),
        ("/simple/@@", 400),
        ("//", 400),
        ("//simple", 400),
        ("//evil.example/simple", 400),
        ("///simple", 400),
        ("/simple//demo/", 400),
        ("/simple/demo//", 400),
        ("/" + "x" * 10_000, 404),
        ("/" + "x/" * 5_000, 404),
    ],
)
def test_paths(wsgi: Any, path: str, status: int) -> None:
    assert ask(wsgi, path).status_int == status


@pytest.mark.parametrize(
    "query", ["%ff", "a=%ff", "format=%ff", "&" * 3000, "a=b;c=d", "%", "format=x&" * 101]
)
def test_queries(wsgi: Any, query: str) -> None:
    assert ask(wsgi, QUERY_STRING=query).status_int in {200, 400, 406}


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("POST", "/simple/", 405, "GET, HEAD"),
        ("PUT", "/legacy/", 405, "POST"),
        ("GET", "/legacy/", 405, "POST"),
        ("PATCH", "/projects/demo/", 405, "DELETE, GET, HEAD"),
        ("DELETE", "/projects/demo/status", 405, "GET, HEAD, PUT"),
        ("OPTIONS", "/", 405, "GET, HEAD, POST"),
        ("BREW", "/", 501, None),
        ("get", "/", 501, None),
        ("TRACE", "/", 501, None),
    ],
)
def test_methods(wsgi: Any, method: str, path: str, status: int, allowed: str | None) -> None:
    response = ask(wsgi, path, REQUEST_METHOD=method)

    assert response.status_int == status
    assert response.headers.get("Allow") == allowed


@pytest.mark.parametrize("path", ["/", "/simple/", "/problems/", "/nowhere", "/projects/no/"])
def test_every_answer_is_guarded(wsgi: Any, path: str) -> None:
    response = ask(wsgi, path, HTTP_ACCEPT=BROWSER)

    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (BROWSER, "text/html"),
        ("", "application/problem+json"),
        ("*/*", "application/problem+json"),
        ("application/json", "application/problem+json"),
        ("application/vnd.pypi.simple.v1+json, text/html;q=0.01", "application/problem+json"),
        ("nonsense", "application/problem+json"),
    ],
)
def test_errors_suit_the_client(wsgi: Any, accept: str, content_type: str) -> None:
    response = ask(wsgi, "/no<script>where/", HTTP_ACCEPT=accept)

    assert response.status_int == 404
    assert response.content_type == content_type
    assert "<script" not in response.text
    if content_type == "application/problem+json":
        assert response.json["type"] == "/problems/request.not-found"
        assert response.json["status"] == 404


def test_every_refusal_has_its_page(client: Client) -> None:
    told = {problem["code"] for problem in client.get("/problems/").json["problems"]}
    known = {refusal.code for refusal in every_refusal()}

    assert told == known
    assert len(known) > 50
    listed = client.get("/problems/", Accept=BROWSER).text
    for code in sorted(known):
        assert code in listed
        assert client.get(f"/problems/{code}").json["code"] == code
        assert client.get(f"/problems/{code}", Accept=BROWSER).content_type == "text/html"
    client.get("/problems/no.such", status=404)


def test_odds_and_ends(client: Client) -> None:
    assert client.get("/openapi.json").json["openapi"].startswith("3.1")
    client.get("/static/nothing.css", status=404)
    client.get("/static/site.css.gz.gz", status=404)
    assert "Disallow" in client.get("/robots.txt").text
    assert client.get("/projects/", status=302).headers["Location"] == "/simple/"
    assert "pip" in client.get("/").text


def test_the_style_sheet_is_the_trees(client: Client, services: Environment) -> None:
    sheet = services.settings.tree_dir / "static/site.css"
    response = client.get("/static/site.css")

    assert response.content_type == "text/css"
    assert response.body == sheet.read_bytes()
    packed = client.get("/static/site.css", Accept_Encoding="gzip")
    assert packed.body == response.body
    sheet.unlink()
    client.get("/static/site.css", status=404)


@pytest.mark.parametrize("path", ["/static/site.css", "/openapi.json"])
def test_what_never_changes_is_sent_once(client: Client, path: str) -> None:
    etag = client.get(path).headers["ETag"]
    response = client.get(path, status=304, If_None_Match=etag)

    assert response.body == b""
    assert response.headers["ETag"] == etag
    assert "Content-Type" not in response.headers
    assert client.get(path, If_None_Match='"other"').body


@pytest.mark.parametrize("path", ["/problems/", "/problems/file.exists"])
@pytest.mark.parametrize("accept", [BROWSER, "application/json"])
def test_what_differs_by_accept_says_so(client: Client, path: str, accept: str) -> None:
    assert client.get(path, Accept=accept).headers["Vary"] == "Accept"


def test_a_path_makes_one_line_of_the_log(
    wsgi: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_root: Root, _segment: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Root, "__getitem__", fail)
    with caplog.at_level(logging.ERROR):
        ask(wsgi, "/simple/a\nINFO all is well\x1b[2K")
    (record,) = caplog.records
    assert record.getMessage().isprintable()


def test_failures_are_logged_under_the_id_that_is_told(
    wsgi: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_root: Root, segment: str) -> None:
        raise ZeroDivisionError("secret " + segment)

    monkeypatch.setattr(Root, "__getitem__", fail)
    for accept in (BROWSER, "application/json"):
        caplog.clear()
        with caplog.at_level(logging.ERROR):
            response = ask(wsgi, "/simple/", HTTP_ACCEPT=accept)
        assert response.status_int == 500
        assert "secret" not in response.text
        assert "Traceback" not in response.text
        (record,) = caplog.records
        number = record.getMessage().split()[1].rstrip(":")
        assert number in response.text
    assert json.loads(response.body)["code"] == "server.error"


def test_a_full_disk(client: Client, services: Environment, monkeypatch: Any) -> None:
    def full(*_args: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Blobs, "keep", full)
        refused = client.upload(status=507)
    assert refused.status.startswith("507 The index has no room left")
    assert refused.headers["X-Problem-Code"] == "storage.full"
    assert list(services.settings.spool_dir.iterdir()) == []
    client.upload()


def test_without_a_database(client: Client, services: Environment) -> None:
    """Pages and files need none; the rest says so, and when to come again."""
    client.upload()
    file = client.get("/projects/demo/files").json["files"][0]["path"]
    publisher = client.registry.publisher
    publisher.settle_all()
    publisher.fresh_lists()
    nowhere = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    away = environment.build(
        replace(services.settings, database_url=nowhere, database_timeout_s=1), services.clock
    )
    stranded = Publisher(away, publisher.site)
    stranded.begin()
    app = TestApp(make_app(away, stranded), extra_environ={"HTTP_HOST": "localhost"})

    for path in (
        "/",
        "/simple/",
        "/simple/demo/",
        file,
        file + ".metadata",
        "/projects/demo/",
        "/pypi/demo/json",
        "/problems/",
    ):
        app.get(path, status=200)
    refused = [
        Client(app, client.token).upload(status=503),
        Client(app, client.token).delete("/projects/demo/", status=503),
        app.get("/changes", status=503),
    ]
    for response in refused:
        assert response.headers["Retry-After"] == "2"
        assert response.headers["X-Problem-Code"] == "database.away"
    assert refused[0].status.startswith("503 The database does not answer")
    away.database.dispose()


@pytest.mark.parametrize("prefix", ["/+tree/", "/+tree"])
def test_files_by_nginx(
    services: Environment, publisher: Publisher, client: Client, prefix: str
) -> None:
    client.upload()
    path = client.get("/projects/demo/files").json["files"][0]["path"]
    settings = replace(services.settings, files_offload="x-accel", files_accel_prefix=prefix)
    app = TestApp(
        make_app(replace(services, settings=settings), publisher),
        extra_environ={"HTTP_HOST": "localhost"},
        lint=False,
    )
    response = app.get(path)

    assert response.headers["X-Accel-Redirect"] == "/+tree" + path
    assert response.body == b""
    app.get(path.replace("demo", "other"), status=404)


def test_an_upload_stands_though_publishing_fails(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_more: object) -> None:
        raise OSError(errno.EIO, "the disk")

    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "publish_until", fail)
        client.upload()
    client.get("/simple/demo/", status=404)
    client.registry.publisher.publish_gap()
    client.get("/simple/demo/")


def test_memory_of_the_served_is_bounded(client: Client, tmp_path: Path) -> None:
    recent = client.registry.recent
    client.upload()
    for _ in range(3):
        client.get("/simple/demo/")
    assert 0 < recent._used_bytes < 10_000
