"""Uploads as tools send them: what is taken, what is refused, and in which words."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest

from pyramid_pypi.environment import Environment
from tests.conftest import ToldClock
from tests.distributions import sdist, wheel
from tests.functional.conftest import Client, Signer
from tests.hostile import BAD_UPLOADS, BadUpload

WHEEL = "demo-1.0-py3-none-any.whl"
OTHER = wheel("demo", "1.0", extra_members={"other.py": b"pass\n"})
BOUNDARY = "frontier"
UV = "application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7"
sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def left_over(services: Environment) -> list[str]:
    return [path.name for path in services.settings.spool_dir.iterdir()]


def stored(services: Environment) -> list[str]:
    return [path.name for path in services.settings.tree_dir.glob("packages/*/*/*/*")]


@pytest.mark.parametrize("path", ["/legacy/", "/legacy", "/"])
def test_taken_and_installable_at_once(
    client: Client, services: Environment, path: str
) -> None:
    response = client.upload(path=path)

    assert response.content_type == "text/plain"
    assert client.get("/simple/demo/").html.find("a").text == WHEEL
    assert sorted(stored(services)) == [WHEEL, WHEEL + ".metadata"]
    assert left_over(services) == []


def test_the_same_again_is_taken(client: Client) -> None:
    client.upload()
    serial = client.get("/changes").json["serial"]
    client.upload()

    assert client.get("/changes").json["serial"] == serial


@pytest.mark.parametrize("accept", ["", "text/plain", UV])
def test_other_bytes_are_not(client: Client, services: Environment, accept: str) -> None:
    client.upload()
    response = client.upload(content=OTHER, status=400, headers={"Accept": accept})

    assert response.status.startswith("400 File already exists")
    assert response.headers["X-Problem-Code"] == "file.exists"
    if accept == UV:
        assert response.json["message"].startswith("File already exists")
        assert response.json["code"] == "file.exists"
        assert response.json["title"]
    else:
        assert response.text.startswith("File already exists")
    assert len(stored(services)) == 2
    assert left_over(services) == []


def test_a_deleted_name_is_spent(client: Client) -> None:
    client.upload()
    client.delete("/projects/demo/", status=204)
    refused = client.upload(content=OTHER, status=400)

    assert refused.headers["X-Problem-Code"] == "file.name-reused"
    client.upload()  # the very same bytes may come back


@sqlite
@pytest.mark.parametrize("bad", BAD_UPLOADS, ids=lambda bad: f"{bad.family} {bad.label}")
def test_bad_uploads(client: Client, services: Environment, bad: BadUpload) -> None:
    fields = {"name": "demo", "version": "1.0"} | bad.form
    params = {":action": "file_upload", "protocol_version": "1", **fields}
    response = client.app.post(
        "/legacy/",
        params={name: value for name, value in params.items() if value is not None},
        upload_files=[("content", bad.filename, bad.content())],
        headers=client.signed(),
        status="4*",
    )

    # A filename of kilobytes is too much for the head of its part already.
    code = bad.code if len(bad.filename) < 4000 else "upload.form-too-complex"
    assert response.headers["X-Problem-Code"] == code
    assert response.text.startswith(response.status[4:])
    assert response.status.isascii()
    assert stored(services) == left_over(services) == []
    assert client.get("/changes").json["serial"] == 0
    client.upload()


def test_who_asks_is_asked_first(client: Client, token_of: Signer, clock: ToldClock) -> None:
    expired = token_of("old", lasts=timedelta(minutes=1))
    clock.advance(hours=1)
    for authorization in (
        "",
        "Bearer",
        "Bearer wrong",
        f"Bearer {expired}",
        "Digest x",
        "Basic !!!",
        "Basic " + b64encode(b"\xff:\xff").decode(),
        "Basic " + b64encode(b"__token__:wrong").decode(),
        "Basic " + b64encode(b"admin:" + client.token.encode()).decode(),
    ):
        # The body is no form at all: nobody looked.
        response = client.app.request(
            "/legacy/",
            method="POST",
            body=b"x" * 1000,
            headers={"Authorization": authorization, "Content-Type": FORM},
            status=401,
        )
        assert response.headers["WWW-Authenticate"] == 'Basic realm="pypi"'
        assert response.status[4:] == "Invalid or non-existent authentication information"


def test_basic_and_bearer(client: Client) -> None:
    basic = b64encode(b"__token__:" + client.token.encode()).decode()

    client.upload(headers={"Authorization": f"Basic {basic}"})
    client.upload(headers={"Authorization": f"bearer {client.token}"})


def test_who_may_upload(client: Client, token_of: Signer) -> None:
    client.upload(token=token_of("alice"))
    # Another user, a token for another project, a token of another scope.
    client.upload("demo-2.0-py3-none-any.whl", token=token_of("bob"), status=403)
    client.upload(
        "demo-2.0-py3-none-any.whl", token=token_of("alice", projects={"other"}), status=403
    )
    client.upload(
        "demo-2.0-py3-none-any.whl", token=token_of("alice", scopes={"manage"}), status=403
    )
    client.upload("demo-2.0-py3-none-any.whl", token=token_of("alice", projects={"demo"}))
    client.upload(
        "other-1-py3-none-any.whl", token=token_of("alice", projects={"demo"}), status=403
    )
    assert client.get("/projects/demo/roles").json["roles"] == [
        {"user": "alice", "role": "owner"}
    ]


@pytest.mark.parametrize("status", ["archived", "quarantined"])
def test_closed_projects(client: Client, status: str) -> None:
    client.upload()
    client.put("/projects/demo/status", {"status": status}, status=200)
    refused = client.upload("demo-2.0-py3-none-any.whl", status=403)

    assert refused.headers["X-Problem-Code"] == "project.read-only"


@sqlite
@pytest.mark.parametrize(
    ("action", "status", "code"),
    [
        ("submit", 410, "upload.action-gone"),
        ("doc_upload", 410, "upload.action-gone"),
        ("remove_pkg", 410, "upload.action-gone"),
        ("dance", 400, "upload.unknown-action"),
        ("", 400, "upload.unknown-action"),
    ],
)
def test_actions(client: Client, action: str, status: int, code: str) -> None:
    refused = client.upload(status=status, action=action)

    assert refused.headers["X-Problem-Code"] == code


def part(name: str, value: bytes, filename: str | None = None) -> bytes:
    disposition = f'form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n"
    return head.encode() + value + b"\r\n"


ACTION = part(":action", b"file_upload")
FILE = part("content", wheel(), WHEEL)
END = f"--{BOUNDARY}--\r\n".encode()
FORM = f"multipart/form-data; boundary={BOUNDARY}"


@sqlite
@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        (FORM, (ACTION + FILE + END)[:-200], 400, "upload.body-truncated"),
        (FORM, ACTION + FILE, 400, "upload.body-truncated"),
        (FORM, b"", 400, "upload.body-truncated"),
        (FORM, ACTION + END, 400, "upload.file-missing"),
        (FORM, ACTION + part("content", wheel()) + END, 400, "upload.file-missing"),
        (FORM, ACTION + FILE + FILE + END, 400, "upload.form-invalid"),
        (FORM, ACTION + part("summary", b"\xff\xfe") + FILE + END, 400, "upload.form-invalid"),
        (FORM, ACTION + b"--frontier\r\nno colon\r\n\r\n" + END, 400, "upload.form-invalid"),
        (FORM, part("x", b"") * 6100 + END, 400, "upload.form-too-complex"),
        (FORM, part("x" * 5000, b"") + END, 400, "upload.form-too-complex"),
        (FORM, part("x", bytes(17 * 2**20)) + END, 400, "upload.form-too-complex"),
        ("multipart/form-data", ACTION + FILE + END, 400, None),
        ("multipart/form-data; boundary=\xe9", ACTION + FILE + END, 400, None),
        ("application/json", b"{}", 415, "request.media-type"),
        (
            "application/x-www-form-urlencoded",
            b":action=file_upload",
            415,
            "request.media-type",
        ),
        ("", b"x", 415, "request.media-type"),
    ],
)
def test_malformed_forms(
    client: Client,
    services: Environment,
    content_type: str,
    body: bytes,
    status: int,
    code: str | None,
) -> None:
    response = client.app.request(
        "/legacy/",
        method="POST",
        body=body,
        headers=client.signed() | {"Content-Type": content_type},
        status=status,
    )

    assert code is None or response.headers["X-Problem-Code"] == code
    assert left_over(services) == stored(services) == []
    client.upload()


@sqlite
def test_too_large(client: Client, services: Environment) -> None:
    most = services.settings.upload_max_file_bytes
    announced = client.app.request(
        "/legacy/",
        method="POST",
        headers=client.signed() | {"Content-Type": FORM, "Content-Length": str(most * 2)},
        status=413,
    )

    assert announced.headers["X-Problem-Code"] == "upload.too-large"


def test_metadata_is_the_files_own(client: Client) -> None:
    client.upload(sha256_digest="0" * 64, status=400)
    client.upload(requires_dist="evil", status=400)
    client.upload(summary="the form lies")

    assert client.get("/pypi/demo/json").json["info"]["summary"] != "the form lies"


def test_sdist(client: Client) -> None:
    client.upload("demo-1.0.tar.gz", sdist("demo", "1.0"), version="1.0")
    (file,) = client.get("/simple/demo/?format=application/vnd.pypi.simple.v1+json").json[
        "files"
    ]

    assert "core-metadata" not in file


@sqlite
def test_json_for_who_wants_it(client: Client) -> None:
    refused = client.upload(status=400, version="9", headers={"Accept": UV})

    assert refused.content_type == "application/problem+json"
    assert json.loads(refused.body)["message"].startswith(refused.status[4:])


@sqlite
def test_user_text_never_reaches_the_reason_phrase(client: Client) -> None:
    response: Any = client.upload(
        "demo-1.0-py3-none-any.whl", status=400, name="d\u00e9mo\r\nX: y"
    )

    assert response.status.isascii()
    assert "\n" not in response.status
    assert "X" not in response.headers


def test_the_name_may_be_left_to_the_file(client: Client) -> None:
    for filename, content in ((WHEEL, wheel()), ("demo-1.0.tar.gz", sdist("demo", "1.0"))):
        client.app.post(
            "/legacy/",
            params={":action": "file_upload"},
            upload_files=[("content", filename, content)],
            headers=client.signed(),
            status=200,
        )
    assert len(client.get("/projects/demo/files").json["files"]) == 2


def test_stated_digests_hold_for_a_known_file_too(client: Client) -> None:
    client.upload()
    refused = client.upload(sha256_digest="0" * 64, status=400)

    assert refused.headers["X-Problem-Code"] == "upload.digest-mismatch"


@pytest.mark.parametrize(
    "filename", ["demo\u0000-1.0.tar.gz", "demo-1.0\u00e9.tar.gz", "a", "-"]
)
def test_odd_filenames_never_reach_the_database(client: Client, filename: str) -> None:
    body = ACTION + part("content", b"x", filename) + END
    refused = client.app.request(
        "/legacy/",
        method="POST",
        body=body,
        headers=client.signed() | {"Content-Type": FORM},
        status=400,
    )

    assert refused.headers["X-Problem-Code"] in {
        "upload.filename-invalid",
        "upload.type-unsupported",
        "upload.form-invalid",
    }
