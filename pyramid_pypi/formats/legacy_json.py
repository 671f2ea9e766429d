"""PyPI's JSON API: ``/pypi/NAME/json`` and ``/pypi/NAME/VERSION/json``.

Unlike the Simple API it writes unknown values as null, which its readers expect.

Source: Warehouse, "JSON API"; bandersnatch 8, poetry.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

from pyramid_pypi.formats.canonical import json_document
from pyramid_pypi.formats.core_metadata import CoreMetadata
from pyramid_pypi.formats.project import ProjectDocument, ProjectFile, ProjectRelease
from pyramid_pypi.values.instants import iso_instant

_NO_COUNTS = {"last_day": -1, "last_month": -1, "last_week": -1}


def project(document: ProjectDocument, public_url: str) -> bytes:
    """Return `document` with all its files; `info` is that of its latest release.

    `public_url` is the address of the index, for the absolute URLs of this API.  A
    quarantined project, and one without releases, has a name and nothing else.
    """
    root = public_url.rstrip("/")
    latest = document.latest
    releases = {
        release.version: [_file(file, root) for file in release.files]
        for release in document.listed_releases
    }
    return json_document(
        {
            "info": _info(document, latest, root),
            "last_serial": document.serial,
            "releases": releases,
            "urls": releases[latest.version] if latest else [],
            "vulnerabilities": [],
        }
    )


def release(document: ProjectDocument, wanted: ProjectRelease, public_url: str) -> bytes:
    """Return one release of `document`: `wanted`, which must be a listed one."""
    root = public_url.rstrip("/")
    return json_document(
        {
            "info": _info(document, wanted, root),
            # The project's own serial would make every release's document new each time.
            "last_serial": wanted.serial,
            "urls": [_file(file, root) for file in wanted.files],
            "vulnerabilities": [],
        }
    )


def _info(document: ProjectDocument, shown: ProjectRelease | None, root: str) -> dict[str, Any]:
    page = f"{root}/projects/{document.name}/"
    return _described(shown.metadata if shown else None) | {
        "bugtrack_url": None,
        "docs_url": None,
        "downloads": _NO_COUNTS,
        "name": document.display_name,
        "package_url": page,
        "project_url": page,
        "release_url": page,
        "version": shown.version if shown else None,
        "yanked": shown.yanked if shown else False,
        "yanked_reason": (shown.yanked_reason or None) if shown else None,
    }


def _described(metadata: CoreMetadata | None) -> dict[str, Any]:
    """Return the part of `info` that repeats core metadata."""
    known = metadata or CoreMetadata(metadata_version="", name="", version="")
    return {
        "author": known.author,
        "author_email": known.author_email,
        "classifiers": known.classifiers,
        "description": known.description,
        "description_content_type": known.description_content_type,
        "download_url": known.download_url,
        "dynamic": known.dynamic or None,
        "home_page": known.home_page,
        "keywords": ",".join(known.keywords) or None,
        "license": known.license,
        "license_expression": known.license_expression,
        "license_files": known.license_files or None,
        "maintainer": known.maintainer,
        "maintainer_email": known.maintainer_email,
        "platform": ",".join(known.platforms) or None,
        "project_urls": dict(known.project_urls) or None,
        "provides_extra": known.provides_extra or None,
        "requires_dist": known.requires_dist or None,
        "requires_python": known.requires_python,
        "summary": known.summary,
    }


def _file(file: ProjectFile, root: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "comment_text": "",
        "digests": {"blake2b_256": file.blake2b_256, "md5": file.md5, "sha256": file.sha256},
        "downloads": -1,
        "filename": file.filename,
        "has_sig": False,
        "md5_digest": file.md5,
        "packagetype": file.packagetype,
        "python_version": file.python_tag,
        "requires_python": file.requires_python,
        "size": file.size_bytes,
        "upload_time": file.uploaded_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "upload_time_iso_8601": iso_instant(file.uploaded_at),
        "url": f"{root}/{file.url_path}",
        "yanked": file.yanked,
        "yanked_reason": (file.yanked_reason or None) if file.yanked else None,
    }
    if file.core_metadata_sha256:
        described["core-metadata"] = {"sha256": file.core_metadata_sha256}
    return described
