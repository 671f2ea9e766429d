"""Places where a published tree is read: nginx on it, and mirrors that rsync makes of it.

- `TwoStage`: a mirror that takes the pointers first, then all else, and installs the
  pointers last.
- `Export`: our own, whose pointers come some seconds after what they name, for
- `Naive`: a mirror that knows nothing, and runs ``rsync -a --delete`` again and again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.prove.serving import PROGRAM, ROOT, Server, free_port
from tests.prove.uploading import Client

POINTERS = (
    "repodata/repomd.xml.asc",
    "repodata/repomd.xml",
    "repodata/repomd.json",
    "tuf/timestamp.json",
)
_VANISHED = 24  # of rsync: files were removed while it ran
_START_S = 20.0

_NGINX = """
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    types {{ }}
    default_type application/octet-stream;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; root {tree}; }}
}}
"""


@contextmanager
def nginx(tree: Path, folder: Path) -> Iterator[str]:
    """Serve `tree` by nginx alone, whose own files lie in `folder`; yield the address."""
    folder.mkdir()
    port = free_port()
    head = "user root;\n" if os.getuid() == 0 else ""  # workers must read what is root's
    config = folder / "nginx.conf"
    config.write_text(head + _NGINX.format(folder=folder, port=port, tree=tree))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([program, "-c", str(config), "-p", str(folder)])
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


class Copying(threading.Thread):
    """Copies a tree again and again until told to stop."""

    def __init__(self, source: Path, target: Path, *, rest_s: float) -> None:
        super().__init__(name=type(self).__name__, daemon=True)
        self.source = source
        self.target = target
        self.runs = 0
        self.longest_s = 0.0
        self.failures: list[str] = []
        self.stopping = threading.Event()
        self._rest_s = rest_s

    def run(self) -> None:
        while not self.stopping.wait(self._rest_s):
            began = time.monotonic()
            try:
                self.copy()
            except Exception as error:
                self.failures.append(f"{type(self).__name__}: {error}")
                return
            self.runs += 1
            self.longest_s = max(self.longest_s, time.monotonic() - began)

    def stop(self) -> None:
        """End after the present run."""
        self.stopping.set()
        self.join()

    def told(self) -> str:
        """Tell how often it ran, and for how long."""
        return f"{self.runs} runs of {self.longest_s:.1f} s at most"

    def copy(self) -> None:
        """Copy once."""
        raise NotImplementedError


class TwoStage(Copying):
    """A mirror by rsync that keeps the order which the published tree asks for."""

    def copy(self) -> None:
        self.target.mkdir(exist_ok=True)
        staging = self.target.with_name(f"{self.target.name}-pointers")
        shutil.rmtree(staging, ignore_errors=True)
        rsync("--relative", *(f"{self.source}/./{path}" for path in POINTERS), f"{staging}/")
        but_pointers = [f"--exclude=/{path}" for path in POINTERS]
        rsync(*but_pointers, "--delete", f"{self.source}/", f"{self.target}/")
        for path in POINTERS:
            (self.target / path).parent.mkdir(exist_ok=True)
            os.replace(staging / path, self.target / path)


class Naive(Copying):
    """A mirror by ``rsync -a --delete``, which knows nothing of pointers."""

    def copy(self) -> None:
        self.target.mkdir(exist_ok=True)
        rsync("--delete", f"{self.source}/", f"{self.target}/")


class Export:
    """``pyramid-pypi export --watch``, whose pointers come so long after what they name."""

    def __init__(self, server: Server, target: Path, *, lag_s: float) -> None:
        self.name = "Export"
        self.target = target
        self.failures: list[str] = []
        self._server = server
        self._lag_s = lag_s
        self._log = target.with_name(f"{target.name}.log")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Export:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def copy(self) -> None:
        """Export what stands now, without any lag: place it, then install its pointer."""
        for _ in range(2):
            done = subprocess.run(
                self._command("--once", "--lag", "0"),
                capture_output=True,
                text=True,
                cwd=ROOT,
                check=False,
            )
            if done.returncode:
                self.failures.append(f"export: {done.stdout}{done.stderr}")

    def start(self) -> None:
        """Go on exporting beside."""
        with self._log.open("wb") as sink:
            self._process = subprocess.Popen(
                self._command("--watch", "--lag", str(self._lag_s)),
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
            )

    def stop(self) -> None:
        """End it as an operator does."""
        assert self._process is not None
        if self._process.poll() is not None:
            self.failures.append(f"export ended: {self._log.read_text()[-500:]}")
        self._process.terminate()
        self._process.wait()

    def told(self) -> str:
        """Tell how many pointers it has shown."""
        shown = set(re.findall(r'"installed": (\d+)', self._log.read_text()))
        return f"{len(shown)} pointers, {self._lag_s:g} s after what they name"

    def _command(self, *options: str) -> list[str]:
        data = str(self._server.folder)
        return [PROGRAM, "export", str(self.target), *options, "--json", "--data", data]


def rsync(*arguments: str) -> None:
    """Copy by ``rsync -a``; that files vanished meanwhile is in order."""
    done = subprocess.run(
        ["rsync", "-a", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, _VANISHED):
        raise AssertionError(f"rsync ended with {done.returncode}: {done.stderr[-500:]}")


def _wait_for(port: int) -> None:
    ends = time.monotonic() + _START_S
    while True:
        try:
            with Client("127.0.0.1", port, "") as client:
                client.get("/")
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.02)
        else:
            return
