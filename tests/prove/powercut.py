"""Power cuts: nothing that was answered 200 is lost, and the index starts again by itself.

The data folder lies on an ext4 file system in a loop-mounted file.  EXT4_IOC_SHUTDOWN
with NOLOGFLUSH drops whatever the disk had not been given, as a power cut does; the
remount recovers what was.  Needs root.

    python -m tests.prove.powercut [--cuts 20] [--uploads 200] [--seed N]
"""

from __future__ import annotations

import argparse
import fcntl
import os
import random
import struct
import subprocess
import tempfile
import time
from pathlib import Path

from tests.prove import checking, crashes, verified
from tests.prove.crashes import Uploaders
from tests.prove.serving import Server

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NOLOGFLUSH = 2
_SIZE = "768M"
# Now and then the disk has had time for a journal commit (5 s), but not for the data of
# files that nobody flushed (30 s): the moment that leaves files of length zero.
_LATE = 0.25
_LATE_S = 9.0
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class Disk:
    """An ext4 file system in a file, whose power can be cut."""

    def __init__(self, folder: Path) -> None:
        self._image = str(folder / "disk.img")
        self.mount_point = folder / "disk"
        self.mount_point.mkdir()
        _run("truncate", "-s", _SIZE, self._image)
        _run("mkfs.ext4", "-q", "-F", self._image)
        self.mount()

    def mount(self) -> None:
        _run("mount", "-o", "loop", self._image, str(self.mount_point))

    def unmount(self) -> None:
        _run("umount", str(self.mount_point))

    def cut(self) -> None:
        """Drop what was not written, and refuse everything from now on."""
        descriptor = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(descriptor)


def prove(folder: Path, cuts: int, uploads: int, seed: int) -> tuple[list[str], str]:
    """Cut the power at least `cuts` times; return violations and figures."""
    chance = random.Random(seed)
    disk = Disk(folder)
    server = Server(disk.mount_point / "index", folder / "serve.log")
    broken: list[str] = []
    promised = 0

    def cut(uploaders: Uploaders) -> None:
        if chance.random() < _LATE:
            uploaders.rest()
            time.sleep(chance.uniform(0, _LATE_S))
        disk.cut()
        # A server that acknowledges what a dead disk cannot keep would be found out here.
        time.sleep(0.05)
        server.kill()
        disk.unmount()
        disk.mount()
        # What a web server shows before the index is started again: all that the pointer
        # names is there, if only under its hash.
        nonlocal promised
        if (disk.mount_point / "index/tree/repodata/repomd.json").exists():
            tally = verified.complete(str(disk.mount_point / "index/tree"))
            broken.extend(f"after a cut: {failure}" for failure in tally.failures)
            promised += tally.reads

    try:
        with server:
            violations, figures = crashes.prove(
                server, cut, crashes=cuts, uploads=uploads, seed=seed
            )
        told = f"{promised} documents that pointers named, {len(broken)} lost"
        return [*violations, *broken], f"{figures}; {told}"
    finally:
        disk.unmount()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": _PATH})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--uploads", type=int, default=200, help="at least, over all cuts")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("mounting a file system needs root")
    with tempfile.TemporaryDirectory(prefix="powercut-") as folder:
        violations, figures = prove(Path(folder), options.cuts, options.uploads, options.seed)
    checking.end(violations, figures)


if __name__ == "__main__":
    main()
