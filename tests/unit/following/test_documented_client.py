"""The client in docs/verifying.md, run as it stands there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pyramid_pypi
from pyramid_pypi.formats.simple_parse import read
from tests.static_trees import Origin

VERIFYING = Path(pyramid_pypi.__file__).parent.parent / "docs" / "verifying.md"


def client(tree: Path, name: str) -> subprocess.CompletedProcess[str]:
    (found,) = re.findall(r"```python\n(.*?)```", VERIFYING.read_text("utf-8"), re.DOTALL)
    assert len(found.splitlines()) <= 35
    return subprocess.run(
        [sys.executable, "-c", found, tree.as_uri(), name],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_verifies_a_project(busy: Origin, copy: Path) -> None:
    assert list((copy / "repodata/t").glob("*.json"))
    files = read((copy / "simple/large/index.json").read_bytes()).page.files
    serial = json.loads((copy / "repodata/repomd.json").read_bytes())["serial"]
    expected = [
        f"serial {serial}: large",
        *(f"{file.sha256} {file.filename}" for file in files),
    ]
    assert client(busy.tree, "large").stdout.splitlines() == expected
    # From the shadow, when the page shows the next version already.
    (copy / "simple/large/index.json").write_text("{}")
    assert client(copy, "large").stdout.splitlines() == expected
    shadows = list((copy / "simple/large/v").glob("*.json"))
    for shadow in shadows:
        shadow.write_text("{}")
    ended = client(copy, "large")
    assert ended.returncode == 1
    assert "begin again" in ended.stderr


def test_it_proves_that_a_project_is_not_there(busy: Origin) -> None:
    for number in range(20):
        ended = client(busy.tree, f"nobody-{number}")
        assert ended.stdout.endswith(f"there is no nobody-{number}\n"), ended.stderr
