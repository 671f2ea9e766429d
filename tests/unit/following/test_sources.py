"""No folder and no server can lead a reader astray, hold it, or fill it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyramid_pypi.following.sources import (
    FolderSource,
    HttpSource,
    SourceUnreadable,
    is_safe,
    read,
)
from tests.simulators import StaticServer, serving

OUTSIDE = [
    "/etc/passwd",
    "../outside",
    "a/../../outside",
    "a//b",
    "./a",
    "a/",
    "",
    "a\x00b",
    "a\nb",
    "..\\outside",
    "x" * 2000,
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outside").write_bytes(b"secret")
    tree = tmp_path / "tree"
    (tree / "a").mkdir(parents=True)
    (tree / "a/plain.json").write_bytes(b"0123456789")
    (tree / "a/1!2.0+local").write_bytes(b"odd")
    return tree


@pytest.fixture
def server(folder: Path) -> Iterator[StaticServer]:
    with serving(folder) as running:
        yield running


@pytest.mark.parametrize("path", OUTSIDE)
def test_paths_that_lead_out_are_refused(folder: Path, path: str) -> None:
    assert not is_safe(path)
    for source in (FolderSource(folder), HttpSource("http://127.0.0.1:9")):
        with pytest.raises(SourceUnreadable):
            read(source, path, 100)


def test_a_symbolic_link_may_not_lead_out(folder: Path) -> None:
    (folder / "link").symlink_to("../outside")
    (folder / "room").symlink_to("..")
    (folder / "within").symlink_to("a/plain.json")
    source = FolderSource(folder)
    for path in ("link", "room/outside"):
        with pytest.raises(SourceUnreadable, match="leads out"):
            read(source, path, 100)
        assert source.modified(path) is None
    assert read(source, "within", 100) == b"0123456789"
    assert set(source.files()) == {"a/plain.json", "a/1!2.0+local", "link", "room", "within"}


def test_what_is_no_file_is_absent(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    source = FolderSource(folder)
    assert [read(source, path, 9) for path in ("pipe", "a", "none", "a/plain.json/b")] == [
        None
    ] * 4
    with pytest.raises(SourceUnreadable):
        FolderSource(folder / "none")


def test_no_more_is_held_than_was_asked_for(folder: Path, server: StaticServer) -> None:
    for source in (FolderSource(folder), HttpSource(server.url)):
        assert read(source, "a/plain.json", 10) == b"0123456789"
        assert read(source, "a/plain.json", 4) == b"01234"
        assert read(source, "a/1!2.0+local", 4) == b"odd"
        assert read(source, "none", 4) is None
        assert source.modified("none") is None
        modified = source.modified("a/plain.json")
        assert modified is not None
        assert abs(modified.timestamp() - time.time()) < 60
        assert source.tally.fetches >= 3


def test_one_connection_is_kept(server: StaticServer) -> None:
    source = HttpSource(server.url)
    for _ in range(20):
        assert read(source, "a/plain.json", 10)
    assert server.connections == 1
    source.close()


def test_a_server_that_restarts_is_asked_again(server: StaticServer) -> None:
    source = HttpSource(server.url)
    server.busy_for = 2
    assert read(source, "a/plain.json", 10) == b"0123456789"
    assert source.tally.fetches == 3


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("broken", "status 500"),
        ("moved", "status 302"),
        ("busy", "status 503"),
        ("cut", "5 of 10 bytes|IncompleteRead"),
        ("drips", "drips"),
        ("hangs", "timed out"),
        ("resets", "Connection"),
    ],
)
def test_a_server_that_fails_is_given_up(
    server: StaticServer, behaviour: str, reason: str
) -> None:
    (server.folder / "a/plain.json").write_bytes(
        b"0123456789" * (1000 if behaviour == "drips" else 1)
    )
    server.behave(behaviour)
    source = HttpSource(server.url, patience_s=0.2)
    started = time.monotonic()
    with pytest.raises(SourceUnreadable, match=reason):
        read(source, "a/plain.json", 100_000)
    assert time.monotonic() - started < 6


def test_an_endless_body_is_cut(server: StaticServer) -> None:
    server.behave("endless")
    source = HttpSource(server.url)
    assert len(read(source, "a/plain.json", 1000) or b"") == 1001
    assert source.tally.bytes < 1_000_000


def test_nobody_there() -> None:
    with pytest.raises(SourceUnreadable):
        read(HttpSource("http://127.0.0.1:9"), "a", 9)
