"""The spool: files on their way to their place, on the file system of that place.

Each bears the word of the process that writes it, which holds a lock file of that name
for as long as it lives.  A process number would not do: two containers that share the
folder may have the same ones.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from pathlib import Path
from threading import Lock

from pyramid_pypi.storage import durable


class Spool:
    """One folder, and the word of this process in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._locks = folder.with_name(f"{folder.name}.locks")
        self._word = ""
        self._taking = Lock()
        self._held = ExitStack()

    def prepare(self) -> None:
        """Make the folder, and remove what dead processes left in it."""
        for folder in (self.folder, self._locks):
            folder.mkdir(parents=True, exist_ok=True)
        # The files are listed before their locks are looked at: a lock is older than them.
        for path in list(self.folder.iterdir()):
            if not self._lives(path.name.partition("-")[0]):
                path.unlink(missing_ok=True)
        for lock in list(self._locks.iterdir()):
            self._lives(lock.name)

    def new_path(self) -> Path:
        """Return an unused path in the spool."""
        return self.folder / f"{self._word or self._take_word()}-{secrets.token_hex(8)}"

    def _take_word(self) -> str:
        with self._taking:
            while not self._word:
                word = secrets.token_hex(8)
                self._locks.mkdir(parents=True, exist_ok=True)
                self._held.enter_context(durable.locked(self._locks / word))
                # Somebody may have seen it before it was locked, and removed it.
                if (self._locks / word).exists():
                    self._word = word
            return self._word

    def _lives(self, word: str) -> bool:
        """Tell whether a process holds the lock of `word`; if not, remove the lock."""
        lock = self._locks / word
        if not lock.is_file():
            return False
        try:
            with durable.locked(lock, wait_s=0):
                lock.unlink(missing_ok=True)
        except (BlockingIOError, PermissionError):
            return True
        return False
