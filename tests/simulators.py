"""Servers that lie, hang, cut short and drip, on loopback: what a mirror may do to a reader."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

BEHAVIOURS = (
    "missing",
    "broken",
    "busy",
    "moved",
    "apology",
    "altered",
    "longer",
    "endless",
    "shorter",
    "cut",
    "drips",
    "hangs",
    "resets",
)


class StaticServer(ThreadingHTTPServer):
    """Serves a folder, and behaves as told towards paths that match `towards`."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.behaviour = ""
        self.towards = re.compile("")
        self.busy_for = 0  # answers, from now on
        self.asked: list[str] = []
        self.connections = 0
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def behave(self, behaviour: str, towards: str = "") -> None:
        self.behaviour, self.towards = behaviour, re.compile(towards)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: readers go away in the midst of an answer."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for the reader's kernel
    server: StaticServer

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base has it
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(self.path.split("?")[0]).lstrip("/")
        self.server.asked.append(path)
        if self.server.busy_for > 0:
            self.server.busy_for -= 1
            return self._answer(503, b"busy")
        lies = self.server.behaviour and self.server.towards.search(path)
        file = self.server.folder / path
        if lies:
            content = file.read_bytes() if file.is_file() else b""
            return self._lie(self.server.behaviour, content)
        if not file.is_file():
            return self._answer(404, b"there is no such file")
        modified = self.date_time_string(int(file.stat().st_mtime))
        return self._answer(200, file.read_bytes(), {"Last-Modified": modified})

    def _answer(
        self,
        status: int,
        content: bytes,
        headers: dict[str, str] | None = None,
        *,
        stated: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        length = len(content) if stated is None else stated
        if length >= 0:
            self.send_header("Content-Length", str(length))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _lie(self, behaviour: str, content: bytes) -> None:
        simple: dict[str, tuple[int, bytes]] = {
            "missing": (404, b""),
            "broken": (500, b"Traceback"),
            "busy": (503, b""),
            "apology": (200, b"<html>We are sorry</html>"),
            "altered": (200, content[:-1] + bytes([content[-1] ^ 1]) if content else b"x"),
            "longer": (200, content + b"x"),
            "shorter": (200, content[: len(content) // 2]),
        }
        if behaviour in simple:
            return self._answer(*simple[behaviour])
        if behaviour == "moved":
            return self._answer(302, b"", {"Location": "http://127.0.0.1:9/"})
        if behaviour == "cut":
            self.close_connection = True
            return self._answer(200, content[: len(content) // 2], stated=len(content))
        return self._hold(behaviour, content)

    def _hold(self, behaviour: str, content: bytes) -> None:
        """Keep the connection, until the reader gives up or the test is over."""
        self.close_connection = True
        if behaviour == "resets":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            return
        if behaviour == "hangs":
            self.server.stopping.wait(30)
            return
        self._answer(200, b"", stated=-1 if behaviour == "endless" else len(content))
        with suppress(OSError):
            while not self.server.stopping.is_set():
                self.wfile.write(bytes(65536) if behaviour == "endless" else content[:1])
                if behaviour == "drips":
                    time.sleep(0.01)


@contextmanager
def serving(folder: Path) -> Iterator[StaticServer]:
    """Give a server of `folder` that tells the truth until it is told otherwise."""
    server = StaticServer(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
        assert not thread.is_alive()
