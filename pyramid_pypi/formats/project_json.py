"""The document of a project as JSON, for ``/projects/NAME/``."""

from __future__ import annotations

import msgspec

from pyramid_pypi.formats.canonical import json_document
from pyramid_pypi.formats.project import ProjectDocument, plain


def project(document: ProjectDocument) -> bytes:
    """Return `document` as canonical JSON, in the shape of `project.plain`."""
    return json_document(plain(document))


class _Head(msgspec.Struct):
    serial: int


def serial_of(content: bytes) -> int | None:
    """Return the serial at which `content` was written, None when it is no such document."""
    try:
        return msgspec.json.decode(content, type=_Head).serial
    except msgspec.DecodeError:
        return None
