"""Which representation a client wants, and in which encoding (RFC 9110, section 12)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qs

from webob.acceptparse import create_accept_header

from pyramid_pypi.web.answers import DATA_POLICY, PAGE_POLICY
from pyramid_pypi.web.refusals import NotAcceptable, PathMalformed


@dataclass(frozen=True, slots=True)
class Representation:
    """One form of a document: the ending of its file, and the type it is sent as."""

    extension: str
    content_type: str
    tag: str = ""
    """Tells its ETag from that of another representation with the same bytes."""
    policy: str = ""
    """The Content-Security-Policy it is sent with."""
    bears_serial: bool = False
    """Whether the document says its serial, for `X-PyPI-Last-Serial`."""
    is_immutable: bool = False
    """Whether the name of the document is of one version alone."""
    is_chosen: bool = True
    """Whether `Accept` chose it among others."""


# Compared by identity: choices are remembered by menu, and hashed on every request.
@dataclass(frozen=True, eq=False)
class Menu:
    """The representations of one resource, by the media types clients ask for.

    The first is given to a client that has no wish.
    """

    offers: tuple[tuple[str, Representation], ...]

    def choose(self, accept: str | None, query: str) -> Representation:
        """Return what `accept` asks for; a ``format`` in `query` comes before it.

        Raises:
            NotAcceptable: nothing that is offered is wanted.
            PathMalformed: `query` has more fields than anybody needs.
        """
        chosen = _choose(self, accept, query)
        if chosen is None:
            types = ", ".join(media_type for media_type, _ in self.offers)
            raise NotAcceptable(f"offered are {types}")
        return chosen


_NOT_AT_ALL = re.compile(r"[ \t]*[qQ][ \t]*=[ \t]*0(?:\.0*)?[ \t]*\Z")

_MAX_QUERY_FIELDS = 100

_HTML_TYPE = "text/html; charset=utf-8"
JSON_V1_TYPE = "application/vnd.pypi.simple.v1+json"
_SIMPLE_HTML = Representation("html", _HTML_TYPE, policy=DATA_POLICY, bears_serial=True)
_SIMPLE_HTML_V1 = Representation(
    "html",
    "application/vnd.pypi.simple.v1+html",
    tag="-v1",
    policy=DATA_POLICY,
    bears_serial=True,
)
# Without any parameter: devpi compares the whole header, and takes nothing else.
_SIMPLE_JSON = Representation("json", JSON_V1_TYPE, bears_serial=True)
_PAGE = Representation("html", _HTML_TYPE, policy=PAGE_POLICY)

SIMPLE = Menu(
    (
        ("text/html", _SIMPLE_HTML),
        ("application/vnd.pypi.simple.v1+html", _SIMPLE_HTML_V1),
        (JSON_V1_TYPE, _SIMPLE_JSON),
        ("application/vnd.pypi.simple.latest+html", _SIMPLE_HTML_V1),
        ("application/vnd.pypi.simple.latest+json", _SIMPLE_JSON),
    )
)
PROJECT = Menu(
    (
        ("text/html", _PAGE),
        ("application/json", Representation("json", "application/json")),
        ("application/xml", Representation("xml", "application/xml")),
        ("text/xml", Representation("xml", "text/xml; charset=utf-8")),
    )
)
CHANGES = Menu(
    (
        ("application/json", Representation("json", "application/json")),
        ("application/x-ndjson", Representation("jsonl", "application/x-ndjson")),
        ("application/jsonl", Representation("jsonl", "application/jsonl")),
    )
)
HOME = Menu((("text/html", _PAGE),))
JSON_API = Representation("", "application/json", bears_serial=True)
"""The older JSON API never negotiated, and its clients send whatever they like."""


@lru_cache(maxsize=1024)
def _choose(menu: Menu, accept: str | None, query: str) -> Representation | None:
    offers = dict(menu.offers)
    wanted = _format(query)
    if wanted is not None:
        # In a query "+" reads as a blank; the types are written with the plus as it is.
        return offers.get(wanted.replace(" ", "+").strip().lower())
    if accept is None:
        return menu.offers[0][1]
    best = create_accept_header(accept).acceptable_offers(list(offers))
    return offers[best[0][0]] if best else None


def _format(query: str) -> str | None:
    if "format" not in query:
        return None
    try:
        values = parse_qs(query, max_num_fields=_MAX_QUERY_FIELDS).get("format")
    except ValueError:
        detail = f"the query has more than {_MAX_QUERY_FIELDS} fields"
        raise PathMalformed(detail) from None
    return values[0] if values else None


@lru_cache(maxsize=256)
def takes_gzip(accept_encoding: str | None) -> bool:
    """Tell whether a client with that ``Accept-Encoding`` takes gzip."""
    for coding in (accept_encoding or "").split(","):
        name, _, weight = coding.partition(";")
        if name.strip().lower() == "gzip":
            return _NOT_AT_ALL.match(weight) is None
    return False


@lru_cache(maxsize=256)
def prefers_html(accept: str | None) -> bool:
    """Tell whether a client names HTML, and wants it at least as much as JSON.

    Browsers do; tools that send ``*/*`` or nothing read JSON better.
    """
    if accept is None or "text/html" not in accept.lower():
        return False
    offers = ["text/html", "application/problem+json", "application/json", JSON_V1_TYPE]
    best = create_accept_header(accept).acceptable_offers(offers)
    return bool(best) and best[0][0] == "text/html"


@lru_cache(maxsize=256)
def prefers_json(accept: str | None) -> bool:
    """Tell whether a client names JSON, and wants it more than plain text."""
    if accept is None or "json" not in accept.lower():
        return False
    offers = ["text/plain", "application/json", "application/problem+json"]
    best = create_accept_header(accept).acceptable_offers(offers)
    return bool(best) and best[0][0] != "text/plain"


def matches(if_none_match: str, etag: str) -> bool:
    """Tell whether `etag` (strong, quoted) is in `if_none_match`, by weak comparison."""
    if if_none_match == etag:
        return True
    if if_none_match.strip() == "*":
        return True
    tags = (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
    return etag in tags
