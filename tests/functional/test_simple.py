"""The Simple API over HTTP; the numbers are those of the wire rules in the design notes."""

from __future__ import annotations

import gzip
import os
from urllib.parse import urljoin

import pytest
from webob import Request, Response

from pyramid_pypi.environment import Environment
from tests.distributions import wheel
from tests.functional.conftest import Client

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "text/html; charset=utf-8"
PIP = f"{JSON}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
UV = f"{JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
DEVPI = f"application/vnd.pypi.simple.v1+html;q=0.2, {JSON}, text/html;q=0.01"
BOTH = pytest.mark.parametrize("path", ["/simple/", "/simple/demo/"])


@pytest.fixture(autouse=True)
def demo(client: Client) -> None:
    client.upload()


@BOTH
@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, HTML),
        ("*/*", HTML),
        ("text/html", HTML),
        ("text/*", HTML),
        (JSON, JSON),
        (PIP, JSON),
        (UV, JSON),
        (DEVPI, JSON),
        ("application/vnd.pypi.simple.latest+json", JSON),
        ("application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.v1+html"),
        ("application/vnd.pypi.simple.latest+html", "application/vnd.pypi.simple.v1+html"),
        (f"text/html;q=0.1, {JSON};q=0.9", JSON),
        (f"{JSON};q=0, */*;q=0.5", HTML),
        ("text/html;q=7, ;;;", HTML),  # malformed: as if there were none
    ],
)
def test_representation(
    client: Client, path: str, accept: str | None, content_type: str
) -> None:
    response = client.get(path, Accept=accept) if accept is not None else client.get(path)

    assert response.headers["Content-Type"] == content_type
    assert response.headers["Vary"] == "Accept, Accept-Encoding"
    assert int(response.headers["X-PyPI-Last-Serial"]) > 0


@BOTH
@pytest.mark.parametrize("accept", ["image/png", "application/json", f"{JSON};q=0"])
def test_unsupported_types_are_refused(client: Client, path: str, accept: str) -> None:
    response = client.get(path, status=406, Accept=accept)

    assert response.headers["X-Problem-Code"] == "request.not-acceptable"


@BOTH
def test_format_comes_before_accept(client: Client, path: str) -> None:
    for written in (JSON, JSON.replace("+", "%2B")):
        response = client.get(f"{path}?format={written}", Accept="text/html")
        assert response.headers["Content-Type"] == JSON
    client.get(f"{path}?format=image/png", status=406, Accept="text/html")


@BOTH
def test_validators(client: Client, path: str) -> None:
    html, json = client.get(path), client.get(path, Accept=JSON)
    v1 = client.get(path, Accept="application/vnd.pypi.simple.v1+html")
    etag = json.headers["ETag"]

    assert etag.startswith('"')
    assert len({r.headers["ETag"] for r in (html, json, v1)}) == 3
    for told in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = client.get(path, status=304, Accept=JSON, If_None_Match=told)
        assert response.body == b""
        assert response.headers["ETag"] == etag
        assert "Cache-Control" in response.headers
        assert "Content-Length" not in response.headers
    client.get(path, status=200, If_None_Match=etag)  # another representation
    client.get(path, status=200, Accept=JSON, If_None_Match='"other"')


def test_devpi_never_gets_a_304_of_the_list(client: Client) -> None:
    agent = "devpi-server/6.20.3 (py3.11.7; linux)"
    etag = client.get("/simple/", Accept=JSON).headers["ETag"]
    wants = {"Accept": JSON, "If_None_Match": etag, "User_Agent": agent}

    client.get("/simple/", status=200, **wants)
    etag = client.get("/simple/demo/", Accept=JSON).headers["ETag"]
    client.get("/simple/demo/", status=304, **wants | {"If_None_Match": etag})


@BOTH
def test_cache_control_is_a_setting(client: Client, path: str) -> None:
    assert client.get(path).headers["Cache-Control"] == "max-age=0, public"


