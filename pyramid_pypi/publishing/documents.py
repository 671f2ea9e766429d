"""Which documents there are, and where: path in the tree → bytes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from importlib import resources
from types import MappingProxyType

from pyramid_pypi.formats import (
    legacy_json,
    manifest,
    packages_xml,
    pages,
    project_json,
    project_xml,
    simple_html,
    simple_json,
)
from pyramid_pypi.formats.manifest import Listed, Manifest
from pyramid_pypi.formats.pages import HomeDocument, Site
from pyramid_pypi.formats.project import ProjectDocument
from pyramid_pypi.formats.simple import SimpleList, SimplePage

PACKAGE_KINDS = packages_xml.KINDS
"""The createrepo documents: ``primary``, ``filelists``, ``other``."""

REVISION = 2
"""Raised when a document's form changes; every tree is then written anew at start."""


def simple_paths(name: str) -> tuple[str, str]:
    """Return where the simple pages of the project `name` lie."""
    return f"simple/{name}/index.html", f"simple/{name}/index.json"


def is_shadowed(path: str) -> bool:
    """Tell whether each version of the document at `path` also lies under its hash.

    Those of one project do, and the hash trees; lists would take too much room.
    """
    return path.count("/") >= 2


def manifest_path(name: str) -> str:
    """Return where the manifest of the companions of `name` lies, the last one written."""
    return f"projects/{name}/documents.json"


def release_path(name: str, version: str) -> str:
    """Return where the JSON of one release of the project `name` lies."""
    return f"pypi/{name}/{version}/json"


def package_paths(name: str) -> list[str]:
    """Return where the createrepo documents of the project `name` alone lie."""
    return [f"simple/{name}/{kind}.xml.gz" for kind in packages_xml.KINDS]


def simple_documents(page: SimplePage) -> Iterator[tuple[str, bytes]]:
    """Yield what installers read of a project; it stands before an upload's 200 leaves."""
    html_path, json_path = simple_paths(page.name)
    html = simple_html.page(page)
    yield html_path, html
    yield json_path, simple_json.page(page, html)


def companion_documents(
    document: ProjectDocument, versions: Collection[str], site: Site
) -> Iterator[tuple[str, bytes]]:
    """Yield what people and tools read of a project, with the JSON of `versions`."""
    name = document.name
    yield f"pypi/{name}/json", legacy_json.project(document, site.public_url)
    for release in document.listed_releases:
        if release.version in versions:
            made = legacy_json.release(document, release, site.public_url)
            yield release_path(name, release.version), made
    yield f"projects/{name}/index.xml", project_xml.project(document)
    yield f"projects/{name}/index.html", pages.project_page(document, site)
    yield f"projects/{name}/index.json", project_json.project(document)
    members = packages_xml.members(document)
    for kind, path in zip(packages_xml.KINDS, package_paths(name), strict=True):
        yield path, packages_xml.whole(kind, getattr(members, kind), members.count)


def companions_and_manifest(
    document: ProjectDocument,
    versions: Collection[str],
    site: Site,
    kept: Mapping[str, Listed] = MappingProxyType({}),
) -> Iterator[tuple[str, bytes]]:
    """Yield the companions of a project, with the JSON of `versions`, and their manifest.

    It also lists what is `kept`: the JSON of other releases, written before.
    """
    listed = dict(kept)
    for path, content in companion_documents(document, versions, site):
        listed[path] = manifest.listed(content)
        yield path, content
    whole = Manifest(document.serial, listed)
    yield manifest_path(document.name), manifest.document(whole)


def list_documents(
    listed: SimpleList, home: HomeDocument, site: Site
) -> Iterator[tuple[str, bytes]]:
    """Yield the documents whose size grows with the number of projects, and the home page."""
    yield "simple/index.html", simple_html.project_list(listed)
    yield "simple/index.json", simple_json.project_list(listed)
    yield "index.html", pages.home(home, site)


def site_paths() -> list[str]:
    """Return where the documents of the whole site lie."""
    lists = ["index.html", "simple/index.html", "simple/index.json"]
    return [*lists, *(path for path, _ in static_documents())]


def static_documents() -> Iterator[tuple[str, bytes]]:
    """Yield the files that pages refer to."""
    folder = resources.files("pyramid_pypi") / "static"
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        yield f"static/{file.name}", file.read_bytes()
