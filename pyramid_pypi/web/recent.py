"""Documents served of late, ready to be sent again."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from pyramid_pypi.web import negotiation
from pyramid_pypi.web.answers import Answer

State = tuple[int, int, int]
"""Modification time in ns, size in bytes, and inode: another version differs in one."""


def state_of(stat: os.stat_result) -> State:
    """Return what tells this version of a file from the next."""
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


@dataclass(frozen=True, slots=True)
class Ready:
    """One representation of one version of a document."""

    state: State
    etag: str
    answer: Answer
    unchanged: Answer
    """The 304 of the same representation."""

    def to(self, if_none_match: str | None) -> Answer:
        """Return the answer to a client that may have this version already."""
        if if_none_match and negotiation.matches(if_none_match, self.etag):
            return self.unchanged
        return self.answer


Prepare = Callable[[str, os.stat_result], Ready | None]
"""Reads the file at a path; the `stat`, of a moment before, tells whether it is worth it."""


class Recent:
    """A bounded memory of ready documents, each proved by one `stat` when it is used.

    Processes that share a tree thus see each other's publishing at once.  Safe to use
    from many threads.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._used_bytes = 0
        self._kept: OrderedDict[Hashable, Ready] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, path: str, prepare: Prepare) -> Ready | None:
        """Return the document at `path`, made by `prepare` unless kept; None if absent.

        `key` tells representations of one path apart.  `prepare` reads the file and takes
        the state from the open file itself, so that a rename in between is noticed next
        time.
        """
        try:
            stat = os.stat(path)
        except OSError:
            return None
        ready = self._kept.get(key)
        if ready is not None and ready.state == state_of(stat):
            self._touch(key)
            return ready
        ready = prepare(path, stat)
        if ready is not None:
            self._keep(key, ready)
        return ready

    def _touch(self, key: Hashable) -> None:
        try:
            self._kept.move_to_end(key)
        except KeyError:
            return  # another thread has just dropped it

    def _keep(self, key: Hashable, ready: Ready) -> None:
        size = _weight(ready)
        if size > self._max_bytes // 4:
            return
        with self._lock:
            old = self._kept.pop(key, None)
            self._used_bytes += size - (_weight(old) if old else 0)
            self._kept[key] = ready
            while self._used_bytes > self._max_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._used_bytes -= _weight(dropped)


def _weight(ready: Ready) -> int:
    # The headers of both answers and the bookkeeping come to some 2 kB.
    return len(ready.answer.body) + 2048
