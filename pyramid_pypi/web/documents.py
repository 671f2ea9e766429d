"""The documents of the published tree, made ready to be sent."""

from __future__ import annotations

import gzip
import math
import os
import re
import zlib

from pyramid_pypi.formats.simple import serial_of
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.web import answers
from pyramid_pypi.web.answers import Answer, Headers
from pyramid_pypi.web.negotiation import Representation
from pyramid_pypi.web.recent import Ready, Recent, state_of

FOREVER = "max-age=31536000, immutable, public"
"""Cache-Control of what never changes under its name."""

_ETAG_CHARS = 32
# Inside a JSON string the quotes before the colon would be escaped.
_LEGACY_SERIAL = re.compile(rb'(?<!\\)"last_serial":(\d+)')


class Documents:
    """Gives documents of the tree at `root`, from memory while they stand unchanged."""

    def __init__(self, root: str, recent: Recent, *, max_age_s: int) -> None:
        self._root = root.rstrip("/") + "/"
        self._recent = recent
        self.cache_control = f"max-age={max_age_s}, public"
        """Of documents that change."""

    def find(
        self,
        name: str,
        chosen: Representation,
        *,
        compressed: bool,
        most_bytes: float = math.inf,
    ) -> Ready | None:
        """Return the document at the tree path `name`, or None if there is none.

        With `compressed` the twin in gzip is given, if it stands beside the document.  What
        has more than `most_bytes` is not read, as if it were not there.
        """
        path = self._root + name
        if compressed:
            twin = self._recent.get(
                (name, chosen.content_type, True),
                path + ".gz",
                lambda twin_path, stat: (
                    self._prepare_twin(path, twin_path, chosen)
                    if stat.st_size <= most_bytes
                    else None
                ),
            )
            if twin is not None:
                return twin
        return self._recent.get(
            (name, chosen.content_type, False),
            path,
            lambda _, stat: self._prepare(path, chosen) if stat.st_size <= most_bytes else None,
        )

    def _prepare(self, path: str, chosen: Representation) -> Ready | None:
        opened = _read(path)
        if opened is None:
            return None
        content, stat = opened
        headers = self._headers(chosen, content)
        etag = f'"{sha256_hex(content)[:_ETAG_CHARS]}{chosen.tag}"'
        return _ready(stat, etag, headers, content)

    def _prepare_twin(self, path: str, twin_path: str, chosen: Representation) -> Ready | None:
        opened = _read(twin_path)
        if opened is None:
            return None
        compressed, stat = opened
        try:
            if os.stat(path).st_mtime_ns > stat.st_mtime_ns:
                return None
            content = gzip.decompress(compressed)
        except (OSError, EOFError, zlib.error):
            return None
        if not compressed:
            return None  # gzip takes no bytes for an empty archive; a power cut leaves such
        headers = [*self._headers(chosen, content), ("Content-Encoding", "gzip")]
        etag = f'"{sha256_hex(content)[:_ETAG_CHARS]}{chosen.tag}-gz"'
        return _ready(stat, etag, headers, compressed)

    def _headers(self, chosen: Representation, content: bytes) -> Headers:
        headers = [
            ("Content-Type", chosen.content_type),
            ("Cache-Control", FOREVER if chosen.is_immutable else self.cache_control),
            ("Vary", "Accept, Accept-Encoding" if chosen.is_chosen else "Accept-Encoding"),
            *answers.SAFE,
        ]
        if chosen.policy:
            headers.append(("Content-Security-Policy", chosen.policy))
        if chosen.bears_serial:
            serial = _serial(content)
            if serial is not None:
                headers.append(("X-PyPI-Last-Serial", str(serial)))
        return headers


def _ready(stat: os.stat_result, etag: str, headers: Headers, body: bytes) -> Ready:
    tagged = [*headers, ("ETag", etag)]
    # Content-Type stands first; a 304 has no content to tell the type of.
    whole = Answer("200 OK", [*tagged, ("Content-Length", str(len(body)))], body)
    return Ready(state_of(stat), etag, whole, Answer("304 Not Modified", tagged[1:]))


def _serial(content: bytes) -> int | None:
    serial = serial_of(content)
    if serial is None:
        found = _LEGACY_SERIAL.search(content)
        serial = int(found[1]) if found else None
    return serial


def _read(path: str) -> tuple[bytes, os.stat_result] | None:
    try:
        with open(path, "rb") as file:
            return file.read(), os.fstat(file.fileno())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
