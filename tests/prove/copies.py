"""Places where a published tree is read: nginx on it, and mirrors that rsync makes of it.

- `TwoStage`: a mirror that takes the pointers first, then all else, and installs the
  pointers last.
- `Lagged`: an export whose pointers come so many seconds after what they name, for
- `Naive`: a mirror that knows nothing, and runs ``rsync -a --delete`` again and again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.prove.serving import free_port
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

    def end(self) -> None:
        """Stop, and copy once more what stands now."""
        self.stopping.set()
        self.join()
        self.copy()

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


class Lagged(Copying):
    """An export by rsync whose pointers come `lag_s` after everything that they name.

    Nothing is removed from it: how long to keep what is superseded is not the question.
    """

    lag_s = 0.0

    def copy(self) -> None:
        self.target.mkdir(exist_ok=True)
        pointers = {path: (self.source / path).read_bytes() for path in POINTERS}
        but_pointers = [f"--exclude=/{path}" for path in POINTERS]
        rsync(*but_pointers, f"{self.source}/", f"{self.target}/")
        self.stopping.wait(self.lag_s)
        for path, content in pointers.items():
            (self.target / path).parent.mkdir(exist_ok=True)
            temporary = self.target.with_name(f"{self.target.name}-pointer")
            temporary.write_bytes(content)
            os.replace(temporary, self.target / path)


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
            Client("127.0.0.1", port, "").get("/")
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.02)
        else:
            return
