"""Followers of the index: the journal as JSON and as lines, waited for; and news feeds."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest
import requests
from sqlalchemy import event, text
from sqlalchemy.engine import Engine
from webtest import TestApp

from pyramid_pypi.app import make_app
from pyramid_pypi.changes import journal
from pyramid_pypi.environment import Environment
from pyramid_pypi.formats import events
from pyramid_pypi.models.journal import ChangeKind
from pyramid_pypi.publishing.publisher import Publisher
from tests.clients.serving import LiveIndex, live_index
from tests.conftest import NOON, ToldClock
from tests.distributions import wheel
from tests.functional.conftest import Client

NDJSON = "application/x-ndjson"
sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@contextmanager
def noted(name: str) -> Iterator[list[Any]]:
    """Note each event `name` of any database engine."""
    seen: list[Any] = []

    def note(*arguments: Any) -> None:
        seen.append(arguments)

    event.listen(Engine, name, note)
    try:
        yield seen
    finally:
        event.remove(Engine, name, note)


# --- the journal ----------------------------------------------------------------------


def test_lines_say_what_the_document_says(client: Client) -> None:
    client.upload()
    client.upload("demo-2.0-py3-none-any.whl")
    document = client.get("/changes").json
    lines = client.get("/changes", Accept=NDJSON)

    assert lines.content_type == NDJSON
    assert lines.headers["X-PyPI-Last-Serial"] == str(document["serial"])
    told = list(events.parse_lines(lines.body))
    for event_, change in zip(told, document["changes"], strict=True):
        names = (event_.project, event_.version, event_.filename)
        assert names == (change["project"], change["version"], change["filename"])
        assert (event_.serial, event_.kind) == (change["serial"], change["kind"])
        assert event_.details == change["details"]


@sqlite
@pytest.mark.parametrize(
    ("accept", "query", "given"),
    [
        (None, "", "application/json"),
        ("*/*", "", "application/json"),
        ("text/html", "", "application/json"),
        ("application/jsonl", "", "application/jsonl"),
        ("application/x-ndjson;q=0.5, application/json;q=0.1", "", NDJSON),
        ("application/json", f"?format={NDJSON}", NDJSON),
    ],
)
def test_forms(client: Client, accept: str | None, query: str, given: str) -> None:
    client.upload()
    answer = client.get(f"/changes{query}", **({"Accept": accept} if accept else {}))
    assert answer.content_type == given
    assert answer.headers["Vary"] == "Accept"


@sqlite
@pytest.mark.parametrize("query", ["wait=61", "wait=-1", "wait=x", "wait=1&wait=1", "wait=1.5"])
def test_bad_waits(client: Client, query: str) -> None:
    client.get(f"/changes?{query}", status=400)


@sqlite
def test_an_unknown_form(client: Client) -> None:
    client.get("/changes?format=text/csv", status=406)


def test_events_tell_all_that_a_simple_page_shows(client: Client) -> None:
    client.upload(content=wheel("demo", "1.0"))
    page = client.get("/simple/demo/", Accept="application/vnd.pypi.simple.v1+json").json
    changes = client.get("/changes").json["changes"]
    [added] = [change for change in changes if change["kind"] == "file-added"]
    [file] = page["files"]

    assert added["details"]["sha256"] == file["hashes"]["sha256"]
    assert added["details"]["size"] == file["size"]
    assert added["details"]["core_metadata_sha256"] == file["core-metadata"]["sha256"]
    assert added["details"].get("requires_python") == file.get("requires-python")
    assert added["time"] == file["upload-time"]
    assert added["serial"] == page["meta"]["_last-serial"]


def test_what_is_not_published_is_not_told(client: Client, services: Environment) -> None:
    client.upload()
    before = client.get("/changes").json
    with services.database.writing() as session:
        journal.append(session, ChangeKind.METADATA_CHANGED, actor="x", at=NOON, project="demo")

    assert client.get("/changes").json == before
    assert client.get(f"/changes?since={before['serial']}").json["changes"] == []
    client.registry.publisher.publish_gap()
    assert client.get("/changes").json["serial"] == before["serial"] + 1


# --- waiting, without a socket --------------------------------------------------------


def test_a_change_ends_the_wait(client: Client) -> None:
    client.upload()
    since = client.get("/changes").json["serial"]
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.get, f"/changes?since={since}&wait=20")
        time.sleep(0.3)
        assert not waiting.done()
        client.upload("demo-2.0-py3-none-any.whl")
        began = time.monotonic()
        told = waiting.result().json

    assert time.monotonic() - began < 5
    assert told["changes"]
    assert told["changes"][0]["serial"] == since + 1


@sqlite
def test_a_change_by_another_process_ends_it_too(
    client: Client, services: Environment, publisher: Publisher
) -> None:
    other = Publisher(services, publisher.site)
    client.upload()
    since = client.get("/changes").json["serial"]
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.get, f"/changes?since={since}&wait=20")
        time.sleep(0.2)
        with services.database.writing() as session:
            at = services.clock()
            journal.append(session, ChangeKind.METADATA_CHANGED, actor="x", at=at)
        other.publish_gap()
        assert waiting.result(10).json["next"] == since + 1


@sqlite
def test_nothing_came(client: Client) -> None:
    client.upload()
    since = client.get("/changes").json["serial"]
    began = time.monotonic()
    answer = client.get(f"/changes?since={since}&wait=1")

    assert 0.9 < time.monotonic() - began < 10
    assert answer.json == {"serial": since, "changes": [], "next": since}
    assert "Retry-After" not in answer.headers


@pytest.fixture
def cramped(services: Environment, publisher: Publisher, admin_token: str) -> Client:
    """An application of four threads, two of which may wait."""
    few = replace(services, settings=replace(services.settings, server_threads=4))
    app = TestApp(make_app(few, publisher), extra_environ={"HTTP_HOST": "localhost"})
    return Client(app, admin_token)


def test_half_of_the_threads_may_wait_and_hold_no_connection(
    cramped: Client, services: Environment
) -> None:
    """Those beyond are answered at once; nobody who waits keeps the database busy."""
    cramped.upload()
    since = cramped.get("/changes").json["serial"]
    services.database.dispose()
    with noted("checkout") as taken, ThreadPoolExecutor() as pool:
        waiting = [
            pool.submit(cramped.get, f"/changes?since={since}&wait=30") for _ in range(2)
        ]
        time.sleep(0.5)
        assert not taken
        began = time.monotonic()
        turned_away = cramped.get(f"/changes?since={since}&wait=30")
        assert time.monotonic() - began < 5
        assert turned_away.json["changes"] == []
        assert turned_away.headers["Retry-After"] == "1"
        cramped.registry.publisher.state.bell.close()
        assert [one.result(10).json["changes"] for one in waiting] == [[], []]

    assert cramped.get(f"/changes?since={since}&wait=30").json["changes"] == []
    cramped.upload("demo-2.0-py3-none-any.whl")
    assert cramped.get(f"/changes?since={since}&wait=30").json["changes"]


# --- waiting, over a socket -----------------------------------------------------------


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveIndex]:
    """A running index; it must stop while followers wait."""
    with live_index(tmp_path_factory.mktemp("live")) as index:
        yield index


def send(index: LiveIndex, filename: str) -> None:
    name, version = filename.split("-")[:2]
    answer = requests.post(
        index.legacy,
        data={":action": "file_upload", "protocol_version": "1"},
        files={"content": (filename, wheel(name, version))},
        auth=("__token__", index.token),
        timeout=30,
    )
    assert answer.status_code == 200, answer.text


def follow(index: LiveIndex, since: int, wanted: int) -> list[dict[str, Any]]:
    """Ask again and again, as a follower does, until `wanted` files have been told of."""
    heard: list[dict[str, Any]] = []
    with requests.Session() as session:
        while sum(change["kind"] == "file-added" for change in heard) < wanted:
            address = f"{index.url}/changes?since={since}&wait=20"
            told = session.get(address, timeout=40).json()
            heard += told["changes"]
            since = told["next"]
    return heard


def test_a_follower_hears_of_everything_once_and_finds_it(live: LiveIndex) -> None:
    since = requests.get(f"{live.url}/changes", timeout=10).json()["serial"]
    with ThreadPoolExecutor() as pool:
        followers = [pool.submit(follow, live, since, 50) for _ in range(3)]
        for number in range(50):
            send(live, f"follow{number % 5}-{number}.0-py3-none-any.whl")
        heard = [one.result(60) for one in followers]

    assert heard[0] == heard[1] == heard[2]
    serials = [change["serial"] for change in heard[0]]
    assert serials == list(range(since + 1, since + 1 + len(serials)))
    files = [change["filename"] for change in heard[0] if change["kind"] == "file-added"]
    assert files == [f"follow{n % 5}-{n}.0-py3-none-any.whl" for n in range(50)]


def waiting_socket(index: LiveIndex, since: int) -> socket.socket:
    host = urlsplit(index.url)
    client = socket.create_connection((host.hostname, host.port), timeout=10)
    request = f"GET /changes?since={since}&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    client.sendall(request.encode())
    return client


def turned_away(index: LiveIndex, since: int) -> bool:
    answer = requests.get(f"{index.url}/changes?since={since}&wait=1", timeout=20)
    return "Retry-After" in answer.headers


def test_who_has_gone_leaves_the_seat_to_others(live: LiveIndex) -> None:
    since = requests.get(f"{live.url}/changes", timeout=10).json()["serial"]
    clients = [waiting_socket(live, since) for _ in range(4)]
    time.sleep(0.5)
    assert turned_away(live, since)
    for client in clients:
        client.close()
    deadline = time.monotonic() + 10
    while turned_away(live, since):
        assert time.monotonic() < deadline, "the seats are still taken"
        time.sleep(0.1)


def test_a_server_that_stops_answers_who_waits(tmp_path: Path) -> None:
    answers: list[tuple[int, Any]] = []

    def wait(index: LiveIndex) -> None:
        address = urlsplit(index.url).netloc
        with closing(http.client.HTTPConnection(address, timeout=60)) as connection:
            connection.request("GET", "/changes?since=0&wait=60")
            answer = connection.getresponse()
            answers.append((answer.status, json.loads(answer.read())))

    with live_index(tmp_path) as index:
        waiters = [threading.Thread(target=wait, args=(index,)) for _ in range(3)]
        for waiter in waiters:
            waiter.start()
        time.sleep(0.5)
        began = time.monotonic()
    assert time.monotonic() - began < 10
    for waiter in waiters:
        waiter.join(10)
    assert answers == [(200, {"serial": 0, "changes": [], "next": 0})] * 3


# --- news feeds -----------------------------------------------------------------------


def items(client: Client, path: str) -> list[dict[str, str]]:
    answer = client.get(path)
    assert answer.content_type == "application/rss+xml"
    root = ET.fromstring(answer.body)
    assert root.tag == "rss"
    assert root.get("version") == "2.0"
    found = []
    for item in root.iterfind("channel/item"):
        guid = item.find("guid")
        assert guid is not None
        assert guid.get("isPermaLink") == "false"
        found.append({element.tag: element.text or "" for element in item})
    return found


def test_newest_releases_and_projects(client: Client, clock: ToldClock) -> None:
    client.upload("demo-1.0-py3-none-any.whl")
    clock.advance(hours=1)
    client.upload("other-1.0-py3-none-any.whl")
    clock.advance(hours=1)
    client.upload("demo-2.0-py3-none-any.whl")
    updates = items(client, "/rss/updates.xml")
    projects = items(client, "/rss/packages.xml")
    own = items(client, "/rss/project/demo/releases.xml")

    assert [item["title"] for item in updates] == ["demo 2.0", "other 1.0", "demo 1.0"]
    assert [item["title"] for item in projects] == ["other", "demo"]
    assert [item["title"] for item in own] == ["demo 2.0", "demo 1.0"]
    assert updates[0]["link"] == "http://localhost/projects/demo/"
    assert parsedate_to_datetime(updates[0]["pubDate"]) == NOON + timedelta(hours=2)
    assert len({item["guid"] for item in updates}) == 3
    assert [item for item in updates if item["title"].startswith("demo")] == own


def test_feeds_are_asked_again_cheaply(client: Client) -> None:
    client.upload()
    for path in ("/rss/updates.xml", "/rss/packages.xml", "/rss/project/demo/releases.xml"):
        first = client.get(path)
        with noted("before_cursor_execute") as asked:
            again = client.get(path, If_None_Match=first.headers["ETag"], status=304)
        assert not asked
        assert again.headers["ETag"] == first.headers["ETag"]
    client.upload("demo-2.0-py3-none-any.whl")
    assert client.get(path, If_None_Match=first.headers["ETag"]).body != first.body


def test_quarantine_and_deletion_end_the_news(client: Client) -> None:
    client.upload()
    client.upload("other-1.0-py3-none-any.whl")
    client.put("/projects/demo/status", {"status": "quarantined"}, status=200)
    assert [item["title"] for item in items(client, "/rss/updates.xml")] == ["other 1.0"]
    assert [item["title"] for item in items(client, "/rss/packages.xml")] == ["other"]
    assert items(client, "/rss/project/demo/releases.xml") == []

    client.delete("/projects/other", status=204)
    assert items(client, "/rss/updates.xml") == []
    client.get("/rss/project/other/releases.xml", status=404)


@sqlite
def test_a_feed_has_an_end(client: Client, services: Environment) -> None:
    client.upload()
    with services.database.writing() as session:
        session.execute(
            text(
                "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 99) "
                "INSERT INTO release (project_id, version, sort_key, serial, created_at, "
                "core_metadata, description) SELECT project_id, i, i, serial, created_at, "
                "core_metadata, description FROM release, n"
            )
        )
    for path in ("/rss/updates.xml", "/rss/project/demo/releases.xml"):
        found = items(client, path)
        assert [item["title"] for item in found] == [f"demo {n}" for n in range(99, 59, -1)]


@sqlite
def test_hostile_summaries_stay_text(client: Client, services: Environment) -> None:
    """Old rows hold what is refused today; readers take descriptions for HTML."""
    client.upload()
    with services.database.writing() as session:
        said = json.dumps({"summary": "<script>alert(1)</script> & \x01 ]]>"})
        session.execute(text("UPDATE release SET core_metadata = :said"), {"said": said})
    [item] = items(client, "/rss/updates.xml")

    assert "<" not in item["description"]
    assert item["description"].startswith("&lt;script&gt;alert(1)&lt;/script&gt; &amp; ")


@sqlite
def test_other_spellings_and_other_places(client: Client) -> None:
    client.upload()
    answer = client.get("/rss/project/De.Mo/releases.xml", status=301)
    assert answer.headers["Location"].endswith("/rss/project/de-mo/releases.xml")
    for path in ("/rss", "/rss/", "/rss/project", "/rss/project/demo/", "/rss/more.xml"):
        client.get(path, status=404)


@sqlite
def test_pages_name_their_feeds(client: Client) -> None:
    client.upload()
    home = client.get("/", Accept="text/html").text
    page = client.get("/projects/demo/", Accept="text/html").text

    for path in ("rss/updates.xml", "rss/packages.xml"):
        assert f'href="{path}"' in home
    assert 'href="../../rss/project/demo/releases.xml"' in page
