"""Where a published tree is read from: a folder, or an address.  Neither is trusted.

What comes is bounded in bytes and time before anything looks at it, and a path never
leads out of the tree.  Whether it is right is not decided here.
"""

from __future__ import annotations

import os
import stat
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from pyramid_pypi.errors import Refusal
from pyramid_pypi.fetching import Caller, Coming, FetchFailed, FetchTimedOut

_BLOCK_BYTES = 256 * 1024
_PATIENCE_S = 20.0  # for an answer to begin, for a silence, and for a small one to end
_DEADLINE_S = 12 * 3600.0
_LEAST_BYTES_PER_S = 32 * 1024
_WAITS_S = (0.1, 0.5, 1.0)
_REMEMBERED = 256
_MOST_BLOCKS_PASSED = 4
_FOUND = 200
_GONE = frozenset({404, 410})
_BUSY = frozenset({429, 500, 502, 503, 504})
MAX_PATH_CHARS = 1024


class SourceUnreadable(Refusal):
    """A folder or an address that should hold a published tree could not be read.

    The detail names what was asked for and what came instead.
    """

    code = "source.unreadable"
    title = "The tree cannot be read"


@dataclass(slots=True)
class Tally:
    """How much was read of a source."""

    fetches: int = 0
    bytes: int = 0


class Source(Protocol):
    """A published tree, read by path."""

    name: str
    tally: Tally

    def blocks(self, path: str) -> Iterator[bytes] | None:
        """Return the document at `path` block by block, None if there is none.

        Raises:
            SourceUnreadable: it could not be read, now or while the blocks are taken.
        """

    def modified(self, path: str) -> datetime | None:
        """Return since when `path` shows what it shows, None if that is not known."""


def read(source: Source, path: str, max_bytes: int) -> bytes | None:
    """Return the document at `path`, None if there is none.

    Of one longer than `max_bytes` the beginning, one byte longer than that: it equals
    nothing that the caller could expect, and nobody can make us hold more.
    """
    coming = source.blocks(path)
    if coming is None:
        return None
    content = bytearray()
    for block in coming:
        content += block
        if len(content) > max_bytes:
            break
    _finish(coming)
    return bytes(content[: max_bytes + 1])


def is_safe(path: str) -> bool:
    """Tell whether `path` is one that may lie in a tree: relative, and staying within."""
    parts = path.split("/")
    return (
        len(path) <= MAX_PATH_CHARS
        and path.isprintable()
        and "\\" not in path
        and all(part not in {"", ".", ".."} for part in parts)
    )


def _finish(coming: Iterator[bytes]) -> None:
    close = getattr(coming, "close", None)
    if close is not None:
        close()


def _pass_over(coming: Coming) -> None:
    """Read a short body to its end, since only then the connection is kept."""
    with suppress(FetchFailed):
        for _ in zip(range(_MOST_BLOCKS_PASSED), coming.blocks, strict=False):
            pass


def _checked(path: str) -> str:
    if not is_safe(path):
        raise SourceUnreadable(f"{path[:200]!r} is no path of a tree")
    return path


