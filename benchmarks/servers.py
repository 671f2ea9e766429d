"""The servers that are measured: ours, the floor, nginx on our tree, and the peers.

Each listens on a free port of 127.0.0.1 and ends with the harness.  Peers live in virtual
environments of their own (README.md says how to make them); one that is absent is left out.
"""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from measuring import SERVER_CORES, MeasurementFailed

HTML = "text/html"
JSON = "application/vnd.pypi.simple.v1+json"
PEERS = ("proxpi", "pypicloud", "pypiserver")
THREADS = 8  # what our `serve` starts; each waitress here gets as many
SITE = "site.public_url=http://127.0.0.1"
"""Ours: fixed, because another address (here: another port) writes all documents anew."""

pinned = True
"""Whether servers are kept on `SERVER_CORES`."""

_HERE = Path(__file__).resolve().parent
_START_S = 120
_BIN = Path(sys.executable).parent


@dataclass
class Server:
    """A running server."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    simple: str = "/simple/"
    upload: str = ""
    user: str = ""
    password: str = ""
    pids_behind: list[int] = field(default_factory=list)
    """Processes of another server that this one asks, and whose CPU counts as its own."""

    @property
    def pids(self) -> list[int]:
        return [self.process.pid, *self.pids_behind]

    def page(self, project: str) -> str:
        return f"{self.url}{self.simple}{project}/"

    def file(self, project: str, filename: str) -> str:
        """Return the address of a file, as the project's page says it."""
        _, _, body = get(self.page(project))
        found = re.search(rf'href="([^"#]*{re.escape(filename)})[#"]', body.decode())
        if found is None:
            raise MeasurementFailed(f"{self.name} does not list {filename}")
        return str(urljoin(self.page(project), found[1]))


