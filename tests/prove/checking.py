"""What must be true of an index whatever happened to it: each breach is a line of text."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from urllib.parse import urljoin, urlsplit

from tests.prove.serving import Server
from tests.prove.uploading import SIMPLE_HTML, SIMPLE_JSON, Client, Parcel

_LINK = re.compile(r'<a href="([^"#]+)#sha256=([0-9a-f]{64})"[^>]*>([^<]+)</a>')


def intact(server: Server, acknowledged: Iterable[Parcel]) -> Iterator[str]:
    """Yield what is wrong with files that were answered 200: each listed, whole, right."""
    by_project: dict[str, list[Parcel]] = defaultdict(list)
    for parcel in acknowledged:
        by_project[parcel.project].append(parcel)
    with server.client() as client:
        yield from _lists(client, by_project)
        for project, parcels in by_project.items():
            yield from _project(client, project, parcels)


def whole(server: Server, parcel: Parcel) -> Iterator[str]:
    """Yield what is wrong with a file nobody was promised: it may be absent, not torn."""
    with server.client() as client:
        for accept in (SIMPLE_HTML, SIMPLE_JSON):
            links = page_links(client, parcel.project, accept)
            if links is not None and parcel.filename in links:
                yield from _project(client, parcel.project, [parcel])
                return


def page_links(
    client: Client, project: str, accept: str, *, encoding: str = "identity"
) -> dict[str, tuple[str, str]] | None:
    """Return filename → (path, sha256) as the project's page shows them; None for 404."""
    place = f"/simple/{project}/"
    reply = client.get(place, Accept=accept, Accept_Encoding=encoding)
    if reply.status == 404:
        return None
    body = reply.body
    if reply.headers.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    assert reply.status == 200, f"{place}: {reply.status} {reply.text[:200]}"
    return links_in(body, reply.headers["Content-Type"], place)


def links_in(body: bytes, content_type: str, place: str) -> dict[str, tuple[str, str]]:
    """Return filename → (path, sha256) of a simple page at `place`."""
    if content_type.startswith(SIMPLE_JSON):
        files = json.loads(body)["files"]
        found = [(f["url"], f["hashes"]["sha256"], f["filename"]) for f in files]
    else:
        text = body.decode("utf-8")
        assert "</html>" in text, f"{place}: the page has no end"
        found = _LINK.findall(text)
    return {
        filename: (urlsplit(urljoin(place, url)).path, sha256)
        for url, sha256, filename in found
    }


def served(client: Client, path: str, sha256: str) -> Iterator[str]:
    """Yield what is wrong with the bytes at `path`."""
    reply = client.get(path)
    found = hashlib.sha256(reply.body).hexdigest()
    if reply.status != 200:
        yield f"{path}: {reply.status}"
    elif found != sha256:
        yield f"{path}: sha256 is {found}, not {sha256}, with {len(reply.body)} bytes"


def _lists(client: Client, projects: Iterable[str]) -> Iterator[str]:
    for accept in (SIMPLE_HTML, SIMPLE_JSON):
        for encoding in ("identity", "gzip"):
            reply = client.get("/simple/", Accept=accept, Accept_Encoding=encoding)
            body = reply.body
            if reply.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            listed = set(re.findall(rb'href="([^"/]+)/"|"name":\s*"([^"]+)"', body))
            names = {(a or b).decode() for a, b in listed}
            for missing in sorted(set(projects) - names):
                yield f"/simple/ ({accept}, {encoding}) lacks {missing}"


def _project(client: Client, project: str, parcels: list[Parcel]) -> Iterator[str]:
    for accept in (SIMPLE_HTML, SIMPLE_JSON):
        for encoding in ("identity", "gzip"):
            links = page_links(client, project, accept, encoding=encoding)
            for parcel in parcels:
                if links is None or parcel.filename not in links:
                    yield f"{parcel.filename} is not on the page ({accept}, {encoding})"
                elif links[parcel.filename][1] != parcel.sha256:
                    yield f"{parcel.filename} is listed with another hash"
    for parcel in parcels:
        first, second, rest = parcel.sha256[:2], parcel.sha256[2:4], parcel.sha256[4:]
        path = f"/packages/{first}/{second}/{rest}/{parcel.filename}"
        yield from served(client, path, parcel.sha256)
        yield from served(client, path + ".metadata", parcel.metadata_sha256)


def end(violations: list[str], figures: str) -> None:
    """Print the figures and each violation, and leave with 1 if there was any."""
    for violation in violations[:50]:
        print(f"  VIOLATION {violation}")
    print(f"{'FAILED' if violations else 'ok'}: {figures}; {len(violations)} violations")
    sys.exit(1 if violations else 0)
