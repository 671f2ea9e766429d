"""A server in a process of its own, that a proof starts, stops and kills."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.prove.uploading import Client

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = str(Path(sys.executable).with_name("pyramid-pypi"))
_READY_S = 60.0
_STOP_S = 40.0


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass
class Server:
    """``pyramid-pypi serve`` on the data folder `folder`; its words go to `log`."""

    folder: Path
    log: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def token(self) -> str:
        return (self.folder / "admin.token").read_text("ascii").strip()

    def environ(self) -> dict[str, str]:
        """Return the variables by which the index gets its settings."""
        settings = {
            "PYRAMID_PYPI_" + name.upper().replace(".", "_"): value
            for name, value in self.settings.items()
        }
        return {**os.environ, **settings}

    def start(self) -> float:
        """Start; return the seconds until the list of projects was answered with 200."""
        started = time.monotonic()
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", "--data", str(self.folder), "--port", str(self.port)],
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=self.environ(),
                cwd=ROOT,
            )
        while time.monotonic() < started + _READY_S and self.process.poll() is None:
            try:
                with self.client() as client:
                    if client.get("/simple/").status == 200:
                        return time.monotonic() - started
            except OSError:
                pass
            time.sleep(0.01)
        self.kill()
        raise AssertionError(f"the server did not start:\n{self.words()[-3000:]}")

    def client(self, *, timeout_s: float = 60) -> Client:
        """Return a connection that bears the administrator's token."""
        try:
            token = self.token
        except FileNotFoundError:
            token = ""
        return Client("127.0.0.1", self.port, token, timeout_s=timeout_s)

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        """End it as an operator does; return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_STOP_S)
        finally:
            self.kill()

    def words(self) -> str:
        """Return what it has said so far."""
        return self.log.read_text("utf-8", "replace")

    def fsck(self) -> list[str]:
        """Return the findings of ``pyramid-pypi fsck``, or its failure, a line each."""
        done = subprocess.run(
            [PROGRAM, "fsck", "--data", str(self.folder)],
            capture_output=True,
            text=True,
            env=self.environ(),
            cwd=ROOT,
            check=False,
        )
        if done.returncode == 0:
            return []
        return [
            f"fsck {done.returncode}: {line}"
            for line in (done.stdout + done.stderr).split("\n")
            if line
        ]
