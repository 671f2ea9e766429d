"""The verbs, run in this process against real data folders."""

from __future__ import annotations

import json
import socket
import sqlite3
import stat
import tomllib
from collections.abc import Callable
from configparser import ConfigParser
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pyramid_pypi.cli.main import VERBS, main
from pyramid_pypi.formats import simple
from pyramid_pypi.storage.blobs import Blobs
from pyramid_pypi.values.digests import sha256_hex
from tests.distributions import sdist, wheel

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call the command line on the data folder; the exit status is asserted.

    Nobody answers at the address taken for the index's, whoever serves on this machine.
    """
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    monkeypatch.setattr("pyramid_pypi.environment._DEFAULT_ADDRESS", address)

    def call(*arguments: str, status: int = 0) -> Result:
        result = CliRunner().invoke(main, [*arguments, "--data", str(folder)])
        assert result.exit_code == status, result.output
        return result

    return call


@pytest.fixture
def index(run: Run, folder: Path, tmp_path: Path) -> Path:
    """A data folder with two releases of `demo`."""
    run("init")
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    for version in ("1.0", "2.0"):
        (incoming / f"demo-{version}-py3-none-any.whl").write_bytes(wheel("demo", version))
    (incoming / "demo-2.0.tar.gz").write_bytes(sdist("demo", "2.0"))
    run("import", "dir", str(incoming))
    return folder


def data(result: Result) -> Any:
    return json.loads(result.stdout)


def page(folder: Path, name: str = "demo") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"tree/simple/{name}/index.json").read_bytes())
    return found


class TestInit:
    def test_makes_folder_token_and_lists(self, run: Run, folder: Path) -> None:
        shown = data(run("init", "--json"))

        token = folder / "admin.token"
        assert shown == {"data": str(folder), "admin_token": str(token)}
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        assert token.read_text().startswith("ppi-")
        listed = (folder / "tree/simple/index.json").read_bytes()
        assert simple.serial_of(listed) == 0

    def test_again_changes_nothing(self, run: Run, folder: Path) -> None:
        run("init")
        before = (folder / "admin.token").read_text()
        run("init")
        assert (folder / "admin.token").read_text() == before

    def test_verbs_refuse_a_folder_that_is_no_index(self, run: Run, folder: Path) -> None:
        result = run("token", "list", status=1)
        assert "[index.not-prepared]" in result.stderr
        assert result.stdout == ""
        assert not folder.exists()

    def test_an_empty_database_is_no_index_either(self, run: Run, folder: Path) -> None:
        folder.mkdir()
        (folder / "index.sqlite").touch()
        assert "[index.not-prepared]" in run("token", "list", status=1).stderr


class TestDatabase:
    def test_check_finds_an_old_schema(self, run: Run, folder: Path) -> None:
        folder.mkdir()
        (folder / "index.sqlite").touch()
        assert data(run("db", "check", "--json", status=3))["current"] is None

    def test_upgrade(self, run: Run) -> None:
        assert "newest now" in run("db", "upgrade").stderr
        assert "already" in run("db", "upgrade").stderr
        shown = data(run("db", "check", "--json"))
        assert shown["current"] == shown["newest"]


class TestPeople:
    def test_a_token_from_birth_to_end(self, run: Run) -> None:
        run("init")
        run("user", "add", "alice", "--email", "alice@example.org")
        made = data(
            run("token", "create", "alice", "--project", "Demo.Pkg", "--days", "2", "--json")
        )
        assert made["secret"].startswith("ppi-")
        assert (made["scopes"], made["projects"]) == (["upload"], ["demo-pkg"])

        run("token", "revoke", str(made["id"]))

        (listed,) = data(run("token", "list", "--user", "alice", "--json"))
        assert listed["state"] == "revoked"
        assert "secret" not in listed

    def test_the_secret_is_all_of_standard_output(self, run: Run) -> None:
        run("init")
        result = run("token", "create", "admin")
        assert result.stdout.startswith("ppi-")
        assert result.stdout.count("\n") == 1

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (["user", "add", "admin"], "user.exists"),
            (["user", "add", "No One"], "request.bad-value"),
            (["token", "create", "nobody"], "user.missing"),
            (["token", "revoke", "99"], "token.missing"),
        ],
    )
    def test_refusals_are_one_line(self, run: Run, arguments: list[str], code: str) -> None:
        run("init")
        result = run(*arguments, status=1)
        assert result.stderr.count("\n") == 1
        assert f"[{code}]" in result.stderr


class TestImport:
    def test_what_was_imported_is_published(self, index: Path) -> None:
        assert [file["filename"] for file in page(index)["files"]] == [
            "demo-1.0-py3-none-any.whl",
            "demo-2.0-py3-none-any.whl",
            "demo-2.0.tar.gz",
        ]
        assert (
            json.loads((index / "tree/pypi/demo/json").read_bytes())["info"]["name"] == "demo"
        )
        assert list((index / "spool").iterdir()) == []

    def test_again_skips_all(self, index: Path, run: Run, tmp_path: Path) -> None:
        result = run("import", "dir", str(tmp_path / "incoming"), "--json")
        assert data(result) == {"added": 0, "present": 3, "refused": []}

    def test_bad_files_are_listed_and_the_others_taken(
        self, index: Path, run: Run, tmp_path: Path
    ) -> None:
        more = tmp_path / "more"
        (more / "deep").mkdir(parents=True)
        (more / "demo-3.0-py3-none-any.whl").write_bytes(b"no zip at all")
        (more / "demo-1.0-py3-none-any.whl").write_bytes(
            wheel(metadata_lines=["Summary: Other"])
        )
        (more / "deep" / "demo-4.0-py3-none-any.whl").write_bytes(wheel("demo", "4.0"))
        (more / "json-1.0-py3-none-any.whl").write_bytes(wheel("json", "1.0"))
        (more / "readme.txt").write_text("not looked at")

        result = data(run("import", "dir", str(more), "--json", status=1))

        assert (result["added"], result["present"]) == (1, 0)
        codes = {Path(row["path"]).name: row["code"] for row in result["refused"]}
        assert codes["demo-1.0-py3-none-any.whl"] == "file.exists"
        assert codes["json-1.0-py3-none-any.whl"] == "project.name-prohibited"
        assert codes["demo-3.0-py3-none-any.whl"].startswith("upload.")
        assert "4.0" in page(index)["versions"]
        assert list((index / "spool").iterdir()) == []
        with pytest.raises(FileNotFoundError):
            page(index, "json")

    def test_bytes_of_a_killed_import_are_cleared_first(
        self, index: Path, run: Run, tmp_path: Path
    ) -> None:
        store = Blobs(index / "tree", index / "spool", index / "blobs.lock")
        spooled = store.new_spool_path()
        spooled.write_bytes(b"lost")
        store.keep(spooled, sha256_hex(b"lost"), "lost-1.tar.gz", None)
        (tmp_path / "nothing").mkdir()
        run("import", "dir", str(tmp_path / "nothing"))
        assert store.doubted() == {}
        assert not store.holds(sha256_hex(b"lost"), "lost-1.tar.gz")


class TestProject:
    def test_yank_and_unyank_a_release(self, index: Path, run: Run) -> None:
        run("project", "yank", "Demo", "2.0", "--reason", "broken")
        assert [file["yanked"] for file in page(index)["files"]] == [False, "broken", "broken"]
        run("project", "unyank", "demo", "2.0")
        assert not any(file["yanked"] for file in page(index)["files"])

    def test_yank_one_file(self, index: Path, run: Run) -> None:
        run("project", "yank", "demo", "--file", "demo-2.0.tar.gz")
        assert [file["yanked"] for file in page(index)["files"]] == [False, False, True]

    def test_release_or_file_is_asked_for(self, index: Path, run: Run) -> None:
        run("project", "yank", "demo", status=2)
        run("project", "yank", "demo", "2.0", "--file", "demo-2.0.tar.gz", status=2)

    def test_delete_asks_first(self, index: Path, run: Run) -> None:
        run("project", "delete", "demo", "2.0", status=1)
        assert page(index)["versions"] == ["1.0", "2.0"]
        run("project", "delete", "demo", "2.0", "--yes")
        assert page(index)["versions"] == ["1.0"]
        run("project", "delete", "demo", "--yes")
        assert not (index / "tree/simple/demo/index.json").exists()

    def test_delete_finds_what_contradicts_before_it_asks(self, index: Path, run: Run) -> None:
        both = ["project", "delete", "demo", "2.0", "--file", "demo-2.0.tar.gz"]
        assert "Delete" not in run(*both, status=2).output
        assert page(index)["versions"] == ["1.0", "2.0"]

    def test_status(self, index: Path, run: Run) -> None:
        run("project", "status", "demo", "archived", "--reason", "use demo2")
        shown = data(run("project", "status", "demo", "--json"))
        assert shown == {"status": "archived", "reason": "use demo2"}
        assert page(index)["project-status"]["status"] == "archived"

    def test_roles(self, index: Path, run: Run) -> None:
        run("user", "add", "alice")
        shown = data(run("project", "roles", "demo", "--give", "alice", "owner", "--json"))
        assert shown == [{"user": "alice", "role": "owner"}]
        assert (
            "[role.last-owner]"
            in run("project", "roles", "demo", "--take", "alice", status=1).stderr
        )
        wrong = run("project", "roles", "demo", "--give", "alice", "king", status=2)
        assert "'king' is not one of" in wrong.stderr


class TestTree:
    def test_publish_rebuilds_what_was_lost(self, index: Path, run: Run) -> None:
        lost = index / "tree/simple/demo/index.html"
        before = lost.read_bytes()
        lost.write_bytes(b"something else")
        shown = data(run("publish", "--rebuild", "--json"))
        assert lost.read_bytes() == before
        assert shown["published"] == shown["newest"] > 0
        assert shown["failures"] == []

    def test_fsck_finds_and_repairs(self, index: Path, run: Run) -> None:
        assert data(run("fsck", "--json")) == []
        (index / "tree/simple/demo/index.html").write_bytes(b"something else")

        found = data(run("fsck", "--json", status=3))
        assert {"document-wrong"} == {finding["fault"] for finding in found}

        assert all(row["repaired"] for row in data(run("fsck", "--repair", "--json")))
        assert data(run("fsck", "--json")) == []

    def test_fsck_cannot_repair_a_lost_file(self, index: Path, run: Run) -> None:
        (lost,) = index.glob("tree/packages/*/*/*/demo-2.0.tar.gz")
        lost.unlink()
        found = data(run("fsck", "--repair", "--json", status=3))
        assert [row["fault"] for row in found if not row["repaired"]] == ["file-missing"]

    @pytest.mark.parametrize(
        "act",
        [["project", "yank", "demo", "1.0"], ["publish"], ["publish", "--rebuild"]],
        ids=" ".join,
    )
    def test_an_older_database_is_followed(
        self, index: Path, run: Run, tmp_path: Path, act: list[str]
    ) -> None:
        def copy(source: Path, target: Path) -> None:
            with (
                closing(sqlite3.connect(source)) as old,
                closing(sqlite3.connect(target)) as new,
            ):
                old.backup(new)

        copy(index / "index.sqlite", tmp_path / "backup")
        run("project", "yank", "demo", "2.0")
        assert len([file for file in page(index)["files"] if file["yanked"]]) == 2
        copy(tmp_path / "backup", index / "index.sqlite")
        run(*act)
        yanked = {file["filename"] for file in page(index)["files"] if file["yanked"]}
        assert yanked == ({"demo-1.0-py3-none-any.whl"} if act[0] == "project" else set())
        run("fsck")

    def test_to_look_changes_nothing(self, index: Path, run: Run) -> None:
        def folder() -> dict[Path, int]:
            return {
                path: path.stat().st_mtime_ns
                for path in index.rglob("*")
                if not path.name.startswith("index.sqlite") and path.suffix != ".lock"
            }

        run("fsck")
        (index / "spool" / "half").write_bytes(b"of an upload")
        before = folder()
        run("fsck")
        run("doctor", status=3)
        assert folder() == before


class TestConfig:
    def test_show_masks_secrets(self, run: Run) -> None:
        url = "postgresql+psycopg://u:hunter2@127.0.0.1/d"
        result = run("config", "show", "--json", "--set", f"database.url={url}")
        assert "hunter2" not in result.output
        shown = data(result)
        assert shown["database.url"] == "(set, not shown)"
        assert shown["server.threads"] == 8

    def test_check(self, run: Run) -> None:
        assert data(run("config", "check", "--json")) == {"usable": True}
        shown = data(run("config", "check", "--json", "--set", "server.thread=1", status=3))
        assert shown["code"] == "settings.invalid"
        assert "server.threads" in shown["detail"]

    @pytest.mark.parametrize(
        "setting", ["database.url=postgres://u:hunter2@h", "site.public_url=pypi.example.org"]
    )
    def test_addresses_that_cannot_be_used(self, run: Run, setting: str) -> None:
        shown = data(run("config", "check", "--json", "--set", setting, status=3))
        assert shown["detail"].startswith(setting.partition("=")[0])
        refused = run("init", "--set", setting, status=1)
        assert refused.stderr.count("\n") == 1
        assert "hunter2" not in shown["detail"] + refused.output

    def test_an_ini_file_with_here(self, run: Run, tmp_path: Path) -> None:
        ini = tmp_path / "index.ini"
        ini.write_text("[app:main]\nuse = egg:pyramid_pypi\nsite.title = %(here)s\n")
        shown = data(run("config", "show", "--json", "--config", str(ini)))
        assert shown["site.title"] == str(tmp_path)

    @pytest.mark.parametrize("text", ["[server:main]\n", "no section\n", "\xff"])
    def test_ini_files_that_cannot_be_used(self, run: Run, tmp_path: Path, text: str) -> None:
        ini = tmp_path / "bad.ini"
        ini.write_bytes(text.encode("latin-1"))
        result = run("config", "show", "--config", str(ini), status=1)
        assert "[settings.invalid]" in result.stderr

    def test_options_stand_before_or_after_the_verb(self) -> None:
        for arguments in (
            ["--json", "--set", "site.title=A", "config", "show"],
            ["config", "show", "--json", "--set", "site.title=A"],
        ):
            result = CliRunner().invoke(main, arguments)
            assert json.loads(result.stdout)["site.title"] == "A"


class TestDoctor:
    def test_an_index_that_does_not_run(self, index: Path, run: Run) -> None:
        run("publish")
        rows = data(run("doctor", "--json", status=3))
        assert {row["check"] for row in rows if not row["good"]} <= {
            "address",
            "server",
            "disk",
        }

    def test_a_token_that_others_can_read(self, index: Path, run: Run) -> None:
        (index / "admin.token").chmod(0o644)
        rows = {row["check"]: row for row in data(run("doctor", "--json", status=3))}
        assert not rows["token file"]["good"]

    def test_no_folder(self, run: Run, folder: Path) -> None:
        rows = {row["check"]: row["good"] for row in data(run("doctor", "--json", status=3))}
        assert not rows["data folder"]
        assert not rows["disk"]
        assert not folder.exists()


class TestClient:
    def test_setup_names_one_index_only(self, run: Run) -> None:
        result = run("client", "setup", "--set", "site.public_url=https://p.example")
        assert "index-url = https://p.example/simple/" in result.stdout
        assert "https://p.example/legacy/" in result.stdout
        assert "extra-index" not in result.stdout

    def test_one_tool(self, run: Run) -> None:
        assert set(data(run("client", "setup", "--uv", "--json"))) == {"uv"}

    def test_the_blocks_are_what_the_tools_read(self, run: Run) -> None:
        shown = data(
            run("client", "setup", "--json", "--set", "site.public_url=https://p.example")
        )
        (index,) = tomllib.loads(shown["uv"])["index"]
        assert index == {
            "name": "here",
            "url": "https://p.example/simple/",
            "publish-url": "https://p.example/legacy/",
            "default": True,
        }
        pypirc = ConfigParser()
        pypirc.read_string(shown["twine"])
        assert pypirc["distutils"]["index-servers"] == "here"
        assert pypirc["here"]["repository"] == "https://p.example/legacy/"

    def test_each_block_names_its_file(self, run: Run) -> None:
        shown = run("client", "setup").stdout
        for name in ("pip.conf", "uv.toml", "~/.pypirc"):
            assert f"# {name}" in shown


class TestUsage:
    @pytest.mark.parametrize(
        "arguments", [["nonsense"], ["--set", "novalue", "config", "show"]]
    )
    def test_wrong_usage_is_status_2(self, arguments: list[str]) -> None:
        assert CliRunner().invoke(main, arguments).exit_code == 2

    @pytest.mark.parametrize("verb", VERBS)
    def test_every_verb_explains_itself(self, verb: str) -> None:
        result = CliRunner().invoke(main, [verb, "--help"])
        assert result.exit_code == 0
        assert "Usage:" in result.stdout
