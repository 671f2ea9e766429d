"""Values of the Simple API: files, the page of a project, the list of projects.

Source: PyPA specification "Simple repository API", version 1.4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from html import escape
from typing import Any
from urllib.parse import quote

from pyramid_pypi.formats.canonical import encode, printable
from pyramid_pypi.values.digests import file_path
from pyramid_pypi.values.instants import iso_instant

API_VERSION = "1.4"
QUARANTINED = "quarantined"
ROOT = "../../"  # from /simple/NAME/ to the root of the tree

_HTML_SERIAL = re.compile(rb"<!--SERIAL ([0-9]+)-->\n\Z")
_HTML_SERIAL_BYTES = 64  # more than the comment takes
# No text of a page can hold this: within a JSON string its quotes are escaped.
_JSON_SERIAL = b'"meta":{"_last-serial":'
_DIGITS = re.compile(rb"[0-9]+")


# Without slots: each file keeps its part of the two pages once it is written, so that a
# new file of a large project costs one part and a join.
@dataclass(frozen=True, kw_only=True)
class SimpleFile:
    """One release file as installers see it.

    `requires_python` is None where unknown, `core_metadata_sha256` where the index serves
    no ``.metadata`` sibling.  `yanked_reason` counts only with `yanked`.
    """

    filename: str
    sha256: str
    size_bytes: int
    uploaded_at: datetime
    requires_python: str | None
    yanked: bool
    yanked_reason: str
    core_metadata_sha256: str | None

    @property
    def path(self) -> str:
        """Return where the file lies, relative to the root of the tree."""
        return file_path(self.sha256, self.filename)

    @property
    def url_path(self) -> str:
        """Return `path` as it stands in a URL.

        The ``+`` of a local version is escaped too: object stores read it as a space.
        """
        return file_path(self.sha256, quote(self.filename))

    @cached_property
    def html_fragment(self) -> bytes:
        """Return the file's line of the HTML page (PEP 503, 592, 658, 714)."""
        attributes = ""
        if self.requires_python:
            attributes += f' data-requires-python="{attribute(self.requires_python)}"'
        if self.core_metadata_sha256:
            digest = f"sha256={self.core_metadata_sha256}"
            # PEP 714: readers from before it know the second name only.
            attributes += f' data-core-metadata="{digest}" data-dist-info-metadata="{digest}"'
        if self.yanked:
            attributes += f' data-yanked="{attribute(self.yanked_reason)}"'
        href = f"{ROOT}{self.url_path}#sha256={self.sha256}"
        line = f'<a href="{href}"{attributes}>{escape(self.filename)}</a><br>\n'
        return line.encode()

    @cached_property
    def json_fragment(self) -> bytes:
        """Return the file's object of the JSON page (PEP 691, 700, 714)."""
        file: dict[str, Any] = {
            "filename": self.filename,
            "hashes": {"sha256": self.sha256},
            "size": self.size_bytes,
            "upload-time": iso_instant(self.uploaded_at),
            "url": ROOT + self.url_path,
            "yanked": (self.yanked_reason or True) if self.yanked else False,
        }
        if self.requires_python:
            file["requires-python"] = self.requires_python
        if self.core_metadata_sha256:
            file["core-metadata"] = {"sha256": self.core_metadata_sha256}
        return encode(file)


@dataclass(frozen=True)
class SimplePage:
    """Everything installers see of one project; `files` and `versions` in page order.

    `name` is normalized.  `status` is a marker of PEP 792, with a reason or ``""``.
    """

    name: str
    serial: int
    status: str
    status_reason: str
    versions: tuple[str, ...]
    files: tuple[SimpleFile, ...]

    @property
    def listed_files(self) -> tuple[SimpleFile, ...]:
        """Return the files the page shows: none while the project is quarantined.

        No installer honours the marker alone.
        """
        return () if self.status == QUARANTINED else self.files


@dataclass(frozen=True)
class SimpleList:
    """Every project with its serial, sorted by normalized name."""

    serial: int
    projects: tuple[tuple[str, int], ...]


def attribute(text: str) -> str:
    """Return `text` for an HTML attribute in double quotes."""
    # A bare carriage return would be read back as a line feed.
    return escape(printable(text)).replace("\r", "&#13;")


def serial_of(content: bytes) -> int | None:
    """Return the serial that `content`, a page or list in either form, was written at.

    None if it bears none, as one does that was cut short or not written by this index.
    """
    if content.endswith(b"-->\n"):
        found = _HTML_SERIAL.search(content[-_HTML_SERIAL_BYTES:])
        return int(found[1]) if found else None
    start = content.rfind(_JSON_SERIAL)
    if start < 0 or not content.endswith(b"}\n"):
        return None
    digits = _DIGITS.match(content, start + len(_JSON_SERIAL))
    return int(digits[0]) if digits else None
