"""Crashes at random moments under four uploaders: nothing that was answered 200 is lost.

Run by itself it kills the server with SIGKILL; `powercut` also takes the disk away.

    python -m tests.prove.crashes [--crashes 40] [--uploads 200] [--seed N]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.prove import checking
from tests.prove.serving import Server
from tests.prove.uploading import Parcel

_UPLOADERS = 4
_LONGEST_S = 3.0
_SIZES_BYTES = (0, 0, 5_000, 200_000)


class Uploaders:
    """Threads that upload until the server is gone, and remember what was answered 200."""

    def __init__(self, server: Server, crash: int, chance: random.Random) -> None:
        self.acknowledged: list[Parcel] = []
        self.unanswered: list[Parcel] = []
        self._server = server
        self._stopping = threading.Event()
        seeds = [chance.random() for _ in range(_UPLOADERS)]
        self._threads = [
            threading.Thread(target=self._upload, args=(crash, number, random.Random(seed)))
            for number, seed in enumerate(seeds)
        ]
        for thread in self._threads:
            thread.start()

    def rest(self) -> None:
        """Ask no more, but stay."""
        self._stopping.set()

    def join(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _upload(self, crash: int, number: int, chance: random.Random) -> None:
        with self._server.client(timeout_s=20) as client:
            turn = 0
            while not self._stopping.is_set():
                turn += 1
                # Projects that are new, and projects that every thread uploads to.
                shared = chance.random() < 0.5
                project = (
                    f"shared{turn % 5}" if shared else f"own{crash:03}x{number}x{turn % 7}"
                )
                pad_bytes = chance.choice(_SIZES_BYTES)
                parcel = Parcel.new(project, f"{crash}.{number}.{turn}", pad_bytes=pad_bytes)
                try:
                    status = client.upload(parcel).status
                except OSError:
                    self.unanswered.append(parcel)
                    return
                (self.acknowledged if status == 200 else self.unanswered).append(parcel)


def prove(
    server: Server,
    crash: Callable[[Uploaders], None],
    *,
    crashes: int,
    uploads: int,
    seed: int,
) -> tuple[list[str], str]:
    """Crash `server`, which is empty, at least so often; return violations and figures.

    `crash` ends the server, and makes its data folder what the next start will find.
    """
    chance = random.Random(seed)
    acknowledged: list[Parcel] = []
    violations: list[str] = []
    ready_s: list[float] = []
    while len(ready_s) < crashes or len(acknowledged) < uploads:
        number = len(ready_s) + 1
        uploaders = Uploaders(server, number, chance)
        time.sleep(chance.uniform(0.05, _LONGEST_S))
        crash(uploaders)
        server.kill()
        uploaders.join()
        acknowledged += uploaders.acknowledged
        ready_s.append(server.start())
        found = breaches(server, acknowledged, uploaders.unanswered)
        violations += [f"crash {number}: {line}" for line in found]
        print(
            f"crash {number}: {len(uploaders.acknowledged)} acknowledged, "
            f"{len(uploaders.unanswered)} not, ready in {ready_s[-1]:.2f} s, "
            f"{len(found)} violations",
            flush=True,
        )
    figures = (
        f"{len(ready_s)} crashes, {len(acknowledged)} uploads acknowledged, ready again in "
        f"{sorted(ready_s)[len(ready_s) // 2]:.2f} s (median), {max(ready_s):.2f} s (most), "
        f"seed {seed}"
    )
    return violations, figures


def breaches(server: Server, acknowledged: list[Parcel], unanswered: list[Parcel]) -> list[str]:
    """Return what is wrong after a crash, then upload what was `unanswered` again."""
    found = list(checking.intact(server, acknowledged))
    for parcel in unanswered:
        found += checking.whole(server, parcel)
    found += server.fsck()
    with server.client() as client:
        for parcel in unanswered:
            reply = client.upload(parcel)
            if reply.status == 200:
                acknowledged.append(parcel)
            else:
                found.append(f"{parcel.filename} again: {reply.status} {reply.text[:200]}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--crashes", type=int, default=40)
    parser.add_argument("--uploads", type=int, default=200, help="at least, over all crashes")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crashes-") as name:
        folder = Path(name)
        with Server(folder / "index", folder / "serve.log") as server:
            violations, figures = prove(
                server,
                lambda _: server.kill(),
                crashes=options.crashes,
                uploads=options.uploads,
                seed=options.seed,
            )
    checking.end(violations, figures)


if __name__ == "__main__":
    main()
