"""PostgreSQL stops: pages and files go on, writes get 503, and recover when it is back.

The index runs on a PostgreSQL of the proof's own, which is stopped twice: under the
running index, and then the index is restarted while it is away.

    python -m tests.prove.database_away
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

from tests.prove import checking
from tests.prove.postgres import Postgres
from tests.prove.serving import Server
from tests.prove.uploading import SIMPLE_HTML, SIMPLE_JSON, Client, Parcel, Reply

_RECOVERY_S = 2.0
_UPLOADERS = 8


class Uploader(threading.Thread):
    """Uploads through the outage; an answer is 200 or 503, never another."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__()
        self.acknowledged: list[Parcel] = []
        self.violations: list[str] = []
        self.refused = 0
        self.finished = threading.Event()
        self._server = server
        self._number = number

    def run(self) -> None:
        turn = 0
        with self._server.client() as client:
            while not self.finished.is_set():
                turn += 1
                parcel = Parcel.new(f"during{self._number}", f"{turn}.0")
                try:
                    reply = client.upload(parcel)
                except OSError as error:
                    self.violations.append(f"{parcel.filename}: {error!r}")
                    continue
                if reply.status == 200:
                    self.acknowledged.append(parcel)
                else:
                    self.refused += 1
                    self.violations += _not_a_503(parcel, reply)
                    time.sleep(0.05)


def _not_a_503(parcel: Parcel, reply: Reply) -> list[str]:
    retry_after = reply.headers.get("Retry-After", "")
    if reply.status == 503 and retry_after.isdigit():
        return []
    return [
        f"{parcel.filename} without a database: {reply.status}, Retry-After {retry_after!r}"
    ]


def _reads(server: Server, standing: list[Parcel], when: str) -> list[str]:
    """Return what of the published index cannot be read."""
    found = list(checking.intact(server, standing))
    with server.client() as client:
        for path in ("/", "/simple/", "/simple/standing/", "/pypi/standing/json",
                     "/projects/standing/"):  # fmt: skip
            for accept in (SIMPLE_HTML, SIMPLE_JSON, "*/*"):
                reply = client.get(path, Accept=f"{accept}, */*;q=0.1")
                if reply.status != 200:
                    found.append(f"{path}: {reply.status}")
    return [f"{when}: {line}" for line in found]


def _refuses(client: Client, when: str) -> list[str]:
    began = time.monotonic()
    parcel = Parcel.new("refused", "1.0")
    reply = client.upload(parcel)
    found = _not_a_503(parcel, reply)
    seconds = time.monotonic() - began
    if seconds > 10:
        found.append(f"it took {seconds:.1f} s to say so")
    return [f"{when}: {line}" for line in found]


def _recovery_s(client: Client, version: str) -> tuple[float, Parcel]:
    began = time.monotonic()
    parcel = Parcel.new("recovered", version)
    while client.upload(parcel).status != 200:
        assert time.monotonic() < began + 30, "writes did not recover within 30 s"
        time.sleep(0.02)
    return time.monotonic() - began, parcel


class Outages:
    """An index and its database, which goes away and comes back."""

    def __init__(self, folder: Path) -> None:
        self.postgres = Postgres()
        self.postgres.start()
        settings = {"database.url": self.postgres.url}
        self.server = Server(folder / "index", folder / "serve.log", settings)
        self.standing = [Parcel.new("standing", f"{number}.0") for number in range(3)]
        self.violations: list[str] = []
        self.refused = 0

    def under_the_running_index(self) -> float:
        """Stop the database while 8 upload; return the seconds until writes were back."""
        uploaders = [Uploader(self.server, number) for number in range(_UPLOADERS)]
        for uploader in uploaders:
            uploader.start()
        time.sleep(1.5)
        self.postgres.stop()
        recovery_s = self._outage("running")
        time.sleep(0.5)
        for uploader in uploaders:
            uploader.finished.set()
        for uploader in uploaders:
            uploader.join()
            self.violations += uploader.violations
            self.standing += uploader.acknowledged
            self.refused += uploader.refused
        return recovery_s

    def under_a_restart(self) -> tuple[float, float]:
        """Restart without the database; return seconds to start and until writes were back."""
        self.postgres.stop()
        self.server.kill()
        ready_s = self.server.start()
        return ready_s, self._outage("restarted")

    def _outage(self, when: str) -> float:
        self.violations += _reads(self.server, self.standing, f"away, {when}")
        with self.server.client() as client:
            self.violations += _refuses(client, f"away, {when}")
            time.sleep(1)
            self.postgres.start()
            recovery_s, parcel = _recovery_s(client, str(len(when)))
        self.standing.append(parcel)
        if recovery_s > _RECOVERY_S:
            self.violations.append(f"{when}: writes took {recovery_s:.2f} s to come back")
        return recovery_s


def prove(folder: Path) -> tuple[list[str], str]:
    """Stop the database under a running and under a starting index."""
    outages = Outages(folder)
    try:
        with outages.server as server:
            with server.client() as client:
                for parcel in outages.standing:
                    assert client.upload(parcel).status == 200
                # The list of projects is written when it is asked for, or by the clock.
                assert client.get("/simple/").status == 200
            running_s = outages.under_the_running_index()
            outages.violations += _reads(server, outages.standing, "back")
            ready_s, restarted_s = outages.under_a_restart()
            outages.violations += _reads(server, outages.standing, "back after a restart")
            outages.violations += server.fsck()
            if server.stop() != 0:
                outages.violations.append("the server did not stop cleanly")
    finally:
        outages.postgres.remove()
    figures = (
        f"{len(outages.standing)} uploads acknowledged, {outages.refused} refused with 503, "
        f"start without a database {ready_s:.2f} s, writes back {running_s:.2f} s (running) "
        f"and {restarted_s:.2f} s (restarted) after the database"
    )
    return outages.violations, figures


def main() -> None:
    argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0]).parse_args()
    with tempfile.TemporaryDirectory(prefix="away-") as folder:
        violations, figures = prove(Path(folder))
    checking.end(violations, figures)


if __name__ == "__main__":
    main()
