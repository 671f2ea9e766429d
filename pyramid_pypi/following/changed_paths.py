"""The paths of what a copy of a tree lacks, for ``rsync --files-from``.

A copier that is told them need not look at a million folders to find thirty new files.
The hash trees of both are descended where they differ, so whatever moved is told, with a
change in the journal or without.  Everything is told that the pointer needs to be good in
the copy: documents also under their hashes, for their stable paths may show the next
version already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from pyramid_pypi.errors import Refusal
from pyramid_pypi.following import naming, trust
from pyramid_pypi.following.naming import Part
from pyramid_pypi.following.pointed_tree import Documents, Elsewhere, PointedTree
from pyramid_pypi.following.pointing import Pointing, Trusting
from pyramid_pypi.following.sources import Source, SourceUnreadable, is_safe
from pyramid_pypi.following.trust import Pointer, TrustRefused
from pyramid_pypi.following.walking import ROOMS
from pyramid_pypi.formats import repomd
from pyramid_pypi.formats.hash_tree import Entry
from pyramid_pypi.formats.hash_tree_difference import (
    Difference,
    NodeChange,
    ProjectChange,
    differences,
)
from pyramid_pypi.formats.hash_tree_edit import EMPTY
from pyramid_pypi.formats.repomd import Repomd
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.values.instants import Clock

POINTERS = (
    "repodata/repomd.xml.key",
    "repodata/repomd.xml.asc",
    "repodata/repomd.xml",
    "repodata/repomd.json",
    "tuf/timestamp.json",
)
"""What a copier puts in place last, in this order."""


class ChangedPaths:
    """What the folder `copy` lacks to show what `pointer`, one of `source`, names.

    `tells_pointers` unless the copier has them already.

    Raises:
        TrustRefused: the copy shows a later state.
    """

    def __init__(
        self, source: Source, copy: Source, pointer: Pointer, *, tells_pointers: bool = True
    ) -> None:
        self._before = PointedTree(copy, _repomd(copy))
        self._after = PointedTree(source, pointer.repomd)
        self._pointer = pointer
        self._tells_pointers = tells_pointers
        if self._before.serial > self._after.serial:
            reason = f"it shows serial {self._after.serial}, the copy {self._before.serial}"
            raise TrustRefused(trust.POINTER, reason, is_rollback=True)

    @property
    def serial(self) -> int:
        """Return the serial that the copy shows once it has the paths."""
        return self._after.serial

    def present(self) -> Iterator[str]:
        """Yield the path of everything that changed, what names others after it.

        Raises:
            SourceUnreadable: a document is lost.
            Refusal: a document is not what it should be.
        """
        return map(_safe, self._present())

    def gone(self) -> Iterator[str]:
        """Yield the path of everything that is no more; folders of deleted projects too.

        Superseded versions are not told, which a copier may remove by their age.

        Raises:
            SourceUnreadable, Refusal: as `present`.
        """
        return map(_safe, self._gone())

    def _present(self) -> Iterator[str]:
        nodes: list[Part] = []
        for kind in ROOMS:
            for change in self._differences(kind):
                if change.after is None:
                    continue
                if isinstance(change, NodeChange):
                    nodes.append(naming.of_node(change.path, change.after))
                    continue
                parts, files = self._after.documents(kind, change.name, change.after)
                yield from files
                yield from _paths(parts)
        yield from _paths(nodes)
        yield from _paths(naming.of_top(self._after.repomd, self._after.content))
        yield from self._signed()
        if self._tells_pointers:
            yield from POINTERS

    def _gone(self) -> Iterator[str]:
        deleted: set[str] = set()
        for kind in ROOMS:
            nodes, kept = [], set()
            for change in self._differences(kind):
                if isinstance(change, ProjectChange):
                    if change.after is None and self._is_deleted(change.name):
                        deleted.add(change.name)
                    if change.before is not None:
                        yield from self._superseded(kind, change, change.before)
                elif change.after is None:
                    nodes.append(change.path)
                else:
                    kept.add(change.path)
            # In a tree of another depth a node may take the place of a leaf.
            yield from (path for path in nodes if path not in kept)
        for name in sorted(deleted):
            yield from (f"{room}/{name}" for room in ("simple", "projects", "pypi"))

    def _superseded(self, kind: str, change: ProjectChange, before: Entry) -> Iterator[str]:
        """Yield the paths that the old documents of a project name, and the new ones not."""
        try:
            old = self._before.documents(kind, change.name, before)
        except Refusal:
            return  # lost in the copy, and with it what it named
        new: Documents = [], []
        if change.after is not None:
            new = self._after.documents(kind, change.name, change.after)
        kept = {path for part in new[0] for path in part.stable_paths}.union(new[1])
        had = {path for part in old[0] for path in part.stable_paths}.union(old[1])
        if kind == "shards":
            had.update(part.twin_path for part in new[0])
        yield from sorted(had - kept)

    def _is_deleted(self, name: str) -> bool:
        return all(self._after.entry(kind, name) is None for kind in ROOMS)

    def _differences(self, kind: str) -> Iterator[Difference]:
        room, after = ROOMS[kind], self._after.root(kind)
        try:
            before = self._before.root(kind)
            if before is not EMPTY:
                # To the end before anything is told: the copy may have lost a node.
                found = differences(before, after, room, self._before.node, self._after.node)
                return iter(list(found))
        except Refusal:
            pass
        return differences(EMPTY, after, room, self._before.node, self._after.node)

    def _signed(self) -> Iterator[str]:
        """Yield the documents of the signatures that never change."""
        if not self._pointer.is_signed:
            return
        for path, content in (
            (trust.POINTER, self._pointer.content),
            (trust.POINTER_XML, repomd.xml(self._pointer.repomd)),
        ):
            room, _, name = path.rpartition("/")
            yield f"{room}/{sha256_hex(content)}.{name}"
        signed = [path for path in self._pointer.signed if path not in POINTERS]
        roots = [path for path in signed if path.endswith(".root.json")]
        newest = max((int(path.split("/")[1].partition(".")[0]) for path in roots), default=0)
        # Readers of the copy may begin at an earlier root than we.
        yield from (f"tuf/{number}.root.json" for number in range(1, newest + 1))
        yield from (path for path in signed if path not in roots)


def pointed(
    source: Source, pointers: Source | None, trusting: Trusting, clock: Clock
) -> Pointer:
    """Return the pointer of `source`, verified.

    With `pointers`, a folder that holds the pointers alone, the one in there: those of
    `source` may have been replaced meanwhile.

    Raises:
        TrustRefused: a signature does not fit or has expired, or there is none; or the
            pointers are not of one moment.
        SourceUnreadable, RepomdUnreadable: as `trust.signed_pointer`.
    """
    tree = source if pointers is None else Elsewhere(source, pointers, POINTERS)
    pointer = Pointing(tree, trusting, clock).trusted()
    for path in pointer.differs:
        raise TrustRefused(path, "it is of another moment than the signatures; fetch again")
    return pointer


def _repomd(copy: Source) -> Repomd:
    """Return what a copy shows now; nothing where there is nothing yet."""
    try:
        return trust.unsigned_pointer(copy).repomd
    except Refusal:
        return Repomd(0, datetime.fromtimestamp(0, UTC), ())


def _safe(path: str) -> str:
    if not is_safe(path):
        raise SourceUnreadable(f"{path!r} is no path of a tree")
    return path


def _paths(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        yield from part.lasting_paths
        yield from part.stable_paths
