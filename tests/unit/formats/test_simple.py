"""The Simple API's two forms; rules numbered as in the wire contract of the index."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html
from pypi_simple import ProjectPage

from pyramid_pypi.formats import simple_html, simple_json
from pyramid_pypi.formats.simple import SimpleFile, SimpleList, SimplePage, serial_of
from pyramid_pypi.values.digests import sha256_hex
from tests.unit.formats.samples import LEGAL_TEXT, NOON, sha256, simple_file, simple_page

BASE = "https://index.example/simple/demo/"
PLAIN = simple_file()
UNKNOWNS = simple_file("demo-1.1.tar.gz", requires_python=None, core_metadata_sha256=None)
YANKED = simple_file("demo-0.9.tar.gz", yanked=True, yanked_reason='Breaks "all" <things>')
YANKED_SILENTLY = simple_file("demo-0.8.tar.gz", yanked=True)
LOCAL = simple_file("demo-1!2.0+cpu-py3-none-any.whl")
EVERY_SORT = simple_page(YANKED_SILENTLY, YANKED, PLAIN, UNKNOWNS, LOCAL)
HTML = simple_html.page(EVERY_SORT)


def json_of(page: SimplePage) -> Any:
    return json.loads(simple_json.page(page, simple_html.page(page)))


def html_of(page: SimplePage) -> Any:
    parser = html.HTMLParser(encoding="utf-8")
    return html.document_fromstring(simple_html.page(page), parser=parser)


def expected_json(page: SimplePage) -> dict[str, Any]:
    """The whole structure, said once more without fragments."""
    status = {"status": page.status}
    if page.status_reason:
        status["reason"] = page.status_reason
    html_twin = simple_html.page(page)
    return {
        "_html": {"sha256": sha256_hex(html_twin), "size": len(html_twin)},
        "meta": {"api-version": "1.4", "_last-serial": page.serial},
        "name": page.name,
        "project-status": status,
        "versions": list(page.versions),
        "files": [expected_file(file) for file in page.files],
    }


def expected_file(file: SimpleFile) -> dict[str, Any]:
    digest = file.sha256
    name = file.filename.replace("+", "%2B").replace("!", "%21")
    document: dict[str, Any] = {
        "filename": file.filename,
        "url": f"../../packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{name}",
        "hashes": {"sha256": digest},
        "size": file.size_bytes,
        "upload-time": "2026-11-22T12:00:00.123456Z",
        "yanked": False,
    }
    if file.requires_python:
        document["requires-python"] = file.requires_python
    if file.core_metadata_sha256:
        document["core-metadata"] = {"sha256": file.core_metadata_sha256}
    if file.yanked:
        document["yanked"] = file.yanked_reason or True
    return document


class TestJson:
    def test_joined_parts_equal_the_plain_dump(self) -> None:
        expected = json.dumps(
            expected_json(EVERY_SORT), sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )

        assert simple_json.page(EVERY_SORT, HTML).decode() == expected + "\n"

    def test_an_empty_page_is_whole_too(self) -> None:
        assert json_of(simple_page()) == expected_json(simple_page())

    def test_unknown_values_are_omitted(self) -> None:
        [file] = json_of(simple_page(UNKNOWNS))["files"]

        assert not {"requires-python", "core-metadata"} & set(file)
        assert None not in file.values()
        assert "" not in file.values()

    def test_no_key_of_before_pep_714(self) -> None:
        assert b"dist-info-metadata" not in simple_json.page(EVERY_SORT, HTML)

    def test_list_has_each_project_with_its_serial(self) -> None:
        document = simple_json.project_list(SimpleList(9, (("a", 4), ("b-c", 9))))

        assert document == (
            b'{"meta":{"_last-serial":9,"api-version":"1.4"},"projects":'
            b'[{"_last-serial":4,"name":"a"},{"_last-serial":9,"name":"b-c"}]}\n'
        )


class TestHtml:
    def test_version_is_frozen_and_there_is_no_api_version(self) -> None:
        metas = {
            meta.get("name"): meta.get("content") for meta in html_of(EVERY_SORT).iter("meta")
        }

        assert metas["pypi:repository-version"] == "1.4"
        assert "api-version" not in metas
        assert metas["pypi:project-status"] == "active"

    def test_attributes(self) -> None:
        silent, yanked, plain, unknowns, local = html_of(EVERY_SORT).iter("a")

        assert plain.text == PLAIN.filename
        assert plain.get("href").endswith(f"/{PLAIN.filename}#sha256={PLAIN.sha256}")
        assert plain.get("href").startswith("../../packages/")
        assert plain.get("data-requires-python") == ">=3.8"
        assert b'data-requires-python="&gt;=3.8"' in PLAIN.html_fragment
        digest = f"sha256={PLAIN.core_metadata_sha256}"
        assert plain.get("data-core-metadata") == digest
        assert plain.get("data-dist-info-metadata") == digest
        assert plain.get("data-yanked") is None
        assert set(unknowns.attrib) == {"href"}
        assert yanked.get("data-yanked") == 'Breaks "all" <things>'
        assert silent.get("data-yanked") == ""
        assert "%2Bcpu" in local.get("href")

    def test_list_items_are_normalized_names(self) -> None:
        document = simple_html.project_list(SimpleList(9, (("a", 4), ("b-c", 9))))
        links = [(a.get("href"), a.text) for a in html.document_fromstring(document).iter("a")]

        assert links == [("a/", "a"), ("b-c/", "b-c")]

    def test_old_installers_find_links_by_pattern(self) -> None:
        # easy_install's pattern for links, and its test for a digest.
        content = simple_html.page(EVERY_SORT).decode()
        links = re.findall(r"""href\s*=\s*['"]?([^'"> ]+)""", content, re.IGNORECASE)

        assert len(links) == len(EVERY_SORT.files)
        assert all(re.search(r"#sha256=[0-9a-f]{64}$", link) for link in links)


