"""Values of a whole project, from which its page, JSON and XML are all written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from packaging.version import Version

from pyramid_pypi.formats.core_metadata import CoreMetadata, to_json
from pyramid_pypi.formats.simple import QUARANTINED, SimpleFile
from pyramid_pypi.values.instants import iso_instant


@dataclass(frozen=True, kw_only=True)
class ProjectFile(SimpleFile):
    """One release file with everything the index knows of it.

    `packagetype` is ``bdist_wheel`` or ``sdist``; `python_tag` such as ``py3`` or
    ``cp312``, ``source`` for an sdist; `uploaded_by` a user's name as it was then.
    """

    version: str
    packagetype: str
    python_tag: str
    blake2b_256: str
    md5: str
    uploaded_by: str


@dataclass(frozen=True)
class ProjectRelease:
    """One version of a project; `yanked` when every one of its files is."""

    version: str
    serial: int
    metadata: CoreMetadata
    created_at: datetime
    files: tuple[ProjectFile, ...]
    yanked: bool

    @property
    def is_final(self) -> bool:
        """Tell whether the version is neither a pre-release nor a development release."""
        return not Version(self.version).is_prerelease

    @property
    def yanked_reason(self) -> str:
        """Return why the release was yanked: the first reason its files give, or ``""``."""
        if not self.yanked:
            return ""
        return next((file.yanked_reason for file in self.files if file.yanked_reason), "")


@dataclass(frozen=True)
class ProjectDocument:
    """One project: its state, its people as (user, role), its releases newest first."""

    name: str
    display_name: str
    serial: int
    status: str
    status_reason: str
    created_at: datetime
    roles: tuple[tuple[str, str], ...]
    releases: tuple[ProjectRelease, ...]

    @property
    def listed_releases(self) -> tuple[ProjectRelease, ...]:
        """Return the releases documents show: none while the project is quarantined."""
        return () if self.status == QUARANTINED else self.releases

    def changed_after(self, serial: int) -> set[str]:
        """Return the versions whose releases changed after the serial `serial`."""
        return {release.version for release in self.releases if release.serial > serial}

    @property
    def latest(self) -> ProjectRelease | None:
        """Return the listed release that stands for the project.

        The newest final one that is not yanked; else the newest that is not yanked; else
        the newest.
        """
        listed = self.listed_releases
        standing = [release for release in listed if not release.yanked]
        final = (release for release in standing if release.is_final)
        return next(final, None) or next(iter(standing or listed), None)


def plain(document: ProjectDocument) -> dict[str, Any]:
    """Return `document` as plain dicts, lists and texts: what JSON and XML both write.

    Empty values are left out, instants are ISO 8601 in UTC, file URLs are relative to
    ``/projects/NAME/``.  The latest release alone has its description: all of them would
    make the documents of old projects very large.
    """
    latest = document.latest
    status = {"status": document.status, "reason": document.status_reason}
    listed = document.listed_releases
    described = {
        "name": document.name,
        "display_name": document.display_name,
        "serial": document.serial,
        "project_status": {key: value for key, value in status.items() if value},
        "created_at": iso_instant(document.created_at),
        "roles": [{"user": user, "role": role} for user, role in document.roles],
        "latest": latest.version if latest else None,
        "releases": [_release(release, described=release is latest) for release in listed],
    }
    return {key: value for key, value in described.items() if value is not None}


def _release(release: ProjectRelease, *, described: bool) -> dict[str, Any]:
    metadata = to_json(release.metadata)
    if not described:
        metadata.pop("description", None)
    return {
        "version": release.version,
        "serial": release.serial,
        "created_at": iso_instant(release.created_at),
        "yanked": release.yanked,
        "core_metadata": metadata,
        "files": [_file(file) for file in release.files],
    }


def _file(file: ProjectFile) -> dict[str, Any]:
    known = {
        "filename": file.filename,
        "url": "../../" + file.url_path,
        "packagetype": file.packagetype,
        "python_tag": file.python_tag,
        "size_bytes": file.size_bytes,
        "hashes": {"sha256": file.sha256, "blake2b_256": file.blake2b_256, "md5": file.md5},
        "core_metadata_sha256": file.core_metadata_sha256,
        "requires_python": file.requires_python,
        "uploaded_at": iso_instant(file.uploaded_at),
        "uploaded_by": file.uploaded_by,
        "yanked": file.yanked,
        "yanked_reason": file.yanked_reason if file.yanked else "",
    }
    return {key: value for key, value in known.items() if value not in (None, "")}
