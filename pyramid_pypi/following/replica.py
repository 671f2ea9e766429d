"""A folder that is being brought to the state of another tree: what it has, what it takes.

Everything is put in place beside what stands, with its shadow, so that readers of the old
pointer are served until the new one is installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pyramid_pypi.following.findings import (
    MAX_HELD_BYTES,
    UNKNOWN_SIZE,
    Named,
    digest,
    look,
    shadowed,
)
from pyramid_pypi.following.placing import put_if
from pyramid_pypi.following.projects import METADATA
from pyramid_pypi.following.sources import FolderSource, Source, SourceUnreadable
from pyramid_pypi.formats import hash_tree, hash_tree_difference, hash_tree_edit
from pyramid_pypi.formats.compression import TWIN_FROM_BYTES, gzip_bytes
from pyramid_pypi.formats.hash_tree import Entry, Root, TreeUnreadable, digits, node_path
from pyramid_pypi.formats.hash_tree_difference import NodeChange
from pyramid_pypi.formats.hash_tree_edit import EMPTY, Change
from pyramid_pypi.formats.manifest import shadow_path
from pyramid_pypi.formats.repomd import Record
from pyramid_pypi.formats.simple import SimpleFile
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.digests import sha256_hex


class Replica:
    """The folder, and the source that it takes from."""

    def __init__(self, folder: FolderSource, source: Source, tree: Tree) -> None:
        self.folder = folder
        self.source = source
        self.tree = tree

    def fetched(self, named: Named) -> bytes:
        """Return the document that is `named`, from here or there.

        Raises:
            SourceUnreadable: it is not to be had; the source may have moved on.
        """
        for source in (self.folder, self.source):
            content = look(source, named).content
            if content is not None:
                return content
        raise SourceUnreadable(f"{self.source.name}: {named.path} is not to be had")

    def holds(self, named: Named) -> bool:
        """Tell whether the document that is `named` stands in its place."""
        is_unknown = named.size_bytes == UNKNOWN_SIZE
        most = MAX_HELD_BYTES if is_unknown else named.size_bytes
        found = digest(self.folder, named.path, most)
        if found is None or found[0] != named.sha256:
            return False
        return is_unknown or found[1] == named.size_bytes

    def take(self, named: Named, *, twin: bool = False) -> None:
        """Have the document that is `named` in its place, with its shadow.

        Raises:
            SourceUnreadable: it is not to be had.
            OSError: it cannot be written.
        """
        if self.holds(named):
            return
        if named.shadow is not None:
            self.put(named.path, self.fetched(named), twin=twin)
            return
        blocks = self.source.blocks(named.path)
        if blocks is None or not put_if(self.folder, named, blocks):
            raise SourceUnreadable(f"{self.source.name}: {named.path} is not to be had")

    def put(self, path: str, content: bytes, *, twin: bool = False) -> None:
        """Put `content` at the stable `path`, with its shadow, and its compressed `twin`."""
        sha256 = sha256_hex(content)
        self.tree.remove(f"{path}.gz")
        mtime = self.tree.put(path, content, shadow=shadow_path(path, sha256))
        if twin and len(content) >= TWIN_FROM_BYTES:
            twin_path = f"{path}.gz"
            shadow = shadow_path(twin_path, sha256) if path.count("/") > 1 else None
            self.tree.put(twin_path, gzip_bytes(content), shadow=shadow, mtime=mtime)

    def take_files(self, files: Iterable[SimpleFile]) -> None:
        """Have release files and their metadata in their places.

        Raises:
            SourceUnreadable, OSError: as `take`.
        """
        for file in files:
            self._take_file(Named(file.path, file.sha256, file.size_bytes))
            if file.core_metadata_sha256:
                sibling = f"{file.path}{METADATA}"
                self._take_file(Named(sibling, file.core_metadata_sha256, UNKNOWN_SIZE))

    def remove_files(self, files: Iterable[SimpleFile]) -> None:
        """Remove release files and their metadata.

        Raises:
            OSError: one cannot be removed.
        """
        for file in files:
            for path in (file.path, f"{file.path}{METADATA}"):
                self.tree.remove(path)

    def _take_file(self, named: Named) -> None:
        # By its name: release files never change, and `verify` reads every byte.
        if self.tree.size_bytes(named.path) == named.size_bytes:
            return
        if named.size_bytes == UNKNOWN_SIZE and self.holds(named):
            return
        blocks = self.source.blocks(named.path)
        if blocks is None or not put_if(self.folder, named, blocks):
            raise SourceUnreadable(f"{self.source.name}: {named.path} is not to be had")


class TreeReplica:
    """One hash tree of a replica, from the root it has to the root it is to have."""

    def __init__(self, replica: Replica, room: str, own: Record | None, wanted: Record) -> None:
        self._replica = replica
        self._room = room
        self._before = self._first = self._own_root(own)
        self._edited: dict[str, bytes | None] = {}
        self._fetched: dict[str, bytes] = {}
        content = replica.fetched(Named(wanted.href, wanted.sha256, wanted.size_bytes))
        self._wanted = hash_tree.parse_root(content)

    def entry_before(self, name: str) -> Entry | None:
        """Return what the tree that the folder came with says of the project `name`.

        None where it says nothing, or is lost.
        """
        if self._first.projects is not None:
            return self._first.projects.get(name)
        children, way = self._first.children, digits(name, self._first.depth)
        try:
            for level in range(1, len(way) + 1):
                entry = children[way[level - 1]]
                if entry is None:
                    return None
                content = self._own(node_path(self._room, way[:level]), entry)
                if level == len(way):
                    return hash_tree.parse_leaf(content).get(name)
                children = hash_tree.parse_node(content)
        except TreeUnreadable:
            pass
        return None

    def edit(self, changes: Mapping[str, Change]) -> None:
        """Take `changes` for those that lead to the wanted root, until it is compared."""
        try:
            edited = hash_tree_edit.edit(self._before, changes, self._room, self._own)
        except TreeUnreadable:
            return  # what is lost here is fetched, as if nothing were known
        self._before, self._edited = edited.root, edited.documents

    def changes(self) -> dict[str, Change]:
        """Return the projects that still differ from the wanted tree, with its entries."""
        try:
            return self._compared()
        except TreeUnreadable:
            self._before, self._edited = EMPTY, {}
            self._fetched.clear()
            return self._compared()

    def install(self) -> None:
        """Put the nodes and leaves of the wanted tree in place."""
        for path, content in (self._edited | self._fetched).items():
            if content is None:
                self._replica.tree.remove(path)
            elif not self._replica.tree.holds(path, content):
                self._replica.put(path, content)

    def _compared(self) -> dict[str, Change]:
        found: dict[str, Change] = {}
        for one in hash_tree_difference.differences(
            self._before, self._wanted, self._room, self._own, self._theirs
        ):
            if not isinstance(one, NodeChange):
                found[one.name] = one.after
            elif one.after is None:
                self._edited[one.path] = None
        return found

    def _own_root(self, own: Record | None) -> Root:
        if own is None:
            return EMPTY
        found = look(self._replica.folder, Named(own.href, own.sha256, own.size_bytes))
        try:
            return hash_tree.parse_root(found.content) if found.content else EMPTY
        except TreeUnreadable:
            return EMPTY

    def _own(self, path: str, entry: Entry) -> bytes:
        content = self._edited.get(path)
        if content is not None and sha256_hex(content) == entry.sha256:
            return content
        named = shadowed(path, entry.sha256, entry.size_bytes)
        content = look(self._replica.folder, named).content
        if content is None:
            raise TreeUnreadable(f"{path} is lost")
        return content

    def _theirs(self, path: str, entry: Entry) -> bytes:
        named = shadowed(path, entry.sha256, entry.size_bytes)
        self._fetched[path] = self._replica.fetched(named)
        return self._fetched[path]


def entries(changes: Mapping[str, Change]) -> Iterator[tuple[str, Entry]]:
    """Yield the projects of `changes` that are there, by name."""
    for name, entry in sorted(changes.items()):
        if entry is not None:
            yield name, entry
