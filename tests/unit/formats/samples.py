"""Values of documents for tests: a demonstration project, with knobs."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from pyramid_pypi.formats.core_metadata import CoreMetadata
from pyramid_pypi.formats.pages import Site
from pyramid_pypi.formats.project import ProjectDocument, ProjectFile, ProjectRelease
from pyramid_pypi.formats.simple import SimpleFile, SimplePage

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
SITE = Site(title="Package index", public_url="https://index.example")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def simple_file(filename: str = "demo-1.0-py3-none-any.whl", **changes: Any) -> SimpleFile:
    values: dict[str, Any] = {
        "filename": filename,
        "sha256": sha256(filename),
        "size_bytes": 2500,
        "uploaded_at": NOON,
        "requires_python": ">=3.8",
        "yanked": False,
        "yanked_reason": "",
        "core_metadata_sha256": sha256("metadata of " + filename),
    }
    return SimpleFile(**values | changes)


def simple_page(*files: SimpleFile, **changes: Any) -> SimplePage:
    values: dict[str, Any] = {
        "name": "demo",
        "serial": 7,
        "status": "active",
        "status_reason": "",
        "versions": ("1.0", "1.1"),
        "files": files,
    }
    return SimplePage(**values | changes)


def project_file(filename: str, version: str, **changes: Any) -> ProjectFile:
    simple = simple_file(filename)
    wheel = filename.endswith(".whl")
    values: dict[str, Any] = {
        **{field.name: getattr(simple, field.name) for field in fields(simple)},
        "version": version,
        "packagetype": "bdist_wheel" if wheel else "sdist",
        "python_tag": "py3" if wheel else "source",
        "blake2b_256": sha256("blake2b of " + filename),
        "md5": sha256("md5 of " + filename)[:32],
        "uploaded_by": "ada",
    }
    if not wheel:
        values["core_metadata_sha256"] = None
    return ProjectFile(**values | changes)


def core_metadata(version: str = "1.0", **changes: Any) -> CoreMetadata:
    values: dict[str, Any] = {
        "metadata_version": "2.4",
        "name": "Demo",
        "version": version,
        "summary": "A demonstration",
        "description": "# Demo\n\nSome *text*.\n",
        "description_content_type": "text/markdown",
        "license_expression": "MIT",
        "requires_python": ">=3.8",
        "requires_dist": ("requests>=2", 'lxml; extra == "xml"'),
        "provides_extra": ("xml",),
        "keywords": ("demo", "index"),
        "classifiers": ("Topic :: Software Development", "Framework :: Pyramid"),
        "project_urls": (("Source", "https://code.example/demo"),),
        "author_email": "Ada <ada@people.example>",
    }
    return CoreMetadata(**values | changes)


def release(version: str = "1.0", **changes: Any) -> ProjectRelease:
    values: dict[str, Any] = {
        "version": version,
        "serial": 5,
        "metadata": core_metadata(version),
        "created_at": NOON - timedelta(days=1),
        "files": (
            project_file(f"demo-{version}-py3-none-any.whl", version),
            project_file(f"demo-{version}.tar.gz", version),
        ),
        "yanked": False,
    }
    return ProjectRelease(**values | changes)


def project(*releases: ProjectRelease, **changes: Any) -> ProjectDocument:
    values: dict[str, Any] = {
        "name": "demo",
        "display_name": "Demo",
        "serial": 7,
        "status": "active",
        "status_reason": "",
        "created_at": NOON - timedelta(days=9),
        "roles": (("ada", "owner"), ("grace", "maintainer")),
        "releases": releases or (release(),),
    }
    return ProjectDocument(**values | changes)


LEGAL_TEXT = st.text(
    st.characters(
        exclude_categories=["Cs"],
        exclude_characters=[
            *(chr(code) for code in range(32) if chr(code) not in "\t\n\r"),
            "\ufffe",
            "\uffff",
        ],
    )
)
"""Whatever text the index takes in: all that XML 1.0 can carry."""