class TestBothForms:
    def test_pypi_simple_reads_the_same_from_both(self) -> None:
        page = replace(EVERY_SORT, status="archived", status_reason="Moved & renamed")
        from_html = ProjectPage.from_html("demo", simple_html.page(page).decode(), BASE)
        from_json = ProjectPage.from_json_data(json_of(page), BASE)

        assert [seen(file) for file in from_html.packages] == [
            seen(file) for file in from_json.packages
        ]
        assert [file.filename for file in from_json.packages] == [
            file.filename for file in page.files
        ]
        assert from_html.repository_version == from_json.repository_version == "1.4"
        assert from_json.versions == ["1.0", "1.1"]
        assert from_json.last_serial == "7"
        assert [file.size for file in from_json.packages] == [2500] * 5
        assert [file.upload_time for file in from_json.packages] == [NOON] * 5

    def test_equal_values_give_equal_bytes(self) -> None:
        again = simple_page(*(replace(file) for file in EVERY_SORT.files))

        assert simple_html.page(again) == simple_html.page(EVERY_SORT)
        assert simple_json.page(again, HTML) == simple_json.page(EVERY_SORT, HTML)

    def test_a_quarantined_project_shows_no_file(self) -> None:
        page = replace(EVERY_SORT, status="quarantined", status_reason="Malware")

        document = json_of(page)
        assert document["files"] == []
        assert document["project-status"] == {"status": "quarantined", "reason": "Malware"}
        assert list(html_of(page).iter("a")) == []
        assert b'content="quarantined"' in simple_html.page(page)
        assert b'"pypi:project-status-reason" content="Malware"' in simple_html.page(page)

    @pytest.mark.parametrize("serial", [0, 7, 10**15])
    def test_the_serial_is_read_back(self, serial: int) -> None:
        page = replace(EVERY_SORT, serial=serial)
        projects = SimpleList(serial, (("a", 99),))

        assert serial_of(simple_html.page(page)) == serial
        assert serial_of(simple_json.page(page, simple_html.page(page))) == serial
        assert serial_of(simple_html.project_list(projects)) == serial
        assert serial_of(simple_json.project_list(projects)) == serial

    def test_no_text_of_a_page_passes_for_its_serial(self) -> None:
        liar = '<!--SERIAL 99-->\n"meta":{"_last-serial":99,'
        yanked = replace(YANKED, yanked_reason=liar)
        page = replace(simple_page(yanked), status_reason=liar)

        assert serial_of(simple_html.page(page)) == 7
        assert serial_of(simple_json.page(page, simple_html.page(page))) == 7

    def test_a_page_that_was_cut_short_has_no_serial(self) -> None:
        assert serial_of(b"") is None
        assert serial_of(simple_html.page(EVERY_SORT)[:-2]) is None
        assert serial_of(simple_json.page(EVERY_SORT, HTML)[:-2]) is None
        assert serial_of(b"<!--SERIAL x-->\n") is None
        assert serial_of(b'{"meta":{"_last-serial":}\n') is None

    @given(requires=LEGAL_TEXT, reason=LEGAL_TEXT, status_reason=LEGAL_TEXT)
    def test_any_text_is_read_back(
        self, requires: str, reason: str, status_reason: str
    ) -> None:
        file = simple_file(requires_python=requires, yanked=True, yanked_reason=reason)
        page = simple_page(file, status="deprecated", status_reason=status_reason)

        document, tree = json_of(page), html_of(page)
        [link] = tree.iter("a")
        assert document == expected_json(page)
        assert link.get("data-yanked") == reason
        assert (link.get("data-requires-python") or "") == requires
        metas = {meta.get("name"): meta.get("content") for meta in tree.iter("meta")}
        assert metas.get("pypi:project-status-reason", "") == status_reason
        assert b"<script" not in simple_html.page(page).lower()

    @settings(max_examples=50)
    @given(text=st.text())
    def test_text_that_no_form_can_carry_does_not_stop_the_page(self, text: str) -> None:
        file = simple_file(requires_python=text, yanked=True, yanked_reason=text + "\ud800")
        page = simple_page(file, status_reason=text + "\x00\ud800")

        assert json_of(page)["project-status"]["reason"].endswith("\ufffd")
        [link] = html_of(page).iter("a")
        assert link.get("data-yanked").endswith("\ufffd")


def seen(file: Any) -> tuple[Any, ...]:
    return (
        file.filename,
        file.url.partition("#")[0],
        file.digests,
        file.requires_python,
        file.is_yanked,
        file.yanked_reason or "",
        bool(file.has_metadata),
        file.metadata_digests or None,
    )


def test_paths_follow_the_digest() -> None:
    digest = sha256(LOCAL.filename)

    folder = f"packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}"
    assert LOCAL.path == f"{folder}/demo-1!2.0+cpu-py3-none-any.whl"
    assert LOCAL.url_path == f"{folder}/demo-1%212.0%2Bcpu-py3-none-any.whl"
