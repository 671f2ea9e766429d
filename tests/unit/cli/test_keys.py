"""``pyramid-pypi keys``, and what the doctor says of keys."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pyramid_pypi.cli.main import main
from pyramid_pypi.publishing.ceremony import Ceremony
from pyramid_pypi.publishing.keys import Keyring
from pyramid_pypi.publishing.turns import Turn

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def run(folder: Path) -> Run:
    def call(*arguments: str, status: int = 0) -> Result:
        result = CliRunner().invoke(main, [*arguments, "--data", str(folder)])
        assert result.exit_code == status, result.output
        return result

    return call


def rows(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def ids(result: Result, role: str) -> set[str]:
    return {row["key"] for row in rows(result) if row["role"] == role}


class TestInit:
    def test_makes_keys_once(self, run: Run, folder: Path) -> None:
        first = run("keys", "init", "--json")
        assert [row["role"] for row in rows(first)] == ["root"] * 3 + ["targets"] * 2 + [
            "online"
        ]
        assert (folder / "tree/tuf/1.root.json").exists()
        assert rows(run("keys", "init", "--json")) == rows(first)
        assert "5 offline keys lie in" in first.stderr

    def test_puts_offline_keys_elsewhere(self, run: Run, folder: Path, tmp_path: Path) -> None:
        stick = tmp_path / "stick"
        stick.mkdir()
        run("keys", "init", "--offline-dir", str(stick))
        assert len(list(stick.glob("*.pem"))) == 5
        assert not (folder / "keys" / "offline").exists()
        shown = run("keys", "status", "--json")
        assert [row["secret"] is None for row in rows(shown)] == [True] * 5 + [False]
        shown = run("keys", "status", "--json", "--offline-dir", str(stick))
        assert all(row["secret"] for row in rows(shown))

    def test_not_into_the_tree(self, run: Run, folder: Path) -> None:
        (folder / "tree").mkdir(parents=True)
        refused = run("keys", "init", "--offline-dir", str(folder / "tree"), status=1)
        assert "[keys.unusable]" in refused.stderr
        assert not list(folder.rglob("*.pem"))


class TestRotate:
    @pytest.mark.parametrize(("role", "count"), [("online", 1), ("targets", 2), ("root", 3)])
    def test_new_keys_and_none_of_the_old(self, run: Run, role: str, count: int) -> None:
        before = run("keys", "init", "--json")
        after = run("keys", "rotate", role, "--yes", "--json")
        assert len(ids(after, role)) == count
        assert not ids(after, role) & ids(before, role)
        assert after.stderr.count("Removed ") == count
        assert all(row["secret"] for row in rows(after))

    def test_asks_first(self, run: Run, folder: Path) -> None:
        run("keys", "init")
        before = sorted(folder.rglob("*"))
        result = CliRunner().invoke(
            main, ["keys", "rotate", "root", "--data", str(folder)], input="n\n"
        )
        assert result.exit_code == 1
        assert "for good?" in result.stderr
        assert sorted(folder.rglob("*")) == before

    def test_takes_the_offline_keys(self, run: Run, folder: Path, tmp_path: Path) -> None:
        run("keys", "init")
        stick = tmp_path / "stick"
        (folder / "keys" / "offline").rename(stick)
        refused = run("keys", "rotate", "online", "--yes", status=1)
        assert "root takes 2 of its 3 keys, and 0 can be found [keys.away]" in refused.stderr
        run("keys", "rotate", "online", "--yes", "--offline-dir", str(stick))
        run("keys", "rotate", "root", "--yes", "--offline-dir", str(stick))
        assert len(list(stick.glob("root-*.pem"))) == 3
        assert not (folder / "keys" / "offline").exists()

    def test_waits_for_whoever_shows_a_pointer(self, run: Run, folder: Path) -> None:
        run("keys", "init")
        arguments = ["keys", "rotate", "root", "--yes", "--data", str(folder)]
        with ThreadPoolExecutor() as pool:
            with Turn(folder / "repository.lock").taken():
                waiting = pool.submit(CliRunner().invoke, main, arguments)
                with pytest.raises(TimeoutError):
                    waiting.result(timeout=0.5)
                assert not (folder / "keys/signed/2.root.json").exists()
            assert waiting.result(timeout=60).exit_code == 0
        assert (folder / "keys/signed/2.root.json").exists()

    def test_before_there_are_any(self, run: Run) -> None:
        assert "there are none" in run("keys", "rotate", "root", "--yes", status=1).stderr


class TestSign:
    def test_for_another_year(self, run: Run, folder: Path) -> None:
        old = datetime.now(UTC) - timedelta(days=340)
        Ceremony(Keyring(folder / "keys"), lambda: old).begin()
        told = run("keys", "status", status=3)
        assert "Root expires on" in told.stderr
        signed = run("keys", "sign")
        assert "Signed for another year: targets and root." in signed.stderr
        assert (folder / "tree/tuf/2.targets.json").exists()
        assert "expires on" not in run("keys", "status").stderr


class TestStatus:
    def test_of_nothing(self, run: Run, folder: Path) -> None:
        told = run("keys", "status")
        assert told.stdout == ""
        assert told.stderr.startswith("There are no keys yet")
        assert not folder.exists()

    def test_of_keys_that_were_lost(self, run: Run, folder: Path) -> None:
        run("keys", "init")
        shutil.rmtree(folder / "keys")
        told = run("keys", "status", status=3)
        assert told.stderr.startswith("The tree is signed, but")
        assert "[keys.unusable]" in run("keys", "init", status=1).stderr
        assert not (folder / "keys").exists()

    def test_a_charter_that_cannot_be_read(self, run: Run, folder: Path) -> None:
        run("keys", "init")
        (folder / "keys/signed/1.root.json").write_text("{}")
        assert "[keys.unusable]" in run("keys", "status", status=1).stderr


class TestDoctor:
    @staticmethod
    def seen(result: Result) -> dict[str, Any]:
        return next(row for row in rows(result) if row["check"] == "signing keys")

    def test_offline_keys_beside_the_index_are_advised_against(
        self, run: Run, folder: Path
    ) -> None:
        run("keys", "init")
        seen = self.seen(run("doctor", "--json", status=3))
        assert seen["good"]
        assert "advice: 5 offline keys lie in" in seen["detail"]
        for path in (folder / "keys" / "offline").iterdir():
            path.unlink()
        assert self.seen(run("doctor", "--json", status=3))["detail"] == "6 keys"

    def test_expiries_near(self, run: Run, folder: Path) -> None:
        old = datetime.now(UTC) - timedelta(days=340)
        Ceremony(Keyring(folder / "keys"), lambda: old).begin()
        seen = self.seen(run("doctor", "--json", status=3))
        assert not seen["good"]
        assert "root expires on" in seen["detail"]

    def test_signing_is_off(self, run: Run) -> None:
        off = ("doctor", "--json", "--set", "signing.enabled=no")
        assert self.seen(run(*off, status=3))["good"]
