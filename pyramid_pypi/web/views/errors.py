"""Every refusal and every failure becomes an answer here, and nowhere else.

REST clients get a problem document (RFC 9457), browsers a page, uploaders a plain text
with a reason phrase, as their tools print it.
"""

from __future__ import annotations

import errno
import logging
import secrets
from typing import Any

from pyramid.exceptions import PredicateMismatch
from pyramid.httpexceptions import HTTPException, HTTPNotFound
from pyramid.view import exception_view_config
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pyramid_pypi.errors import DatabaseAway, Kind, Refusal, StorageFull
from pyramid_pypi.formats import pages
from pyramid_pypi.models.database import is_away
from pyramid_pypi.web import answers, negotiation
from pyramid_pypi.web.answers import Answer
from pyramid_pypi.web.places import Respelled
from pyramid_pypi.web.refusals import (
    MethodNotAllowed,
    PageMissing,
    PathMalformed,
    RequestMalformed,
    Unexpected,
    WebRefusal,
)

PROBLEM_JSON = "application/problem+json"
UPLOAD_PATHS = frozenset({"", "/", "/legacy", "/legacy/"})

STATUSES = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.MISSING: 404,
    Kind.CONFLICT: 409,
    Kind.GONE: 410,
    Kind.TOO_LARGE: 413,
    Kind.UNAVAILABLE: 503,
    Kind.STORAGE_FULL: 507,
}
_EXTRA_HEADERS = {
    401: ("WWW-Authenticate", 'Basic realm="pypi"'),
    503: ("Retry-After", "2"),
    507: ("Retry-After", "60"),
}
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})

_log = logging.getLogger(__name__)


@exception_view_config(context=Exception)
@exception_view_config(context=HTTPException)
def refuse(error: Exception, request: Any) -> Answer:
    """Answer a request whose view raised `error`."""
    if isinstance(error, Respelled):
        return _respelled(error, request)
    return answer(request, refusal_of(request, error))


def refusal_of(request: Any, error: BaseException) -> Refusal:
    """Return what to tell about `error`; what nobody foresaw is logged under an id."""
    if isinstance(error, Refusal):
        return error
    known = _http_refusal(request, error) or _storage_refusal(error)
    if known is not None:
        return known
    number = secrets.token_hex(8)
    _log.error("failure %s: %r %r", number, request.method, request.path_info, exc_info=error)
    return Unexpected(f"it is in the log as {number}")


def _http_refusal(request: Any, error: BaseException) -> Refusal | None:
    if isinstance(error, UnicodeDecodeError):
        return PathMalformed()
    if isinstance(error, PredicateMismatch):
        return MethodNotAllowed(", ".join(_methods(request)))
    if isinstance(error, HTTPNotFound):
        return PageMissing()
    if isinstance(error, HTTPException) and error.code < 500:
        return RequestMalformed(error.detail or "")
    return None


def _storage_refusal(error: BaseException) -> Refusal | None:
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return StorageFull()
    if isinstance(error, PoolTimeout):
        return DatabaseAway()
    if isinstance(error, DBAPIError):
        said = str(error.orig)
        if "disk is full" in said:
            return StorageFull()
        if is_away(error) or "database is locked" in said:
            return DatabaseAway()
    return None


def _methods(request: Any) -> list[str]:
    """Return the methods that the context of `request` has views for."""
    known = request.registry.methods
    found = {m for kind in type(request.context).__mro__ for m in known.get(kind, ())}
    # Pyramid answers HEAD wherever there is a view for GET.
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


def answer(request: Any, refusal: Refusal) -> Answer:
    """Return `refusal` in the form that suits the client."""
    environ = request.environ
    accept = environ.get("HTTP_ACCEPT")
    if environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] in UPLOAD_PATHS:
        return _for_uploader(refusal, accept)
    status = status_of(refusal)
    headers = _headers(refusal, status)
    line = answers.status_line(status)
    if negotiation.prefers_html(accept):
        page = pages.error(
            refusal.title,
            refusal.detail,
            refusal.code,
            request.registry.site,
            status=status,
            root="../" * (environ["PATH_INFO"].count("/") - 1) or "./",
        )
        headers.append(("Content-Security-Policy", answers.PAGE_POLICY))
        return answers.whole(page, answers.HTML, status=line, headers=headers)
    body = answers.encode(problem(refusal, status))
    return answers.whole(body, PROBLEM_JSON, status=line, headers=headers)


def status_of(refusal: Refusal | type[Refusal]) -> int:
    """Return the HTTP status of `refusal`, or of all of its class, for REST and for pages."""
    known = refusal if isinstance(refusal, type) else type(refusal)
    return known.status if issubclass(known, WebRefusal) else STATUSES[known.kind]


def problem(refusal: Refusal, status: int) -> dict[str, Any]:
    """Return the problem document of `refusal` (RFC 9457), with our `code`."""
    return {
        "type": f"/problems/{refusal.code}",
        "title": refusal.title,
        "status": status,
        "detail": refusal.detail or refusal.title,
        "code": refusal.code,
    }


def _for_uploader(refusal: Refusal, accept: str | None) -> Answer:
    status = status_of(refusal)
    # As PyPI: tools look for 400 with "File already exists", not for 409.
    status = 400 if status == 409 else status
    headers = _headers(refusal, status)
    line = answers.status_line(status, refusal.title)
    if negotiation.prefers_json(accept):
        # Of plain JSON uv shows the code alone; of a problem document the whole reason.
        content = problem(refusal, status) | {"message": refusal.sentence}
        return answers.whole(
            answers.encode(content), PROBLEM_JSON, status=line, headers=headers
        )
    body = f"{refusal.sentence}\n".encode("utf-8", "replace")
    return answers.whole(body, answers.TEXT, status=line, headers=headers)


def _headers(refusal: Refusal, status: int) -> list[tuple[str, str]]:
    headers = [("Cache-Control", "no-store"), ("X-Problem-Code", refusal.code)]
    headers.append(("Vary", "Accept"))
    if status in _EXTRA_HEADERS:
        headers.append(_EXTRA_HEADERS[status])
    if isinstance(refusal, MethodNotAllowed):
        headers.append(("Allow", refusal.detail))
    return headers


def _respelled(error: Respelled, request: Any) -> Answer:
    """Send the client to the one true address: the same, with the normalized name."""
    segments = request.path_info.split("/")
    segments[segments.index(error.spelled)] = error.name
    path = "/".join(segments)
    if len(segments) == 3 and segments[1] in {"simple", "+simple", "projects"}:
        path += "/"
    reading = request.method in {"GET", "HEAD"}
    return answers.redirect(301 if reading else 308, path, request.query_string)