class FolderSource:
    """A tree in a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = str(root)
        self.tally = Tally()
        self._real = os.path.realpath(root)
        if not Path(self._real).is_dir():
            raise SourceUnreadable(f"{root} is no folder")

    def place(self, path: str) -> str:
        """Return where in the file system `path` is, symbolic links followed.

        Raises:
            SourceUnreadable: a symbolic link leads out of the tree.
        """
        real = os.path.realpath(f"{self._real}/{_checked(path)}")
        if not real.startswith(f"{self._real}/"):
            raise SourceUnreadable(f"{path} leads out of the tree")
        return real

    def blocks(self, path: str) -> Iterator[bytes] | None:
        """Return the document at `path` block by block; see `Source`."""
        try:
            # Not blocking: a pipe in place of a document would be waited for for ever.
            descriptor = os.open(self.place(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise SourceUnreadable(f"{path}: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return None
        self.tally.fetches += 1
        return self._read(path, descriptor)

    def _read(self, path: str, descriptor: int) -> Iterator[bytes]:
        with open(descriptor, "rb", buffering=0) as file:
            while True:
                try:
                    block = file.read(_BLOCK_BYTES)
                except OSError as error:
                    raise SourceUnreadable(f"{path}: {error.strerror}") from error
                if not block:
                    return
                self.tally.bytes += len(block)
                yield block

    def modified(self, path: str) -> datetime | None:
        """Return the modification time of `path`."""
        try:
            return datetime.fromtimestamp(os.stat(self.place(path)).st_mtime, UTC)
        except (OSError, SourceUnreadable):
            return None

    def changed_after(self, path: str, at: datetime) -> bool:
        """Tell whether the file at `path` came or changed after `at`, whatever it says.

        Copiers set the modification time; this one is the kernel's.
        """
        try:
            return os.stat(self.place(path)).st_ctime > at.timestamp()
        except OSError:
            return True

    def names(self, folder: str) -> Iterator[tuple[str, bool]]:
        """Yield what is in `folder`, ``""`` for the top: name, and whether a folder itself.

        Symbolic links are neither followed nor hidden.
        """
        place = self.place(folder) if folder else self._real
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(place) as entries:
            for entry in entries:
                yield entry.name, entry.is_dir(follow_symlinks=False)

    def files(self, folder: str = "") -> Iterator[str]:
        """Yield the path of every file below `folder`, in no order."""
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            for name, is_folder in self.names(here):
                path = f"{here}/{name}" if here else name
                if is_folder:
                    waiting.append(path)
                else:
                    yield path


class HttpSource:
    """A tree at an address: a front server, a mirror, or the application."""

    def __init__(self, base_url: str, *, patience_s: float = _PATIENCE_S) -> None:
        self.name = base_url.rstrip("/")
        self.tally = Tally()
        self._caller = Caller()
        self._patience_s = patience_s
        self._times: OrderedDict[str, str | None] = OrderedDict()

    def close(self) -> None:
        """Give the connection up."""
        self._caller.close()

    def blocks(self, path: str) -> Iterator[bytes] | None:
        """Return the document at `path` block by block; see `Source`."""
        url = f"{self.name}/{quote(_checked(path))}"
        stack = ExitStack()
        coming = self._asked(url, "GET", stack)
        self._remember(path, coming)
        if coming.status == _FOUND:
            return self._body(url, coming, stack)
        with stack:
            _pass_over(coming)
        if coming.status in _GONE:
            return None
        raise SourceUnreadable(f"{url}: status {coming.status}")

    def modified(self, path: str) -> datetime | None:
        """Return the ``Last-Modified`` of `path`, as the server last gave it."""
        if path not in self._times:
            try:
                url = f"{self.name}/{quote(_checked(path))}"
                with ExitStack() as stack:
                    self._remember(path, self._asked(url, "HEAD", stack))
            except SourceUnreadable:
                return None
        with suppress(ValueError, TypeError):
            at = parsedate_to_datetime(self._times[path] or "")
            return at if at.tzinfo else at.replace(tzinfo=UTC)
        return None

    def _body(self, url: str, coming: Coming, stack: ExitStack) -> Iterator[bytes]:
        started, came = time.monotonic(), 0
        with stack:
            try:
                for block in coming.blocks:
                    came += len(block)
                    self.tally.bytes += len(block)
                    yield block
                    # The rate is bounded, for the time that a large file takes cannot be.
                    due_s = self._patience_s + came / _LEAST_BYTES_PER_S
                    if time.monotonic() - started > due_s:
                        raise SourceUnreadable(f"{url}: the answer drips")
            except FetchFailed as error:
                raise SourceUnreadable(error.detail) from error

    def _asked(self, url: str, method: str, stack: ExitStack) -> Coming:
        """Return the answer, kept open by `stack`; ask again while the server is busy."""
        for wait_s in (*_WAITS_S, None):
            self.tally.fetches += 1
            try:
                coming = stack.enter_context(
                    self._caller.asking(
                        url,
                        deadline_s=_DEADLINE_S,
                        silence_s=self._patience_s,
                        method=method,
                    )
                )
            except FetchFailed as error:
                # Who keeps silent once does so again, and each time costs all of it.
                if wait_s is None or isinstance(error, FetchTimedOut):
                    raise SourceUnreadable(error.detail) from error
            else:
                if wait_s is None or coming.status not in _BUSY:
                    return coming
                stack.close()
            time.sleep(wait_s or 0)
        raise AssertionError  # the last turn returns or raises

    def _remember(self, path: str, coming: Coming) -> None:
        self._times[path] = coming.headers.get("last-modified")
        while len(self._times) > _REMEMBERED:
            self._times.popitem(last=False)
