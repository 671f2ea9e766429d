"""``pyramid-pypi export`` and ``changes paths``, as an operator calls them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pyramid_pypi.cli.main import main
from pyramid_pypi.following.changed_paths import POINTERS
from pyramid_pypi.following.sources import FolderSource
from pyramid_pypi.following.trust import unsigned_pointer


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index") / "data"
    assert CliRunner().invoke(main, ["init", "--data", str(folder)]).exit_code == 0
    return folder


def call(*arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(word) for word in arguments])
    assert result.exit_code == status, result.output
    return result


def test_runs_once_and_tells_what_it_did(index: Path, tmp_path: Path) -> None:
    words = ("export", tmp_path / "export", "--data", index, "--json")
    first = json.loads(call(*words).stdout)
    assert (first["placed"], first["installed"], first["due_in_s"]) == (0, None, 300)
    assert not (tmp_path / "export/repodata/repomd.xml").exists()
    last = json.loads(call(*words, "--lag", "0").stdout)
    assert (last["installed"], last["due_in_s"]) == (0, None)
    shown = unsigned_pointer(FolderSource(tmp_path / "export"))
    assert shown.content == unsigned_pointer(FolderSource(index / "tree")).content


def test_watching_goes_on(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []

    def sleep(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    result = call("export", tmp_path / "export", "--watch", "--data", index, status=1)
    assert rests == [30, 30, 30]
    assert result.stdout.count("placed: 0") == 1


def test_refuses_what_cannot_be(index: Path, tmp_path: Path) -> None:
    export = tmp_path / "export"
    words = ("export", export, "--data", index)
    result = call(*words, "--keep", "10", status=2)
    assert "longer than the lag" in result.output
    export.mkdir()
    (export / "note").touch()
    assert "[export.unusable]" in call(*words, status=1).output
    assert "[export.incomplete]" in call("export", export, "--data", export, status=1).output


def test_prints_what_changed(index: Path, tmp_path: Path) -> None:
    words = ("changes", "paths", index / "tree", "--since")
    told = call(*words, "0").stdout.splitlines()
    assert told[-2:] == ["repodata/repomd.json", "tuf/timestamp.json"]
    assert len(told) == len(set(told))
    answer = json.loads(call(*words, tmp_path, "--json").stdout)
    assert answer == {"serial": 0, "paths": told}
    assert call(*words, "0", "--deleted").stdout == ""
    pointed = call(*words, "0", "--pointers", index / "tree").stdout.splitlines()
    assert pointed == [path for path in told if path not in POINTERS]
    for wrong in ((index / "tree", tmp_path / "none"), (tmp_path, "0")):
        result = call("changes", "paths", wrong[0], "--since", wrong[1], status=1)
        assert "[source.unreadable]" in result.output
