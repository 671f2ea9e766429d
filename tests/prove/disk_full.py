"""A full disk: uploads are refused whole, reads go on, and space given back is used.

The data folder lies on a tmpfs of 24 MiB.  Needs root.

    python -m tests.prove.disk_full
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.prove import checking
from tests.prove.serving import Server
from tests.prove.uploading import Client, Parcel

_PAD_BYTES = 700_000
_SETTLED_S = 3.0  # lists and companions are written by then


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Give a folder on a file system of `size` in memory."""
    mount_point = folder / "disk"
    mount_point.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mount_point)], check=True
    )
    try:
        yield mount_point
    finally:
        subprocess.run(["umount", str(mount_point)], check=True)


class Uploads:
    """Uploads in a row; each is taken, or refused as full."""

    def __init__(self, client: Client) -> None:
        self.acknowledged: list[Parcel] = []
        self.refusals: Counter[int] = Counter()
        self.violations: list[str] = []
        self._client = client
        self._number = 0

    def send(self, pad_bytes: int) -> bool:
        """Upload one file of about so many bytes; return whether it was taken."""
        self._number += 1
        parcel = Parcel.new(f"full{self._number % 3}", f"{self._number}.0", pad_bytes=pad_bytes)
        reply = self._client.upload(parcel)
        if reply.status == 200:
            self.acknowledged.append(parcel)
            return True
        self.refusals[reply.status] += 1
        if reply.status not in (503, 507):
            self.violations.append(f"{parcel.filename}: {reply.status} {reply.text[:200]}")
        return False

    def delete(self) -> None:
        """Delete the oldest file."""
        reply = self._client.delete(self.acknowledged.pop(0))
        if reply.status not in (200, 204):
            self.violations.append(f"deleting to make room: {reply.status} {reply.text[:200]}")


def prove(folder: Path, disk: Path) -> tuple[list[str], str]:
    """Fill the disk by uploads and by another's file; free it; go on."""
    ballast = disk / "ballast"
    spool = disk / "index" / "spool"
    with (
        Server(disk / "index", folder / "serve.log") as server,
        server.client() as client,
    ):
        uploads = Uploads(client)
        violations = uploads.violations
        for size_bytes in [_PAD_BYTES] * 30 + [200] * 10:
            uploads.send(size_bytes)
        violations += _breaches(server, uploads, "used up")
        uploads.delete()
        time.sleep(_SETTLED_S)
        _fill(ballast)
        for _ in range(5):
            uploads.send(100_000)
        violations += _breaches(server, uploads, "filled by another")
        violations += [f"left in the spool: {path.name}" for path in spool.iterdir()]
        server.kill()
        client.close()
        server.start()
        violations += _breaches(server, uploads, "restarted while full")
        ballast.unlink()
        recovered_s = _recovery_s(uploads)
        violations += _breaches(server, uploads, "freed")
        time.sleep(_SETTLED_S)
        violations += server.fsck()
        if server.stop() != 0:
            violations.append("the server did not stop cleanly")
    if not uploads.refusals:
        violations.append("the disk was never full; nothing was proved")
    figures = (
        f"{len(uploads.acknowledged)} uploads acknowledged, refusals "
        f"{dict(uploads.refusals)}, uploads back {recovered_s:.2f} s after space was freed"
    )
    return violations, figures


def _breaches(server: Server, uploads: Uploads, when: str) -> list[str]:
    return [f"{when}: {line}" for line in checking.intact(server, uploads.acknowledged)]


def _recovery_s(uploads: Uploads) -> float:
    began = time.monotonic()
    while not uploads.send(300_000):
        if time.monotonic() > began + 10:
            uploads.violations.append("uploads did not recover within 10 s of the space")
            break
        time.sleep(0.1)
    return time.monotonic() - began


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as out:
        for block in (64 * 1024, 4096):
            try:
                while out.write(bytes(block)):
                    pass
            except OSError:
                continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.parse_args()
    if os.geteuid() != 0:
        parser.error("mounting a file system needs root")
    with (
        tempfile.TemporaryDirectory(prefix="full-") as name,
        small_disk(Path(name), "24M") as disk,
    ):
        violations, figures = prove(Path(name), disk)
    checking.end(violations, figures)


if __name__ == "__main__":
    main()
