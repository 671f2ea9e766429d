"""Slow clients: sockets that send a byte now and then do not stop the server.

python -m tests.prove.slow_clients [--sockets 900] [--seconds 15]
"""

from __future__ import annotations

import argparse
import resource
import socket
import tempfile
import threading
import time
from pathlib import Path

from tests.prove import checking
from tests.prove.serving import Server
from tests.prove.uploading import Parcel

_BYTE_EVERY_S = 5.0
_HEADERS = (
    b"GET /simple/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
    b"POST /legacy/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x",
)
_P95_MS = 100.0


class Drippers:
    """Sockets on which one byte goes out every few seconds."""

    def __init__(self, port: int, number: int) -> None:
        self.sockets: list[socket.socket] = []
        for index in range(number):
            slow = socket.create_connection(("127.0.0.1", port), timeout=10)
            slow.sendall(_HEADERS[index % len(_HEADERS)])
            self.sockets.append(slow)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._drip)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        for slow in self.sockets:
            slow.close()

    def _drip(self) -> None:
        while not self._stopping.wait(_BYTE_EVERY_S):
            for slow in self.sockets:
                try:
                    slow.sendall(b"x")
                except OSError:
                    continue  # the server has had enough of it, as it may


def run(server: Server, *, sockets: int, seconds: float) -> tuple[list[str], str]:
    """Probe `server` under so many slow `sockets`; return violations and figures."""
    violations: list[str] = []
    with server.client() as client:
        assert client.upload(Parcel.new("probe", "0.0")).status == 200
    drippers = Drippers(server.port, sockets)
    took_ms: list[float] = []
    uploads_ms: list[float] = []
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            # A new connection each time: a full server would not take one.
            with server.client(timeout_s=20) as client:
                began = time.monotonic()
                status = client.get("/simple/probe/").status
                took_ms.append((time.monotonic() - began) * 1000)
                if status != 200:
                    violations.append(f"a probe was answered {status}")
                began = time.monotonic()
                reply = client.upload(Parcel.new("probe", f"{len(took_ms)}.0"))
                uploads_ms.append((time.monotonic() - began) * 1000)
                if reply.status != 200:
                    violations.append(f"an upload was answered {reply.status}")
            time.sleep(0.1)
    except OSError as error:
        violations.append(f"a probe got no answer: {error!r}")
    finally:
        drippers.stop()
    took_ms.sort()
    uploads_ms.sort()
    p95_ms = took_ms[int(len(took_ms) * 0.95)] if took_ms else float("inf")
    if p95_ms > _P95_MS:
        violations.append(f"the 95th percentile of probes is {p95_ms:.0f} ms")
    figures = (
        f"{sockets} slow sockets for {seconds:.0f} s: {len(took_ms)} pages, median "
        f"{took_ms[len(took_ms) // 2]:.1f} ms, 95 % under {p95_ms:.1f} ms; uploads median "
        f"{uploads_ms[len(uploads_ms) // 2]:.1f} ms"
    )
    return violations, figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sockets", type=int, default=900)
    parser.add_argument("--seconds", type=float, default=15)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, options.sockets + 200), hard))
    with tempfile.TemporaryDirectory(prefix="slow-") as name:
        folder = Path(name)
        with Server(folder / "index", folder / "serve.log") as server:
            violations, figures = run(server, sockets=options.sockets, seconds=options.seconds)
    checking.end(violations, figures)


if __name__ == "__main__":
    main()
