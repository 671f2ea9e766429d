"""Upload forms: read as they come, bounded in every direction, the file onto the disk."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import multipart

from pyramid_pypi.upload.refusals import (
    BodyTruncated,
    FileMissing,
    FormInvalid,
    FormTooComplex,
    UploadTooLarge,
)
from pyramid_pypi.upload.values import MAX_FIELDS_BYTES, Form, Spooled, most_form_bytes
from pyramid_pypi.values.digests import Digester
from pyramid_pypi.web.refusals import MediaTypeUnsupported

FILE_FIELD = "content"

# One part for each Requires-Dist and classifier, of which metadata may have 5,000.
_MAX_PARTS = 6000
_MAX_NAME_CHARS = 256
_MAX_HEADER_BYTES = 4096
_BLOCK_BYTES = 64 * 1024
_BOUNDARY = re.compile(r"[ -~]{0,199}[!-~]\Z")  # RFC 2046 says 70; distutils kept to it


@dataclass
class Received:
    """An upload form: its text fields, and the file part if it came."""

    form: Form
    spooled: Spooled | None

    @property
    def file(self) -> Spooled:
        """Return the file part.

        Raises:
            FileMissing: there was none.
        """
        if self.spooled is None:
            raise FileMissing
        return self.spooled


@contextmanager
def received(
    environ: dict[str, Any], new_path: Callable[[], Path], *, max_file_bytes: int
) -> Iterator[Received]:
    """Give the upload form in the body of a request; its file lasts as long as the context.

    The file is written to a path that `new_path` gives.

    Raises:
        MediaTypeUnsupported: the body is no ``multipart/form-data``.
        UploadTooLarge: the file exceeds `max_file_bytes`, or the announced body all that
            a form may come to; the latter before anything is read.
        FormTooComplex: too many fields, or too long ones.
        FormInvalid: the form breaks RFC 7578, or is not UTF-8.
        BodyTruncated: the body ends before the form does.
    """
    boundary = _boundary(environ.get("CONTENT_TYPE", ""))
    length = _length(environ, max_file_bytes)
    reception = _Reception(new_path, max_file_bytes)
    try:
        reception.read(environ["wsgi.input"], boundary, length)
        yield Received(
            {name: tuple(values) for name, values in reception.fields.items()},
            reception.spooled,
        )
    finally:
        reception.clear()


def _boundary(content_type: str) -> str:
    media_type, options = multipart.parse_options_header(content_type)
    if media_type.lower() != "multipart/form-data":
        raise MediaTypeUnsupported(f"{media_type or 'no type'}; use multipart/form-data")
    boundary = options.get("boundary", "")
    if not _BOUNDARY.match(boundary):
        raise FormInvalid("the Content-Type has no usable boundary")
    return str(boundary)


def _length(environ: dict[str, Any], max_file_bytes: int) -> int:
    announced = environ.get("CONTENT_LENGTH") or ""
    if not announced and environ.get("wsgi.input_terminated"):
        return -1
    if not announced.isascii() or not announced.isdigit():
        raise BodyTruncated("the request has no Content-Length")
    length = int(announced)
    if length > most_form_bytes(max_file_bytes):
        raise UploadTooLarge(f"files have at most {max_file_bytes} bytes")
    return length


@dataclass
class _Reception:
    """The state of one form while it comes in."""

    new_path: Callable[[], Path]
    max_file_bytes: int
    fields: dict[str, list[str]] = field(default_factory=dict)
    spooled: Spooled | None = None
    fields_bytes: int = 0
    path: Path | None = None

    def read(self, body: BinaryIO, boundary: str, length: int) -> None:
        parser = multipart.PushMultipartParser(
            boundary,
            content_length=length,
            max_header_size=_MAX_HEADER_BYTES,
            max_segment_count=_MAX_PARTS,
        )
        try:
            with parser:
                events = parser.parse_blocking(body.read, _BLOCK_BYTES)
                for event in events:
                    self._take(event, events)
        except multipart.ParserLimitReached as error:
            raise FormTooComplex(str(error)) from error
        except multipart.MultipartError as error:
            if "Unexpected end" in str(error):
                raise BodyTruncated from error
            raise FormInvalid(str(error)) from error

    def _take(self, segment: Any, events: Iterator[Any]) -> None:
        name = segment.name
        if len(name) > _MAX_NAME_CHARS:
            raise FormTooComplex("a field has a name of over 256 characters")
        if name == FILE_FIELD:
            self._take_file(segment.filename, events)
        elif name == "gpg_signature":
            # PyPI retired them; uploaders still configured to sign must not fail.
            self._skip(events)
        else:
            self._take_text(name, events)

    def _take_file(self, filename: str | None, events: Iterator[Any]) -> None:
        if self.spooled is not None:
            raise FormInvalid(f"the form has two parts named {FILE_FIELD}")
        if not filename:
            raise FileMissing(f"the part named {FILE_FIELD} has no filename")
        digester = Digester()
        self.path = self.new_path()
        left = self.max_file_bytes
        with open(self.path, "xb") as file:
            for chunk in iter(events.__next__, None):
                left -= len(chunk)
                if left < 0:
                    raise UploadTooLarge(f"files have at most {self.max_file_bytes} bytes")
                digester.update(chunk)
                file.write(chunk)
        self.spooled = Spooled(self.path, filename, digester.digests())

    def _take_text(self, name: str, events: Iterator[Any]) -> None:
        chunks = []
        for chunk in iter(events.__next__, None):
            self._count(chunk)
            chunks.append(chunk)
        try:
            text = b"".join(chunks).decode("utf-8")
        except UnicodeDecodeError as error:
            raise FormInvalid(f"the field {name!r} is not UTF-8") from error
        self.fields.setdefault(name, []).append(text)

    def _skip(self, events: Iterator[Any]) -> None:
        for chunk in iter(events.__next__, None):
            self._count(chunk)

    def _count(self, chunk: bytes) -> None:
        self.fields_bytes += len(chunk)
        if self.fields_bytes > MAX_FIELDS_BYTES:
            raise FormTooComplex(f"the fields have over {MAX_FIELDS_BYTES} bytes together")

    def clear(self) -> None:
        """Remove what was spooled, unless it was moved away."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
