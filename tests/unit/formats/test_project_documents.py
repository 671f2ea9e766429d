"""A project as JSON, XML and page: three forms of one value."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree, html

from pyramid_pypi.formats import pages, project_json, project_xml
from pyramid_pypi.formats.project import ProjectDocument, plain
from tests.unit.formats.samples import (
    LEGAL_TEXT,
    SITE,
    core_metadata,
    project,
    project_file,
    release,
)

NS = f"{{{project_xml.NAMESPACE}}}"
NUMBERS = ("serial", "size_bytes")
SINGLE = frozenset(
    [
        "metadata_version",
        "name",
        "version",
        "summary",
        "description",
        "description_content_type",
        "home_page",
        "download_url",
        "author",
        "author_email",
        "maintainer",
        "maintainer_email",
        "license",
        "license_expression",
        "requires_python",
    ]
)
FILES = (
    project_file("demo-1.1-py3-none-any.whl", "1.1"),
    project_file("demo-1.1.tar.gz", "1.1", yanked=True, yanked_reason="Broken"),
)
DOCUMENT = project(release("1.1", files=FILES), release("1.0"))


def from_json(document: ProjectDocument) -> Any:
    return json.loads(project_json.project(document))


def from_xml(document: ProjectDocument) -> dict[str, Any]:
    """Read the XML form back into the shape of the JSON form."""
    root = etree.fromstring(project_xml.project(document))
    [status] = root.findall(NS + "project_status")
    return {
        **attributes(root),
        "project_status": attributes(status),
        "roles": [attributes(role) for role in root.findall(NS + "role")],
        "releases": [
            {
                **attributes(release),
                "core_metadata": metadata_from(release.find(NS + "core_metadata")),
                "files": [file_from(file) for file in release.findall(NS + "file")],
            }
            for release in root.findall(NS + "release")
        ],
    }


def attributes(element: Any) -> dict[str, Any]:
    return {name: value_of(name, text) for name, text in element.attrib.items()}


def value_of(name: str, text: str) -> str | int | bool:
    if name in NUMBERS:
        return int(text)
    return text == "true" if name == "yanked" else text


def metadata_from(element: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for child in element:
        name, text = child.tag.removeprefix(NS), child.text or ""
        if name in SINGLE:
            found[name] = text
        elif name == "project_urls":
            found.setdefault(name, []).append([child.get("label"), text])
        else:
            found.setdefault(name, []).append(text)
    return found


def file_from(element: Any) -> dict[str, Any]:
    hashes = {child.get("type"): child.text for child in element}
    return {**attributes(element), "hashes": hashes}


def page_of(document: ProjectDocument) -> Any:
    parser = html.HTMLParser(encoding="utf-8")
    return html.document_fromstring(pages.project_page(document, SITE), parser=parser)


def test_json_is_the_plain_value() -> None:
    assert from_json(DOCUMENT) == json.loads(json.dumps(plain(DOCUMENT)))


@pytest.mark.parametrize(
    "document",
    [
        DOCUMENT,
        project(release("1.0", files=())),
        replace(DOCUMENT, status="quarantined", status_reason="Malware"),
        replace(DOCUMENT, releases=(), roles=()),
    ],
    ids=["whole", "no files", "quarantined", "no releases"],
)
def test_xml_says_what_json_says(document: ProjectDocument) -> None:
    assert from_xml(document) == from_json(document)


def test_the_page_agrees_with_both() -> None:
    told, page = from_json(DOCUMENT), page_of(DOCUMENT)

    linked = [a.get("href") for a in page.iter("a") if "/packages/" in a.get("href")]
    assert linked == [
        f"{file['url']}#sha256={file['hashes']['sha256']}"
        for release in told["releases"]
        for file in release["files"]
    ]
    text = " ".join(page.text_content().split())
    assert [code.text for code in page.findall(".//div[@class='digest']/code")] == [
        file["hashes"]["sha256"] for release in told["releases"] for file in release["files"]
    ]
    metadata = told["releases"][0]["core_metadata"]
    assert told["latest"] == metadata["version"] == "1.1"
    for shown in ("Demo 1.1", metadata["summary"], *metadata["requires_dist"], "ada owner"):
        assert shown in text
    assert f"serial {told['serial']}" in text
    assert text.count("Yanked") == 1
    assert "Broken" in text


def test_only_the_latest_release_has_its_description() -> None:
    latest, older = from_json(DOCUMENT)["releases"]

    assert latest["core_metadata"]["description"] == "# Demo\n\nSome *text*.\n"
    assert "description" not in older["core_metadata"]


def test_a_quarantined_project_keeps_its_releases_to_itself() -> None:
    quarantined = replace(DOCUMENT, status="quarantined", status_reason="Malware")

    for content in (
        project_json.project(quarantined),
        project_xml.project(quarantined),
        pages.project_page(quarantined, SITE),
    ):
        assert b"quarantined" in content
        assert b"Malware" in content
        assert b"packages/" not in content
        assert b"demonstration" not in content


@pytest.mark.parametrize(
    ("versions", "latest"),
    [
        (("2.0rc1", "1.1", "1.0"), "1.1"),
        (("2.0rc1", "1.1 yanked", "1.0"), "1.0"),
        (("2.0rc1", "1.1 yanked"), "2.0rc1"),
        (("2.0rc1 yanked", "1.1 yanked"), "2.0rc1"),
        (("1.0.post1", "1.0"), "1.0.post1"),
        ((), None),
    ],
)
def test_latest(versions: tuple[str, ...], latest: str | None) -> None:
    named = (version.partition(" ") for version in versions)
    releases = tuple(release(name, files=(), yanked=bool(yanked)) for name, _, yanked in named)

    found = project(releases=releases).latest
    assert (found.version if found else None) == latest


@settings(deadline=None)
@given(
    summary=LEGAL_TEXT,
    label=LEGAL_TEXT.filter(bool),
    requires=LEGAL_TEXT,
    reason=LEGAL_TEXT,
    user=LEGAL_TEXT,
)
def test_any_legal_text_is_read_back(
    summary: str, label: str, requires: str, reason: str, user: str
) -> None:
    file = project_file(
        "demo-1.0.tar.gz", "1.0", requires_python=requires, yanked=True, yanked_reason=reason
    )
    metadata = core_metadata(
        summary=summary,
        project_urls=((label, "http://x.example/?" + label),),
        requires_dist=(summary, label),
        description=None,
    )
    document = project(
        release(files=(file,), metadata=metadata),
        status_reason=reason,
        roles=((user, "owner"),),
    )

    told = json.loads(json.dumps(plain(document)))
    assert from_json(document) == told
    assert from_xml(document) == told
    assert b"<script" not in pages.project_page(document, SITE).lower()


@settings(max_examples=50, deadline=None)
@given(text=st.text())
def test_text_that_no_form_can_carry_does_not_stop_the_documents(text: str) -> None:
    broken = text + "\x00\ud800"
    metadata = core_metadata(summary=broken, project_urls=((broken, broken),), description=None)
    document = project(release(metadata=metadata), status_reason=broken)

    etree.fromstring(project_xml.project(document))
    assert from_json(document)["project_status"]["reason"].endswith("\ufffd")
    pages.project_page(document, SITE).decode()
