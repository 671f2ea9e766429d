"""Everything that a tree shows of one project, from its page to the bytes of its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pyramid_pypi.following.findings import (
    MAX_HELD_BYTES,
    UNKNOWN_SIZE,
    Fault,
    Finding,
    Looked,
    Named,
    look,
    shadowed,
    stream,
    twin,
)
from pyramid_pypi.following.sources import Source, SourceUnreadable, read
from pyramid_pypi.formats import manifest, simple_parse
from pyramid_pypi.formats.hash_tree import Entry
from pyramid_pypi.formats.manifest import Manifest, ManifestUnreadable
from pyramid_pypi.formats.simple import SimpleFile
from pyramid_pypi.formats.simple_parse import PageUnreadable, Read

METADATA = ".metadata"


def page_path(name: str) -> str:
    """Return where the page of the project `name` lies that the hash tree names."""
    return f"simple/{name}/index.json"


def html_path(name: str) -> str:
    """Return where the HTML twin of that page lies."""
    return f"simple/{name}/index.html"


def manifest_path(name: str) -> str:
    """Return where the manifest of the other documents of the project `name` lies."""
    return f"projects/{name}/documents.json"


def check_page(source: Source, name: str, entry: Entry | None) -> Iterator[Finding]:
    """Look at the page of a project, its twins and its files.

    Where no `entry` names the page, because what leads to it is lost, or where it is lost
    itself, what stands in its place is asked for the rest; but what that names is not
    told as named, for nobody shall mend by it.
    """
    path = page_path(name)
    looked = _look(source, path, entry)
    if looked.finding:
        yield looked.finding
    content = looked.beside if looked.content is None else looked.content
    if content is None:
        return
    try:
        known = simple_parse.read(content)
    except PageUnreadable as error:
        if looked.content is not None or entry is None:
            yield Finding(Fault.UNREADABLE, path, error.detail)
        return
    if known.page.name != name:
        yield Finding(Fault.MISPLACED, path, f"it is the page of {known.page.name}")
        return
    if looked.content is not None:
        yield from twin(source, path, content)
    proven = entry is not None and looked.content is not None
    yield from _told(_below(source, name, known), proven=proven)


def _below(source: Source, name: str, known: Read) -> Iterator[Finding]:
    if known.html is not None:
        named = shadowed(html_path(name), known.html.sha256, known.html.size_bytes)
        yield from check_document(source, named)
    yield from check_files(source, known.page.files)


def _told(findings: Iterable[Finding], *, proven: bool) -> Iterator[Finding]:
    for finding in findings:
        yield finding if proven else replace(finding, named=None)


def check_document(source: Source, named: Named) -> Iterator[Finding]:
    """Look at a document and at its compressed twin."""
    looked = look(source, named)
    if looked.finding:
        yield looked.finding
    if looked.content is not None:
        yield from twin(source, named.path, looked.content)


def check_files(source: Source, files: Iterable[SimpleFile]) -> Iterator[Finding]:
    """Look at release files, every byte of them, and at their metadata."""
    for file in files:
        finding = stream(source, Named(file.path, file.sha256, file.size_bytes))
        if finding:
            yield finding
        if file.core_metadata_sha256:
            sibling = f"{file.path}{METADATA}"
            finding = stream(source, Named(sibling, file.core_metadata_sha256, UNKNOWN_SIZE))
            if finding:
                yield finding


def read_manifest(
    source: Source, name: str, entry: Entry | None, known: list[Manifest]
) -> Iterator[Finding]:
    """Look at the manifest of a project; add it to `known` if it can be read.

    Where no `entry` names it, because what leads to it is lost, that which stands counts.
    """
    path = manifest_path(name)
    looked = _look(source, path, entry)
    if looked.finding:
        yield looked.finding
    if looked.content is None:
        return
    try:
        known.append(parsed_manifest(name, looked.content))
    except ManifestUnreadable as error:
        yield Finding(Fault.UNREADABLE, path, error.detail)


def parsed_manifest(name: str, content: bytes) -> Manifest:
    """Return the manifest of the project `name` that `content` is.

    Raises:
        ManifestUnreadable: it is none, or speaks of documents of others.
    """
    known = manifest.parse(content)
    rooms = tuple(f"{room}/{name}/" for room in ("projects", "pypi", "simple"))
    for path in known.documents:
        if not path.startswith(rooms):
            raise ManifestUnreadable(f"it speaks of {path}")
    return known


def listed_documents(known: Manifest) -> Iterator[Named]:
    """Yield each document that a manifest lists."""
    for path, (sha256, size_bytes) in sorted(known.documents.items()):
        yield shadowed(path, sha256, size_bytes)


def _look(source: Source, path: str, entry: Entry | None) -> Looked:
    if entry is not None:
        return look(source, shadowed(path, entry.sha256, entry.size_bytes))
    try:
        return Looked(read(source, path, MAX_HELD_BYTES))
    except SourceUnreadable as error:
        return Looked(None, Finding(Fault.UNREADABLE, path, error.detail))
