"""What readers of createrepo_c's own repositories meet while it updates them.

For comparison with `tests.prove.verifying_readers`: as many readers, the same pause
between the pointer and what it names, each record verified by its checksum.  There is no
other place to look for a version that is gone, so such a read has failed.

    python -m tests.prove.createrepo_readers [--packages 500] [--seconds 20] [--readers 16]
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

from tests.prove import checking
from tests.prove.serving import ROOT
from tests.prove.verified import PAUSE_S, REST_S, Folder
from tests.prove.walks import Lost, is_right, xml_pointer

sys.path.insert(0, str(ROOT / "benchmarks"))  # they import each other so

import rpms

WAYS = {
    "by default": [],
    "with --simple-md-filenames": ["--simple-md-filenames"],
    "with --retain-old-md 5": ["--retain-old-md=5"],
}


class Reader(threading.Thread):
    """Reads the pointer and each record it names, again and again."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self.found: Counter[str] = Counter()
        self.stopping = threading.Event()
        self._place = Folder(folder)
        self._chance = random.Random(seed)

    def run(self) -> None:
        while not self.stopping.wait(self._chance.expovariate(1 / REST_S)):
            try:
                pointer = xml_pointer(self._place)
            except (Lost, ET.ParseError):
                self.found["no pointer"] += 1
                continue
            time.sleep(PAUSE_S)
            for href, sha256, size_bytes in pointer.records.values():
                content = self._place.get(href)
                if content is None:
                    self.found["missing"] += 1
                elif is_right(content, sha256, size_bytes):
                    self.found["right"] += 1
                else:
                    self.found["another"] += 1


def measure(
    folder: Path, options: list[str], *, packages: int, seconds: float, readers: int
) -> tuple[int, Counter[str]]:
    """Update for so long; return how often, and what the readers found."""
    program = Path(sys.executable).with_name("createrepo_c")
    command = [str(program) if program.exists() else "createrepo_c", "--quiet", *options]
    rpms.write(folder, packages)
    subprocess.run([*command, str(folder)], check=True, capture_output=True)
    threads = [Reader(folder, number) for number in range(readers)]
    for thread in threads:
        thread.start()
    updates, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        rpms.write_one(folder, updates % packages, release=f"2.{updates}")
        subprocess.run([*command, "--update", str(folder)], check=True, capture_output=True)
        updates += 1
    found: Counter[str] = Counter()
    for thread in threads:
        thread.stopping.set()
    for thread in threads:
        thread.join()
        found.update(thread.found)
    return updates, found


def prove(work: Path, *, packages: int, seconds: float, readers: int) -> tuple[list[str], str]:
    """Return what was found by each way of running it, and no violations: it is not ours."""
    figures = []
    for number, (way, options) in enumerate(WAYS.items()):
        updates, found = measure(
            work / str(number), options, packages=packages, seconds=seconds, readers=readers
        )
        failed = found.total() - found["right"]
        share = 100 * failed / max(found.total(), 1)
        counted = ", ".join(f"{count} {kind}" for kind, count in sorted(found.items()))
        figures.append(
            f"createrepo_c {way}: {updates} updates, {failed} failed reads of "
            f"{found.total()}, {share:.1f} % ({counted})"
        )
    return [], "\n  ".join(figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--packages", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--readers", type=int, default=16)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="createrepo-") as name:
        violations, figures = prove(Path(name), **vars(options))
    checking.end(violations, figures)


if __name__ == "__main__":
    main()
