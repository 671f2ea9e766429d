from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_pypi.formats import readme, readme_process, readme_render
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
    assert time.monotonic() - start < readme_render.DEADLINE_S + 3


class TestTheProcess:
    """It renders what is long, one description after the other."""

    @pytest.fixture(autouse=True)
    def _ended(self) -> Iterator[None]:
        """Each test starts the process, and leaves none."""
        readme_process._kept.end()
        yield
        readme_process._kept.end()

    def test_it_is_started_once(self) -> None:
        assert children() == []
        to_html("*a* " * 1000, MARKDOWN)
        (started,) = children()
        assert "<em>b</em>" in to_html("*b* " * 1000, MARKDOWN)
        assert "<em>c</em>" in to_html("*c*", RST)
        assert children() == [started]

    def test_it_outlives_a_hostile_description(self) -> None:
        assert to_html(">" * 70_001, MARKDOWN).startswith("<pre")
        (started,) = children()
        assert "<em>after</em>" in to_html("*after* " * 1000, MARKDOWN)
        assert children() == [started]

    def test_another_takes_the_place_of_one_that_was_killed(self) -> None:
        to_html("*d*", RST)
        (started,) = children()
        started.kill()
        assert "<em>e</em>" in to_html("*e*", RST)
        (second,) = children()
        assert second != started

    def test_another_takes_the_place_of_one_that_is_stuck(self) -> None:
        to_html("*f*", RST)
        (started,) = children()
        assert readme_process._kept._program is not None
        readme_process._kept._program._connection.settimeout(0.2)
        started.suspend()
        assert "<em>g</em>" in to_html("*g*", RST)
        assert not started.is_running()

    def test_no_description_sees_what_another_defined(self) -> None:
        defined = to_html(".. role:: strange\n\n:strange:`one`", RST)
        assert defined.startswith("<p>")
        assert to_html(":strange:`two`", RST).startswith("<pre")

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_a_fork_starts_its_own(self) -> None:
        to_html("*h*", RST)
        (started,) = children()
        child = os.fork()
        if child == 0:
            try:
                os._exit("<em>i</em>" not in to_html("*i*", RST) or children() == [])
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert "<em>j</em>" in to_html("*j*", RST)
        assert children() == [started]

    def test_it_ends_when_its_parent_is_killed(self) -> None:
        program = (
            "import os, psutil\n"
            "from pyramid_pypi.formats.readme import to_html\n"
            "to_html('*a*', None)\n"
            "print(*(child.pid for child in psutil.Process().children()), flush=True)\n"
            "os.kill(os.getpid(), 9)\n"
        )
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        pid = int(ended.stdout)
        deadline = time.monotonic() + 10
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def children() -> list[psutil.Process]:
    """The rendering processes of this one; PostgreSQL may be another child."""
    return [
        child
        for child in psutil.Process().children()
        if readme_render.__file__ in " ".join(child.cmdline())
    ]


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
