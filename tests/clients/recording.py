"""A go-between that notes what a client asks of the index, and how it is answered."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# Of one connection only (RFC 9110, 7.6.1), or written anew by the go-between.
_HOP = {"connection", "keep-alive", "transfer-encoding", "date", "server"}
Rewrite = Callable[[str, bytes], bytes]


@dataclass(frozen=True)
class Exchange:
    """One request of a client, with the answer it got; header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    status: int
    answer_headers: dict[str, str]


@dataclass
class Recording:
    """All exchanges through one go-between, whose address is `url`, without a last slash."""

    url: str = ""
    exchanges: list[Exchange] = field(default_factory=list)

    def of(self, suffix: str, *, method: str | None = None) -> list[Exchange]:
        """Return the exchanges whose path ends in `suffix`, in order."""
        return [
            exchange
            for exchange in self.exchanges
            if exchange.path.endswith(suffix) and method in {None, exchange.method}
        ]


@contextmanager
def recording(upstream: str, rewrite: Rewrite | None = None) -> Iterator[Recording]:
    """Stand between clients and the index at `upstream` for the length of a block.

    `rewrite`, given a path and a page's bytes, returns the bytes to send instead.
    """
    kept = Recording()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _go_between(upstream, kept, rewrite))
    server.daemon_threads = True
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _go_between(
    upstream: str, kept: Recording, rewrite: Rewrite | None
) -> type[BaseHTTPRequestHandler]:
    origin = urlsplit(upstream)

    class GoBetween(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_words: object) -> None:
            """Stay silent: the recording says it all."""

        def pass_on(self) -> None:
            asked = {name.lower(): value for name, value in self.headers.items()}
            # The index answers to its own address, and gives bytes that can be rewritten.
            sent = {name: value for name, value in asked.items() if name not in _HOP}
            sent["host"] = origin.netloc
            if rewrite:
                sent.pop("accept-encoding", None)
            body = self.rfile.read(int(asked.get("content-length", 0)))
            status, headers, content = self._ask(sent, body)
            kept.exchanges.append(Exchange(self.command, self.path, asked, status, headers))
            self._answer(status, headers, content)

        def _ask(
            self, headers: dict[str, str], body: bytes
        ) -> tuple[int, dict[str, str], bytes]:
            line = http.client.HTTPConnection(origin.hostname or "", origin.port, timeout=60)
            try:
                line.request(self.command, self.path, body or None, headers)
                answer = line.getresponse()
                content = answer.read()
            finally:
                line.close()
            found = {
                name.lower(): value
                for name, value in answer.getheaders()
                if name.lower() not in _HOP
            }
            if rewrite and content and self.path.startswith("/simple/"):
                content = rewrite(self.path, content)
                found["content-length"] = str(len(content))
            return answer.status, found, content

        def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "content-length" not in headers and status not in {204, 304}:
                self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        setattr(GoBetween, f"do_{method}", GoBetween.pass_on)
    return GoBetween
