"""Metadata that no file of the tree holds: proofs, and projects as repositories."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs

from pyramid.view import view_config

from pyramid_pypi.errors import BadValue, NoSuchProject
from pyramid_pypi.formats import repomd
from pyramid_pypi.formats.compression import gzip_bytes
from pyramid_pypi.publishing import alone, documents, proving
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.values.names import ProjectName, is_valid, normalize
from pyramid_pypi.web import answers, negotiation
from pyramid_pypi.web.answers import Answer
from pyramid_pypi.web.places_published import ProjectPointer
from pyramid_pypi.web.places_repodata import Proof
from pyramid_pypi.web.recent import Ready, state_of
from pyramid_pypi.web.refusals import PageMissing
from pyramid_pypi.web.security import READ

MOST_NAMES = 200
_WORTH_PACKING_BYTES = 1024
_ETAG_CHARS = 32


@view_config(context=Proof, request_method="GET", permission=READ)
def proof(context: Proof, request: Any) -> Answer:
    """Send the way from the pointer to the leaves of the projects asked for.

    ``GET /repodata/proof?name=A&name=B``: 1 to 200 names, in any spelling.  Each text of
    the answer is verbatim what stands in the tree, so its digest can be taken.
    """
    names = _names(request.environ.get("QUERY_STRING", ""))
    request.publisher.fresh_pointer()
    found = proving.gather(request.environment.tree, names)
    if found is None:
        raise PageMissing
    body = answers.encode(
        {"documents": found.documents, "repomd": found.repomd, "serial": found.serial}
    )
    headers = [
        ("Cache-Control", request.registry.documents.cache_control),
        ("Vary", "Accept-Encoding"),
    ]
    wants = request.environ.get("HTTP_ACCEPT_ENCODING")
    if len(body) >= _WORTH_PACKING_BYTES and negotiation.takes_gzip(wants):
        body = gzip_bytes(body)
        headers.append(("Content-Encoding", "gzip"))
    return answers.whole(body, answers.JSON, headers=headers)


def _names(query: str) -> set[ProjectName]:
    try:
        asked = parse_qs(query, keep_blank_values=True, max_num_fields=MOST_NAMES)
    except ValueError:
        raise BadValue(f"at most {MOST_NAMES} names at once") from None
    names = asked.get("name")
    if not names:
        raise BadValue("name one project or more: ?name=A&name=B")
    for name in names:
        if not is_valid(name):
            raise BadValue(f"{name[:200]!r} is no name of a project")
    return {normalize(name) for name in names}


@view_config(context=ProjectPointer, request_method="GET", permission=READ)
def project_pointer(context: ProjectPointer, request: Any) -> Answer:
    """Send the pointer of one project, taken as a repository of its own."""
    request.publisher.settle(context.project)
    registry = request.registry
    path = registry.tree_root + documents.manifest_path(context.project)
    ready: Ready | None = registry.recent.get(
        (path, context.__name__), path, lambda _, stat: _prepare(context, request, stat)
    )
    if ready is None:
        raise NoSuchProject(context.project)
    return ready.to(request.environ.get("HTTP_IF_NONE_MATCH"))


def _prepare(context: ProjectPointer, request: Any, stat: os.stat_result) -> Ready | None:
    pointer = alone.pointer(request.environment.tree, context.project)
    if pointer is None:
        return None
    if context.__name__.endswith(".xml"):
        content_type, body = "application/xml", repomd.xml(pointer)
    else:
        content_type, body = answers.JSON, repomd.json(pointer)
    etag = f'"{sha256_hex(body)[:_ETAG_CHARS]}"'
    headers = [
        ("Cache-Control", request.registry.documents.cache_control),
        ("ETag", etag),
    ]
    whole = answers.whole(body, content_type, headers=headers)
    # A later version read by chance is made anew next time: `stat` was taken before.
    unchanged = Answer("304 Not Modified", [*answers.SAFE, *headers])
    return Ready(state_of(stat), etag, whole, unchanged)
