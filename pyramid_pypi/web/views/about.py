"""What the index says about itself: its problems, its contract, its style sheet."""

from __future__ import annotations

import inspect
import mimetypes
import os
from importlib import resources
from typing import Any

from pyramid.view import view_config

from pyramid_pypi.errors import Refusal, every_refusal
from pyramid_pypi.formats import pages
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.web import answers, negotiation
from pyramid_pypi.web.answers import Answer
from pyramid_pypi.web.negotiation import Representation
from pyramid_pypi.web.recent import Ready, state_of
from pyramid_pypi.web.refusals import PageMissing
from pyramid_pypi.web.resources import OpenApi, Problem, Problems, Robots, StaticFile
from pyramid_pypi.web.security import READ
from pyramid_pypi.web.views import published
from pyramid_pypi.web.views.errors import status_of

_CONTRACT = str(resources.files("pyramid_pypi") / "openapi.json")
_BY_ACCEPT = [("Vary", "Accept")]
_ROBOTS = b"User-agent: *\nDisallow: /packages/\nDisallow: /simple/\n"


@view_config(context=Problems, request_method="GET", permission=READ)
def problems(context: Problems, request: Any) -> Answer:
    """List every refusal of the index."""
    if negotiation.prefers_html(request.environ.get("HTTP_ACCEPT")):
        return _page(pages.problem_list(every_refusal(), request.registry.site))
    told = [_told(refusal) for refusal in every_refusal()]
    return answers.document({"problems": told}, _BY_ACCEPT)


@view_config(context=Problem, request_method="GET", permission=READ)
def problem(context: Problem, request: Any) -> Answer:
    """Explain one refusal."""
    for refusal in every_refusal():
        if refusal.code == context.__name__:
            if negotiation.prefers_html(request.environ.get("HTTP_ACCEPT")):
                return _page(pages.problem(refusal, request.registry.site))
            return answers.document(_told(refusal), _BY_ACCEPT)
    raise PageMissing


def _told(refusal: type[Refusal]) -> dict[str, Any]:
    return {
        "code": refusal.code,
        "title": refusal.title,
        "status": status_of(refusal),
        "text": inspect.cleandoc(refusal.__doc__ or ""),
    }


def _page(content: bytes) -> Answer:
    headers = [("Content-Security-Policy", answers.PAGE_POLICY), *_BY_ACCEPT]
    return answers.whole(content, answers.HTML, headers=headers)


@view_config(context=OpenApi, request_method="GET", permission=READ)
def openapi(context: OpenApi, request: Any) -> Answer:
    """Give the contract of the index (OpenAPI 3.1)."""
    ready: Ready | None = request.registry.recent.get(
        _CONTRACT, _CONTRACT, lambda path, _: _prepare(path)
    )
    if ready is None:
        raise PageMissing
    return ready.to(request.environ.get("HTTP_IF_NONE_MATCH"))


def _prepare(path: str) -> Ready:
    with open(path, "rb") as file:
        content, stat = file.read(), os.fstat(file.fileno())
    etag = f'"{sha256_hex(content)[:32]}"'
    headers = [("Cache-Control", "max-age=3600"), ("ETag", etag)]
    whole = answers.whole(content, answers.JSON, headers=headers)
    unchanged = Answer("304 Not Modified", [*answers.SAFE, *headers])
    return Ready(state_of(stat), etag, whole, unchanged)


@view_config(context=StaticFile, request_method="GET", permission=READ)
def static_file(context: StaticFile, request: Any) -> Answer:
    """Give a file that pages refer to; it lies in the tree, for servers without us."""
    media_type, coding = mimetypes.guess_type(context.__name__)
    if coding == "gzip":
        media_type = "application/gzip"  # a twin at its own name: packed bytes, as they are
    if media_type is None:
        raise PageMissing
    chosen = Representation("", media_type)
    found = published.document(request, f"static/{context.__name__}", chosen)
    if found is None:
        raise PageMissing
    return found


@view_config(context=Robots, request_method="GET", permission=READ)
def robots(context: Robots, request: Any) -> Answer:
    """Tell crawlers to leave alone what is not for reading."""
    return answers.whole(_ROBOTS, answers.TEXT, headers=[("Cache-Control", "max-age=86400")])
