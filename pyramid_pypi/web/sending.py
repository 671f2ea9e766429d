"""Files sent from the disk, whole or in part, whatever their size."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, BinaryIO

from pyramid.interfaces import IResponse
from zope.interface import implementer

from pyramid_pypi.web import answers, negotiation, ranges
from pyramid_pypi.web.answers import Answer, Environ, Headers, StartResponse

_BLOCK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Manner:
    """How a file is sent."""

    content_type: str
    cache_control: str
    etag: str | None = None
    """Strong and quoted; None for one made of the file's time and size."""
    more: tuple[tuple[str, str], ...] = ()
    """Further headers."""

    def headers(self, stat: os.stat_result) -> Headers:
        """Return the headers for the version of the file that has `stat`."""
        return [
            ("Content-Type", self.content_type),
            ("ETag", self.etag_of(stat)),
            ("Last-Modified", formatdate(int(stat.st_mtime), usegmt=True)),
            ("Accept-Ranges", "bytes"),
            ("Cache-Control", self.cache_control),
            *answers.SAFE,
            *self.more,
        ]

    def etag_of(self, stat: os.stat_result) -> str:
        """Return the ETag of the version that has `stat`.

        The tree gives no name two versions of one time, so time and size tell them apart.
        """
        return self.etag or f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'


def opened(path: str) -> BinaryIO | None:
    """Return the file at `path`, None if there is none."""
    try:
        return open(path, "rb")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def send(file: BinaryIO, manner: Manner, environ: Environ) -> Any:
    """Return the answer with `file`, which it closes, or the part asked for."""
    try:
        answer = _answer(file, manner, environ)
    except BaseException:
        file.close()
        raise
    if not isinstance(answer, FileAnswer):
        file.close()
    return answer


def unchanged(headers: Headers) -> Answer:
    """Return the 304 that stands for an answer with `headers`."""
    # Content-Type stands first; a 304 has no content to tell the type of.
    return Answer("304 Not Modified", headers[1:])


def _answer(file: BinaryIO, manner: Manner, environ: Environ) -> Any:
    stat = os.fstat(file.fileno())
    headers, etag = manner.headers(stat), manner.etag_of(stat)
    if_none_match = environ.get("HTTP_IF_NONE_MATCH")
    if if_none_match and negotiation.matches(if_none_match, etag):
        return unchanged(headers)
    wanted = None
    # Range is for GET alone; lazy wheels ask HEAD for the whole length.
    if environ["REQUEST_METHOD"] == "GET" and ranges.still_holds(
        environ.get("HTTP_IF_RANGE"), etag, int(stat.st_mtime)
    ):
        try:
            wanted = ranges.asked(environ.get("HTTP_RANGE"), stat.st_size)
        except ranges.OutOfRange:
            beyond = ("Content-Range", f"bytes */{stat.st_size}")
            return Answer(answers.status_line(416), [*headers, beyond, ("Content-Length", "0")])
    if wanted is None:
        return FileAnswer("200 OK", headers, file, 0, stat.st_size, to_end=True)
    first, last = wanted
    headers.append(("Content-Range", f"bytes {first}-{last}/{stat.st_size}"))
    return FileAnswer(
        answers.status_line(206),
        headers,
        file,
        first,
        last - first + 1,
        to_end=last == stat.st_size - 1,
    )


@implementer(IResponse)
class FileAnswer:
    """A WSGI answer whose body is `length` bytes of an open file, from `first` on."""

    def __init__(
        self,
        status: str,
        headers: Headers,
        file: BinaryIO,
        first: int,
        length: int,
        *,
        to_end: bool,
    ) -> None:
        self.status = status
        self.headerlist = [*headers, ("Content-Length", str(length))]
        self._file = file
        self._first = first
        self._length = length
        self._to_end = to_end

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Send the part; by the server's own means where they can end where it ends."""
        start_response(self.status, self.headerlist)
        if environ["REQUEST_METHOD"] == "HEAD":
            self._file.close()
            return ()
        self._file.seek(self._first)
        wrapper = environ.get("wsgi.file_wrapper")
        if wrapper is not None and self._to_end:
            wrapped: Iterable[bytes] = wrapper(self._file, _BLOCK_BYTES)
            return wrapped
        return _Part(self._file, self._length)


class _Part:
    """The next `length` bytes of a file, block by block; the server closes it."""

    def __init__(self, file: BinaryIO, length: int) -> None:
        self._file = file
        self._left = length

    def __iter__(self) -> Iterator[bytes]:
        while self._left > 0:
            block = self._file.read(min(_BLOCK_BYTES, self._left))
            if not block:
                return
            self._left -= len(block)
            yield block

    def close(self) -> None:
        self._file.close()
