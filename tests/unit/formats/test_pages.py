from __future__ import annotations

import re
from dataclasses import fields
from importlib import resources
from typing import Any, cast

import pytest
from lxml import html

from pyramid_pypi import errors
from pyramid_pypi.errors import NotAuthenticated, Refusal
from pyramid_pypi.formats import pages
from pyramid_pypi.formats.core_metadata import CoreMetadata
from pyramid_pypi.formats.pages import HomeDocument, NewFile, Site, safe_url
from tests.unit.formats.samples import (
    NOON,
    SITE,
    core_metadata,
    project,
    project_file,
    release,
)
from tests.unit.formats.scrutiny import ATTRIBUTES, INACTIVE
from tests.unit.formats.xss import XSS

STYLE = resources.files("pyramid_pypi") / "static" / "site.css"
HOME = HomeDocument(
    serial=12, project_count=1, newest=(NewFile("demo", "1.0", "demo-1.0.tar.gz", NOON),)
)


def scrutinize(content: bytes) -> Any:
    """Return the parsed page, once nothing in it can act, load or lead astray."""
    tree: Any = html.document_fromstring(content, parser=html.HTMLParser(encoding="utf-8"))
    for element in tree.iter():
        if not isinstance(element.tag, str):
            continue
        assert element.tag in INACTIVE, element.tag
        assert set(element.attrib) <= ATTRIBUTES, element.attrib
        address = element.get("href", "")
        if ":" in address:
            assert element.tag == "a"
            assert address.startswith(("http://", "https://", "mailto:")), address
            assert "nofollow" in element.get("rel", ""), address
        assert not address.startswith("/"), "addresses are relative, for mirrors"
    return tree


def text_of(tree: Any) -> str:
    return " ".join(tree.text_content().split())


def hostile_project(text: str) -> bytes:
    """Return the page of a project that has `text` in every field it shows."""
    everywhere: dict[str, Any] = {field.name: text for field in fields(CoreMetadata)}
    shaped: dict[str, Any] = {
        "keywords": (text,),
        "classifiers": (text, text + " :: " + text),
        "requires_dist": (text,),
        "provides_extra": (text,),
        "project_urls": ((text, text), ("Label", text), (text, "https://x.example/" + text)),
        "description_content_type": "text/markdown",
    }
    file = project_file(
        text,
        "1.0",
        requires_python=text,
        yanked=True,
        yanked_reason=text,
        python_tag=text,
        packagetype="bdist_wheel",
        uploaded_by=text,
    )
    document = project(
        release(metadata=CoreMetadata(**everywhere | shaped), files=(file,), yanked=True),
        release("0.9", files=(file,), yanked=True),
        name=text,
        display_name=text,
        status=text,
        status_reason=text,
        roles=((text, text),),
    )
    return pages.project_page(document, Site(text, text))


@pytest.mark.parametrize("text", XSS)
def test_no_field_of_a_project_becomes_active(text: str) -> None:
    scrutinize(hostile_project(text))


@pytest.mark.parametrize("text", XSS)
def test_no_field_of_another_page_becomes_active(text: str) -> None:
    site = Site(text, text)
    newest = (NewFile(text, text, text, NOON),)
    # Not a subclass: `every_refusal` would find it in every later test.
    about = {"code": text, "title": text, "__doc__": text}
    refusal = cast(type[Refusal], type("Hostile", (), about))

    for content in (
        pages.home(HomeDocument(1, 1, newest), site),
        pages.error(text, text, text, site, status=400, root="../"),
        pages.problem_list([refusal], site),
        pages.problem(refusal, site),
    ):
        scrutinize(content)


@pytest.mark.parametrize(
    "url",
    [
        "https://code.example/demo?a=b&c=d#e",
        "http://127.0.0.1:8080/",
        " https://code.example/ ",
        "HTTPS://Code.example/",
        "https://[::1]/",
    ],
)
def test_links_lead_to_the_web(url: str) -> None:
    assert safe_url(url) == url.strip()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "code.example/demo",
        "//code.example/",
        "/account",
        "https:",
        "https:///path",
        "http://[::1",
        "javascript:alert(1)",
        "JavaScript://x.example/%0aalert(1)",
        "data:text/html,x",
        "ftp://code.example/",
        "file:///etc/passwd",
        "https://code.example/a b",
        "https://code.example/\u202eexe",
        "java\nscript:alert(1)",
    ],
)
def test_links_lead_nowhere_else(url: str) -> None:
    assert safe_url(url) is None


