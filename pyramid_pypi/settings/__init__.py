"""Every setting of the index: its name, type, unit and default, in one place.

A setting is called ``section.key``.  It comes, in this order, from the command line, the
environment (``PYRAMID_PYPI_SECTION_KEY``, or ``…_FILE`` naming a file that holds it),
the INI file, or its default here.  Unknown names are refused, with the nearest known.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pyramid_pypi.errors import SettingsInvalid
from pyramid_pypi.settings import readers

PREFIX = "PYRAMID_PYPI_"
CONFIG = PREFIX + "CONFIG"  # names the INI file itself
_OF_TESTS = PREFIX + "TEST_"
_MIB = 1024 * 1024

# Keys that stand in an INI file's [app:…] section for Pyramid and its add-ons.
_FOREIGN = ("pyramid.", "debugtoolbar.")
_FOREIGN_EXACT = frozenset({"here", "__file__", "use"})


def _setting(
    name: str,
    default: Any,
    read: Callable[[str], Any],
    doc: str,
    *,
    least: int | None = None,
    choices: tuple[str, ...] = (),
    secret: bool = False,
) -> Any:
    about = {"name": name, "read": read, "doc": doc, "least": least}
    return field(default=default, metadata=about | {"choices": choices, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, typed; attributes carry the unit, metadata the name and the text."""

    data_dir: Path = _setting(  # noqa: RUF009 - all of them are made of field()
        "data.dir",
        Path("data"),
        readers.path,
        "Folder of all that the index keeps: database, tree, release files, first token.",
    )
    database_url: str = _setting(
        "database.url",
        "",
        readers.database_url,
        "SQLAlchemy URL; empty means the SQLite file `index.sqlite` in the data folder.",
        secret=True,
    )
    database_upgrade: bool = _setting(
        "database.upgrade", True, readers.flag, "Bring the schema to the newest at start."
    )
    database_timeout_s: int = _setting(
        "database.timeout_s",
        5,
        int,
        "Seconds to wait for a connection to PostgreSQL before answering 503.",
        least=1,
    )
    site_title: str = _setting("site.title", "Package index", str.strip, "Name on the pages.")
    site_public_url: str = _setting(
        "site.public_url",
        "",
        readers.public_url,
        "Address at which users reach the index, such as `https://pypi.example.org`; "
        "empty means the address that `serve` listens on.",
    )
    site_hosts: tuple[str, ...] = _setting(
        "site.hosts",
        (),
        readers.words,
        "More `Host` values to answer to; `*` answers to any. Loopback names and the host "
        "of `site.public_url` are always answered.",
    )
    server_threads: int = _setting(
        "server.threads", 8, int, "Threads of the web server that `serve` starts.", least=1
    )
    server_connections: int = _setting(
        "server.connections",
        2000,
        int,
        "Open connections that `serve` keeps at most; slow clients cost one each.",
        least=100,
    )
    server_idle_s: int = _setting(
        "server.idle_s", 60, int, "Seconds until a silent connection is closed.", least=5
    )
    simple_max_age_s: int = _setting(
        "simple.max_age_s",
        0,
        int,
        "`max-age` of Simple API pages. 0 lets clients revalidate each time, so that an "
        "upload is seen at once; a public index behind a CDN takes 600.",
        least=0,
    )
    files_offload: str = _setting(
        "files.offload",
        "direct",
        str.strip,
        "Who sends release files: `direct` (this server) or `x-accel` (nginx, told by "
        "`X-Accel-Redirect`).",
        choices=("direct", "x-accel"),
    )
    files_accel_prefix: str = _setting(
        "files.accel_prefix",
        "/+tree/",
        str.strip,
        "Internal nginx location that maps to the published tree, for `x-accel`.",
    )
    upload_max_file_bytes: int = _setting(
        "upload.max_file_bytes", 100 * _MIB, int, "Largest file taken.", least=1024
    )
    upload_max_project_bytes: int = _setting(
        "upload.max_project_bytes",
        10 * 1024 * _MIB,
        int,
        "Largest sum of the files of one project.",
        least=1024,
    )
    upload_max_unpacked_bytes: int = _setting(
        "upload.max_unpacked_bytes",
        1024 * _MIB,
        int,
        "Largest content of one archive when unpacked.",
        least=1024,
    )
    upload_max_members: int = _setting(
        "upload.max_members", 20_000, int, "Most members of one archive.", least=1
    )
    upload_release_closes_after_days: int = _setting(
        "upload.release_closes_after_days",
        0,
        int,
        "Days until a release takes no more files; 0 means that it always does (PyPI: 14).",
        least=0,
    )
    upload_prohibited_names: tuple[str, ...] = _setting(
        "upload.prohibited_names", (), readers.words, "Names that no new project may take."
    )
    publish_wait_s: int = _setting(
        "publish.wait_s",
        10,
        int,
        "Most seconds that an answer waits until its change stands in the published tree.",
        least=0,
    )
    publish_lists_s: int = _setting(
        "publish.lists_s",
        2,
        int,
        "Least seconds between two refreshes of the lists of all projects by the clock; "
        "the application answers with a fresh list in any case.",
        least=0,
    )
    publish_checkpoint_s: int = _setting(
        "publish.checkpoint_s",
        5,
        int,
        "Seconds between two flushes of published documents to the disk; after a power cut "
        "the documents of that span are written again from the database.",
        least=1,
    )
    publish_keep_s: int = _setting(
        "publish.keep_s",
        48 * 3600,
        int,
        "Seconds for which a superseded document stays reachable under its hash.",
        least=0,
    )
    log_level: str = _setting(
        "log.level",
        "info",
        str.strip,
        "Least severe messages to log.",
        choices=("debug", "info", "warning", "error"),
    )

    @property
    def tree_dir(self) -> Path:
        """Return the root of the published tree."""
        return self.data_dir / "tree"

    @property
    def spool_dir(self) -> Path:
        """Return where uploads wait while they are received and inspected."""
        return self.data_dir / "spool"

    @property
    def database(self) -> str:
        """Return the SQLAlchemy URL of the database in use."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'index.sqlite').absolute()}"


ABOUT = {f.metadata["name"]: f for f in fields(Settings)}
"""The dataclass field of each setting, by its ``section.key`` name."""


def load(
    ini: Mapping[str, str],
    environ: Mapping[str, str],
    command_line: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings, `command_line` before `environ` before `ini` before defaults.

    Args:
        ini: the ``[app:main]`` section; keys of Pyramid and its add-ons are passed over.
        environ: the process environment, of which only ``PYRAMID_PYPI_*`` is looked at.
        command_line: ``section.key`` names given as options.

    Raises:
        SettingsInvalid: a name is unknown or a value cannot be read; both are named.
    """
    texts = _from_ini(ini) | _from_environ(environ) | _from_ini(command_line or {})
    values = {ABOUT[name].name: _read(name, text) for name, text in texts.items()}
    return Settings(**values)


