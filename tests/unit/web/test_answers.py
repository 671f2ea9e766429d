from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_pypi.web import answers


@given(path=st.text(alphabet="/\\.@:ab\t\r\n\u00e9", max_size=12))
def test_a_redirect_never_leaves_the_host(path: str) -> None:
    location = dict(answers.redirect(301, path).headerlist)["Location"]

    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))
    assert location.isascii()
    assert location.isprintable()


@pytest.mark.parametrize("query", ["", "format=x"])
def test_a_redirect_keeps_path_and_query(query: str) -> None:
    location = dict(answers.redirect(301, "/simple/demo/", query).headerlist)["Location"]

    assert location == "/simple/demo/" + (f"?{query}" if query else "")
