"""The tree at its own names, repository metadata and proofs, over HTTP."""

from __future__ import annotations

import gzip
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin
from xml.etree import ElementTree as ET

import pytest
from webob import Request, Response
from webtest import TestApp

from pyramid_pypi.app import make_app
from pyramid_pypi.environment import Environment
from pyramid_pypi.formats import hash_tree, manifest, repomd
from pyramid_pypi.models.database import Database
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.web import sending
from tests.distributions import wheel
from tests.functional.conftest import Client

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

FOREVER = "max-age=31536000, immutable, public"
AGAIN = "max-age=0, public"
V1 = "application/vnd.pypi.simple.v1+json"
HTML = "text/html; charset=utf-8"
HEX = "0123456789abcdef" * 4
REPO = "{http://linux.duke.edu/metadata/repo}"
COMMON = "{http://linux.duke.edu/metadata/common}"


@pytest.fixture
def tree(services: Environment) -> Path:
    return services.settings.tree_dir


@pytest.fixture(autouse=True)
def demo(client: Client, publisher: Publisher) -> None:
    for version in "123":  # smaller pages have no twin
        client.upload(f"demo-{version}.0-py3-none-any.whl")
    client.upload("other-1.0-py3-none-any.whl")
    settle(publisher)


def settle(publisher: Publisher) -> None:
    publisher.settle_all()
    publisher.fresh_lists()
    publisher.repository.refresh(whole=True)