def _from_ini(ini: Mapping[str, str]) -> dict[str, str]:
    taken = {}
    for name, text in ini.items():
        if name in _FOREIGN_EXACT or name.startswith(_FOREIGN):
            continue
        if name not in ABOUT:
            raise SettingsInvalid(f"unknown setting {name!r}{_nearest(name, ABOUT)}")
        taken[name] = text
    return taken


def variable(name: str) -> str:
    """Return the environment variable that gives the setting `name`."""
    return PREFIX + name.upper().replace(".", "_")


def _from_environ(environ: Mapping[str, str]) -> dict[str, str]:
    by_variable = {variable(name): name for name in ABOUT}
    taken = {}
    for variable_name, text in environ.items():
        if not variable_name.startswith(PREFIX):
            continue
        plain = variable_name.removesuffix("_FILE")
        if variable_name in by_variable:
            taken[by_variable[variable_name]] = text
        elif plain in by_variable and plain != variable_name:
            taken[by_variable[plain]] = _secret_from(variable_name, Path(text))
        elif variable_name != CONFIG and not variable_name.startswith(_OF_TESTS):
            hint = _nearest(variable_name, by_variable)
            raise SettingsInvalid(f"unknown environment variable {variable_name}{hint}")
    return taken


def _secret_from(variable_name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{variable_name}: cannot read {path}: {error}") from error


def _nearest(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _read(name: str, text: str) -> Any:
    about = ABOUT[name].metadata
    shown = name if about["secret"] else f"{name} = {text!r}"
    try:
        value = about["read"](text)
    except ValueError as error:
        raise SettingsInvalid(f"{shown}: {error}") from error
    if about["least"] is not None and value < about["least"]:
        raise SettingsInvalid(f"{shown}: the least is {about['least']}")
    if about["choices"] and value not in about["choices"]:
        raise SettingsInvalid(f"{shown}: choose one of {', '.join(about['choices'])}")
    return value
