"""Pages are read back into what they were made of, and nothing else is taken for one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_pypi.formats import simple_html, simple_json
from pyramid_pypi.formats.simple import SimpleList, SimplePage
from pyramid_pypi.formats.simple_parse import PageUnreadable, names_of, parse, read
from pyramid_pypi.values.digests import sha256_hex
from tests.unit.formats.samples import simple_file, simple_page

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40)


def written(page: SimplePage) -> bytes:
    return simple_json.page(page, simple_html.page(page))


@given(texts, texts, st.booleans(), st.none() | texts.filter(bool))
def test_a_page_is_read_back(reason: str, why: str, yanked: bool, python: str | None) -> None:
    files = [
        simple_file("demo-1.0.tar.gz", core_metadata_sha256=None, requires_python=python),
        simple_file(yanked=yanked, yanked_reason=reason if yanked else ""),
    ]
    page = simple_page(*files, status_reason=why)
    assert parse(written(page)) == page
    html = read(written(page)).html
    assert html is not None
    assert html.sha256 == sha256_hex(simple_html.page(page))


def altered(**changes: Any) -> bytes:
    document = json.loads(written(simple_page(simple_file())))
    for path, value in changes.items():
        *way, last = path.split("__")
        inside = document
        for step in way:
            inside = inside[int(step)] if step.isdigit() else inside[step]
        inside[last.replace("_", "-") if last != "name" else last] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        altered(name="De.mo"),
        altered(name="../x"),
        altered(files__0__filename="../../etc/passwd"),
        altered(files__0__filename="a/b"),
        altered(files__0__filename=""),
        altered(files__0__url="https://elsewhere.example/demo.whl"),
        altered(files__0__url="../../packages/00/00/x/demo.whl"),
        altered(files__0__size=-1),
        altered(files__0__size=2**60),
        altered(files__0__size="1"),
        altered(files__0__yanked=None),
        altered(files__0__hashes={"sha256": "0" * 63}),
        altered(files__0__hashes={"md5": "0" * 32}),
        altered(files__0__upload_time="yesterday"),
        altered(versions="1.0"),
        altered(project_status="active"),
        altered(meta={"api-version": "1.4"}),
    ],
)
def test_what_is_no_page_is_refused(content: bytes) -> None:
    with pytest.raises(PageUnreadable):
        parse(content)


def test_unknown_keys_are_passed_over() -> None:
    assert parse(altered(later="more")) == simple_page(simple_file())


def test_the_list_of_all() -> None:
    listed = SimpleList(7, (("demo", 7), ("other", 3)))
    assert names_of(simple_json.project_list(listed)) == ["demo", "other"]
    for content in (b"{}", b'{"projects":[{"name":"../x"}]}', b"\xff"):
        with pytest.raises(PageUnreadable):
            names_of(content)
