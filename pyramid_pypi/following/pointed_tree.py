"""What a pointer leads to in a source, found by the reader's rule."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from pyramid_pypi.following import naming
from pyramid_pypi.following.findings import Named, look, shadowed
from pyramid_pypi.following.naming import Part
from pyramid_pypi.following.projects import manifest_path, page_path, parsed_manifest
from pyramid_pypi.following.sources import Source, SourceUnreadable
from pyramid_pypi.following.walking import ROOMS
from pyramid_pypi.formats import hash_tree, simple_parse
from pyramid_pypi.formats.hash_tree import Entry, Root, digits, node_path
from pyramid_pypi.formats.hash_tree_edit import EMPTY
from pyramid_pypi.formats.repomd import Repomd

Documents = tuple[list[Part], list[str]]
"""Documents of a project, and the paths of its release files and their metadata."""


class PointedTree:
    """The tree of `source` as the pointer `repomd` names it.

    What is lost raises `SourceUnreadable`, what means nothing another `Refusal`.
    """

    def __init__(self, source: Source, repomd: Repomd) -> None:
        self._source = source
        self.repomd = repomd

    @property
    def serial(self) -> int:
        """Return the serial that the pointer shows."""
        return self.repomd.serial

    def content(self, named: Named) -> bytes:
        """Return the document that is `named`."""
        content = look(self._source, named).content
        if content is None:
            raise SourceUnreadable(f"{self._source.name}: {named.path} is lost")
        return content

    def root(self, kind: str) -> Root:
        """Return the root of a hash tree, `EMPTY` where the pointer names none."""
        record = self.repomd.record(kind)
        if record is None:
            return EMPTY
        named = Named(record.href, record.sha256, record.size_bytes)
        return hash_tree.parse_root(self.content(named))

    def node(self, path: str, entry: Entry) -> bytes:
        """Return the node or leaf at `path` that `entry` names."""
        return self.content(shadowed(path, entry.sha256, entry.size_bytes))

    def entry(self, kind: str, name: str) -> Entry | None:
        """Return what a hash tree says of the project `name`, None if it is not in it."""
        root = self.root(kind)
        if root.projects is not None:
            return root.projects.get(name)
        way, children = digits(name, root.depth), root.children
        for level in range(1, root.depth + 1):
            entry = children[way[level - 1]]
            if entry is None:
                return None
            content = self.node(node_path(ROOMS[kind], way[:level]), entry)
            if level < root.depth:
                children = hash_tree.parse_node(content)
        return hash_tree.parse_leaf(content).get(name)

    def documents(self, kind: str, name: str, entry: Entry) -> Documents:
        """Return what a project has by its entry in one of the hash trees.

        By that in ``shards`` its pages and files, by that in ``companions`` all others.
        """
        if kind == "companions":
            own = shadowed(manifest_path(name), entry.sha256, entry.size_bytes)
            known = parsed_manifest(name, self.content(own))
            return naming.of_manifest(name, entry, known), []
        own = shadowed(page_path(name), entry.sha256, entry.size_bytes)
        page = simple_parse.read(self.content(own))
        if page.page.name != name:
            raise SourceUnreadable(f"{own.path} is the page of {page.page.name}")
        return naming.of_page(name, entry, page), list(naming.file_paths(page.page.files))


class Elsewhere:
    """A source of which some paths lie in another one."""

    def __init__(self, source: Source, other: Source, paths: Collection[str]) -> None:
        self._source = source
        self._other = other
        self._paths = paths
        self.name, self.tally = source.name, source.tally

    def blocks(self, path: str) -> Iterator[bytes] | None:
        """Return the document at `path` block by block; see `Source`."""
        return self._of(path).blocks(path)

    def modified(self, path: str) -> datetime | None:
        """Return since when `path` shows what it shows; see `Source`."""
        return self._of(path).modified(path)

    def _of(self, path: str) -> Source:
        return self._other if path in self._paths else self._source
