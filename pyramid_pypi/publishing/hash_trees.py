"""The hash trees of the published tree: read, changed and written in place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from pyramid_pypi.formats import hash_tree, hash_tree_edit
from pyramid_pypi.formats.hash_tree import Entry, Root, TreeUnreadable
from pyramid_pypi.formats.hash_tree_edit import Change
from pyramid_pypi.formats.manifest import shadow_path
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.digests import sha256_hex

VANISHED = Entry(0, "0" * 64, 0)
"""In place of a document that vanished while its tree was built; a change tells of it."""


class HashTree:
    """One hash tree, in the folder `room`; nodes and leaves have shadows.

    A change starts from a root that is given, so that one that was begun and never
    pointed to does no harm.
    """

    def __init__(self, tree: Tree, room: str) -> None:
        self._tree = tree
        self._room = room

    def edit(self, top: Root, changes: Mapping[str, Change]) -> Root:
        """Write the tree under `top` with `changes`, and return its root.

        Raises:
            TreeUnreadable: a node or leaf that `top` leads to is lost.
        """
        edited = hash_tree_edit.edit(top, changes, self._room, self._read)
        for path, content in edited.documents.items():
            if content is None:
                self._tree.retire(path)
            else:
                self._put(path, content)
        return edited.root

    def build(
        self, names: Iterable[str], entry: Callable[[str], Entry], *, shadows: bool = True
    ) -> Root:
        """Write the tree of all projects `names` from nothing, and return its root.

        Without `shadows` each document gets its own once it is superseded.
        """
        made: set[str] = set()
        stream = hash_tree_edit.building(names, entry, self._room)
        while True:
            try:
                path, content = next(stream)
            except StopIteration as end:
                self._remove_others(made)
                root: Root = end.value
                return root
            made.add(path)
            if self._tree.holds(path, content):
                continue
            if shadows:
                self._put(path, content)
            else:
                self._tree.put(path, content)

    def _put(self, path: str, content: bytes) -> None:
        self._tree.put(path, content, shadow=shadow_path(path, sha256_hex(content)))

    def _read(self, path: str, entry: Entry) -> bytes:
        """Return the document `entry` names: at its path, or else among the shadows."""
        for place in (path, shadow_path(path, entry.sha256)):
            content = self._tree.read(place)
            if content is not None and hash_tree.entry_of(content, entry.serial) == entry:
                return content
        raise TreeUnreadable(f"{path}: the version {entry.sha256} is lost")

    def _remove_others(self, made: set[str]) -> None:
        """Remove the nodes and leaves of a tree that was deeper; their shadows stay."""
        room = self._tree.root / self._room
        for folder, folders, names in os.walk(room):
            if "v" in folders:
                folders.remove("v")
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), self._tree.root)  # noqa: PTH118
                if path not in made:
                    self._tree.retire(path)
