"""The Simple API as JSON, version 1.4, in canonical bytes.

Source: PyPA specification "Simple repository API"; PEP 691, 700, 714, 792.
"""

from __future__ import annotations

from typing import Any

from pyramid_pypi.formats.canonical import encode, json_document
from pyramid_pypi.formats.simple import API_VERSION, SimpleList, SimplePage
from pyramid_pypi.values.digests import sha256_hex


def page(simple_page: SimplePage, html: bytes) -> bytes:
    """Return the page of one project, for ``/simple/NAME/``.

    A private key (PEP 700) names its twin `html`, so that one digest vouches for both.
    """
    status = {"status": simple_page.status}
    if simple_page.status_reason:
        status["reason"] = simple_page.status_reason
    rest = json_document(
        {
            "meta": _meta(simple_page.serial),
            "name": simple_page.name,
            "project-status": status,
            "versions": simple_page.versions,
        }
    )
    # "_html" and "files" sort before every other key, so the written parts go in front as
    # they are; in one join, because a copy of a large page costs more than all else.
    parts = [file.json_fragment for file in simple_page.listed_files] or [b""]
    parts[0] = b'{"_html":' + encode(_twin(html)) + b',"files":[' + parts[0]
    parts[-1] += b"]," + rest[1:]
    return b",".join(parts)


def project_list(simple_list: SimpleList) -> bytes:
    """Return the list of all projects, for ``/simple/``.

    ``_last-serial`` of each project is what bandersnatch follows.
    """
    # A normalized name has letters, digits and hyphens only: nothing to escape.  A million
    # of them are a third as large as text as they would be as objects to encode.
    projects = [
        f'{{"_last-serial":{serial},"name":"{name}"}}' for name, serial in simple_list.projects
    ]
    head = b'{"meta":' + encode(_meta(simple_list.serial)) + b',"projects":['
    return b"".join((head, ",".join(projects).encode(), b"]}\n"))


def _twin(html: bytes) -> dict[str, Any]:
    return {"sha256": sha256_hex(html), "size": len(html)}


def _meta(serial: int) -> dict[str, Any]:
    return {"_last-serial": serial, "api-version": API_VERSION}