def raw(client: Client, **headers: str) -> Response:
    """WebTest unpacks what it gets; this does not."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    wsgi = client.app.app
    return Request.blank("/simple/demo/", headers={"Accept": JSON} | named).get_response(wsgi)


def test_precompressed_twin(client: Client, services: Environment) -> None:
    for version in "23":  # smaller pages have no twin
        client.upload(f"demo-{version}-py3-none-any.whl")
    page = services.settings.tree_dir / "simple/demo/index.json"
    twin = page.with_name("index.json.gz")
    plain, packed = raw(client), raw(client, Accept_Encoding="gzip, deflate, zstd")

    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Content-Type"] == JSON
    assert packed.headers["Vary"] == "Accept, Accept-Encoding"
    assert packed.headers["X-PyPI-Last-Serial"] == plain.headers["X-PyPI-Last-Serial"]
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert packed.body == twin.read_bytes()
    assert gzip.decompress(packed.body) == plain.body
    for unwanted in ("identity", "gzip;q=0", "br", "gzipped", ""):
        assert "Content-Encoding" not in raw(client, Accept_Encoding=unwanted).headers
    # A twin left behind by an older document is worse than none.
    os.utime(twin, (1, 1))
    assert "Content-Encoding" not in raw(client, Accept_Encoding="gzip").headers


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("/simple", "/simple/"),
        ("/simple/demo", "/simple/demo/"),
        ("/simple/Demo", "/simple/demo/"),
        ("/simple/DE_-.mo/", "/simple/de-mo/"),
        ("/simple/Demo/?format=x", "/simple/demo/?format=x"),
        ("/pypi/Demo/json", "/pypi/demo/json"),
        ("/pypi/Demo/1.0/json", "/pypi/demo/1.0/json"),
        ("/projects/Demo", "/projects/demo/"),
        ("/projects/demo", "/projects/demo/"),
        ("/projects/Demo/files", "/projects/demo/files"),
        ("/legacy/+simple/Demo/", "/legacy/+simple/demo/"),
    ],
)
def test_one_true_address(client: Client, asked: str, answered: str) -> None:
    response = client.get(asked, status=301)

    assert response.headers["Location"] == answered


def test_rest_is_redirected_with_its_method(client: Client) -> None:
    response = client.delete("/projects/Demo/files/x.whl", status=308)

    assert response.headers["Location"] == "/projects/demo/files/x.whl"


def test_json_page(client: Client) -> None:
    page = client.get("/simple/demo/", Accept=JSON).json
    (file,) = page["files"]
    content = wheel("demo", "1.0")
    url = urljoin("/simple/demo/", file["url"])

    assert page["meta"]["api-version"] == "1.4"
    assert page["versions"] == ["1.0"]
    assert file["size"] == len(content)
    assert "requires-python" not in file
    assert client.get(url).body == content
    sidecar = client.get(url + ".metadata").body
    assert sidecar.startswith(b"Metadata-Version: 2.1\nName: demo")


def test_serials_agree(client: Client) -> None:
    client.upload("demo-2.0-py3-none-any.whl")
    listed = client.get("/simple/", Accept=JSON)
    page = client.get("/simple/demo/", Accept=JSON)
    legacy = client.get("/pypi/demo/json")

    told = {
        int(listed.headers["X-PyPI-Last-Serial"]),
        listed.json["projects"][0]["_last-serial"],
        int(page.headers["X-PyPI-Last-Serial"]),
        page.json["meta"]["_last-serial"],
        int(legacy.headers["X-PyPI-Last-Serial"]),
        legacy.json["last_serial"],
    }
    assert len(told) == 1


def test_head(client: Client) -> None:
    response = client.app.head("/simple/demo/", status=200)

    assert response.body == b""
    assert int(response.headers["Content-Length"]) == len(client.get("/simple/demo/").body)


@pytest.mark.parametrize("accept", [PIP, "text/html", "*/*"])
def test_missing_project(client: Client, accept: str) -> None:
    response = client.get("/simple/pip/", status=404, Accept=accept)

    assert response.headers["X-Problem-Code"] == "project.missing"


@pytest.mark.parametrize(
    "path",
    [
        "/simple/de%20mo/",
        "/simple/-demo/",
        "/simple/demo/x",
        "/simple/" + "a" * 200 + "/",
        "/pypi/demo",
        "/pypi/demo/9.9/json",
        "/pypi/demo/%0a/json",
        "/packages/",
        "/nowhere",
    ],
)
def test_nothing_there(client: Client, path: str) -> None:
    client.get(path, status=404)


def test_where_hatch_looks(client: Client) -> None:
    page = client.get("/simple/demo/").body

    assert client.get("/legacy/%2Bsimple/demo/").body == page
    assert client.get("/%2Bsimple/demo/").body == page


def test_pages_in_memory_follow_the_tree(client: Client) -> None:
    before = client.get("/simple/demo/", Accept=JSON).json
    client.upload("demo-2.0-py3-none-any.whl")

    assert len(before["files"]) == 1
    assert len(client.get("/simple/demo/", Accept=JSON).json["files"]) == 2
    client.delete("/projects/demo/", status=204)
    client.get("/simple/demo/", status=404)


def test_faces_of_a_project(client: Client) -> None:
    assert client.get("/projects/demo/").content_type == "text/html"
    assert client.get("/projects/demo/", Accept="application/json").json["name"] == "demo"
    assert (
        client.get("/projects/demo/", Accept="application/xml").content_type
        == "application/xml"
    )
    assert (
        client.get("/projects/demo/?format=application/json").content_type == "application/json"
    )
    assert client.get("/pypi/demo/json", Accept="*/*").json["info"]["name"] == "demo"
    assert client.get("/pypi/demo/1.0/json").json["info"]["version"] == "1.0"