def raw(client: Client, path: str, **headers: str) -> Response:
    """WebTest unpacks what it gets; this does not."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request.blank(path, headers=named).get_response(client.app.app)


def put(tree: Path, path: str, content: bytes) -> str:
    target = tree / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return f"/{path}"


# --- every path at its own name -------------------------------------------------------


def test_every_file_of_the_tree_is_there_with_its_bytes(client: Client, tree: Path) -> None:
    paths = [path for path in tree.rglob("*") if path.is_file()]
    kinds = {re.sub(r"[0-9a-f]{60,64}", "*", str(path.relative_to(tree))) for path in paths}

    assert len(kinds) > 40
    for path in paths:
        name = str(path.relative_to(tree))
        response = client.app.get("/" + quote(name), status=200)
        assert response.body == path.read_bytes(), name
        assert "Content-Encoding" not in response.headers
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["ETag"]


@pytest.mark.parametrize(
    ("path", "content_type", "cached"),
    [
        ("repodata/repomd.xml", "application/xml", AGAIN),
        ("repodata/repomd.json", "application/json", AGAIN),
        ("repodata/repomd.xml.asc", "application/pgp-signature", AGAIN),
        ("repodata/repomd.xml.key", "application/pgp-keys", AGAIN),
        (f"repodata/{HEX}.repomd.xml", "application/xml", FOREVER),
        (f"repodata/{HEX}-primary.xml.gz", "application/gzip", FOREVER),
        (f"repodata/{HEX}-primary.sqlite.bz2", "application/x-bzip2", FOREVER),
        (f"repodata/{HEX}-shards.json", "application/json", FOREVER),
        (f"repodata/v/{HEX}.html", HTML, FOREVER),
        ("repodata/t/1f.json", "application/json", AGAIN),
        (f"repodata/t/v/{HEX}.json", "application/json", FOREVER),
        ("repodata/p/00/1f/0a.json", "application/json", AGAIN),
        (f"repodata/p/00/1f/v/{HEX}.json", "application/json", FOREVER),
        ("repodata/c/1-32.jsonl.gz", "application/gzip", FOREVER),
        ("repodata/c/1-320-names.json.gz", "application/gzip", FOREVER),
        (f"repodata/c/{HEX}-periods.json", "application/json", FOREVER),
        ("tuf/timestamp.json", "application/json", AGAIN),
        ("tuf/7.root.json", "application/json", AGAIN),
        ("tuf/1772366400.snapshot.json", "application/json", FOREVER),
        ("simple/index.json", V1, AGAIN),
        ("simple/demo/index.html", HTML, AGAIN),
        ("simple/demo/index.json", V1, AGAIN),
        ("simple/demo/index.json.gz", "application/gzip", AGAIN),
        ("simple/demo/primary.xml.gz", "application/gzip", AGAIN),
        (f"simple/demo/v/{HEX}.json", V1, FOREVER),
        (f"simple/demo/v/{HEX}.html.gz", "application/gzip", FOREVER),
        (f"simple/demo/v/{HEX}.xml.gz", "application/gzip", FOREVER),
        ("projects/demo/index.xml", "application/xml", AGAIN),
        ("projects/demo/documents.json", "application/json", AGAIN),
        (f"projects/demo/v/{HEX}.html", HTML, FOREVER),
        (f"pypi/demo/v/{HEX}", "application/json", FOREVER),
        (f"pypi/demo/1.0/v/{HEX}", "application/json", FOREVER),
        ("index.html", HTML, AGAIN),
    ],
)
def test_what_it_is_and_how_long_it_holds(
    client: Client, tree: Path, path: str, content_type: str, cached: str
) -> None:
    if not (tree / path).exists():
        put(tree, path, b"what stands there\n")
    content = (tree / path).read_bytes()
    response = client.get(f"/{path}", Accept="image/png")

    assert response.body == content
    assert response.headers["Content-Type"] == content_type
    assert response.headers["Cache-Control"] == cached
    etag = response.headers["ETag"]
    unchanged = client.get(f"/{path}", status=304, If_None_Match=etag)
    assert unchanged.headers["ETag"] == etag
    head = client.app.head(f"/{path}", status=200)
    assert head.body == b""
    assert int(head.headers["Content-Length"]) == len(content)


@pytest.mark.parametrize(
    "path",
    [
        "/repodata/",
        "/repodata/.hidden",
        "/repodata/repomd.txt",
        f"/repodata/{HEX[1:]}-primary.xml.gz",
        f"/repodata/{HEX.upper()}-primary.xml.gz",
        f"/repodata/{HEX}-primary",
        f"/repodata/{HEX}-primary.xml.gz%00",
        f"/repodata/{HEX}-primary.xml.gz%0a",
        f"/repodata/{HEX}-..%2f..%2fx.gz",
        "/repodata/t/",
        "/repodata/t/20.json",
        "/repodata/t/3.json",
        "/repodata/t/00/00/00/00/00/00/00.json",
        "/repodata/t/v/1f.json",
        "/repodata/c/1-2",
        "/repodata/c/v/" + HEX,
        "/tuf/",
        "/tuf/root.json",
        "/tuf/1.Root.json",
        f"/v/{HEX}.html",
        f"/simple/v/{HEX}.html",
        "/simple/demo/index.xml",
        "/simple/demo/other.xml",
        f"/simple/demo/v/{HEX}",
        f"/simple/demo/v/{HEX}.exe",
        "/simple/demo/v/",
        "/simple/nobody/index.json",
        "/projects/demo/documents.xml",
        f"/projects/demo/v/{HEX}.json",
        f"/static/v/{HEX}.css",
    ],
)
def test_nothing_there(client: Client, path: str) -> None:
    response = client.get(path, status="4*")

    assert response.status_int in {400, 404}
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/repodata/../index.sqlite", "/repodata/t/%2e%2e/x", "/tuf/../admin.token"]
)
def test_nothing_leads_out(client: Client, path: str) -> None:
    assert client.get(path, status="4*").status_int in {400, 404}


def test_folders_are_no_documents(client: Client, tree: Path) -> None:
    (tree / f"repodata/{HEX}-odd.json").mkdir()
    client.get(f"/repodata/{HEX}-odd.json", status=404)
    client.put(f"/repodata/{HEX}-odd.json", status=405)


def test_a_twin_is_sent_as_the_encoding_of_its_document(client: Client, tree: Path) -> None:
    page = tree / "simple/demo/index.json"
    packed = raw(client, "/simple/demo/index.json", Accept_Encoding="gzip")
    twin = raw(client, "/simple/demo/index.json.gz", Accept_Encoding="gzip")

    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Content-Type"] == V1
    assert packed.body == twin.body
    assert gzip.decompress(packed.body) == page.read_bytes()
    assert "Content-Encoding" not in twin.headers


@pytest.mark.parametrize(
    ("chosen", "accept", "exact"),
    [
        ("/simple/", V1, "/simple/index.json"),
        ("/simple/demo/", "text/html", "/simple/demo/index.html"),
        ("/simple/demo/", V1, "/simple/demo/index.json"),
        ("/projects/demo/", "text/html", "/projects/demo/index.html"),
        ("/projects/demo/", "application/json", "/projects/demo/index.json"),
        ("/projects/demo/", "application/xml", "/projects/demo/index.xml"),
        ("/", "text/html", "/index.html"),
    ],
)
@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_chosen_and_exact_are_one(
    client: Client, chosen: str, accept: str, exact: str, coding: str
) -> None:
    """Both are kept in memory under one key, so they must be the same to a header."""
    for first, second in ((chosen, exact), (exact, chosen)):
        client.registry.recent._kept.clear()
        answers = [
            raw(client, path, Accept=accept, Accept_Encoding=coding) for path in (first, second)
        ]
        assert answers[0].headerlist == answers[1].headerlist
        assert answers[0].body == answers[1].body
    client.registry.recent._kept.clear()
    alone = raw(client, exact, Accept_Encoding=coding)
    assert alone.headerlist == answers[0].headerlist


# --- large ones -----------------------------------------------------------------------


@pytest.fixture
def large(tree: Path) -> tuple[str, bytes]:
    content = os.urandom(700_000)
    return put(tree, f"repodata/{sha256_hex(content)}-primary.xml.gz", content), content


def test_large_documents_are_never_in_memory(client: Client, large: tuple[str, bytes]) -> None:
    path, content = large
    response = client.get(path)

    assert response.body == content
    assert response.headers["Content-Type"] == "application/gzip"
    assert response.headers["Cache-Control"] == FOREVER
    assert path[1:] not in {key[0] for key in client.registry.recent._kept}
    client.get(path, status=304, If_None_Match=response.headers["ETag"])
    head = client.app.head(path, status=200)
    assert head.body == b""
    assert int(head.headers["Content-Length"]) == len(content)


def test_parts_of_large_documents(client: Client, large: tuple[str, bytes]) -> None:
    path, content = large
    etag = client.get(path).headers["ETag"]
    part = client.get(path, status=206, Range="bytes=100-199", If_Range=etag)

    assert part.body == content[100:200]
    assert part.headers["Content-Range"] == f"bytes 100-199/{len(content)}"
    assert client.get(path, status=206, Range="bytes=-5").body == content[-5:]
    client.get(path, status=416, Range="bytes=700000-")
    assert client.get(path, status=200, Range="bytes=0-1", If_Range='"x"').body == content


def test_a_large_list_travels_packed(client: Client, tree: Path) -> None:
    content = os.urandom(400_000).hex().encode()
    path = put(tree, f"repodata/{sha256_hex(content)}-projects.json", content)
    twin = gzip.compress(content)
    packed_path = put(tree, f"{path[1:]}.gz", twin)
    stat = (tree / path[1:]).stat()
    os.utime(tree / packed_path[1:], ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    plain, packed = raw(client, path), raw(client, path, Accept_Encoding="gzip")

    assert plain.body == content
    assert packed.body == twin
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["Content-Type"] == "application/json"
    assert packed.headers["ETag"] != plain.headers["ETag"]
    part = raw(client, path, Accept_Encoding="gzip", Range="bytes=0-9")
    assert (part.status_int, part.body) == (206, content[:10])
    # A twin left behind by an older document is worse than none.
    os.utime(tree / packed_path[1:], (1, 1))
    assert raw(client, path, Accept_Encoding="gzip").body == content


def test_large_ones_by_nginx(
    services: Environment, publisher: Publisher, large: tuple[str, bytes]
) -> None:
    settings = replace(services.settings, files_offload="x-accel")
    app = TestApp(
        make_app(replace(services, settings=settings), publisher),
        extra_environ={"HTTP_HOST": "localhost"},
        lint=False,
    )
    response = app.get(large[0])

    assert response.headers["X-Accel-Redirect"] == "/+tree" + large[0]
    assert response.body == b""
    assert app.get("/repodata/repomd.json").json["records"]


# --- shadows --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "simple/demo/index.html",
        "simple/demo/index.json",
        "simple/demo/filelists.xml.gz",
        "projects/demo/index.xml",
        "projects/demo/documents.json",
        "pypi/demo/json",
        "pypi/demo/1.0/json",
    ],
)
def test_a_version_stays_under_its_hash(
    client: Client, tree: Path, publisher: Publisher, path: str
) -> None:
    before = (tree / path).read_bytes()
    shadow = manifest.shadow_path(path, sha256_hex(before))
    assert client.get(f"/{shadow}").body == before
    (tree / shadow).unlink(missing_ok=True)
    found = client.get(f"/{shadow}")  # beside, where it still stands

    assert found.body == before
    assert found.headers["Cache-Control"] == FOREVER
    client.delete("/projects/demo/files/demo-1.0-py3-none-any.whl", status=204)
    client.upload("demo-4.0-py3-none-any.whl")
    settle(publisher)
    (tree / shadow).unlink(missing_ok=True)
    client.get(f"/{shadow}", status=404)


def test_an_old_version_is_served_while_it_is_kept(
    client: Client, tree: Path, publisher: Publisher
) -> None:
    before = (tree / "simple/demo/index.json").read_bytes()
    client.upload("demo-4.0-py3-none-any.whl")
    settle(publisher)

    assert (tree / "simple/demo/index.json").read_bytes() != before
    assert client.get(f"/simple/demo/v/{sha256_hex(before)}.json").body == before


def test_a_version_replaced_meanwhile_is_found(
    client: Client, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tree / "simple/demo/index.json"
    before = page.read_bytes()
    shadow = tree / f"simple/demo/v/{sha256_hex(before)}.json"
    shadow.unlink(missing_ok=True)
    looked_for = sending.opened

    def replacing(path: str) -> Any:
        if path == str(page):
            shadow.parent.mkdir(exist_ok=True)
            page.rename(shadow)
            page.write_bytes(b"{}")
        return looked_for(path)

    monkeypatch.setattr(sending, "opened", replacing)
    assert client.get(f"/simple/demo/v/{shadow.name}").body == before


def test_a_node_is_found_beside_its_folder_of_shadows(client: Client, tree: Path) -> None:
    content = hash_tree.leaf({"x": hash_tree.Entry(1, HEX, 2)})
    put(tree, "repodata/t/03/1f.json", content)

    assert client.get(f"/repodata/t/03/v/{sha256_hex(content)}.json").body == content
    put(tree, "repodata/t/03/1f.json", content + b" ")
    client.get(f"/repodata/t/03/v/{sha256_hex(content)}.json", status=404)


# --- pointers -------------------------------------------------------------------------


def test_the_pointer_is_brought_up_to_date(client: Client, publisher: Publisher) -> None:
    shown = repomd.parse_json(client.get("/repodata/repomd.json").body)

    assert shown.serial == publisher.serial
    root = ET.fromstring(client.get("/repodata/repomd.xml").body)
    assert root.findtext(f"{REPO}revision") == str(shown.serial)
    assert {record.type for record in shown.records} >= {"shards", "companions", "changes"}
    for record in shown.records:
        assert sha256_hex(client.get(f"/{record.href}").body) == record.sha256


def test_pointers_are_sent_though_the_database_is_away(
    services: Environment, publisher: Publisher, tree: Path
) -> None:
    away = replace(services, database=Database("postgresql+psycopg://u@127.0.0.1:1/none"))
    without = Publisher(away, publisher.site)
    app = TestApp(make_app(away, without), extra_environ={"HTTP_HOST": "localhost"})

    for path in ("repodata/repomd.json", "repodata/repomd.xml", "projects/demo/documents.json"):
        assert app.get(f"/{path}").body == (tree / path).read_bytes()
    away.database.dispose()


# --- a project as a repository --------------------------------------------------------


def test_a_project_is_a_repository_of_its_own(client: Client, tree: Path) -> None:
    at = "/simple/demo/repodata/repomd.xml"
    response = client.get(at)
    root = ET.fromstring(response.body)
    told = repomd.parse_json(client.get("/simple/demo/repodata/repomd.json").body)
    manifested = manifest.parse((tree / "projects/demo/documents.json").read_bytes())

    assert response.headers["Content-Type"] == "application/xml"
    assert root.findtext(f"{REPO}revision") == str(manifested.serial)
    assert [data.get("type") for data in root] == [None, "primary", "filelists", "other"]
    for record in told.records:
        content = client.get(urljoin("/simple/demo/", record.href)).body
        assert (sha256_hex(content), len(content)) == (record.sha256, record.size_bytes)
        opened = gzip.decompress(content)
        assert (sha256_hex(opened), len(opened)) == (
            record.open_sha256,
            record.open_size_bytes,
        )
    primary = ET.fromstring(gzip.decompress(client.get("/simple/demo/primary.xml.gz").body))
    hrefs = [e.get("href") or "" for e in primary.iter(f"{COMMON}location")]
    assert len(hrefs) == 3
    assert client.get(urljoin("/simple/demo/", hrefs[0])).body == wheel("demo", "1.0")
    client.get(at, status=304, If_None_Match=response.headers["ETag"])


def test_its_pointer_follows(client: Client, publisher: Publisher) -> None:
    before = repomd.parse_json(client.get("/simple/demo/repodata/repomd.json").body)
    client.upload("demo-4.0-py3-none-any.whl")
    after = repomd.parse_json(client.get("/simple/demo/repodata/repomd.json").body)

    assert after.serial == publisher.serial > before.serial
    assert {r.sha256 for r in before.records}.isdisjoint(r.sha256 for r in after.records)
    for record in before.records:
        client.get(urljoin("/simple/demo/", record.href))


def test_unknown_projects_are_no_repositories(client: Client) -> None:
    path = client.get("/projects/demo/files").json["files"][0]["path"]

    client.get(f"/simple/demo{path}", status=200)
    for missing in (path, "/repodata/repomd.xml", "/repodata/repomd.json"):
        response = client.get(f"/simple/nobody{missing}", status=404)
        assert response.headers["X-Problem-Code"] == "project.missing"
    client.get(f"/simple/demo{path}x", status=404)
    found = client.get("/simple/Demo/repodata/repomd.xml", status=301)
    assert found.headers["Location"] == "/simple/demo/repodata/repomd.xml"


# --- proofs ---------------------------------------------------------------------------


def test_a_proof_needs_no_other_request(client: Client, tree: Path) -> None:
    response = client.get("/repodata/proof?name=Demo&name=nobody&name=other")
    told: dict[str, Any] = response.json

    assert response.headers["Content-Type"] == "application/json"
    assert told["repomd"].encode() == (tree / "repodata/repomd.json").read_bytes()
    shown = repomd.parse_json(told["repomd"].encode())
    record = shown.record("shards")
    assert record is not None
    assert told["serial"] == shown.serial
    (content,) = told["documents"].values()  # few projects: the root is the leaf
    assert told["documents"].keys() == {record.href}
    assert sha256_hex(content.encode()) == record.sha256
    projects = hash_tree.parse_root(content.encode()).projects
    assert projects is not None
    page = client.get("/simple/demo/index.json").body
    assert (projects["demo"].sha256, projects["demo"].size_bytes) == (
        sha256_hex(page),
        len(page),
    )
    assert "nobody" not in projects
    packed = raw(client, "/repodata/proof?name=demo", Accept_Encoding="gzip")
    assert packed.headers["Content-Encoding"] == "gzip"
    plain = raw(client, "/repodata/proof?name=demo")
    assert gzip.decompress(packed.body) == plain.body


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?name=",
        "?name=-demo",
        "?name=a%00b",
        "?name=../demo",
        "?names=demo",
        "?" + "&".join(["name=demo"] * 201),
        "?name=" + "a" * 300,
    ],
)
def test_bad_questions(client: Client, query: str) -> None:
    response = client.get(f"/repodata/proof{query}", status=400)

    assert response.headers["X-Problem-Code"] == "request.bad-value"


def test_as_many_as_200(client: Client) -> None:
    names = "&".join(f"name=p{number}" for number in range(200))
    assert client.get(f"/repodata/proof?{names}").json["documents"]


def test_a_proof_of_what_was_lost_is_refused_for_now(client: Client, tree: Path) -> None:
    shown = repomd.parse_json(client.get("/repodata/repomd.json").body)
    record = shown.record("shards")
    assert record is not None
    (tree / record.href).write_bytes(b"{}")
    response = client.get("/repodata/proof?name=demo", status=503)

    assert response.headers["Retry-After"]
    assert response.headers["X-Problem-Code"] == "repodata.moves"
