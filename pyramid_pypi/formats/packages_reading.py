"""The documents of `packages_xml` read back, as rows of createrepo's SQLite twins.

It reads what this index wrote itself, however long, and keeps one package at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from lxml import etree

from pyramid_pypi.formats.rpm_relations import Strength

RELATIONS = ("provides", *Strength)
"""The relations that `packages_xml` writes; the twins have tables for others too."""

_COMMON = "{http://linux.duke.edu/metadata/common}"
_RPM = "{http://linux.duke.edu/metadata/rpm}"

Value = str | int | None
Relation = tuple[Value, ...]
"""Name, flags, epoch, version and release; None for what is not bounded."""


@dataclass(frozen=True, slots=True)
class PackageRow:
    """A package as a row, its columns by the twins' names, and what belongs to it."""

    columns: dict[str, Value]
    relations: dict[str, list[Relation]] = field(default_factory=dict)
    changes: list[tuple[Value, ...]] = field(default_factory=list)  # author, date, text


def packages(stream: BinaryIO) -> Iterator[PackageRow]:
    """Yield the packages of a ``primary`` document, in its order."""
    for element in _elements(stream):
        form = _child(element, "format")
        yield PackageRow(
            {
                "pkgId": _child(element, "checksum").text,
                "name": _child(element, "name").text,
                "arch": _child(element, "arch").text,
                **_attributes(element, "version", version="ver", epoch="epoch", release="rel"),
                **{
                    name: _child(element, name).text or ""
                    for name in ("summary", "description", "url")
                },
                **_numbers(element, "time", time_file="file", time_build="build"),
                **_of_rpm(form),
                "rpm_packager": _child(element, "packager").text or "",
                **_numbers(
                    element,
                    "size",
                    size_package="package",
                    size_installed="installed",
                    size_archive="archive",
                ),
                **_attributes(element, "location", location_href="href"),
                "location_base": None,
                **_attributes(element, "checksum", checksum_type="type"),
            },
            {
                name: [
                    tuple(entry.get(key) for key in ("name", "flags", "epoch", "ver", "rel"))
                    for entry in form.iterfind(f"{_RPM}{name}/{_RPM}entry")
                ]
                for name in RELATIONS
            },
        )


def changelogs(stream: BinaryIO) -> Iterator[PackageRow]:
    """Yield the packages of a ``filelists`` or ``other`` document, with their changelogs."""
    for element in _elements(stream):
        yield PackageRow(
            {"pkgId": element.get("pkgid")},
            changes=[
                (log.get("author"), int(log.get("date", "0")), log.text or "")
                for log in element.iterfind("{*}changelog")
            ],
        )


def _elements(stream: BinaryIO) -> Iterator[etree._Element]:
    for _, element in etree.iterparse(
        stream, tag="{*}package", resolve_entities=False, no_network=True, huge_tree=True
    ):
        yield element
        element.clear()
        # What was read stays in the tree otherwise, as empty elements.
        while element.getprevious() is not None:
            del element.getparent()[0]


def _child(element: etree._Element, name: str) -> etree._Element:
    child = element.find(_COMMON + name)
    if child is None:
        raise ValueError(f"a package has no {name}")
    return child


def _attributes(element: etree._Element, name: str, **columns: str) -> dict[str, Value]:
    child = _child(element, name)
    return {column: child.get(attribute) for column, attribute in columns.items()}


def _numbers(element: etree._Element, name: str, **columns: str) -> dict[str, Value]:
    texts = _attributes(element, name, **columns)
    return {column: int(text or 0) for column, text in texts.items()}


def _of_rpm(form: etree._Element) -> dict[str, Value]:
    def text(name: str) -> str:
        return form.findtext(_RPM + name) or ""

    return {
        "rpm_license": text("license"),
        "rpm_vendor": text("vendor"),
        "rpm_group": text("group"),
        # createrepo has NULL for this one where it is empty, and for no other.
        "rpm_buildhost": text("buildhost") or None,
        "rpm_sourcerpm": text("sourcerpm"),
        "rpm_header_start": 0,
        "rpm_header_end": 0,
    }
