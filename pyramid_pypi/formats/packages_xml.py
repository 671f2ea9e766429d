"""The createrepo documents of a project: ``primary``, ``filelists`` and ``other``.

Each release file is one package: a wheel of architecture ``noarch``, an sdist ``src``, its
id the sha256 of the file, its location the file's path in the tree, unescaped: ``dnf``
escapes it again, and makes its path on a mirror of it.  The three documents
name the packages in one order, which strict readers ask for: by version as text, then by
filename.  ``primary`` says what wheels provide and need, see `rpm_relations`; a yanked
wheel is there to be mirrored, but provides nothing, so that no resolver comes to it by a
requirement.  Sdists need nothing: what RPM calls the needs of a source is what building it
takes.  ``filelists`` has no paths, the index does not look that deep; ``other`` tells who
uploaded a file and when.

Texts are one line and bounded, so that a file takes some hundred bytes and not megabytes.
Written by hand, not by lxml, which takes ten times as long; tests hold the two together.

Source: createrepo_c, ``xml_dump_primary.c``, ``xml_dump_filelists.c``, ``xml_dump_other.c``.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import Literal, NamedTuple

from packaging.version import Version

from pyramid_pypi.formats.canonical import printable
from pyramid_pypi.formats.compression import gzip_bytes
from pyramid_pypi.formats.core_metadata import CoreMetadata
from pyramid_pypi.formats.project import ProjectDocument, ProjectFile, ProjectRelease
from pyramid_pypi.formats.rpm_relations import (
    RELEASE_NUMBER,
    Relation,
    Strength,
    needed,
    package_evr,
    provided,
)

Kind = Literal["primary", "filelists", "other"]
KINDS: tuple[Kind, ...] = ("primary", "filelists", "other")

MAX_TEXT_CHARS = 500
MAX_RELATIONS = 300
"""More of one strength are left out: they would stand there again for each file."""

# Most texts need nothing done: words of ASCII without a mark of XML, one space between.
_PLAIN = re.compile(r"[!#-%(-;=?-~]+(?: [!#-%(-;=?-~]+)*\Z")
_ROOT: dict[Kind, str] = {"primary": "metadata", "filelists": "filelists", "other": "otherdata"}
_NAMESPACES: dict[Kind, str] = {
    "primary": 'xmlns="http://linux.duke.edu/metadata/common"'
    ' xmlns:rpm="http://linux.duke.edu/metadata/rpm"',
    "filelists": 'xmlns="http://linux.duke.edu/metadata/filelists"',
    "other": 'xmlns="http://linux.duke.edu/metadata/other"',
}


@dataclass(frozen=True, slots=True)
class Members:
    """The ``<package>`` elements of a project, raw, in one order in all three documents."""

    count: int
    primary: bytes
    filelists: bytes
    other: bytes

    def of(self, kind: Kind) -> bytes:
        """Return the elements for the document `kind`."""
        content: bytes = getattr(self, kind)
        return content


def members(document: ProjectDocument, wanted: Container[str] | None = None) -> Members:
    """Return the packages of `document`; if `wanted` is given, only files with such names.

    There are none while the project is quarantined.
    """
    name = _text(document.name)
    rows = [
        _package(file, parts)
        for release in sorted(document.listed_releases, key=lambda release: release.version)
        if (files := _files(release, wanted))
        for parts in (_parts(name, document.name, release),)
        for file in files
    ]
    primary, filelists, other = zip(*rows, strict=True) if rows else ((), (), ())
    return Members(
        len(rows),
        "".join(primary).encode(),
        "".join(filelists).encode(),
        "".join(other).encode(),
    )


def opening(kind: Kind, count: int) -> bytes:
    """Return what stands before the elements of `count` packages in the document `kind`."""
    root = f'<{_ROOT[kind]} {_NAMESPACES[kind]} packages="{count}">'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{root}\n'.encode()


def closing(kind: Kind) -> bytes:
    """Return what stands after the elements in the document `kind`."""
    return f"</{_ROOT[kind]}>\n".encode()


def whole(kind: Kind, content: bytes, count: int) -> bytes:
    """Return the document `kind` of `count` packages, compressed; `content` is theirs.

    Opening, packages and closing are three gzip members, one file to every reader
    (RFC 1952, 2.2).
    """
    return b"".join(map(gzip_bytes, (opening(kind, count), content, closing(kind))))


class _Parts(NamedTuple):
    """What the files of a release have in common, as XML."""

    named: str  # the attributes by which `filelists` and `other` name a package
    head: str
    version: str
    summary: str
    people: str
    licence: str
    provides: str
    needs: str


def _files(release: ProjectRelease, wanted: Container[str] | None) -> list[ProjectFile]:
    files = sorted(release.files, key=lambda file: file.filename)
    return files if wanted is None else [file for file in files if file.filename in wanted]


def _parts(name: str, raw_name: str, release: ProjectRelease) -> _Parts:
    metadata = release.metadata
    version = Version(release.version)
    evr = package_evr(version)
    ver = _text(evr.ver)
    own = (
        f'<rpm:entry name="{name}" flags="EQ" epoch="{evr.epoch}" ver="{ver}"'
        f' rel="{RELEASE_NUMBER}"/>'
    )
    others = provided(raw_name, version, metadata.provides_extra[:MAX_RELATIONS])
    url = _text(_address(metadata))
    return _Parts(
        named=f'name="{name}" arch="',
        head=f'<package type="rpm"><name>{name}</name><arch>',
        version=f'<version epoch="{evr.epoch}" ver="{ver}" rel="{RELEASE_NUMBER}"/>',
        summary=_text(metadata.summary),
        people=f"<packager>{_text(_packager(metadata))}</packager><url>{url}</url>",
        licence=_text(metadata.license_expression or metadata.license),
        provides=f"<rpm:provides>{own}{''.join(map(_entry, others))}</rpm:provides>",
        needs=_needs(metadata.requires_dist),
    )


def _package(file: ProjectFile, parts: _Parts) -> tuple[str, str, str]:
    """Return the elements of `file` for the three documents."""
    is_source = file.packagetype == "sdist"
    arch = "src" if is_source else "noarch"
    at = max(int(file.uploaded_at.timestamp()), 1)  # 0 is, to some readers, no time at all
    note = f"; yanked: {_text(file.yanked_reason)}" if file.yanked else ""
    provides = "" if is_source or file.yanked else parts.provides
    needs = "" if is_source else parts.needs
    primary = (
        f'{parts.head}{arch}</arch>{parts.version}<checksum type="sha256" pkgid="YES">'
        f"{file.sha256}</checksum><summary>{parts.summary}</summary>"
        f"<description>{parts.summary}{note}</description>{parts.people}"
        f'<time file="{at}" build="{at}"/>'
        f'<size package="{file.size_bytes}" installed="0" archive="0"/>'
        f'<location href="{_text(file.path)}"/>'
        f"<format><rpm:license>{parts.licence}</rpm:license>"
        "<rpm:vendor/><rpm:group>Unspecified</rpm:group><rpm:buildhost/><rpm:sourcerpm/>"
        f'<rpm:header-range start="0" end="0"/>{provides}{needs}</format></package>\n'
    )
    named = f'<package pkgid="{file.sha256}" {parts.named}{arch}">{parts.version}'
    other = (
        f'{named}<changelog author="{_text(file.uploaded_by)}" date="{at}">'
        f"uploaded {_text(file.filename)}{note}</changelog></package>\n"
    )
    return primary, f"{named}</package>\n", other


def _needs(requirements: Iterable[str]) -> str:
    found: dict[Strength, dict[str, None]] = {strength: {} for strength in _ORDER}
    for requirement in requirements:
        for strength, entry in _need(requirement):
            if len(found[strength]) < MAX_RELATIONS:
                found[strength][entry] = None
    return "".join(
        f"<rpm:{strength}>{''.join(entries)}</rpm:{strength}>"
        for strength, entries in found.items()
        if entries
    )


# As createrepo orders them.
_ORDER = (Strength.REQUIRES, Strength.SUGGESTS, Strength.RECOMMENDS)


# The releases of a project, and projects among each other, ask for much the same.
@lru_cache(maxsize=4096)
def _need(requirement: str) -> tuple[tuple[Strength, str], ...]:
    return tuple((strength, _entry(relation)) for strength, relation in needed(requirement))


def _entry(relation: Relation) -> str:
    bound = ""
    if relation.flags and relation.evr:
        epoch, ver = relation.evr
        bound = f' flags="{relation.flags}" epoch="{epoch}" ver="{ver}"'
    return f'<rpm:entry name="{relation.name}"{bound}/>'


def _packager(metadata: CoreMetadata) -> str | None:
    return (
        metadata.maintainer_email
        or metadata.maintainer
        or metadata.author_email
        or metadata.author
    )


def _address(metadata: CoreMetadata) -> str | None:
    addresses = (url for _, url in metadata.project_urls)
    return metadata.home_page or next(addresses, None)


def _text(text: str | None) -> str:
    """Return `text` as one line of bounded length, for an element or an attribute."""
    if not text or (len(text) <= MAX_TEXT_CHARS and _PLAIN.match(text)):
        return text or ""
    # The cut first: what is not shown is not worth a pass over megabytes.
    line = " ".join(text[: 4 * MAX_TEXT_CHARS].split())
    if len(line) > MAX_TEXT_CHARS:
        line = line[: MAX_TEXT_CHARS - 1] + "…"
    return escape(printable(line))
