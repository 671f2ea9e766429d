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
import threading
import time
from pathlib import Path

from tests.prove import checking
from tests.prove.serving import Server
from tests.prove.uploading import Parcel

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32)
NOLOGFLUSH = 2
_UPLOADERS = 4
_LONGEST_S = 3.0
# Now and then the disk has had time for a journal commit (5 s), but not for the data of
# files that nobody flushed (30 s): the moment that leaves files of length zero.
_LATE = 0.25
_LATE_S = 9.0


class Disk:
    """An ext4 file system in a file, whose power can be cut."""

    def __init__(self, folder: Path, size_mib: int) -> None:
        self._image = folder / "disk.img"
        self.mount_point = folder / "disk"
        self.mount_point.mkdir()
        _run("truncate", "-s", f"{size_mib}M", str(self._image))
        _run("mkfs.ext4", "-q", "-F", str(self._image))
        self.mount()

    def mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.mount_point))

    def unmount(self) -> None:
        _run("umount", str(self.mount_point))

    def cut(self) -> None:
        descriptor = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(descriptor)


class Uploaders:
    """Threads that upload until the server is gone, and remember what was answered 200."""

    def __init__(self, server: Server, cut: int, chance: random.Random) -> None:
        self.acknowledged: list[Parcel] = []
        self.unanswered: list[Parcel] = []
        self.refused: list[str] = []
        self._server = server
        self._stopping = threading.Event()
        seeds = [chance.random() for _ in range(_UPLOADERS)]
        self._threads = [
            threading.Thread(target=self._upload, args=(cut, number, random.Random(seed)))
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

    def _upload(self, cut: int, number: int, chance: random.Random) -> None:
        with self._server.client(timeout_s=20) as client:
            turn = 0
            while not self._stopping.is_set():
                turn += 1
                # Projects that are new, and projects that every thread uploads to.
                shared = chance.random() < 0.5
                project = f"shared{turn % 5}" if shared else f"own{cut:03}x{number}x{turn % 7}"
                pad_bytes = chance.choice((0, 0, 5_000, 200_000))
                parcel = Parcel.new(project, f"{cut}.{number}.{turn}", pad_bytes=pad_bytes)
                try:
                    reply = client.upload(parcel)
                except OSError:
                    self.unanswered.append(parcel)
                    return
                if reply.status == 200:
                    self.acknowledged.append(parcel)
                else:
                    self.refused.append(f"{parcel.filename}: {reply.status} {reply.text[:80]!r}")
                    self.unanswered.append(parcel)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--uploads", type=int, default=200, help="at least, over all cuts")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("mounting a file system needs root")
    with tempfile.TemporaryDirectory(prefix="powercut-") as folder:
        prove(Path(folder), options.cuts, options.uploads, options.seed)


def prove(folder: Path, cuts: int, uploads: int, seed: int) -> None:
    """Cut the power `cuts` times while at least `uploads` files are taken."""
    chance = random.Random(seed)
    disk = Disk(folder, size_mib=768)
    server = Server(disk.mount_point / "index", folder / "serve.log")
    acknowledged: list[Parcel] = []
    violations: list[str] = []
    ready_s: list[float] = []
    cut = 0
    try:
        server.start()
        while cut < cuts or len(acknowledged) < uploads:
            cut += 1
            uploaders = _cut_while_uploading(server, disk, cut, chance)
            acknowledged += uploaders.acknowledged
            ready_s.append(server.start())
            found = _breaches(server, acknowledged, uploaders)
            violations += [f"cut {cut}: {line}" for line in found]
            print(
                f"cut {cut}: {len(uploaders.acknowledged)} acknowledged, "
                f"{len(uploaders.unanswered)} not, ready in {ready_s[-1]:.2f} s, "
                f"{len(found)} violations",
                flush=True,
            )
    finally:
        server.kill()
        disk.unmount()
    figures = (
        f"{cut} power cuts, {len(acknowledged)} uploads acknowledged, ready again in "
        f"{sorted(ready_s)[len(ready_s) // 2]:.2f} s (median), {max(ready_s):.2f} s (most), "
        f"seed {seed}"
    )
    checking.end(violations, figures)


def _cut_while_uploading(
    server: Server, disk: Disk, cut: int, chance: random.Random
) -> Uploaders:
    uploaders = Uploaders(server, cut, chance)
    time.sleep(chance.uniform(0.05, _LONGEST_S))
    if chance.random() < _LATE:
        uploaders.rest()
        time.sleep(chance.uniform(0, _LATE_S))
    disk.cut()
    # A server that acknowledges what a dead disk cannot keep would be found out here.
    time.sleep(0.05)
    server.kill()
    uploaders.join()
    disk.unmount()
    disk.mount()
    return uploaders


def _breaches(
    server: Server, acknowledged: list[Parcel], uploaders: Uploaders
) -> list[str]:
    found = list(checking.intact(server, acknowledged))
    for parcel in uploaders.unanswered:
        found += checking.whole(server, parcel)
    found += server.fsck()
    with server.client() as client:
        for parcel in uploaders.unanswered:
            reply = client.upload(parcel)
            if reply.status == 200:
                uploaders.acknowledged.append(parcel)
                acknowledged.append(parcel)
            else:
                found.append(f"{parcel.filename} again: {reply.status} {reply.text[:200]}")
    return found


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": _PATH})


_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


if __name__ == "__main__":
    main()
