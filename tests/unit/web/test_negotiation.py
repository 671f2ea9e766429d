from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyramid_pypi.web import negotiation
from pyramid_pypi.web.refusals import NotAcceptable, PathMalformed

PIP = (
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, "
    "text/html; q=0.01"
)
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
UV_PUBLISH = "application/json;q=0.9, text/plain;q=0.8, text/html;q=0.7"


@given(accept=st.one_of(st.none(), st.text(max_size=60)), query=st.text(max_size=60))
def test_any_header_gets_an_answer_or_a_refusal(accept: str | None, query: str) -> None:
    try:
        chosen = negotiation.SIMPLE.choose(accept, query)
    except NotAcceptable:
        return
    assert chosen in dict(negotiation.SIMPLE.offers).values()


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("gzip, deflate, zstd", True),
        ("br;q=1.0, GZIP;q=0.8", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("gzip;q=0.001", True),
        ("identity", False),
        ("x-gzipped", False),
    ],
)
def test_takes_gzip(header: str | None, taken: bool) -> None:
    assert negotiation.takes_gzip(header) is taken


@pytest.mark.parametrize(
    ("accept", "html", "json"),
    [
        (None, False, False),
        ("*/*", False, False),
        (BROWSER, True, False),
        (PIP, False, False),  # pip never uploads
        (UV_PUBLISH, False, True),
        ("text/html", True, False),
        ("application/json", False, True),
        ("text/plain, application/json;q=0.5", False, False),
    ],
)
def test_how_a_client_wants_its_refusals(accept: str | None, html: bool, json: bool) -> None:
    assert negotiation.prefers_html(accept) is html
    assert negotiation.prefers_json(accept) is json


@pytest.mark.parametrize(
    ("told", "same"),
    [
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        (" * ", True),
        ('"b"', False),
        ("a", False),
    ],
)
def test_matches(told: str, same: bool) -> None:
    assert negotiation.matches(told, '"a"') is same


def test_a_query_of_too_many_fields_is_refused() -> None:
    with pytest.raises(PathMalformed, match="100 fields"):
        negotiation.SIMPLE.choose(None, "&".join(["format=x"] * 101))
    assert negotiation.SIMPLE.choose(None, "&".join(["a=format"] * 100)).extension == "html"
