"""``pyramid-pypi export`` and ``changes paths``, as an operator calls them."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from pyramid_pypi.cli.invocation import Invocation
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
    words = ("changes", "paths", index / "tree", "--since", tmp_path)
    result = call(*words)
    told = result.stdout.splitlines()
    assert "Nobody vouches" in result.stderr
    assert told[-2:] == ["repodata/repomd.json", "tuf/timestamp.json"]
    assert len(told) == len(set(told))
    root = index / "tree/tuf/1.root.json"
    trusted = call(*words, "--json", "--root", root, "--state", tmp_path / "seen")
    assert json.loads(trusted.stdout) == {"serial": 0, "paths": told}
    assert trusted.stderr == ""
    assert call(*words, "--deleted").stdout == ""
    pointed = call(*words, "--pointers", index / "tree").stdout.splitlines()
    assert pointed == [path for path in told if path not in POINTERS]
    for wrong in ((index / "tree", tmp_path / "none"), (tmp_path / "none", tmp_path)):
        result = call("changes", "paths", wrong[0], "--since", wrong[1], status=1)
        assert "[source.unreadable]" in result.output


def test_tells_nothing_of_a_tree_that_is_not_trusted(index: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(index / "tree", tmp_path / "copy"))
    (tmp_path / "root.json").write_text("{}")
    words = ("changes", "paths", copy, "--since", tmp_path)
    refused = call(*words, "--deleted", "--root", tmp_path / "root.json", status=1)
    assert "[trust.refused]" in refused.stderr
    assert refused.stdout == ""
    shutil.rmtree(copy / "tuf")
    assert "[trust.refused]" in call(*words, status=1).stderr
    assert call(*words, "--unsigned").stdout


def test_names_that_others_gave_do_not_reach_the_terminal() -> None:
    """A file name may hold what clears the screen, or what turns it around."""
    hostile = "a\x1b[2Jb\x9b2J\u202ec\ud800.whl"
    invocation = Invocation()
    for answer in ([{"path": hostile}], {"path": hostile}):
        told = shown(invocation, answer)
        assert "a\\x1b[2Jb\\x9b2J\\u202ec\\ud800.whl" in told
        assert "\x1b" not in told
    invocation.as_json = True
    told = shown(invocation, {"path": hostile, "fine": "Grüße"})
    assert json.loads(told) == {"path": hostile, "fine": "Grüße"}
    assert "Grüße" in told
    assert told.replace("\n", "").isprintable()
    assert shown(Invocation(), [{"path": "two\nlines"}]).count("\n") == 2


def shown(invocation: Invocation, answer: dict[str, Any] | list[dict[str, Any]]) -> str:
    @click.command()
    def show() -> None:
        invocation.show(answer)
        invocation.say("said \x1b[2J")

    result = CliRunner().invoke(show, [])
    assert result.exit_code == 0, result.output
    assert result.stderr == "said \\x1b[2J\n"
    return result.stdout
