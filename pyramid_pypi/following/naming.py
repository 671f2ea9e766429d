"""Which paths a tree has at one state: what a pointer, a page and a manifest lead to.

Pure but for what it asks a function to read; whoever copies a tree by paths copies these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pyramid_pypi.following.findings import Named, shadowed
from pyramid_pypi.following.projects import (
    METADATA,
    html_path,
    listed_documents,
    manifest_path,
    page_path,
)
from pyramid_pypi.formats import manifest, segment_lists
from pyramid_pypi.formats.compression import TWIN_FROM_BYTES
from pyramid_pypi.formats.hash_tree import Entry
from pyramid_pypi.formats.manifest import Manifest, shadow_path
from pyramid_pypi.formats.repomd import Repomd
from pyramid_pypi.formats.segments import Periods
from pyramid_pypi.formats.simple import SimpleFile
from pyramid_pypi.formats.simple_parse import Read

Content = Callable[[Named], bytes]
"""Returns the document that is named."""


@dataclass(frozen=True, slots=True)
class Part:
    """One document of a tree; with `has_twin` a compressed one lies beside it."""

    named: Named
    has_twin: bool = False

    @property
    def twin_path(self) -> str:
        """Return where the compressed twin lies, if there is one."""
        return f"{self.named.path}.gz"

    @property
    def twin_shadow(self) -> str | None:
        """Return where that version of the twin lies for good; lists have no such place."""
        if self.named.path.count("/") < 2:
            return None
        return shadow_path(self.twin_path, self.named.sha256)

    @property
    def stable_paths(self) -> list[str]:
        """Return the paths that show another version as soon as there is one."""
        if self.named.shadow is None:
            return []
        return [self.named.path, *([self.twin_path] if self.has_twin else ())]

    @property
    def lasting_paths(self) -> list[str]:
        """Return the paths that never show anything else."""
        if self.named.shadow is None:
            return [self.named.path]
        twins = [self.twin_shadow] if self.has_twin and self.twin_shadow else []
        return [self.named.shadow, *twins]


def of_page(name: str, entry: Entry, page: Read) -> list[Part]:
    """Return the page of the project `name` that `entry` names, and its HTML twin."""
    parts = [_with_twin(shadowed(page_path(name), entry.sha256, entry.size_bytes))]
    if page.html is not None:
        html = shadowed(html_path(name), page.html.sha256, page.html.size_bytes)
        parts.append(_with_twin(html))
    return parts


def of_manifest(name: str, entry: Entry, known: Manifest) -> list[Part]:
    """Return the manifest of the project `name` that `entry` names, and all it lists."""
    own = shadowed(manifest_path(name), entry.sha256, entry.size_bytes)
    return [*map(Part, listed_documents(known)), Part(own)]


def of_node(path: str, entry: Entry) -> Part:
    """Return the node or leaf of a hash tree that `entry` names."""
    return Part(shadowed(path, entry.sha256, entry.size_bytes))


def of_top(repomd: Repomd, content: Content) -> Iterator[Part]:
    """Yield each record of a pointer, and what the records name apart from projects.

    Raises:
        SegmentsUnreadable, ManifestUnreadable: a record is not what it should be.
    """
    for record in repomd.records:
        named = Named(record.href, record.sha256, record.size_bytes)
        yield Part(named)
        if record.type == "changes":
            yield from map(Part, _feed(content(named), content))
        elif record.type == "site":
            yield from of_site(content(named))


def of_site(content: bytes) -> Iterator[Part]:
    """Yield the documents of the whole site, which the record `content` lists."""
    return map(_with_twin, listed_documents(manifest.parse(content)))


def file_paths(files: Iterable[SimpleFile]) -> Iterator[str]:
    """Yield where release files and their metadata lie."""
    for file in files:
        yield file.path
        if file.core_metadata_sha256:
            yield f"{file.path}{METADATA}"


def has_twin(named: Named) -> bool:
    """Tell whether a page, or a document of the whole site, is large enough for a twin."""
    return named.size_bytes >= TWIN_FROM_BYTES


def _with_twin(named: Named) -> Part:
    return Part(named, has_twin=has_twin(named))


def _feed(record: bytes, content: Content) -> Iterator[Named]:
    known = segment_lists.parse_record(record)
    older = Periods()
    if known.periods and known.periods_path:
        periods = Named(known.periods_path, *known.periods)
        older = segment_lists.parse_periods(content(periods))
        yield periods
    for span in (*older.spans, *older.segments, *known.segments):
        yield Named(span.path, *span.events)
        if span.names is not None:
            yield Named(span.names_path, *span.names)
