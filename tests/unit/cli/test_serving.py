"""``pyramid-pypi serve`` as scripts use it: a process, a port, a signal."""

from __future__ import annotations

import base64
import http.client
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import pyramid_pypi
from tests.distributions import wheel

PATIENCE_S = 30


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def start(folder: Path, port: int, *more: str) -> subprocess.Popen[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PYRAMID_PYPI_")}
    command = [sys.executable, "-m", "pyramid_pypi.cli", "serve", "--data", str(folder)]
    command += ["--host", "127.0.0.1", "--port", str(port), *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ)


def get(port: int, path: str, timeout_s: float = 10) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=timeout_s) as answer:
        content: bytes = answer.read()
        return content


def wait_until_ready(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read()
        try:
            get(port, "/simple/")
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
        else:
            return
    pytest.fail("the server did not become ready")


@contextmanager
def serving(folder: Path, port: int, *more: str) -> Iterator[subprocess.Popen[str]]:
    process = start(folder, port, *more)
    try:
        wait_until_ready(port, process)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def upload(port: int, token: str, version: str) -> int:
    boundary = "frontier"
    filename = f"demo-{version}-py3-none-any.whl"
    fields = {":action": "file_upload", "protocol_version": "1", "name": "demo"}
    parts = [
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in {**fields, "version": version, "filetype": "bdist_wheel"}.items()
    ]
    parts.append(
        f"--{boundary}\r\nContent-Disposition: form-data; "
        f'name="content"; filename="{filename}"\r\n\r\n'.encode()
    )
    body = b"".join(parts) + wheel("demo", version) + f"\r\n--{boundary}--\r\n".encode()
    secret = base64.b64encode(f"__token__:{token}".encode()).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/legacy/",
        data=body,
        headers={
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Authorization": f"Basic {secret}",
        },
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        status: int = answer.status
        return status


def test_from_an_empty_folder_to_an_upload_and_a_clean_end(tmp_path: Path) -> None:
    folder, port = tmp_path / "index", free_port()
    with serving(folder, port) as process:
        token_path = folder / "admin.token"
        assert stat.S_IMODE(token_path.stat().st_mode) == 0o600
        token = token_path.read_text().strip()

        assert upload(port, token, "1.0") == 200
        assert b"demo-1.0-py3-none-any.whl" in get(port, "/simple/demo/")
        assert f"http://127.0.0.1:{port}/packages/".encode() in get(port, "/pypi/demo/json")

        process.send_signal(signal.SIGTERM)
        _, talk = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, talk
    for told in (f"http://127.0.0.1:{port}/", str(folder), str(token_path)):
        assert told in talk
    assert token not in talk
    assert "Traceback" not in talk
    assert "Warning" not in talk


def test_a_second_start_keeps_token_and_files(tmp_path: Path) -> None:
    folder, port = tmp_path / "index", free_port()
    with serving(folder, port) as first:
        token = (folder / "admin.token").read_text().strip()
        upload(port, token, "1.0")
        first.kill()
        first.wait()
    with serving(folder, port):
        assert (folder / "admin.token").read_text().strip() == token
        assert b"demo-1.0-py3-none-any.whl" in get(port, "/simple/demo/")
        assert upload(port, token, "2.0") == 200


def test_a_request_in_progress_is_answered_before_the_end(tmp_path: Path) -> None:
    folder, port = tmp_path / "index", free_port()
    with serving(folder, port) as process:
        token = (folder / "admin.token").read_text().strip()
        statuses: list[int] = []
        uploads = [
            threading.Thread(target=lambda v=v: statuses.append(upload(port, token, v)))
            for v in ("1.0", "2.0", "3.0", "4.0")
        ]
        for each in uploads:
            each.start()
        while not statuses:
            time.sleep(0.001)
        process.send_signal(signal.SIGTERM)
        for each in uploads:
            each.join()
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    # Those that had not arrived whole are refused a connection; none hears a false 200.
    published = (folder / "tree/simple/demo/index.json").read_text()
    assert statuses
    assert set(statuses) == {200}
    assert published.count('"filename"') >= len(statuses)


def test_a_connection_outlives_an_answer_without_a_body(tmp_path: Path) -> None:
    port = free_port()
    with serving(tmp_path / "data", port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/simple/")
        answer = connection.getresponse()
        answer.read()
        etag = answer.headers["ETag"]
        used = connection.sock
        for _ in range(3):
            connection.request("GET", "/simple/", headers={"If-None-Match": etag})
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (304, b"")
            assert connection.sock is used
        connection.request(
            "GET", "/simple/", headers={"If-None-Match": etag, "Connection": "close"}
        )
        assert connection.getresponse().headers["Connection"] == "close"
        connection.close()


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nAccept: " + b"\t" * 8000 + b"x\r\n",
        b"GET http://[::1/simple/ HTTP/1.1\r\n",
        b"POST /legacy/ HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n",
    ],
    ids=["blanks", "address", "number"],
)
def test_a_malformed_head_is_answered_at_once(tmp_path: Path, head: bytes) -> None:
    """8,000 tabs took waitress a third of a second of its only loop, 200,000 minutes."""
    port = free_port()
    with (
        serving(tmp_path / "data", port),
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        connection.sendall(head + b"Host: 127.0.0.1\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.")


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        process = start(tmp_path / "index", port)
        _, talk = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert talk.startswith(f"pyramid-pypi: cannot listen on 127.0.0.1, port {port}")
    assert talk.count("\n") == 1
    assert not (tmp_path / "index").exists()


def test_unknown_settings_stop_the_start(tmp_path: Path) -> None:
    process = start(tmp_path / "index", 0, "--set", "server.thread=1")
    _, talk = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "did you mean 'server.threads'" in talk


def test_it_starts_while_postgresql_is_away(tmp_path: Path) -> None:
    folder, port = tmp_path / "index", free_port()
    with serving(folder, port):
        upload(port, (folder / "admin.token").read_text().strip(), "1.0")
    away = f"database.url=postgresql+psycopg://pypi@127.0.0.1:{free_port()}/pypi"
    with serving(folder, port, "--set", away, "--set", "database.timeout_s=1") as process:
        assert b"demo-1.0-py3-none-any.whl" in get(port, "/simple/demo/")
        with pytest.raises(urllib.error.HTTPError) as caught:
            upload(port, "ppi-any", "2.0")
        caught.value.close()
        assert caught.value.code == 503
        assert int(caught.value.headers["Retry-After"]) > 0
        process.send_signal(signal.SIGTERM)
        _, talk = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, talk


def test_pserve_serves_the_same_application(tmp_path: Path) -> None:
    top, port = Path(pyramid_pypi.__file__).parent.parent, free_port()
    text = (top / "development.ini").read_text().replace("6543", str(port))
    (tmp_path / "development.ini").write_text(text)
    process = subprocess.Popen(
        [sys.executable, "-m", "pyramid.scripts.pserve", str(tmp_path / "development.ini")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until_ready(port, process)
        token = (tmp_path / "data" / "admin.token").read_text().strip()
        assert upload(port, token, "1.0") == 200
        assert b"demo-1.0-py3-none-any.whl" in get(port, "/simple/demo/")
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def test_help_is_cheap() -> None:
    heavy = "{'sqlalchemy', 'pyramid', 'lxml', 'requests', 'alembic', 'waitress', 'rich'}"
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from pyramid_pypi.cli.main import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        f"sys.exit(sorted({heavy} & set(sys.modules)) or 0)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
