"""The pages for people: project, home, errors and the explanations of refusals.

Every link is relative, so a page works at any address a mirror serves it from.  A
project's page therefore has its address with a slash at the end, ``/projects/NAME/``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from pyramid_pypi.errors import Refusal
from pyramid_pypi.formats import readme
from pyramid_pypi.formats.canonical import printable
from pyramid_pypi.formats.core_metadata import CoreMetadata
from pyramid_pypi.formats.project import ProjectDocument, ProjectRelease
from pyramid_pypi.values.instants import iso_instant

_TEMPLATES = Path(__file__).parent.parent / "templates"
_CODE = re.compile(r"`+([^`]+)`+")
_MAX_LICENSE_CHARS = 120


@dataclass(frozen=True, slots=True)
class Site:
    """What pages say of the index: its `title`, and `public_url` where users reach it."""

    title: str
    public_url: str


@dataclass(frozen=True, slots=True)
class NewFile:
    """One of the newest uploads; `project` is the normalized name."""

    project: str
    version: str
    filename: str
    uploaded_at: datetime


@dataclass(frozen=True, slots=True)
class HomeDocument:
    """What the home page tells of the index, as of `serial`; `newest` first."""

    serial: int
    project_count: int
    newest: tuple[NewFile, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A labelled address; `url` is None where it is not one a reader may be sent to."""

    label: str
    text: str
    url: str | None


def home(document: HomeDocument, site: Site) -> bytes:
    """Return the page at ``/``: how to use the index, and its newest uploads."""
    return _render("home.jinja2", site, root="", home=document, index=_address(site))


def project_page(document: ProjectDocument, site: Site) -> bytes:
    """Return the page at ``/projects/NAME/``."""
    latest = document.latest
    return _render(
        "project.jinja2",
        site,
        root="../../",
        project=document,
        latest=latest,
        index=_address(site),
        links=_links(latest.metadata) if latest else (),
        description=_description(latest),
        license_text=_license(latest.metadata) if latest else "",
        classifiers=_classifiers(latest.metadata) if latest else {},
    )


def error(
    title: str, detail: str, code: str | None, site: Site, *, status: int, root: str
) -> bytes:
    """Return the page of a request that failed.

    Args:
        title: what went wrong, in one sentence.
        detail: more about this one case, or ``""``.
        code: of the refusal, whose explanation is linked; None if there is none.
        site: the index.
        status: of the answer.
        root: the path or relative address of ``/``, ending with a slash.
    """
    return _render(
        "error.jinja2", site, root=root, status=status, title=title, detail=detail, code=code
    )


def problem_list(refusals: Iterable[type[Refusal]], site: Site) -> bytes:
    """Return the page at ``/problems/``: every refusal with its code and title."""
    return _render("problems.jinja2", site, root="../", refusals=list(refusals))


def problem(refusal: type[Refusal], site: Site) -> bytes:
    """Return the page at ``/problems/CODE``, which explains one refusal to people."""
    text = inspect.cleandoc(refusal.__doc__ or "")
    paragraphs = [_prose(paragraph) for paragraph in text.split("\n\n")]
    return _render("problem.jinja2", site, root="../", refusal=refusal, paragraphs=paragraphs)


def safe_url(text: str) -> str | None:
    """Return `text` if a link may lead there: to http or https, at a host."""
    address = text.strip()
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return None
    usable = parts.scheme in ("http", "https") and host and address.isprintable()
    return address if usable and " " not in address else None


def _links(metadata: CoreMetadata) -> tuple[Link, ...]:
    given = [
        ("Homepage", metadata.home_page),
        *metadata.project_urls,
        ("Download", metadata.download_url),
    ]
    return tuple(Link(label or url, url, safe_url(url)) for label, url in given if url)


def _description(release: ProjectRelease | None) -> Markup | None:
    if release is None or not release.metadata.description:
        return None
    return readme.to_html(
        release.metadata.description, release.metadata.description_content_type
    )


def _license(metadata: CoreMetadata) -> str:
    """Return the licence in one line: many projects put the whole text into the field."""
    text = metadata.license_expression or (metadata.license or "").strip().partition("\n")[0]
    return text if len(text) <= _MAX_LICENSE_CHARS else text[:_MAX_LICENSE_CHARS] + "…"


def _classifiers(metadata: CoreMetadata) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for classifier in metadata.classifiers:
        group, _, rest = classifier.partition(" :: ")
        groups.setdefault(group, []).append(rest or group)
    return groups


def _prose(paragraph: str) -> Markup:
    text = str(escape(" ".join(paragraph.split())))
    return Markup(_CODE.sub(r"<code>\1</code>", text))  # noqa: S704 (escaped above)


def _address(site: Site) -> str:
    return site.public_url.rstrip("/")


def _size(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _day(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d")


def _count(things: Sequence[Any] | int, one: str, many: str) -> str:
    number = things if isinstance(things, int) else len(things)
    return f"{number:,} {one if number == 1 else many}"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "size": _size,
        "day": _day,
        "iso": iso_instant,
        "count": _count,
        "url_part": quote,
    }
    return environment


_templates = _environment()


def _render(template: str, site: Site, **values: Any) -> bytes:
    text = _templates.get_template(template).render(site=site, **values)
    return printable(text).encode()