def test_an_address_that_may_not_be_linked_is_shown() -> None:
    metadata = core_metadata(project_urls=(("Chat", "irc://chat.example/demo"),))
    tree = scrutinize(pages.project_page(project(release(metadata=metadata)), SITE))

    assert "Chat: irc://chat.example/demo" in text_of(tree)


def test_home_tells_how_to_use_the_index() -> None:
    tree = scrutinize(pages.home(HOME, Site("Our index", "https://index.example/")))
    text = text_of(tree)

    assert "pip install --index-url https://index.example/simple/ NAME" in text
    assert 'url = "https://index.example/simple/"' in text
    assert "twine upload --repository-url https://index.example/legacy/ dist/*" in text
    assert "uv publish --publish-url https://index.example/legacy/" in text
    assert "1 project," in text
    assert "Serial 12" in text
    assert tree.find(".//tbody//a").get("href") == "projects/demo/"
    assert tree.find(".//title").text == "Our index"


def test_home_without_uploads() -> None:
    text = text_of(scrutinize(pages.home(HomeDocument(0, 0, ()), SITE)))

    assert "0 projects" in text
    assert "Nothing has been uploaded yet" in text


def test_a_project_of_many_licence_lines_shows_the_first() -> None:
    text = "Permission is granted " * 10 + "\nto anyone\n"
    metadata = core_metadata(license_expression=None, license=text)
    page = text_of(scrutinize(pages.project_page(project(release(metadata=metadata)), SITE)))

    assert "Permission is granted Permission" in page
    assert "to anyone" not in page


def test_a_project_of_nothing_but_a_name() -> None:
    bare = CoreMetadata(metadata_version="1.0", name="demo", version="1.0")

    scrutinize(pages.project_page(project(release(metadata=bare, files=())), SITE))
    assert "has no releases" in text_of(
        scrutinize(pages.project_page(project(releases=()), SITE))
    )


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (2_500_000, "2.5 MB"),
        (7 * 10**12, "7000.0 GB"),
    ],
)
def test_sizes(size_bytes: int, shown: str) -> None:
    file = project_file("demo-1.0.tar.gz", "1.0", size_bytes=size_bytes)
    page = pages.project_page(project(release(files=(file,))), SITE).decode()

    assert f'<td class="nowrap number">{shown}</td>' in page


def test_an_error_leads_to_its_explanation() -> None:
    page = pages.error(
        "No such project",
        "There is no demo.",
        "project.missing",
        SITE,
        status=404,
        root="../../",
    )
    tree = scrutinize(page)

    assert tree.find(".//main//a").get("href") == "../../problems/project.missing"
    assert "Status 404 No such project There is no demo." in text_of(tree)
    assert tree.find(".//link").get("href") == "../../static/site.css"
    bare = scrutinize(pages.error("Not found", "", None, SITE, status=404, root=""))
    assert bare.find(".//main//a") is None


def test_every_refusal_has_a_page() -> None:
    refusals = list(errors.every_refusal())
    listed = scrutinize(pages.problem_list(refusals, SITE))

    assert [a.get("href") for a in listed.findall(".//tbody//a")] == [r.code for r in refusals]
    for refusal in refusals:
        assert refusal.title in text_of(scrutinize(pages.problem(refusal, SITE)))


def test_the_prose_of_a_refusal_keeps_its_code() -> None:
    tree = scrutinize(pages.problem(NotAuthenticated, SITE))

    assert "Authorization: Bearer TOKEN" in [code.text for code in tree.iter("code")]
    assert "`" not in text_of(tree)


def test_the_style_sheet_loads_nothing() -> None:
    style = STYLE.read_text()

    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "paper"),
    [
        ("ink", "paper"),
        ("ink", "raised"),
        ("ink", "warn-paper"),
        ("ink-quiet", "paper"),
        ("ink-quiet", "raised"),
        ("accent", "paper"),
        ("accent", "raised"),
        ("warn", "paper"),
        ("warn", "raised"),
        ("warn", "warn-paper"),
    ],
)
def test_contrast_meets_wcag_aa(scheme: str, ink: str, paper: str) -> None:
    colours = colours_of(scheme)

    dark, light = sorted((luminance(colours[ink]), luminance(colours[paper])))
    assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def colours_of(scheme: str) -> dict[str, str]:
    style = STYLE.read_text()
    light, dark = style.split("@media (prefers-color-scheme: dark)", 1)
    found = dict(re.findall(r"--([a-z-]+): #([0-9a-f]{6});", light))
    changed = dict(re.findall(r"--([a-z-]+): #([0-9a-f]{6});", dark))
    return found if scheme == "light" else found | changed


def luminance(colour: str) -> float:
    """Return the relative luminance of `colour` (WCAG 2.2, definitions)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
