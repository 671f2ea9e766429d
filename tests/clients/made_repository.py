"""A repository made of values alone: what createrepo's readers are shown first.

No index is needed for it, so a reader that stumbles here stumbles over our formats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pyramid_pypi.formats import packages_xml, repomd
from pyramid_pypi.formats.packages_xml import KINDS, opening
from pyramid_pypi.formats.project import ProjectDocument, ProjectFile, ProjectRelease
from pyramid_pypi.formats.repomd import Record, Repomd
from pyramid_pypi.publishing import sqlite_twins
from pyramid_pypi.storage.spool import Spool
from pyramid_pypi.values.digests import sha256_hex
from tests.unit.formats.samples import NOON, core_metadata, project, project_file

SERIAL = 41
NEEDS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "webapp": {
        "1.0": ["framework"],
        "2.0rc1": ["nothing-has-this"],
        "1.9": [
            "Framework[async]~=2.1",
            "orm>=1.4,<2,!=1.4.5",
            "templates==3.*",
            "tzdata; sys_platform == 'win32'",
            "lxml>=5; extra == 'xml'",
            "clock>1!0.9",
            "colours",
        ],
    },
    "framework": {"2.0": [], "2.1": ["routing>=1"], "2.9.post1": ["routing>=1"], "3.0": []},
    "orm": {"1.3": [], "1.4.50": ["greenlets<1"], "2.0b1": [], "2.0": []},
    "templates": {"2.0": [], "3.1.0": ["escaping==1.0"], "4.0": []},
    "routing": {"1.0.0": [], "1.0.0.dev1": [], "1.0rc1": []},
    "greenlets": {"0.9": [], "1.0a1": [], "1.0": []},
    "escaping": {"1": []},
    "clock": {"2020.1": [], "1!1.0": []},
    "colours": {"1.0+blue": []},
    "shaky": {"1.0": [], "2.0": []},
}
"""What each version of each project needs."""

RESOLVED = {
    "webapp": "1.9-1",
    "framework": "2.9^post1-1",
    "orm": "1.4.50-1",
    "templates": "3.1.0-1",
    "routing": "1.0.0-1",
    "greenlets": "0.9-1",
    "escaping": "1-1",
    "clock": "1:1.0-1",
    "colours": "1.0^~+blue-1",
}
"""What a resolver comes to that is asked for webapp below 2, as one of Python's would."""


def documents() -> list[ProjectDocument]:
    """Return the projects, with texts that are hard to write."""
    return [_project(name, versions) for name, versions in sorted(NEEDS.items())]


def content_of(filename: str) -> bytes:
    """Return the bytes of a release file; no reader of repositories looks inside."""
    return f"the content of {filename}\n".encode() * 20


def write(folder: Path) -> Path:
    """Write the repository with all of its release files to `folder`, and return it."""
    known = documents()
    for document in known:
        for release in document.releases:
            for file in release.files:
                path = folder / file.path
                path.parent.mkdir(parents=True)
                path.write_bytes(content_of(file.filename))
    found = [packages_xml.members(document) for document in known]
    count = sum(members.count for members in found)
    (folder / "repodata").mkdir()
    records = []
    for kind in KINDS:
        members = b"".join(part.of(kind) for part in found)
        raw = opening(kind, count) + members + packages_xml.closing(kind)
        records.append(
            _put(folder, kind, packages_xml.whole(kind, members, count), "xml.gz", raw)
        )
    records.append(_put(folder, "shards", b'{"projects":{}}\n', "json", None))
    _point(folder, records)
    return folder


def add_twins(folder: Path, spool: Spool) -> None:
    """Add the SQLite twins to a written repository, and their records to its pointer."""
    pointer = repomd.parse_json((folder / "repodata/repomd.json").read_bytes())
    records = list(pointer.records)
    for kind in KINDS:
        known = next(record for record in records if record.type == kind)
        twin = sqlite_twins.twin(kind, folder / known.href, known.sha256, spool)
        href = f"repodata/{twin.sha256}-{kind}.sqlite.bz2"
        twin.path.rename(folder / href)
        records.append(
            Record(
                type=twin.kind,
                href=href,
                sha256=twin.sha256,
                size_bytes=twin.size_bytes,
                at=NOON,
                serial=SERIAL,
                open_sha256=twin.open_sha256,
                open_size_bytes=twin.open_size_bytes,
                database_version=repomd.DATABASE_VERSION,
            )
        )
    _point(folder, records)


def _point(folder: Path, records: Sequence[Record]) -> None:
    pointer = Repomd(SERIAL, NOON, tuple(records))
    (folder / "repodata/repomd.xml").write_bytes(repomd.xml(pointer))
    (folder / "repodata/repomd.json").write_bytes(repomd.json(pointer))


def _project(name: str, versions: Mapping[str, Sequence[str]]) -> ProjectDocument:
    releases = tuple(_release(name, version, needs) for version, needs in versions.items())
    return project(*releases, name=name, display_name=name)


def _release(name: str, version: str, needs: Sequence[str]) -> ProjectRelease:
    metadata = core_metadata(
        version,
        summary=f'{name}: "a", <b> & ]]> \u202eright to left\u202c, \U0001f40d \x01\x85.',
        requires_dist=tuple(needs),
        provides_extra=("async",),
        author_email="Ada <ada@people.example>, Zoë <zoe@people.example>",
    )
    is_yanked = (name, version) == ("shaky", "2.0")
    files = tuple(
        _file(f"{name.replace('-', '_')}-{version}{ending}", version, is_yanked=is_yanked)
        for ending in ("-py3-none-any.whl", ".tar.gz")
    )
    return ProjectRelease(version, SERIAL, metadata, NOON, files, is_yanked)


def _file(filename: str, version: str, *, is_yanked: bool) -> ProjectFile:
    content = content_of(filename)
    file = project_file(filename, version, sha256=sha256_hex(content), size_bytes=len(content))
    return replace(file, yanked=is_yanked, yanked_reason="It <shakes>" if is_yanked else "")


def _put(folder: Path, kind: str, content: bytes, ending: str, raw: bytes | None) -> Record:
    sha256 = sha256_hex(content)
    href = f"repodata/{sha256}-{kind}.{ending}"
    (folder / href).write_bytes(content)
    return Record(
        type=kind,
        href=href,
        sha256=sha256,
        size_bytes=len(content),
        at=NOON,
        serial=SERIAL,
        open_sha256=None if raw is None else hashlib.sha256(raw).hexdigest(),
        open_size_bytes=None if raw is None else len(raw),
    )
