from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_pypi.formats import readme
from pyramid_pypi.formats.readme import to_html
from tests.unit.formats.scrutiny import assert_harmless
from tests.unit.formats.xss import XSS

MARKDOWN = "text/markdown"
RST = "text/x-rst"


def test_markdown_is_rendered() -> None:
    assert "<em>text</em>" in to_html("Some *text*", MARKDOWN)
    assert "<table>" in to_html("|a|\n|-|\n|b|", "text/markdown; charset=UTF-8; variant=GFM")
    assert "<table>" not in to_html("|a|\n|-|\n|b|", "text/markdown; variant=CommonMark")


@pytest.mark.parametrize("content_type", [RST, None, "text/x-rst; charset=UTF-8"])
def test_restructured_text_is_rendered(content_type: str | None) -> None:
    assert "<em>text</em>" in to_html("Some *text*", content_type)


def test_highlighted_code_is_rendered() -> None:
    assert '<span class="k">' in to_html("```python\nreturn 1\n```", MARKDOWN)


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        ("Some *text* & <b>", "text/plain"),
        ("Some *text* & <b>", "application/octet-stream"),
        ("Some *text* & <b>", "nonsense"),
        (".. raw:: html\n\n   Some *text* & <b>", RST),  # refused by the renderer
        (".. include:: /etc/passwd\n\nSome *text* & <b>", RST),
    ],
)
def test_all_else_is_shown_as_it_is(text: str, content_type: str) -> None:
    shown = to_html(text, content_type)

    assert shown.startswith('<pre class="plain">')
    assert "Some *text* &amp; &lt;b&gt;</pre>" in shown


def test_images_become_their_text() -> None:
    shown = to_html(
        "[![Build & <state>](http://ci.example/b.png)](http://ci.example/) ![](http://x/y)",
        MARKDOWN,
    )

    assert "ci.example/b.png" not in shown
    assert "[Build &amp; &lt;state&gt;]</a>" in shown
    assert "[image]" in shown
    assert "<img" not in shown
    assert "[picture]" in to_html(".. image:: http://x.example/y.png\n   :alt: picture", RST)


def test_links_are_not_followed_by_search_engines() -> None:
    assert 'href="http://x.example/" rel="nofollow"' in to_html("<http://x.example/>", MARKDOWN)


def test_a_large_description_is_shown_plain_and_cut() -> None:
    at_limit = to_html("*a* " * (readme.MAX_RENDERED_BYTES // 4 + 1), MARKDOWN)
    huge = to_html("*a* " * (readme.MAX_PLAIN_CHARS // 2), MARKDOWN)

    assert at_limit.startswith('<pre class="plain">*a* ')
    assert len(huge) < readme.MAX_PLAIN_CHARS + 100
    assert huge.endswith("\n[…]</pre>")


@pytest.mark.parametrize(
    ("text", "content_type"),
    [
        (">" * 70_000, MARKDOWN),  # nested quotations
        ("|a" * 9_000 + "\n" + "|-" * 9_000 + "\n" + "|a\n" * 9_000, MARKDOWN),
        ("```c\n" + "\n " * 30_000 + "\n```", MARKDOWN),  # a lexer's worst text
        (
            "".join(f".. |a{i}| replace:: |a{i + 1}| |a{i + 1}|\n" for i in range(40))
            + ".. |a40| replace:: x\n\n|a0|\n",
            RST,
        ),
    ],
    ids=["quotations", "wide table", "code", "substitutions"],
)
def test_hostile_descriptions_are_shown_plain_in_time(text: str, content_type: str) -> None:
    start = time.monotonic()

    assert to_html(text, content_type).startswith('<pre class="plain">')
    assert time.monotonic() - start < readme.DEADLINE_S + 3


@pytest.mark.parametrize("text", XSS)
def test_no_markdown_becomes_active(text: str) -> None:
    assert_harmless(to_html(text, MARKDOWN))


def test_no_restructured_text_becomes_active() -> None:
    for content_type in (RST, "text/plain", "nonsense"):
        assert_harmless(to_html("\n\n".join(XSS), content_type))
    links = [
        f"`link {number} <{text}>`__" for number, text in enumerate(XSS) if "\n" not in text
    ]
    assert_harmless(to_html("\n\n".join(links), RST))


@settings(max_examples=60, deadline=None)
@given(
    text=st.lists(st.sampled_from(XSS) | st.text(max_size=20), max_size=5).map("".join),
    content_type=st.none() | st.text() | st.sampled_from((MARKDOWN, "text/plain")),
)
def test_any_description_is_shown(text: str, content_type: str | None) -> None:
    if "\ud800" <= max(text, default="") <= "\udfff":
        return
    shown = to_html(text, content_type or "text/plain")

    assert_harmless(shown)
    shown.encode()
