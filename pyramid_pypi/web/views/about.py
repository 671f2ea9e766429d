"""What the index says about itself: its problems, its contract, its style sheet."""

from __future__ import annotations

import functools
import inspect
import mimetypes
from importlib import resources
from typing import Any

from pyramid.view import view_config

from pyramid_pypi.errors import Refusal, every_refusal
from pyramid_pypi.formats import pages
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.web import answers, negotiation
from pyramid_pypi.web.answers import Answer
from pyramid_pypi.web.refusals import PageMissing
from pyramid_pypi.web.resources import OpenApi, Problem, Problems, Robots, StaticFile
from pyramid_pypi.web.security import READ
from pyramid_pypi.web.views.errors import status_of

_PACKAGE = resources.files("pyramid_pypi")
_ROBOTS = b"User-agent: *\nDisallow: /packages/\nDisallow: /simple/\n"


@view_config(context=Problems, request_method="GET", permission=READ)
def problems(context: Problems, request: Any) -> Answer:
    """List every refusal of the index."""
    if negotiation.prefers_html(request.environ.get("HTTP_ACCEPT")):
        return _page(pages.problem_list(every_refusal(), request.registry.site))
    return answers.document({"problems": [_told(refusal) for refusal in every_refusal()]})


@view_config(context=Problem, request_method="GET", permission=READ)
def problem(context: Problem, request: Any) -> Answer:
    """Explain one refusal."""
    for refusal in every_refusal():
        if refusal.code == context.__name__:
            if negotiation.prefers_html(request.environ.get("HTTP_ACCEPT")):
                return _page(pages.problem(refusal, request.registry.site))
            return answers.document(_told(refusal))
    raise PageMissing


def _told(refusal: type[Refusal]) -> dict[str, Any]:
    return {
        "code": refusal.code,
        "title": refusal.title,
        "status": status_of(refusal()),
        "text": inspect.cleandoc(refusal.__doc__ or ""),
    }


def _page(content: bytes) -> Answer:
    headers = [("Content-Security-Policy", answers.PAGE_POLICY), ("Vary", "Accept")]
    return answers.whole(content, answers.HTML, headers=headers)


@view_config(context=OpenApi, request_method="GET", permission=READ)
def openapi(context: OpenApi, request: Any) -> Answer:
    """Give the contract of the index (OpenAPI 3.1)."""
    return _constant("openapi.json", answers.JSON)


@view_config(context=StaticFile, request_method="GET", permission=READ)
def static_file(context: StaticFile, request: Any) -> Answer:
    """Give a file that pages refer to."""
    media_type = mimetypes.guess_type(context.__name__)[0] or "application/octet-stream"
    return _constant(f"static/{context.__name__}", media_type)


@view_config(context=Robots, request_method="GET", permission=READ)
def robots(context: Robots, request: Any) -> Answer:
    """Tell crawlers to leave alone what is not for reading."""
    return answers.whole(_ROBOTS, answers.TEXT, headers=[("Cache-Control", "max-age=86400")])


@functools.lru_cache(maxsize=64)
def _constant(name: str, media_type: str) -> Answer:
    try:
        content = _PACKAGE.joinpath(name).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise PageMissing from None
    headers = [("Cache-Control", "max-age=3600"), ("ETag", f'"{sha256_hex(content)[:32]}"')]
    return answers.whole(content, media_type, headers=headers)
