from __future__ import annotations

import sys
import traceback
from pathlib import Path

import pytest

from pyramid_pypi.errors import SettingsInvalid
from pyramid_pypi.settings import ABOUT, Settings, load, variable


class TestPrecedence:
    def test_defaults(self) -> None:
        assert load({}, {}) == Settings()

    @pytest.mark.parametrize(
        ("given", "expected"),
        [("default", 8), ("ini", 2), ("environ", 3), ("command line", 4)],
    )
    def test_each_source_beats_those_before_it(self, given: str, expected: int) -> None:
        sources = ["default", "ini", "environ", "command line"]
        reached = sources[: sources.index(given) + 1]
        settings = load(
            {"server.threads": "2"} if "ini" in reached else {},
            {"PYRAMID_PYPI_SERVER_THREADS": "3"} if "environ" in reached else {},
            {"server.threads": "4"} if "command line" in reached else None,
        )
        assert settings.server_threads == expected

    def test_a_file_holds_a_secret(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("postgresql+psycopg://u:p@127.0.0.1/d\n")
        settings = load({}, {"PYRAMID_PYPI_DATABASE_URL_FILE": str(secret)})
        assert settings.database == "postgresql+psycopg://u:p@127.0.0.1/d"

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsInvalid, match=r"DATABASE_URL_FILE.*missing"):
            load({}, {"PYRAMID_PYPI_DATABASE_URL_FILE": str(tmp_path / "missing")})

    def test_other_variables_and_pyramid_keys_are_passed_over(self) -> None:
        ini = {"pyramid.includes": "x", "debugtoolbar.hosts": "y", "here": "/", "use": "e"}
        assert load(ini, {"HOME": "/", "PYRAMID_PYPI_CONFIG": "a.ini"}) == Settings()


class TestRefusals:
    @pytest.mark.parametrize(
        ("ini", "environ", "message"),
        [
            ({"server.thread": "2"}, {}, r"'server.thread'.*did you mean 'server.threads'"),
            ({"colour": "red"}, {}, r"unknown setting 'colour'$"),
            (
                {},
                {"PYRAMID_PYPI_SERVER_THREAD": "2"},
                r"unknown environment variable PYRAMID_PYPI_SERVER_THREAD; "
                r"did you mean 'PYRAMID_PYPI_SERVER_THREADS'",
            ),
            ({"server.threads": "0"}, {}, r"server.threads = '0': the least is 1"),
            ({"server.threads": "many"}, {}, r"server.threads = 'many'"),
            ({"database.upgrade": "perhaps"}, {}, r"expected true or false"),
            ({"files.offload": "carrier-pigeon"}, {}, r"choose one of direct, x-accel"),
            ({"data.dir": "~nobody-of-that-name/x"}, {}, r"data.dir = .*home"),
        ],
    )
    def test_names_and_values(
        self, ini: dict[str, str], environ: dict[str, str], message: str
    ) -> None:
        with pytest.raises(SettingsInvalid, match=message):
            load(ini, environ)

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("hunter2", "expected postgresql"),
            ("postgresql://pypi:a@hunter2:x@127.0.0.1/d", "expected postgresql"),
            ("postgresql://pypi:a@h:hunter2/d", "expected postgresql"),
            ("mysql://pypi:hunter2@127.0.0.1/d", "one of postgresql"),
            ("postgresql+asyncpg://pypi:hunter2@127.0.0.1/d", "one of postgresql"),
            ("sqlite://", "expected a file"),
            ("sqlite:///:memory:?x=hunter2", "expected a file"),
        ],
    )
    @pytest.mark.parametrize("source", ["ini", "variable", "file"])
    def test_a_database_that_cannot_be_used_is_not_quoted(
        self, tmp_path: Path, url: str, message: str, source: str
    ) -> None:
        (tmp_path / "secret").write_text(url)
        ini = {"database.url": url} if source == "ini" else {}
        variables = {
            "ini": {},
            "variable": {"PYRAMID_PYPI_DATABASE_URL": url},
            "file": {"PYRAMID_PYPI_DATABASE_URL_FILE": str(tmp_path / "secret")},
        }
        with pytest.raises(SettingsInvalid, match=message) as refused:
            load(ini, variables[source])
        assert refused.value.detail.startswith("database.url: ")
        assert "hunter2" not in "".join(traceback.format_exception(refused.value))

    def test_a_missing_driver_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "psycopg", None)
        with pytest.raises(SettingsInvalid, match=r"psycopg.*pip install 'pyramid_pypi\[post"):
            load({"database.url": "postgresql+psycopg://pypi@127.0.0.1/d"}, {})

    @pytest.mark.parametrize(
        "address",
        [
            "pypi.example.org",
            "//pypi.example.org",
            "ftp://pypi.example.org",
            "https://",
            "https://pypi.example.org:port",
            "https://pypi.example.org:0",
            "https://pypi.example.org:99999",
            "https://[::1",
            "https://user:word@pypi.example.org",
            "https://pypi.example.org/?a=b",
            "https://pypi.example.org/#top",
            "https://pypi.\nexample.org",
            "https://pypi example.org",
            "https://pypi.ex\u00e4mple.org",
        ],
    )
    def test_what_is_no_address(self, address: str) -> None:
        with pytest.raises(SettingsInvalid, match=r"site.public_url.*https://pypi.example.org"):
            load({"site.public_url": address}, {})

    def test_the_command_line_too(self) -> None:
        with pytest.raises(SettingsInvalid, match=r"unknown setting 'server\.thread'"):
            load({}, {}, {"server.thread": "3"})


class TestValues:
    def test_each_type_is_read(self) -> None:
        settings = load(
            {
                "data.dir": "~/index",
                "site.hosts": "a.example  b.example",
                "database.upgrade": "No",
                "simple.max_age_s": " 600 ",
            },
            {},
        )
        assert settings.data_dir == Path("~/index").expanduser()
        assert settings.site_hosts == ("a.example", "b.example")
        assert settings.database_upgrade is False
        assert settings.simple_max_age_s == 600

    @pytest.mark.parametrize(
        "address",
        ["https://pypi.example.org", "http://[::1]:8080/", "https://example.org/pypi"],
    )
    def test_addresses(self, address: str) -> None:
        assert load({"site.public_url": f" {address} "}, {}).site_public_url == address

    @pytest.mark.parametrize(
        "url",
        ["sqlite:///index.sqlite", "postgresql://u@h/d", "postgresql+psycopg:///d?host=/run"],
    )
    def test_databases(self, url: str) -> None:
        assert load({"database.url": url}, {}).database == url

    @pytest.mark.parametrize("name", ABOUT)
    def test_every_default_passes_its_own_check(self, name: str) -> None:
        default = getattr(Settings(), ABOUT[name].name)
        text = " ".join(default) if isinstance(default, tuple) else str(default)
        assert getattr(load({name: text}, {}), ABOUT[name].name) == default

    def test_sections_and_variables(self) -> None:
        assert variable("simple.max_age_s") == "PYRAMID_PYPI_SIMPLE_MAX_AGE_S"
        assert all(name.count(".") == 1 for name in ABOUT)

    def test_the_default_database_lies_in_the_data_folder(self, tmp_path: Path) -> None:
        settings = load({"data.dir": str(tmp_path)}, {})
        assert settings.database == f"sqlite:///{tmp_path}/index.sqlite"
        assert settings.tree_dir == tmp_path / "tree"
