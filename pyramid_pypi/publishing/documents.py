"""Which documents there are, and where: path in the tree → bytes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib import resources

from pyramid_pypi.formats import (
    legacy_json,
    pages,
    project_json,
    project_xml,
    simple_html,
    simple_json,
)
from pyramid_pypi.formats.pages import HomeDocument, Site
from pyramid_pypi.formats.project import ProjectDocument
from pyramid_pypi.formats.simple import SimpleList, SimplePage

REVISION = 1
"""Raised when a document's form changes; every tree is then written anew at start."""


def simple_paths(name: str) -> tuple[str, str]:
    """Return where the simple pages of the project `name` lie."""
    return f"simple/{name}/index.html", f"simple/{name}/index.json"


def is_shadowed(path: str) -> bool:
    """Tell whether each version of the document at `path` also lies under its hash."""
    return path.startswith("simple/") and path.count("/") == 2


def companion_path(name: str) -> str:
    """Return where the last written of the companions of `name` lies."""
    return f"projects/{name}/index.json"


def simple_documents(page: SimplePage) -> Iterator[tuple[str, bytes]]:
    """Yield what installers read of a project; it stands before an upload's 200 leaves."""
    html_path, json_path = simple_paths(page.name)
    yield html_path, simple_html.page(page)
    yield json_path, simple_json.page(page)


def companion_documents(
    document: ProjectDocument, versions: Collection[str], site: Site
) -> Iterator[tuple[str, bytes]]:
    """Yield what people and tools read of a project, with the JSON of `versions`."""
    name = document.name
    yield f"pypi/{name}/json", legacy_json.project(document, site.public_url)
    for release in document.listed_releases:
        if release.version in versions:
            path = f"pypi/{name}/{release.version}/json"
            yield path, legacy_json.release(document, release, site.public_url)
    yield f"projects/{name}/index.xml", project_xml.project(document)
    yield f"projects/{name}/index.html", pages.project_page(document, site)
    yield companion_path(name), project_json.project(document)


def list_documents(
    listed: SimpleList, home: HomeDocument, site: Site
) -> Iterator[tuple[str, bytes]]:
    """Yield the documents whose size grows with the number of projects, and the home page."""
    yield "simple/index.html", simple_html.project_list(listed)
    yield "simple/index.json", simple_json.project_list(listed)
    yield "index.html", pages.home(home, site)


def static_documents() -> Iterator[tuple[str, bytes]]:
    """Yield the files that pages refer to."""
    folder = resources.files("pyramid_pypi") / "static"
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        yield f"static/{file.name}", file.read_bytes()
