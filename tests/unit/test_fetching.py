"""No server can hold the fetcher longer, or fill it fuller, than it was told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from pyramid_pypi.fetching import FetchFailed, fetch

Serve = Callable[[Callable[[socket.socket], None]], str]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return what answers one connection as told, and gives its address."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def begin(answer: Callable[[socket.socket], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run() -> None:
            with suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    received.append(connection.recv(65536))
                    answer(connection)

        received: list[bytes] = requests_of.setdefault("all", [])
        thread = threading.Thread(target=run)
        thread.start()
        threads.append(thread)
        return f"http://127.0.0.1:{listener.getsockname()[1]}/simple/"

    requests_of.clear()
    yield begin
    for listener in listeners:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


requests_of: dict[str, list[bytes]] = {}


def drip(connection: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection.sendall(b"x")
            time.sleep(0.02)


def failure(url: str, *, deadline_s: float = 0.3, max_bytes: int = 1000) -> str:
    started = time.monotonic()
    with pytest.raises(FetchFailed) as refused:
        fetch(url, deadline_s=deadline_s, max_bytes=max_bytes)
    assert time.monotonic() - started < 3
    return refused.value.detail


def test_what_comes_back_is_told(serve: Serve) -> None:
    url = serve(lambda c: c.sendall(HEAD + b"X-Odd: Yes\r\nContent-Length: 2\r\n\r\nok"))
    answer = fetch(url)
    assert (answer.status, answer.content) == (200, b"ok")
    assert answer.headers["x-odd"] == "Yes"
    assert 0 <= answer.elapsed_ms < 10_000


def test_chunks_are_put_together(serve: Serve) -> None:
    chunked = b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n"
    assert fetch(serve(lambda c: c.sendall(HEAD + chunked))).content == b"ok!"


def test_a_redirect_is_an_answer(serve: Serve) -> None:
    url = serve(
        lambda c: c.sendall(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
        )
    )
    answer = fetch(url)
    assert (answer.status, answer.headers["location"]) == (302, "http://127.0.0.1:1/")


def test_nothing_of_the_environment_goes_along(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w", encoding="ascii") as out:
        out.write("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", netrc)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    url = serve(lambda c: c.sendall(HEAD + b"Content-Length: 0\r\n\r\n"))
    assert fetch(url).status == 200
    (request,) = requests_of["all"]
    assert b"authorization" not in request.lower()
    assert b"Accept-Encoding: identity\r\n" in request


def test_a_body_that_drips_is_given_up(serve: Serve) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Content-Length: 900\r\n\r\n")
        drip(connection)

    assert "drips" in failure(serve(answer))


def test_a_body_that_never_comes_is_given_up(serve: Serve) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Content-Length: 900\r\n\r\nx")
        connection.recv(1)

    assert failure(serve(answer))


def test_silence_is_given_up(serve: Serve) -> None:
    def wait(connection: socket.socket) -> None:
        connection.recv(1)

    assert failure(serve(wait))


@pytest.mark.parametrize("stated", [b"Content-Length: 5000\r\n", b""])
def test_a_body_too_large_is_given_up(serve: Serve, stated: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        with suppress(OSError):
            connection.sendall(HEAD + stated + b"\r\n" + b"x" * 5000)

    assert "more than 1000 bytes" in failure(serve(answer))


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 9\r\n\r\nhalf",
        b"Transfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        b"Transfer-Encoding: chunked\r\n\r\nno number\r\n",
    ],
)
def test_a_body_cut_short_is_no_answer(serve: Serve, rest: bytes) -> None:
    assert failure(serve(lambda c: c.sendall(HEAD + rest)))


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-x\r\n", b"\x00" * 100])
def test_what_is_no_http_is_no_answer(serve: Serve, answer: bytes) -> None:
    assert failure(serve(lambda c: c.sendall(answer)))


@pytest.mark.parametrize(
    "url", ["", "ftp://127.0.0.1/", "http://", "http://127.0.0.1:1/", "http://[", "file:///x"]
)
def test_addresses_nobody_answers_at(url: str) -> None:
    assert failure(url)
