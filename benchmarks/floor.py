"""The floor: what Pyramid's traversal and waitress cost when an application does nothing.

It answers the documents of a published tree from memory, with the ETags and headers of a
static file, and checks nothing: no host names, no changes on the disk, no bounds.

    python floor.py TREE PORT THREADS
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.response import FileResponse, Response
from waitress import serve

_HTML = "text/html; charset=utf-8"
_JSON = "application/vnd.pypi.simple.v1+json"


class Folder:
    """A folder of the tree under ``/simple/``."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getitem__(self, segment: str) -> Folder:
        return Folder(f"{self.name}/{segment}")


class File:
    """A release file, or a folder on the way to it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getitem__(self, segment: str) -> File:
        return File(f"{self.name}/{segment}")


class Pages:
    """Every page that was asked for, kept for ever."""

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self._kept: dict[tuple[str, bool], tuple[bytes, str]] = {}

    def get(self, name: str, *, compressed: bool) -> tuple[bytes, str]:
        """Return the bytes and the ETag of the page `name`."""
        key = (name, compressed)
        found = self._kept.get(key)
        if found is None:
            path = self._tree / (name + ".gz" if compressed else name)
            try:
                body = path.read_bytes()
            except FileNotFoundError:
                raise HTTPNotFound from None
            found = self._kept[key] = (body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
        return found


def page(context: Folder, request: Any) -> Response:
    environ = request.environ
    as_json = environ.get("HTTP_ACCEPT") == _JSON
    compressed = "gzip" in environ.get("HTTP_ACCEPT_ENCODING", "")
    name = f"{context.name}/index.{'json' if as_json else 'html'}"
    body, etag = request.registry.pages.get(name, compressed=compressed)
    headers = [("ETag", etag), ("Vary", "Accept, Accept-Encoding")]
    if environ.get("HTTP_IF_NONE_MATCH") == etag:
        return Response(status=304, headerlist=headers)
    headers += [
        ("Content-Type", _JSON if as_json else _HTML),
        ("Content-Length", str(len(body))),
    ]
    if compressed:
        headers.append(("Content-Encoding", "gzip"))
    return Response(app_iter=[body], headerlist=headers)


def release_file(context: File, request: Any) -> Response:
    # A proxy that wants the path alone says so, since this server has no settings.
    if "HTTP_X_ACCEL" in request.environ:
        return Response(headerlist=[("X-Accel-Redirect", f"/+tree/{context.name}")])
    return FileResponse(request.registry.tree / context.name, request=request)


def application(tree: Path) -> Any:
    root = {"simple": Folder("simple"), "packages": File("packages")}
    config = Configurator(root_factory=lambda _request: root)
    config.registry.pages = Pages(tree)
    config.registry.tree = tree
    config.add_view(page, context=Folder)
    config.add_view(release_file, context=File)
    return config.make_wsgi_app()


if __name__ == "__main__":
    serve(
        application(Path(sys.argv[1])),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        threads=int(sys.argv[3]),
        asyncore_use_poll=True,
        ident=None,
        _quiet=True,
    )
