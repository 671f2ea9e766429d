"""Core metadata of an sdist or wheel: from its bytes to a value, and to JSON and back."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyramid_pypi.formats.canonical import NOT_PRINTABLE
from pyramid_pypi.formats.metadata_checks import CHECKS, MetadataInvalid, refuse, shown

__all__ = ["CoreMetadata", "MetadataInvalid", "from_json", "parse", "to_json"]

MAX_METADATA_BYTES = 12 * 1024 * 1024
MAX_HEADER_LINES = 100_000
MAX_FIELD_VALUES = 5_000
MAX_FIELD_CHARS = 64 * 1024
MAX_URL_LABEL_CHARS = 32

_FIELD_NAME = re.compile(r"[!-9;-~]+\Z")
_NEXT_FIELD = re.compile(r"\n(?![ \t])")
# Metadata 1.x kept the description in a header, each line behind eight columns.
_MARGIN = re.compile(r"\n(?: {7}[ |]|\t)")


@dataclass(frozen=True, slots=True)
class CoreMetadata:
    """The fields of core metadata 1.0 to 2.5, as the file gives them.

    Names are those of `packaging.metadata.RawMetadata`.  A field that is absent, empty or
    ``UNKNOWN`` is None or an empty tuple.

    Source: Python packaging user guide, "Core metadata specifications".
    """

    metadata_version: str
    name: str
    version: str
    summary: str | None = None
    description: str | None = None
    description_content_type: str | None = None
    keywords: tuple[str, ...] = ()
    home_page: str | None = None
    download_url: str | None = None
    author: str | None = None
    author_email: str | None = None
    maintainer: str | None = None
    maintainer_email: str | None = None
    license: str | None = None
    license_expression: str | None = None
    license_files: tuple[str, ...] = ()
    classifiers: tuple[str, ...] = ()
    requires_dist: tuple[str, ...] = ()
    requires_python: str | None = None
    requires_external: tuple[str, ...] = ()
    project_urls: tuple[tuple[str, str], ...] = ()
    provides_extra: tuple[str, ...] = ()
    provides_dist: tuple[str, ...] = ()
    obsoletes_dist: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    supported_platforms: tuple[str, ...] = ()
    dynamic: tuple[str, ...] = ()
    import_names: tuple[str, ...] = ()
    import_namespaces: tuple[str, ...] = ()


_REPEATABLE = {
    "classifier": "classifiers",
    "dynamic": "dynamic",
    "import-name": "import_names",
    "import-namespace": "import_namespaces",
    "license-file": "license_files",
    "obsoletes-dist": "obsoletes_dist",
    "platform": "platforms",
    "project-url": "project_urls",
    "provides-dist": "provides_dist",
    "provides-extra": "provides_extra",
    "requires-dist": "requires_dist",
    "requires-external": "requires_external",
    "supported-platform": "supported_platforms",
}
_ONCE = {
    field.name.replace("_", "-"): field.name
    for field in dataclasses.fields(CoreMetadata)
    if field.name not in _REPEATABLE.values()
}


def parse(content: bytes) -> CoreMetadata:
    """Return the core metadata in `content`, the bytes of METADATA or PKG-INFO.

    Fields the specification does not know are passed over.

    Raises:
        MetadataInvalid: a field cannot be used; the detail names it.
    """
    if len(content) > MAX_METADATA_BYTES:
        raise MetadataInvalid(f"it has more than {MAX_METADATA_BYTES} bytes.")
    head, body = _head_and_body(content)
    values: dict[str, Any] = {}
    for header, texts in _fields(head).items():
        if header in _ONCE:
            values[_ONCE[header]] = _only(header, texts)
        elif header in _REPEATABLE:
            values[_REPEATABLE[header]] = _each(header, texts)
    if body and values.get("description"):
        refuse("description", "it is given more than once")
    values["description"] = values.get("description") or body
    for required in ("metadata-version", "name", "version"):
        if not values.get(_ONCE[required]):
            refuse(required, "it is required")
    for attribute, check in CHECKS.items():
        if values.get(attribute):
            check(values[attribute])
    return CoreMetadata(**_shaped(values))


def to_json(metadata: CoreMetadata) -> dict[str, Any]:
    """Return `metadata` for a JSON column: lists for tuples, empty fields left out."""
    document: dict[str, Any] = {}
    for name in CoreMetadata.__slots__:
        value = getattr(metadata, name)
        if name == "project_urls" and value:
            document[name] = [list(pair) for pair in value]
        elif value:
            document[name] = list(value) if isinstance(value, tuple) else value
    return document


def from_json(document: Mapping[str, Any]) -> CoreMetadata:
    """Return the metadata that `to_json` made `document` of."""
    values = dict(document)
    if "project_urls" in values:
        values["project_urls"] = [(label, url) for label, url in values["project_urls"]]
    shaped: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
    }
    return CoreMetadata(**shaped)


def _head_and_body(content: bytes) -> tuple[str, str | None]:
    # Split before decoding: text of any length but ASCII takes up to four times the room.
    if b"\r\n" in content:
        content = content.replace(b"\r\n", b"\n")
    head, _, body = content.partition(b"\n\n")
    if body.strip() in (b"", b"UNKNOWN"):
        return _text(head), None
    # Page breaks are as good as blanks in a README, and XML cannot carry them.
    return _text(head), _text(body.replace(b"\f", b" "))


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[max(0, error.start - 20) : error.start].decode("utf-8", "replace")
        raise MetadataInvalid(f"it is not UTF-8 after {shown(before)}.") from None
    forbidden = NOT_PRINTABLE.search(text)
    if forbidden:
        before = text[max(0, forbidden.start() - 20) : forbidden.start()]
        char = f"U+{ord(forbidden.group()):04X}"
        raise MetadataInvalid(f"it holds the control character {char} after {shown(before)}.")
    return text


def _fields(head: str) -> dict[str, list[str]]:
    """Return the values of each header of `head`, by its name in lower case."""
    # Mail parsers end a line at a bare CR, and take a line that is no header for the
    # body: two readers would see two documents.
    if "\r" in head:
        raise MetadataInvalid("a header holds a bare carriage return.")
    if head.count("\n") > MAX_HEADER_LINES:
        raise MetadataInvalid(f"it has more than {MAX_HEADER_LINES} lines of headers.")
    found: dict[str, list[str]] = {}
    for field in _NEXT_FIELD.split(head.rstrip("\n")):
        name, colon, value = field.partition(":")
        if not colon or not _FIELD_NAME.match(name):
            raise MetadataInvalid(f"{shown(field)} is not a header line.")
        found.setdefault(name.lower(), []).append(value)
    return found


def _only(header: str, texts: list[str]) -> str | None:
    if header in ("description", "license"):
        values = [_MARGIN.sub("\n", text).lstrip(" \t") for text in texts]
    else:
        values = [_unfold(text) for text in texts]
    values = [value for value in values if value.strip() not in ("", "UNKNOWN")]
    if len(values) > 1:
        refuse(header, "it is given more than once")
    if values and header != "description" and len(values[0]) > MAX_FIELD_CHARS:
        refuse(header, f"it has more than {MAX_FIELD_CHARS} characters")
    return values[0] if values else None


def _each(header: str, texts: list[str]) -> tuple[str, ...]:
    if len(texts) > MAX_FIELD_VALUES:
        refuse(header, f"it is given more than {MAX_FIELD_VALUES} times")
    values = [_unfold(text) for text in texts]
    return tuple(value for value in values if value not in ("", "UNKNOWN"))


def _unfold(text: str) -> str:
    return " ".join(line.strip() for line in text.strip().split("\n"))


def _shaped(values: dict[str, Any]) -> dict[str, Any]:
    """Return `values` with keywords and project URLs taken apart."""
    if values.get("keywords"):
        words = (word.strip() for word in values["keywords"].split(","))
        values["keywords"] = tuple(word for word in words if word)
    else:
        values.pop("keywords", None)
    if "project_urls" in values:
        values["project_urls"] = tuple(_label_and_url(text) for text in values["project_urls"])
    return values


def _label_and_url(text: str) -> tuple[str, str]:
    label, comma, url = (part.strip() for part in text.partition(","))
    if not comma or not label or not url:
        refuse("project-url", f"{shown(text)} is not a label, a comma and a URL")
    if len(label) > MAX_URL_LABEL_CHARS:
        refuse("project-url", f"the label has more than {MAX_URL_LABEL_CHARS} characters")
    return label, url
