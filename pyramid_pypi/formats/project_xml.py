"""The document of a project as XML, for ``/projects/NAME/``.

It says what the JSON document says.  Single values are attributes, core metadata fields
elements of their own, repeated for each value of a list::

    <project xmlns="…/ns/project/1" name="demo" display_name="Demo" serial="7" …>
      <project_status status="active"/>
      <role user="ada" role="owner"/>
      <release version="1.0" serial="7" created_at="…" yanked="false">
        <core_metadata>
          <summary>A demonstration</summary>
          <project_urls label="Source">https://example.org/</project_urls>
        </core_metadata>
        <file filename="demo-1.0-py3-none-any.whl" url="…" size_bytes="2500" …>
          <hash type="sha256">…</hash>
        </file>
      </release>
    </project>
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lxml import etree

from pyramid_pypi.formats.canonical import printable
from pyramid_pypi.formats.project import ProjectDocument, plain

NAMESPACE = "https://pyramid-pypi.readthedocs.io/ns/project/1"


def project(document: ProjectDocument) -> bytes:
    """Return `document` as UTF-8 XML in `NAMESPACE`."""
    tree = plain(document)
    root = etree.Element(_tag("project"), nsmap={None: NAMESPACE})  # type: ignore[dict-item]
    _set_attributes(root, tree)
    _add(root, "project_status", tree["project_status"])
    for role in tree["roles"]:
        _add(root, "role", role)
    for release in tree["releases"]:
        element = _add(root, "release", release)
        _add_metadata(element, release["core_metadata"])
        for file in release["files"]:
            _add_file(element, file)
    content: bytes = etree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _add_metadata(release: etree._Element, metadata: Mapping[str, Any]) -> None:
    parent = _add(release, "core_metadata", {})
    for field, value in metadata.items():
        for item in value if isinstance(value, list) else [value]:
            if field == "project_urls":
                label, url = item
                _add(parent, field, {"label": label}).text = printable(url)
            else:
                _add(parent, field, {}).text = printable(item)


def _add_file(release: etree._Element, file: Mapping[str, Any]) -> None:
    element = _add(release, "file", file)
    for algorithm, digest in file["hashes"].items():
        _add(element, "hash", {"type": algorithm}).text = digest


def _add(parent: etree._Element, name: str, values: Mapping[str, Any]) -> etree._Element:
    element = etree.SubElement(parent, _tag(name))
    _set_attributes(element, values)
    return element


def _set_attributes(element: etree._Element, values: Mapping[str, Any]) -> None:
    """Set each single value of `values`; lists and dicts become elements elsewhere."""
    for name, value in values.items():
        if isinstance(value, bool):
            element.set(name, "true" if value else "false")
        elif isinstance(value, str | int):
            element.set(name, printable(str(value)))


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"
