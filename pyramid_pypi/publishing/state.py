"""How far the tree has come: a serial that is fast to read, and one that is durable."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from pyramid_pypi.publishing.bell import Bell
from pyramid_pypi.storage import durable


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Up to where the documents are on the disk, and by which rules they were made."""

    serial: int = 0
    lists: int = -1  # serial of the index that the lists of all projects show
    revision: int = 0  # documents.REVISION of their making
    site: str = ""  # title and public address, which some documents carry
    failed: tuple[str, ...] = ()  # projects that could not be rendered


class State:
    """Two small files beside the tree.

    The modification time of ``published``, in seconds, is the serial that the tree shows:
    one `stat` tells it to any process.  It is not flushed; a power cut may leave it ahead
    of the documents.  ``checkpoint.json`` is flushed after them, so a process that starts
    goes on from there, and writes some documents again.
    """

    def __init__(self, folder: Path) -> None:
        self._published = folder / "published"
        self._checkpoint = folder / "checkpoint.json"
        self.bell = Bell()  # rung when this process publishes

    def published(self) -> int:
        """Return the serial that the tree shows (some 3 µs)."""
        try:
            told_ns = os.stat(self._published).st_mtime_ns
        except FileNotFoundError:
            return self.checkpoint().serial
        serial, rest_ns = divmod(told_ns, 1_000_000_000)
        # A copy of the folder without its times has that of the copying, no whole second.
        return self.checkpoint().serial if rest_ns else serial

    def set_published(self, serial: int) -> None:
        """Tell every process that the tree shows `serial`; have the publisher's turn."""
        try:
            os.utime(self._published, (serial, serial))
        except FileNotFoundError:
            # Made under another name: without its time it would tell a serial of now.
            made = self._published.with_name(f".published.{os.getpid()}")
            made.touch()
            os.utime(made, (serial, serial))
            os.replace(made, self._published)
        self.bell.ring()

    def checkpoint(self) -> Checkpoint:
        """Return the last checkpoint; an unreadable one means to begin anew."""
        try:
            stored = json.loads(self._checkpoint.read_bytes())
            return Checkpoint(
                serial=int(stored["serial"]),
                lists=int(stored["lists"]),
                revision=int(stored["revision"]),
                site=str(stored["site"]),
                failed=tuple(stored["failed"]),
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return Checkpoint()

    def set_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep `checkpoint` durably; the documents it speaks of are flushed already."""
        content = {name: getattr(checkpoint, name) for name in Checkpoint.__slots__}
        durable.write_durably(self._checkpoint, json.dumps(content).encode())

    def set_back(self) -> None:
        """Set the published serial back to the checkpoint; have the publisher's turn."""
        self.set_published(self.checkpoint().serial)
