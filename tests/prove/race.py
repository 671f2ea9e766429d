"""16 writers with duplicates, 8 followers: every answer as specified, nothing missed.

Each writer makes 40 uploads: a third to itself, a third that all send with the same
bytes, a third that all send under one filename with bytes of their own.

    python -m tests.prove.race [--database URL | --database postgresql]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from tests.prove import checking
from tests.prove.postgres import Postgres
from tests.prove.serving import Server
from tests.prove.uploading import Client, Parcel

_TROUBLE = ("database is locked", "deadlock", "Traceback", "could not serialize")
_LIMIT = 7  # changes a follower takes at a time: small, so that it often lags


@dataclass
class Answers:
    """What every writer was told."""

    told: list[tuple[Parcel, int, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, parcel: Parcel, status: int, said: str) -> None:
        with self.lock:
            self.told.append((parcel, status, said))

    def violations(self) -> Iterator[str]:
        """Yield each answer that is not as specified."""
        by_filename: dict[str, list[tuple[Parcel, int, str]]] = defaultdict(list)
        for parcel, status, said in self.told:
            by_filename[parcel.filename].append((parcel, status, said))
            if status not in (200, 400):
                yield f"{parcel.filename}: {status} {said[:200]}"
        for filename, answers in by_filename.items():
            winners = {parcel.sha256 for parcel, status, _ in answers if status == 200}
            if len(winners) != 1:
                yield f"{filename}: {len(winners)} contents were answered 200"
            for parcel, status, said in answers:
                if parcel.sha256 in winners and status != 200:
                    yield f"{filename}: the winner's bytes were answered {status} {said[:120]}"
                if parcel.sha256 not in winners and "File already exists" not in said:
                    yield f"{filename}: a loser was told {status} {said[:120]}"

    def winners(self) -> list[Parcel]:
        """Return each file that was taken, once."""
        taken = {parcel.filename: parcel for parcel, status, _ in self.told if status == 200}
        return list(taken.values())


class Follower(threading.Thread):
    """Polls the journal from its beginning, and keeps what it is told."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.changes: list[object] = []
        self.failure = ""
        self.finished = threading.Event()
        self._server = server
        self._pause_s = number * 0.004

    def run(self) -> None:
        try:
            with self._server.client() as client:
                self._follow(client)
        except Exception as error:
            self.failure = repr(error)

    def _follow(self, client: Client) -> None:
        since = 0
        while True:
            last_look = self.finished.is_set()
            reply = client.get(f"/changes?since={since}&limit={_LIMIT}")
            assert reply.status == 200, f"{reply.status} {reply.text[:200]}"
            page = reply.json()
            self.seen += [change["serial"] for change in page["changes"]]
            self.changes += page["changes"]
            since = page["next"]
            if not page["changes"]:
                if last_look:
                    return
                time.sleep(self._pause_s)


def writer(
    server: Server, number: int, uploads: int, answers: Answers, start: threading.Barrier
) -> None:
    """Make `uploads` uploads, in an order of one's own."""
    chance = random.Random(number)
    parcels = []
    for turn in range(uploads):
        kind = ("own", "same", "rival")[turn % 3]
        if kind == "own":
            parcels.append(Parcel.new(f"own{number:02}x{turn % 4}", f"{turn}.0"))
        elif kind == "same":
            parcels.append(Parcel.new(f"same{turn % 5}", f"{turn}.0"))
        else:
            parcels.append(Parcel.new(f"rival{turn % 5}", f"{turn}.0", flavour=f"of {number}"))
    # All in about the same order, so that they do meet.
    parcels.sort(key=lambda parcel: (int(parcel.version.split(".")[0]) // 6, chance.random()))
    start.wait()
    with server.client() as client:
        for parcel in parcels:
            try:
                reply = client.upload(parcel)
                answers.add(parcel, reply.status, reply.text)
            except OSError as error:
                answers.add(parcel, 0, repr(error))


def run(server: Server, *, writers: int, uploads: int, followers: int) -> tuple[list[str], str]:
    """Race against `server`, which is empty; return violations and figures."""
    answers = Answers()
    start = threading.Barrier(writers + 1)
    watching = [Follower(server, number) for number in range(followers)]
    writing = [
        threading.Thread(target=writer, args=(server, number, uploads, answers, start))
        for number in range(writers)
    ]
    for thread in (*watching, *writing):
        thread.start()
    start.wait()
    began = time.monotonic()
    for thread in writing:
        thread.join()
    seconds = time.monotonic() - began
    for follower in watching:
        follower.finished.set()
    for follower in watching:
        follower.join()
    violations = list(answers.violations())
    violations += _follower_violations(server, watching)
    violations += checking.intact(server, answers.winners())
    violations += server.fsck()
    violations += [f"the log says {words!r}" for words in _TROUBLE if words in server.words()]
    statuses = Counter(status for _, status, _ in answers.told)
    changes = len(watching[0].seen) if watching else 0
    figures = (
        f"{writers} writers, {len(answers.told)} uploads in {seconds:.1f} s, answers "
        f"{dict(sorted(statuses.items()))}, {followers} followers saw {changes} changes each"
    )
    return violations, figures


def _follower_violations(server: Server, followers: list[Follower]) -> Iterator[str]:
    with server.client() as client:
        journal = client.get("/changes?since=0&limit=10000").json()
    expected = [change["serial"] for change in journal["changes"]]
    if expected != list(range(1, len(expected) + 1)) or journal["serial"] != len(expected):
        yield f"the serials have gaps: {len(expected)} changes up to {journal['serial']}"
    for number, follower in enumerate(followers):
        if follower.failure:
            yield f"follower {number}: {follower.failure}"
        elif follower.seen != expected:
            missed = len(set(expected) - set(follower.seen))
            yield f"follower {number} missed {missed} of {len(expected)} changes"
        elif follower.changes != journal["changes"]:
            yield f"follower {number} was told other changes than the journal holds"


@contextmanager
def database(url: str) -> Iterator[dict[str, str]]:
    """Give the settings of an empty database; on a PostgreSQL server it is made and dropped."""
    if not url:
        yield {}
        return
    with ExitStack() as closing:
        if url == "postgresql":
            postgres = Postgres()
            closing.callback(postgres.remove)
            postgres.start()
            url = postgres.url
        name = f"proof_{random.SystemRandom().getrandbits(48):x}"
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        closing.callback(engine.dispose)
        closing.callback(_drop, engine, name)
        own = make_url(url).set(database=name)
        yield {"database.url": own.render_as_string(hide_password=False)}


def _drop(engine: Engine, name: str) -> None:
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--uploads", type=int, default=40, help="of each writer")
    parser.add_argument("--followers", type=int, default=8)
    parser.add_argument(
        "--database",
        default="",
        help="SQLAlchemy URL of a PostgreSQL server; `postgresql` starts one; default SQLite",
    )
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="race-") as name,
        database(options.database) as settings,
    ):
        folder = Path(name)
        with Server(folder / "index", folder / "serve.log", settings) as server:
            violations, figures = run(
                server,
                writers=options.writers,
                uploads=options.uploads,
                followers=options.followers,
            )
            if server.stop() != 0:
                violations.append("the server did not stop cleanly")
    checking.end(violations, f"{options.database.partition(':')[0] or 'sqlite'}: {figures}")


if __name__ == "__main__":
    main()
