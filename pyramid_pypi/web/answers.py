"""Answers: a status, ready headers, and a body.

Lighter than a WebOb response, and fixed once made, so that one answer can be kept and
given to many requests.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from pyramid.interfaces import IResponse
from zope.interface import implementer

Headers = list[tuple[str, str]]
Environ = dict[str, Any]
StartResponse = Callable[[str, Headers], Any]

JSON = "application/json"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"

SAFE: Headers = [("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "same-origin")]
"""Headers of every answer."""

PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of pages: our own style sheet, and nothing else."""

DATA_POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of Simple API pages, which no browser needs to bring to life."""


@implementer(IResponse)
class Answer:
    """A WSGI answer whose body is in memory."""

    __slots__ = ("body", "headerlist", "status")

    def __init__(self, status: str, headerlist: Headers, body: bytes = b"") -> None:
        self.status = status
        self.headerlist = headerlist
        self.body = body

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Send the answer; to HEAD, its headers alone."""
        start_response(self.status, list(self.headerlist))
        return () if environ["REQUEST_METHOD"] == "HEAD" else (self.body,)


def status_line(status: int, reason: str | None = None) -> str:
    """Return ``status`` with `reason`, or with the standard phrase."""
    return f"{status} {reason or HTTPStatus(status).phrase}"


def whole(
    body: bytes,
    content_type: str,
    *,
    status: str = "200 OK",
    headers: Iterable[tuple[str, str]] = (),
) -> Answer:
    """Return an answer with `body` of `content_type`."""
    own = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    return Answer(status, [*own, *SAFE, *headers], body)


def text(message: str) -> Answer:
    """Return a short plain message with status 200."""
    return whole(message.encode(), TEXT, headers=[("Cache-Control", "no-store")])


def document(content: Any, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """Return `content` as JSON: keys sorted, UTF-8, a newline at the end."""
    return whole(encode(content), JSON, headers=[("Cache-Control", "no-cache"), *headers])


def encode(content: Any) -> bytes:
    """Return `content` as canonical JSON."""
    text_form = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text_form.encode() + b"\n"


def redirect(status: int, path: str, query: str = "") -> Answer:
    """Return a redirect to `path` on the same host; `path` is as yet unquoted.

    The Location is a path alone: true under every host name and behind every proxy.  It
    begins with one slash, whatever `path` begins with, since two would name a host.
    """
    location = "/" + quote(path.lstrip("/"), safe="/+~!$&'()*,;=:@")
    if query:
        location += f"?{query}"
    headers = [("Location", location), ("Cache-Control", "max-age=3600")]
    return whole(b"", TEXT, status=status_line(status), headers=headers)