def get(url: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    """Return status, headers and body of `url`; names in `headers` have _ for -."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        named = {"Accept": HTML}  # proxpi answers 406 without
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", parts.path, headers=named)
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def peer_program(peers: Path, peer: str, program: str) -> Path | None:
    """Return the `program` of a peer's environment, None where it is not installed."""
    path = peers / peer / "bin" / program
    return path if path.exists() else None


@contextmanager
def ours(data: Path, *settings: str) -> Iterator[Server]:
    port = _free_port()
    command = [str(_BIN / "pyramid-pypi"), "serve", "--data", str(data)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--threads", str(THREADS)]
    for setting in (SITE, *settings):
        command += ["--set", setting]
    with _running("ours", port, command, data.parent / "ours.log") as server:
        server.upload, server.user = "/legacy/", "__token__"
        server.password = (data / "admin.token").read_text().strip()
        yield server


@contextmanager
def floor(data: Path) -> Iterator[Server]:
    port = _free_port()
    command = [sys.executable, str(_HERE / "floor.py"), str(data / "tree"), str(port)]
    with _running("floor", port, [*command, str(THREADS)], data.parent / "floor.log") as server:
        yield server


_NGINX = """
worker_processes 2;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000;
    types {{ }}
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_accept $extension {{
        default html;
        "~application/vnd\\.pypi\\.simple\\.v1\\+json" json;
    }}
    server {{
        listen 127.0.0.1:{port};
        root {tree};
        location /simple/ {{
            gzip_static on;
            types {{ text/html html; application/vnd.pypi.simple.v1+json json; }}
            add_header Vary "Accept, Accept-Encoding";
            rewrite "^(?<folder>/simple/(?:[a-z0-9-]+/)?)$" ${{folder}}index.$extension break;
        }}
        location /packages/ {{ default_type application/octet-stream; }}
    }}
    {proxies}
}}
"""
_PROXY = """
    upstream behind_{port} {{ server {behind}; keepalive 32; }}
    server {{
        listen 127.0.0.1:{port};
        location /+tree/ {{ internal; alias {tree}/; default_type application/octet-stream; }}
        location / {{
            proxy_pass http://behind_{port};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Accel yes;
        }}
    }}
"""


@contextmanager
def nginx(data: Path, *behind: Server) -> Iterator[list[Server]]:
    """Serve the tree of `data`; and, as proxy with X-Accel-Redirect, each of `behind`.

    Yields the plain server first, then a proxy for each of `behind`, in order.
    """
    folder = data.parent / "nginx"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    port, ports = _free_port(), [_free_port() for _ in behind]
    tree = (data / "tree").resolve()
    proxies = "".join(
        _PROXY.format(port=at, tree=tree, behind=urlsplit(server.url).netloc)
        for at, server in zip(ports, behind, strict=True)
    )
    # Workers must read the tree, so root's stay root's.
    head = "user root;\n" if os.getuid() == 0 else ""
    text = head + _NGINX.format(folder=folder, port=port, tree=tree, proxies=proxies)
    (folder / "nginx.conf").write_text(text)
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    command = [program, "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    with _running("nginx", port, command, folder / "log") as plain:
        yield [
            plain,
            *(
                Server(
                    f"nginx+{server.name}",
                    f"http://127.0.0.1:{at}",
                    plain.process,
                    pids_behind=server.pids,
                )
                for at, server in zip(ports, behind, strict=True)
            ),
        ]


@contextmanager
def proxpi(peers: Path, work: Path, upstream: Server) -> Iterator[Server]:
    """proxpi before nginx on our tree, its index cache never stale."""
    port = _free_port()
    command = [str(peers / "proxpi/bin/gunicorn"), "--worker-class", "gthread"]
    command += ["--workers", "1", "--threads", "8", "--bind", f"127.0.0.1:{port}"]
    environment = {
        "PROXPI_INDEX_URL": upstream.url + "/simple/",
        "PROXPI_INDEX_TTL": "36000",
        "PROXPI_CACHE_DIR": str(work / "proxpi-cache"),
    }
    log = work / "proxpi.log"
    command.append("proxpi.server:app")
    with _running("proxpi", port, command, log, environment, path="/index/") as server:
        server.simple = "/index/"
        yield server


@contextmanager
def pypiserver(peers: Path, work: Path, corpus: Path) -> Iterator[Server]:
    """pypiserver on the corpus, on waitress (its `auto`); everybody may upload."""
    folder = work / f"pypiserver-{corpus.name}"
    if not folder.exists():
        shutil.copytree(corpus, folder, copy_function=os.link)
    port = _free_port()
    command = [str(peers / "pypiserver/bin/pypi-server"), "run", "-i", "127.0.0.1"]
    command += ["-p", str(port), "--server", "auto", "--disable-fallback"]
    command += ["-P", ".", "-a", ".", str(folder)]
    with _running("pypiserver", port, command, work / "pypiserver.log", path="/") as server:
        server.upload = "/"
        yield server


_PYPICLOUD = """
[app:main]
use = egg:pypicloud
pypi.default_read = everyone
pypi.default_write = everyone
pypi.fallback = none
pypi.storage = file
storage.dir = {folder}/files
db.url = sqlite:///{folder}/db.sqlite
session.encrypt_key = 6nLgzlMV0a5Ii0Yl3jC7VqJYFxYQmBkYd4bVkQn2U5s=
session.validate_key = 6nLgzlMV0a5Ii0Yl3jC7VqJYFxYQmBkYd4bVkQn2U5s=
session.secure = False
[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = {port}
threads = {threads}
"""


@contextmanager
def pypicloud(peers: Path, work: Path, corpus: Path) -> Iterator[Server]:
    """pypicloud on the corpus, files in a folder, rows in SQLite; everybody may upload."""
    folder = work / f"pypicloud-{corpus.name}"
    if not folder.exists():
        _lay_out_for_pypicloud(corpus, folder)
    port = _free_port()
    ini = folder / "server.ini"
    ini.write_text(_PYPICLOUD.format(folder=folder.resolve(), port=port, threads=THREADS))
    command = [str(peers / "pypicloud/bin/pserve"), str(ini)]
    log = work / "pypicloud.log"
    with _running("pypicloud", port, command, log) as server:
        server.upload = "/simple/"
        yield server


def _lay_out_for_pypicloud(corpus: Path, folder: Path) -> None:
    building = folder.with_name(folder.name + ".new")
    shutil.rmtree(building, ignore_errors=True)
    for project in corpus.iterdir():
        for path in project.iterdir():
            version = path.name.removesuffix(".tar.gz").split("-")[1]
            target = building / "files" / project.name / version / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)
    building.rename(folder)


@contextmanager
def _running(
    name: str,
    port: int,
    command: list[str],
    log: Path,
    environment: dict[str, str] | None = None,
    path: str = "/simple/",
) -> Iterator[Server]:
    """Start `command`, wait until it answers, and end it with the block."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, env=os.environ | (environment or {})
        )
        # Before it has made threads or children, who inherit it.
        if pinned:
            os.sched_setaffinity(process.pid, SERVER_CORES)
    server = Server(name, f"http://127.0.0.1:{port}", process)
    try:
        _wait(server, path, log)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(server: Server, path: str, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        try:
            status, _, _ = get(server.url + path)
        except OSError:
            time.sleep(0.01)
            continue
        if status == 200:
            return
        raise MeasurementFailed(f"{server.name} answers {status}; see {log}")
    raise MeasurementFailed(f"{server.name} did not start; see {log}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
