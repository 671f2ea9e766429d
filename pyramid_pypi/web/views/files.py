"""Release files and their core metadata: bytes that never change under their address."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from email.utils import formatdate
from typing import Any, BinaryIO

from pyramid.interfaces import IResponse
from pyramid.view import view_config
from zope.interface import implementer

from pyramid_pypi.errors import NoSuchFile
from pyramid_pypi.web import answers, negotiation, ranges
from pyramid_pypi.web.answers import Answer, Environ, Headers, StartResponse
from pyramid_pypi.web.recent import Ready, state_of
from pyramid_pypi.web.resources import ReleaseFile
from pyramid_pypi.web.security import READ

_SMALL_BYTES = 64 * 1024
_BLOCK_BYTES = 64 * 1024
_FOREVER = "max-age=365000000, immutable, public"


@view_config(context=ReleaseFile, request_method="GET", permission=READ)
def release_file(context: ReleaseFile, request: Any) -> Any:
    """Send a release file, its `.metadata`, or a part of either.

    Never with a Content-Encoding: pip reads the bytes as they come over the wire.
    """
    path = request.registry.tree_root + context.tree_path
    environ = request.environ
    etag = f'"{context.sha256}"'
    if context.__name__.endswith(".metadata"):
        etag = f'"{context.sha256}-metadata"'
    accel = request.registry.accel_prefix
    if accel is not None:
        return _handed_over(f"{accel.rstrip('/')}/{context.tree_path}", path, etag)
    if "HTTP_RANGE" not in environ:
        ready: Ready | None = request.registry.recent.get(
            path, path, lambda _, stat: _prepare(path, stat.st_size, etag)
        )
        if ready is not None:
            return ready.to(environ.get("HTTP_IF_NONE_MATCH"))
    return _from_disk(path, etag, environ)


def _prepare(path: str, size_bytes: int, etag: str) -> Ready | None:
    """Return a small file ready to be kept in memory; None for a large one."""
    if size_bytes > _SMALL_BYTES:
        return None
    try:
        with open(path, "rb") as file:
            stat = os.fstat(file.fileno())
            body = file.read()
    except OSError:
        return None
    headers = _headers(etag, stat)
    whole = Answer("200 OK", [*headers, ("Content-Length", str(len(body)))], body)
    return Ready(state_of(stat), etag, whole, _unchanged(headers))


def _unchanged(headers: Headers) -> Answer:
    # Content-Type stands first; a 304 has no content to tell the type of.
    return Answer("304 Not Modified", headers[1:])


def _headers(etag: str, stat: os.stat_result) -> Headers:
    return [
        ("Content-Type", "application/octet-stream"),
        ("ETag", etag),
        ("Last-Modified", formatdate(int(stat.st_mtime), usegmt=True)),
        ("Accept-Ranges", "bytes"),
        ("Cache-Control", _FOREVER),
        *answers.SAFE,
    ]


def _from_disk(path: str, etag: str, environ: Environ) -> Any:
    try:
        file = open(path, "rb")  # noqa: SIM115 - the answer closes it when it is sent
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise NoSuchFile from None
    try:
        answer = _opened(file, etag, environ)
    except BaseException:
        file.close()
        raise
    if not isinstance(answer, FileAnswer):
        file.close()
    return answer


def _opened(file: BinaryIO, etag: str, environ: Environ) -> Any:
    stat = os.fstat(file.fileno())
    headers = _headers(etag, stat)
    if_none_match = environ.get("HTTP_IF_NONE_MATCH")
    if if_none_match and negotiation.matches(if_none_match, etag):
        return _unchanged(headers)
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


def _handed_over(internal: str, path: str, etag: str) -> Answer:
    """Tell nginx to send the file; it knows about ranges itself."""
    try:
        stat = os.stat(path)
    except OSError:
        raise NoSuchFile from None
    return Answer("200 OK", [*_headers(etag, stat), ("X-Accel-Redirect", internal)])


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
