"""REST of projects: what each role may do, and what becomes of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, event

from pyramid_pypi.accounts.permissions import Scope
from pyramid_pypi.environment import Environment
from pyramid_pypi.publishing import orphans
from tests.conftest import ToldClock
from tests.distributions import sdist
from tests.functional.conftest import Client, Signer

WHEEL = "demo-1.0-py3-none-any.whl"
FILE = f"/projects/demo/files/{WHEEL}"
RELEASE = "/projects/demo/releases/1.0"
JSON = "application/vnd.pypi.simple.v1+json"
sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

ACTS: dict[str, tuple[str, str, Any, set[str]]] = {
    # what: method, path, body, who may
    "yank file": ("PUT", f"{FILE}/yank", {"reason": "broken"}, {"owner", "maintainer"}),
    "unyank file": ("DELETE", f"{FILE}/yank", None, {"owner", "maintainer"}),
    "yank release": ("PUT", f"{RELEASE}/yank", {"reason": ""}, {"owner", "maintainer"}),
    "unyank release": ("DELETE", f"{RELEASE}/yank", None, {"owner", "maintainer"}),
    "delete file": ("DELETE", FILE, None, {"owner"}),
    "delete release": ("DELETE", RELEASE, None, {"owner"}),
    "delete project": ("DELETE", "/projects/demo/", None, {"owner"}),
    "archive": ("PUT", "/projects/demo/status", {"status": "archived"}, {"owner"}),
    "quarantine": ("PUT", "/projects/demo/status", {"status": "quarantined"}, set()),
    "give role": ("PUT", "/projects/demo/roles/nobody", {"role": "maintainer"}, {"owner"}),
    "take role": ("DELETE", "/projects/demo/roles/maintainer", None, {"owner"}),
}


@pytest.fixture
def demo(client: Client, token_of: Signer) -> None:
    client.upload(token=token_of("owner"))
    token_of("nobody")
    token_of("maintainer")
    client.put("/projects/demo/roles/maintainer", {"role": "maintainer"}, status=204)


def act(client: Client, what: str, token: str) -> Any:
    method, path, body, _ = ACTS[what]
    call: Callable[..., Any] = client.app.put_json if method == "PUT" else client.app.delete
    arguments = (path, body) if method == "PUT" else (path,)
    return call(*arguments, headers=client.signed(token), status="*")


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("what", ACTS)
def test_who_may(client: Client, token_of: Signer, what: str) -> None:
    may = ACTS[what][3] | {"admin"}
    before = client.get("/changes").json["serial"]
    everybody: list[tuple[str, str]] = [
        ("", "unknown"),
        *((name, token_of(name)) for name in ("nobody", "maintainer", "owner")),
        ("scope", token_of("owner", scopes={Scope.UPLOAD})),
        ("elsewhere", token_of("owner", projects={"other"})),
    ]
    for name, token in everybody:
        if name not in may:
            refused = act(client, what, token)
            assert refused.status_int == (403 if name else 401), name
            assert refused.content_type == "application/problem+json"
            assert client.get("/changes").json["serial"] == before
    best = token_of("owner") if "owner" in may else client.token
    assert act(client, what, best).status_int in {200, 204}


@pytest.mark.usefixtures("demo")
def test_yank_and_back(client: Client) -> None:
    client.put(f"{FILE}/yank", {"reason": "broken <b>"}, status=204)
    assert client.get("/simple/demo/", Accept=JSON).json["files"][0]["yanked"] == "broken <b>"
    assert client.get(FILE).json["yanked"] == "broken <b>"
    client.delete(f"{RELEASE}/yank", status=204)
    assert client.get(FILE).json["yanked"] is False
    client.app.put(f"{RELEASE}/yank", headers=client.signed(), status=204)  # no body, no reason
    assert client.get(FILE).json["yanked"] is True


@pytest.mark.usefixtures("demo")
def test_deleting(client: Client, services: Environment, clock: ToldClock) -> None:
    url = client.get(FILE).json["path"]
    client.get(url)
    client.delete(FILE, status=204)

    assert client.get("/projects/demo/files").json["files"] == []
    client.get(url)  # for those who read what was published before
    clock.advance(seconds=services.settings.files_keep_deleted_s)
    orphans.clear(services)
    client.get(url, status=404)
    client.delete(FILE, status=404)
    client.delete(RELEASE, status=404)


@pytest.mark.usefixtures("demo")
def test_quarantine_hides_everything(client: Client) -> None:
    shown = client.put(
        "/projects/demo/status", {"status": "quarantined", "reason": "malware"}, status=200
    )
    page = client.get("/simple/demo/", Accept=JSON).json

    assert shown.json == {"name": "demo", "status": "quarantined", "reason": "malware"}
    assert client.get("/projects/demo/status").json == shown.json
    assert page["project-status"] == {"status": "quarantined", "reason": "malware"}
    assert page["files"] == []
    assert client.get("/projects/demo/files").json["files"] == []
    assert WHEEL not in client.get("/simple/demo/").text
    assert WHEEL not in client.get("/projects/demo/").text
    assert WHEEL not in client.get("/pypi/demo/json", status="*").text
    client.put("/projects/demo/status", {"status": "active"}, status=200)
    assert WHEEL in client.get("/simple/demo/").text


@pytest.mark.usefixtures("demo")
def test_the_last_owner_stays(client: Client) -> None:
    refused = client.delete("/projects/demo/roles/owner", status=409)

    assert refused.json["code"] == "role.last-owner"
    client.put("/projects/demo/roles/ghost", {"role": "owner"}, status=404)


@sqlite
@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff", 400),
        (b"[" * 60_000, 400),
        (b'{"reason": NaN}', 400),
        (b'{"reason": "a", "reason": "b"}', 400),
        (b'{"reason": "\\ud800"}', 400),
        (b'{"reason": 5}', 422),
        (b'{"cause": "x"}', 422),
        (b"[]", 422),
        (b"null", 422),
        (b'{"reason": "' + b"x" * 1001 + b'"}', 422),
        (b'{"reason": "two\\nlines"}', 400),
        (b'{"reason": "' + b"x" * 70_000 + b'"}', 413),
    ],
)
def test_bad_bodies(client: Client, body: bytes, status: int) -> None:
    before = client.get("/changes").json["serial"]
    response = client.app.request(
        f"{FILE}/yank",
        method="PUT",
        body=body,
        headers=client.signed() | {"Content-Type": "application/json"},
        status=status,
    )

    assert response.content_type == "application/problem+json"
    assert response.json["code"] == response.headers["X-Problem-Code"]
    assert response.json["status"] == status
    assert client.get("/changes").json["serial"] == before
    client.get(response.json["type"])


@sqlite
@pytest.mark.usefixtures("demo")
def test_other_media_types(client: Client) -> None:
    client.app.put(
        f"{FILE}/yank", "<a/>", headers=client.signed(), content_type="text/xml", status=415
    )
    client.put("/projects/demo/status", {"status": "retired"}, status=422)
    client.put("/projects/demo/status", {}, status=422)


@pytest.mark.parametrize(
    "path",
    [
        "/projects/nothing/files",
        "/projects/nothing/status",
        "/projects/nothing/roles",
        "/projects/nothing/",
        "/projects/demo/nothing",
    ],
)
def test_nothing_there(client: Client, path: str) -> None:
    client.get(path, status=404)


@pytest.mark.usefixtures("demo")
def test_changes(client: Client) -> None:
    told = client.get("/changes").json
    kinds = [change["kind"] for change in told["changes"]]

    assert kinds[:2] == ["project-created", "role-added"]
    assert "file-added" in kinds
    assert [c["serial"] for c in told["changes"]] == list(range(1, told["serial"] + 1))
    assert told["next"] == told["serial"]
    first = client.get("/changes?limit=1").json
    assert first["next"] == 1
    assert client.get("/changes?since=1&limit=10000").json["changes"] == told["changes"][1:]
    assert client.get(f"/changes?since={told['serial']}").json["changes"] == []


@sqlite
@pytest.mark.parametrize(
    "query",
    [
        "since=-1",
        "since=x",
        "since=",
        "since=1&since=2",
        "since=99999999999999999999",
        "since=%D9%A3",
        "limit=0",
        "limit=10001",
        "after=3",
        "&".join("since=1" for _ in range(50)),
        "since=%ff",
    ],
)
def test_bad_questions(client: Client, query: str) -> None:
    client.get(f"/changes?{query}", status=400)


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize("path", ["status", "roles", "files", f"files/{WHEEL}"])
def test_nobody_makes_the_index_read_all_metadata(
    client: Client, services: Environment, path: str
) -> None:
    """These need no credentials, and the metadata of a project may be many megabytes."""
    asked: list[str] = []

    @event.listens_for(Engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        asked.append(statement)

    try:
        client.get(f"/projects/demo/{path}")
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert any("project" in statement for statement in asked)
    assert not [s for s in asked if re.search(r"\b(core_metadata|description)\b", s)]


@pytest.mark.usefixtures("demo")
def test_files_are_listed_oldest_version_first(client: Client) -> None:
    for version in ("10.0", "9.0", "2.0rc1"):
        client.upload(f"demo-{version}-py3-none-any.whl")
    client.upload("demo-2.0rc1.tar.gz", sdist("demo", "2.0rc1"), version="2.0rc1")
    files = client.get("/projects/demo/files").json["files"]

    assert [file["filename"] for file in files] == [
        WHEEL,
        "demo-2.0rc1-py3-none-any.whl",
        "demo-2.0rc1.tar.gz",
        "demo-9.0-py3-none-any.whl",
        "demo-10.0-py3-none-any.whl",
    ]
    assert [file["version"] for file in files] == ["1.0", "2.0rc1", "2.0rc1", "9.0", "10.0"]
    assert client.get(FILE).json == files[0]
    client.upload("other-1.0-py3-none-any.whl")
    client.get(f"/projects/other/files/{WHEEL}", status=404)
    client.put("/projects/demo/status", {"status": "quarantined"}, status=200)
    client.get(FILE, status=404)
