"""Release files and their core metadata: bytes that never change under their address."""

from __future__ import annotations

import os
from typing import Any

from pyramid.view import view_config

from pyramid_pypi.errors import NoSuchFile, NoSuchProject
from pyramid_pypi.web import sending
from pyramid_pypi.web.answers import Answer
from pyramid_pypi.web.places_published import ReleaseFile
from pyramid_pypi.web.recent import Ready, state_of
from pyramid_pypi.web.security import READ
from pyramid_pypi.web.sending import Manner

_SMALL_BYTES = 64 * 1024
_FOREVER = "max-age=365000000, immutable, public"


@view_config(context=ReleaseFile, request_method="GET", permission=READ)
def release_file(context: ReleaseFile, request: Any) -> Any:
    """Send a release file, its `.metadata`, or a part of either.

    Never with a Content-Encoding: pip reads the bytes as they come over the wire.
    """
    project = context.project
    if project is not None and not request.environment.tree.exists(
        f"simple/{project}/index.json"
    ):
        raise NoSuchProject(project)
    path = request.registry.tree_root + context.tree_path
    environ = request.environ
    etag = f'"{context.sha256}"'
    if context.__name__.endswith(".metadata"):
        etag = f'"{context.sha256}-metadata"'
    manner = Manner("application/octet-stream", _FOREVER, etag)
    accel = request.registry.accel_prefix
    if accel is not None:
        return _handed_over(f"{accel.rstrip('/')}/{context.tree_path}", path, manner)
    if "HTTP_RANGE" not in environ:
        ready: Ready | None = request.registry.recent.get(
            path, path, lambda _, stat: _prepare(path, stat.st_size, manner)
        )
        if ready is not None:
            return ready.to(environ.get("HTTP_IF_NONE_MATCH"))
    file = sending.opened(path)
    if file is None:
        raise NoSuchFile
    return sending.send(file, manner, environ)


def _prepare(path: str, size_bytes: int, manner: Manner) -> Ready | None:
    """Return a small file ready to be kept in memory; None for a large one."""
    if size_bytes > _SMALL_BYTES:
        return None
    file = sending.opened(path)
    if file is None:
        return None
    with file:
        stat = os.fstat(file.fileno())
        body = file.read()
    headers = manner.headers(stat)
    whole = Answer("200 OK", [*headers, ("Content-Length", str(len(body)))], body)
    return Ready(state_of(stat), manner.etag_of(stat), whole, sending.unchanged(headers))


def _handed_over(internal: str, path: str, manner: Manner) -> Answer:
    """Tell nginx to send the file; it knows about ranges itself."""
    try:
        stat = os.stat(path)
    except OSError:
        raise NoSuchFile from None
    return Answer("200 OK", [*manner.headers(stat), ("X-Accel-Redirect", internal)])
