"""Uploads at the same time: one wins, the others are told, nothing fails."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from webtest import TestApp

from tests.distributions import wheel
from tests.functional.conftest import Client

JSON = "application/vnd.pypi.simple.v1+json"
WRITERS = 8


def at_once(client: Client, uploads: list[tuple[str, bytes]]) -> list[Any]:
    """Each upload from a thread of its own."""

    def send(upload: tuple[str, bytes]) -> Any:
        app = TestApp(client.app.app, extra_environ={"HTTP_HOST": "localhost"})
        return Client(app, client.token).upload(*upload, status="*")

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(send, uploads))


def test_other_bytes_under_one_name(client: Client) -> None:
    filename = "demo-1.0-py3-none-any.whl"
    contents = [wheel(extra_members={"turn.py": b"%d\n" % number}) for number in range(WRITERS)]
    answers = at_once(client, [(filename, content) for content in contents])
    (file,) = client.get("/projects/demo/files").json["files"]
    winner = [a.status_int for a in answers].index(200)

    assert Counter(answer.status_int for answer in answers) == {200: 1, 400: WRITERS - 1}
    for answer in answers:
        assert answer.headers.get("X-Problem-Code") in {None, "file.exists"}
    assert client.get(file["path"]).body == contents[winner]


def test_the_same_bytes(client: Client) -> None:
    answers = at_once(client, [("demo-1.0-py3-none-any.whl", wheel())] * WRITERS)

    assert {answer.status_int for answer in answers} == {200}
    assert len(client.get("/projects/demo/files").json["files"]) == 1


def test_many_projects_and_files(client: Client) -> None:
    """Each is in its page when its answer arrives, and the journal has no gap."""
    uploads = [
        (f"{name}-{version}-py3-none-any.whl", wheel(name, version))
        for name in ("aa", "bb", "cc")
        for version in ("1.0", "2.0", "3.0", "4.0")
    ]
    answers = at_once(client, uploads)
    changes = client.get("/changes").json

    assert {answer.status_int for answer in answers} == {200}
    for name in ("aa", "bb", "cc"):
        assert len(client.get(f"/simple/{name}/", Accept=JSON).json["files"]) == 4
    assert [c["serial"] for c in changes["changes"]] == list(range(1, changes["serial"] + 1))


def test_names_that_people_confuse(client: Client) -> None:
    answers = at_once(
        client,
        [
            (f"{name}-1.0-py3-none-any.whl", wheel(name, "1.0"))
            for name in ("flask", "f1ask", "fl_ask", "f.lask")
        ],
    )
    listed = client.get("/simple/", Accept=JSON).json["projects"]

    assert Counter(answer.status_int for answer in answers) == {200: 1, 400: 3}
    assert len(listed) == 1
