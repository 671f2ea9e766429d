"""The paths of what changed in a tree since a serial, for ``rsync --files-from``.

A copier that is told them need not look at a million folders to find thirty new files.
Everything is told that the pointer needs to be good in the copy: documents also under their
hashes, for their stable paths may show the next version already.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import product

from pyramid_pypi.errors import Refusal
from pyramid_pypi.following import naming, records, trust
from pyramid_pypi.following.findings import Named, look, shadowed
from pyramid_pypi.following.naming import Part
from pyramid_pypi.following.projects import METADATA, manifest_path, page_path
from pyramid_pypi.following.sources import Source, SourceUnreadable, read
from pyramid_pypi.following.walking import ROOMS
from pyramid_pypi.formats import (
    hash_tree,
    manifest,
    repomd,
    segment_lists,
    segments,
    simple_parse,
)
from pyramid_pypi.formats.events import Event
from pyramid_pypi.formats.hash_tree import Entry, Root, digits, node_path
from pyramid_pypi.formats.hash_tree_difference import NodeChange, differences
from pyramid_pypi.formats.hash_tree_edit import EMPTY
from pyramid_pypi.formats.manifest import Manifest
from pyramid_pypi.formats.simple_parse import Read
from pyramid_pypi.values.digests import file_path, sha256_hex
from pyramid_pypi.values.paths import is_relative_path

POINTERS = (
    "repodata/repomd.xml.key",
    "repodata/repomd.xml.asc",
    "repodata/repomd.xml",
    "repodata/repomd.json",
    "tuf/timestamp.json",
)
"""What a copier puts in place last, in this order."""

_CREATED, _DELETED, _FILE_DELETED = "project-created", "project-deleted", "file-deleted"
_SHA256 = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)
_MOST_ROOTS = 1000


class ChangedPaths:
    """What changed in `source` after the serial `since`.

    With `pointers`, a folder that holds the pointers alone, it is what they name and not
    what the pointers of `source` do, which may have been replaced meanwhile.
    """

    def __init__(self, source: Source, since: int, pointers: Source | None = None) -> None:
        self._source = source
        self._since = since
        self._pointers = pointers or source
        self._has_own = pointers is None
        self._pointer = trust.unsigned_pointer(self._pointers)
        self._repomd = self._pointer.repomd
        self._read: dict[str, bytes] = {}
        self._nodes: dict[str, Part] = {}

    @property
    def serial(self) -> int:
        """Return the serial that a copy shows once it has the paths."""
        return self._repomd.serial

    def present(self) -> Iterator[str]:
        """Yield the path of everything that changed, what names others after it.

        The pointers come last, unless the caller has them already.

        Raises:
            SourceUnreadable: a document is lost, or no changes lead on from `since`.
        """
        for name in self._names:
            page = self._page(name)
            if page is not None:
                yield from naming.file_paths(page[1].page.files)
                yield from _paths(naming.of_page(name, page[0], page[1]))
            known = self._manifest(name)
            if known is not None:
                yield from _paths(naming.of_manifest(name, *known))
        for kind in ROOMS:
            self._all_nodes_if_deeper(kind)
        yield from _paths(self._nodes.values())
        yield from _paths(self._top)
        yield from self._signed()
        if self._has_own:
            yield from POINTERS

    def gone(self) -> Iterator[str]:
        """Yield the path of everything that was deleted; folders of deleted projects too.

        Superseded versions are not told, which a copier may remove by their age.

        Raises:
            SourceUnreadable: as `present`.
        """
        for kind in ROOMS:
            yield from self._nodes_gone(kind)
        for name in self._names:
            page, known = self._page(name), self._manifest(name)
            if page is None:
                yield from (f"{room}/{name}" for room in ("simple", "projects", "pypi"))
            else:
                parts = naming.of_page(name, *page)
                yield from (part.twin_path for part in parts if not part.has_twin)
                yield from self._releases_gone(name, page[1], known)
            yield from self._files_gone(name, page[1] if page else None)

    @cached_property
    def _events(self) -> list[Event]:
        record = self._repomd.record("changes")
        if record is None:
            raise SourceUnreadable(f"{self._source.name} tells no changes")
        known = segment_lists.parse_record(self._content(_of_record(record)))
        older = None
        if known.periods and known.periods_path:
            content = self._content(Named(known.periods_path, *known.periods))
            older = segment_lists.parse_periods(content)
        found: list[Event] = []
        for span in segments.covering(known, older, self._since):
            content = self._content(Named(span.path, *span.events))
            found += (e for e in records.events_of(content, span) if e.serial > self._since)
        return found

    @cached_property
    def _names(self) -> list[str]:
        return sorted({event.project for event in self._events if event.project})

    @cached_property
    def _top(self) -> list[Part]:
        return list(naming.of_top(self._repomd, self._content))

    @cached_property
    def _roots(self) -> dict[str, Root]:
        found = {}
        for kind in ROOMS:
            record = self._repomd.record(kind)
            content = self._content(_of_record(record)) if record else None
            found[kind] = hash_tree.parse_root(content) if content else EMPTY
        return found

    def _page(self, name: str) -> tuple[Entry, Read] | None:
        entry = self._entry("shards", name)
        if entry is None:
            return None
        content = self._content(shadowed(page_path(name), entry.sha256, entry.size_bytes))
        return entry, simple_parse.read(content)

    def _manifest(self, name: str) -> tuple[Entry, Manifest] | None:
        entry = self._entry("companions", name)
        if entry is None:
            return None
        content = self._content(shadowed(manifest_path(name), entry.sha256, entry.size_bytes))
        return entry, manifest.parse(content)

    def _entry(self, kind: str, name: str) -> Entry | None:
        return self._descent(kind, name)[0]

    def _descent(self, kind: str, name: str) -> tuple[Entry | None, list[str]]:
        """Return the entry of a project in a hash tree, and the nodes that its way lacks.

        Those that are on the way have changed.
        """
        root, room = self._roots[kind], ROOMS[kind]
        if root.projects is not None:
            return root.projects.get(name), []
        way = digits(name, root.depth)
        paths = [node_path(room, way[: level + 1]) for level in range(root.depth)]
        children = root.children
        for level, path in enumerate(paths):
            entry = children[way[level]]
            if entry is None:
                return None, paths[level:]
            content = self._node(path, entry)
            if level < root.depth - 1:
                children = hash_tree.parse_node(content)
        return hash_tree.parse_leaf(content).get(name), []

    def _node(self, path: str, entry: Entry) -> bytes:
        self._nodes[path] = naming.of_node(path, entry)
        if path not in self._read:
            self._read[path] = self._content(self._nodes[path].named)
        return self._read[path]

    def _depth_before(self, root: Root) -> int:
        """Return how deep the tree was, by the number of projects it had."""
        kinds = [event.kind for event in self._events]
        before = root.count - kinds.count(_CREATED) + kinds.count(_DELETED)
        return hash_tree.depth_for(max(0, before))

    def _nodes_gone(self, kind: str) -> Iterator[str]:
        """Yield the nodes and leaves that are no more, or the folders they were in."""
        root, room = self._roots[kind], ROOMS[kind]
        if self._depth_before(root) > root.depth:
            for way in product(range(hash_tree.FAN_OUT), repeat=root.depth):
                yield node_path(room, way).removesuffix(".json").rstrip("/")
        for name in self._names:
            yield from self._descent(kind, name)[1]

    def _all_nodes_if_deeper(self, kind: str) -> None:
        """Tell every node if the tree had another depth."""
        root = self._roots[kind]
        if self._depth_before(root) != root.depth:
            for change in differences(EMPTY, root, ROOMS[kind], self._node, self._node):
                if isinstance(change, NodeChange) and change.after is not None:
                    self._node(change.path, change.after)

    def _releases_gone(
        self, name: str, page: Read, known: tuple[Entry, Manifest] | None
    ) -> Iterator[str]:
        told = {e.version for e in self._events if e.project == name and e.version}
        there = known[1].documents if known else {}
        for version in sorted(told.union(page.page.versions)):
            path = f"pypi/{name}/{version}/json"
            if path not in there and is_relative_path(path):
                yield path

    def _files_gone(self, name: str, page: Read | None) -> Iterator[str]:
        there = {file.path for file in page.page.files} if page else set()
        for event in self._events:
            sha256 = event.details.get("sha256")
            if event.kind != _FILE_DELETED or event.project != name or event.filename is None:
                continue
            if not isinstance(sha256, str) or not _SHA256.match(sha256):
                continue
            path = file_path(sha256, event.filename)
            if path not in there:
                yield from (path, f"{path}{METADATA}")

    def _signed(self) -> Iterator[str]:
        """Yield the documents of the signatures that never change."""
        for path, content in (
            (trust.POINTER, self._pointer.content),
            (trust.POINTER_XML, repomd.xml(self._repomd)),
        ):
            room, _, name = path.rpartition("/")
            yield f"{room}/{sha256_hex(content)}.{name}"
        stamp = read(self._pointers, "tuf/timestamp.json", trust.MAX_TUF_BYTES)
        if stamp is None:
            return
        snapshot = f"tuf/{_version(stamp, 'snapshot.json')}.snapshot.json"
        told = read(self._source, snapshot, trust.MAX_TUF_BYTES)
        if told is None:
            raise SourceUnreadable(f"{snapshot} is lost")
        yield snapshot
        yield from (
            f"tuf/{_version(told, f'{role}.json')}.{role}.json"
            for role in ("repomd", "targets")
        )
        for number in range(1, _MOST_ROOTS):
            path = f"tuf/{number}.root.json"
            if read(self._source, path, trust.MAX_TUF_BYTES) is None:
                return
            yield path

    def _content(self, named: Named) -> bytes:
        content = look(self._source, named).content
        if content is None:
            raise SourceUnreadable(f"{named.path} is lost")
        return content


def serial_of(source: Source) -> int:
    """Return the serial that a copy shows now, 0 for a copy that has nothing yet."""
    try:
        return trust.unsigned_pointer(source).repomd.serial
    except Refusal:
        return 0


def _of_record(record: repomd.Record) -> Named:
    return Named(record.href, record.sha256, record.size_bytes)


def _paths(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        yield from part.lasting_paths
        yield from part.stable_paths


def _version(content: bytes, name: str) -> int:
    """Return the version of the document `name` that signed metadata names."""
    try:
        version = json.loads(content)["signed"]["meta"][name]["version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SourceUnreadable(f"no version of {name} is signed") from error
    if type(version) is not int or not 0 < version < 2**53:
        raise SourceUnreadable(f"no version of {name} is signed")
    return version
