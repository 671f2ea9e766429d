"""The lines of docs/api.md that people type, typed."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

import pyramid_pypi
from tests.conftest import unavailable
from tests.distributions import wheel
from tests.functional.conftest import Client

API = Path(pyramid_pypi.__file__).parent.parent / "docs" / "api.md"
ADDRESS = "http://127.0.0.1:6543"

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class _Silent(WSGIRequestHandler):
    def log_message(self, *_args: Any) -> None:
        pass


@pytest.fixture
def address(wsgi: Any) -> Iterator[str]:
    with make_server("127.0.0.1", 0, wsgi, handler_class=_Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_every_line_works(client: Client, address: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        unavailable("curl is not installed")
    client.upload()
    for folder in ("data", "dist"):
        (tmp_path / folder).mkdir()
    (tmp_path / "data/admin.token").write_text(client.token + "\n")
    (tmp_path / "dist/demo-1.0-py3-none-any.whl").write_bytes(wheel("demo", "1.0"))
    (tmp_path / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    lines = re.findall(r"^ {4}(.*)$", API.read_text(), re.MULTILINE)
    script = "\n".join(lines).replace(ADDRESS, address)
    assert script.count("curl ") >= 6
    assert address in script

    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "demo-1.0-py3-none-any.whl is here already" in ended.stdout
    shown = client.get("/projects/demo/status").json
    assert shown == {"name": "demo", "status": "archived", "reason": "use demo2"}


def test_the_upload_makes_a_project(client: Client, address: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        unavailable("curl is not installed")
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/demo-1.0-py3-none-any.whl").write_bytes(wheel("demo", "1.0"))
    (found,) = re.findall(r"^ {4}(curl -u [^\n]*\\\n[^\n]*)$", API.read_text(), re.MULTILINE)

    subprocess.run(
        ["bash", "-euc", found.replace("curl", "curl --fail-with-body", 1)],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "INDEX": address, "TOKEN": client.token},
        capture_output=True,
        timeout=60,
        check=True,
    )
    client.get("/simple/demo/")
