"""Verifying readers of one place, in a process of their own: see `tests.prove.walks`.

    python -m tests.prove.verified PLACE [--readers 4] [--names FILE]

reads until its standard input ends, and tells what it has done as JSON, a line a second.
A place is a folder or an address.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

from tests.prove.serving import ROOT
from tests.prove.uploading import Client
from tests.prove.walks import (
    POINTERS,
    Lost,
    Place,
    Pointer,
    Tally,
    Walk,
    Wrong,
    json_pointer,
)

PROJECTS_A_WALK = 20
PAUSE_S = 0.02  # between pointer and documents: meanwhile the index goes on
REST_S = 0.2  # between two walks, on average: writers and copiers want to come to work too
_TRIES = 3
_TELL_S = 1.0
_MOST_FAILURES = 100


class Folder:
    """A tree in a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, path: str) -> bytes | None:
        try:
            return (self._root / path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None


class Address:
    """A tree at an address, over one connection that is kept."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._client = Client(parts.hostname or "", parts.port or 80, "", timeout_s=60)

    def close(self) -> None:
        self._client.close()

    def get(self, path: str) -> bytes | None:
        reply = self._client.get(f"/{quote(path)}")
        if reply.status in (404, 410):
            return None
        if reply.status != 200:
            raise Wrong(f"{path}: status {reply.status} {reply.text[:200]}")
        return reply.body


def place_at(where: str) -> Place:
    """Return the place `where`: an address, or a folder."""
    return Address(where) if where.startswith("http:") else Folder(Path(where))


def complete(where: str) -> Tally:
    """Read everything at `where` once, while nothing changes there."""
    tally, place = Tally(), place_at(where)
    try:
        pointer = json_pointer(place)
        tally.serial = pointer.serial
        Walk(place, pointer, random.Random(0), tally).everything()
    except (Lost, Wrong, ValueError, KeyError, OSError) as error:
        tally.failures.append(f"in the end: {error!r}")
    if isinstance(place, Address):
        place.close()
    return tally


class Reader(threading.Thread):
    """Walks again and again, each time from a new pointer, until told to stop."""

    def __init__(self, where: str, projects: Sequence[str], seed: int) -> None:
        super().__init__(daemon=True)
        self.tally = Tally()
        self.stopping = threading.Event()
        self._place = place_at(where)
        self._projects = projects
        self._seeds = random.Random(seed)
        self._serials: dict[str, int] = {}

    def run(self) -> None:
        while not self.stopping.is_set() and len(self.tally.failures) < _MOST_FAILURES:
            try:
                self._walk()
            except (Wrong, ValueError, LookupError, OSError, ET.ParseError) as error:
                self._fail(repr(error))

    def _walk(self) -> None:
        """Walk once; where a document is gone, again from the pointer that has moved on."""
        seed = self._seeds.random()
        lost, before = "", None
        for _ in range(_TRIES):
            chance = random.Random(seed)
            try:
                pointer = self._pointer(chance)
                if pointer == before:
                    break
                before = pointer
                time.sleep(PAUSE_S)
                Walk(self._place, pointer, chance, self.tally).some(
                    chance.sample(self._projects, PROJECTS_A_WALK // 2)
                )
            except Lost as error:
                lost = str(error)
                self.tally.refetches += 1
            else:
                self.tally.walks += 1
                self.stopping.wait(self._seeds.expovariate(1 / REST_S))
                return
        self._fail(f"{lost}; the pointer is at {before.serial if before else 'none'}")

    def _pointer(self, chance: random.Random) -> Pointer:
        read = chance.choice(POINTERS)
        pointer = read(self._place)
        if pointer.serial < self._serials.get(read.__name__, 0):
            raise Wrong(f"{read.__name__} went back to {pointer.serial}")
        self._serials[read.__name__] = pointer.serial
        self.tally.serial = max(self.tally.serial, pointer.serial)
        return pointer

    def _fail(self, words: str) -> None:
        self.tally.failures.append(f"{time.strftime('%H:%M:%S')} {words}")


class Watched:
    """Readers of one place in a process of their own, and what they have done so far."""

    def __init__(self, name: str, where: str, names: Path, readers: int, seed: int) -> None:
        self.name = name
        self.where = where
        self.tally = Tally()
        command = [sys.executable, "-m", "tests.prove.verified", where, "--names", str(names)]
        command += ["--readers", str(readers), "--seed", str(seed)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
        )
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def end(self) -> Tally:
        """Let the readers finish their walks; return what all of them have done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._listening.join()
        self._process.stdout.close()
        if self._process.wait():
            self.tally.failures.append(f"the readers ended with {self._process.returncode}")
        return self.tally

    def kill(self) -> None:
        with self._process:  # waits, and closes its pipes
            self._process.kill()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            read = json.loads(line)
            self.tally = Tally(**read | {"kinds": Counter(read["kinds"])})


def _tell(readers: Sequence[Reader]) -> None:
    whole = Tally()
    for reader in readers:
        whole.add(reader.tally)
    print(json.dumps(vars(whole)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("place")
    parser.add_argument("--names", type=Path, required=True)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    names = options.names.read_text().split()
    readers = [
        Reader(options.place, names, options.seed + number) for number in range(options.readers)
    ]
    ended = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        ended.set()

    for thread in (threading.Thread(target=wait, daemon=True), *readers):
        thread.start()
    while not ended.wait(_TELL_S):
        _tell(readers)
    for reader in readers:
        reader.stopping.set()
    for reader in readers:
        reader.join()
    _tell(readers)


if __name__ == "__main__":
    main()
