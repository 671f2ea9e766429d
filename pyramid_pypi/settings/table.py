"""The table of settings: name, unit, default and sentence of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pyramid_pypi.settings import readers

_MIB = 1024 * 1024


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
    files_keep_deleted_s: int = _setting(
        "files.keep_deleted_s",
        3600,
        int,
        "Seconds for which a deleted file can still be fetched from its address, for those "
        "who read what was published before; but not when room is short.",
        least=0,
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
    repodata_max_files: int = _setting(
        "repodata.max_files",
        100_000,
        int,
        "Files that the createrepo documents of the whole index list at most: the newest.",
        least=1,
    )
    repodata_sqlite: bool = _setting(
        "repodata.sqlite",
        False,
        readers.flag,
        "Write the SQLite twins of the createrepo documents too, which old tools ask for.",
    )
    signing_enabled: bool = _setting(
        "signing.enabled",
        True,
        readers.flag,
        "Sign the repository metadata, by TUF and, with the extra `openpgp`, by OpenPGP.",
    )
    signing_timestamp_expiry_s: int = _setting(
        "signing.timestamp_expiry_s",
        3 * 86400,
        int,
        "Seconds after which clients refuse metadata that was not signed again; the index "
        "signs again when half of them have passed.",
        least=600,
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
    def keys_dir(self) -> Path:
        """Return the folder of the keys that sign."""
        return self.data_dir / "keys"

    @property
    def database(self) -> str:
        """Return the SQLAlchemy URL of the database in use."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'index.sqlite').absolute()}"


ABOUT = {f.metadata["name"]: f for f in fields(Settings)}
"""The dataclass field of each setting, by its ``section.key`` name."""
