"""A live index in a process of its own, started as an operator starts it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 20


@dataclass(frozen=True)
class LiveIndex:
    """Where a running index listens, the token that may do everything there, its folder."""

    url: str
    token: str
    folder: Path

    @property
    def simple(self) -> str:
        """Return the address that installers are given."""
        return f"{self.url}/simple/"

    @property
    def legacy(self) -> str:
        """Return the address that uploading tools are given."""
        return f"{self.url}/legacy/"

    def rest(self, method: str, path: str, document: dict[str, Any] | None = None) -> None:
        """Send one REST request as the administrator; fail unless it is accepted."""
        answer = requests.request(
            method,
            f"{self.url}{path}",
            json=document,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"

    def page(self, project: str) -> dict[str, Any]:
        """Return the project's page of the Simple API, as JSON."""
        answer = requests.get(
            f"{self.simple}{project}/",
            headers={"Accept": "application/vnd.pypi.simple.v1+json"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def filenames(self, project: str) -> set[str]:
        """Return the names of the files that installers are offered."""
        return {file["filename"] for file in self.page(project)["files"]}


@contextmanager
def live_index(folder: Path) -> Iterator[LiveIndex]:
    """Serve a new index from `folder` for the length of a block.

    Fails if it does not start, does not stop when asked, or ever printed a traceback.
    """
    log = folder / "serve.log"
    home = folder / "index"
    port = _free_port()
    program = Path(sys.executable).with_name("pyramid-pypi")
    command = [program, "serve", "--data", home, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=sink, stderr=subprocess.STDOUT
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _await_ready(process, url, log)
        yield LiveIndex(url, (home / "admin.token").read_text("utf-8").strip(), home)
    finally:
        _stop(process)
    told = log.read_text("utf-8", "replace")
    assert process.returncode == 0, f"serve ended with {process.returncode}:\n{told[-2000:]}"
    assert "Traceback" not in told, told[-4000:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _await_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{url}/simple/", timeout=5).status_code == 200:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise AssertionError(f"serve did not start:\n{log.read_text('utf-8', 'replace')[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
