"""One step of an export: from the documents of one pointer to those of the next.

Only what differs is looked at, by descending both hash trees where they differ.  All that
the new pointer names is placed; all that only the old one named is noted as leaving.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pyramid_pypi.errors import Refusal
from pyramid_pypi.following import naming
from pyramid_pypi.following.findings import Named, shadowed
from pyramid_pypi.following.naming import Part
from pyramid_pypi.following.projects import manifest_path, page_path
from pyramid_pypi.following.walking import ROOMS
from pyramid_pypi.formats import hash_tree, manifest, simple_parse
from pyramid_pypi.formats.hash_tree import Entry, Root, TreeUnreadable
from pyramid_pypi.formats.hash_tree_difference import (
    NodeChange,
    ProjectChange,
    differences,
)
from pyramid_pypi.formats.hash_tree_edit import EMPTY
from pyramid_pypi.formats.repomd import Repomd
from pyramid_pypi.formats.simple import SimpleFile
from pyramid_pypi.publishing.export_ledger import Leaver, Ledger, PlacedRound
from pyramid_pypi.publishing.export_placing import Placer
from pyramid_pypi.publishing.export_pointer import PATHS, ExportIncomplete, PointerSet
from pyramid_pypi.storage.tree import Tree

_ROOMS = ("simple", "projects", "pypi", "packages", "repodata", "static", "tuf")
_SHADOWED_ROOMS = ("simple/", "projects/", "pypi/", "static/", "repodata/t", "repodata/p/")


class BaseLost(Exception):
    """What the export should have of the round before is lost: look at everything."""


class ExportRound:
    """Places the documents of `after` into `export`, which has those of `before`."""

    def __init__(
        self,
        export: Tree,
        placer: Placer,
        ledger: Ledger,
        before: PlacedRound | None,
        after: PointerSet,
    ) -> None:
        self._export = export
        self._placer = placer
        self._ledger = ledger
        self._before = before
        self._after = after
        self.projects = 0
        """How many projects differed."""

    def place(self) -> None:
        """Place everything, and note what leaves.

        Raises:
            BaseLost: a document of the round before is not in the export any more.
            NotThere: a document of the new round is not in the live tree.
            ExportIncomplete: a document of the live tree cannot be read.
            OSError: a file cannot be placed.
        """
        self._signed()
        self._top()
        for kind, room in ROOMS.items():
            self._tree(kind, room)
        if self._before is None:
            self._strays()

    def _signed(self) -> None:
        """Place the documents of the signed round itself, and name the pointers."""
        paths = [path for path, _ in self._after.documents]
        gone = set(self._before.documents if self._before else ()).difference(paths)
        doubted = [(path, False) for path in self._placer.missing(paths)]
        self._note([*paths, *PATHS], doubted, ((path, False) for path in gone))
        self._note((path for path, _ in self._after.pointers), [], ())
        for path, content in self._after.documents:
            if not self._export.holds(path, content):
                self._export.put(path, content)
                self._placer.placed += 1

    def _top(self) -> None:
        def placed(named: Named) -> bytes:
            self._place([Part(named)])
            return self._present(named)

        try:
            parts = list(naming.of_top(self._after.repomd, placed))
        except BaseLost as error:
            raise ExportIncomplete(f"{error} is lost") from error
        except Refusal as error:
            raise ExportIncomplete(error.detail) from error
        before = self._parts_before()
        self._place([part for part in parts if part not in before])
        self._note((path for part in parts for path in _paths(part)), [], ())
        self._leave(before.difference(parts))

    def _parts_before(self) -> set[Part]:
        if self._before is None:
            return set()
        try:
            return set(naming.of_top(self._before.repomd, self._present))
        except Refusal as error:
            raise BaseLost(error.detail) from error

    def _tree(self, kind: str, room: str) -> None:
        before = self._root(self._before.repomd, kind) if self._before else EMPTY
        try:
            after = self._root(self._after.repomd, kind)
        except BaseLost as error:
            raise ExportIncomplete(f"the record {kind}: {error}") from error
        for change in differences(before, after, room, self._read_before, self._read_after):
            if isinstance(change, NodeChange):
                if change.before is not None:
                    gone = naming.of_node(change.path, change.before)
                    now = change.after and naming.of_node(change.path, change.after)
                    self._leave([gone], [now] if now else [])
            elif kind == "shards":
                self._page(change)
            else:
                self._companions(change)

    def _root(self, repomd: Repomd, kind: str) -> Root:
        record = repomd.record(kind)
        if record is None:
            return EMPTY
        content = self._present(Named(record.href, record.sha256, record.size_bytes))
        try:
            return hash_tree.parse_root(content)
        except TreeUnreadable as error:
            raise BaseLost(error.detail) from error

    def _read_before(self, path: str, entry: Entry) -> bytes:
        return self._present(shadowed(path, entry.sha256, entry.size_bytes))

    def _read_after(self, path: str, entry: Entry) -> bytes:
        part = naming.of_node(path, entry)
        self._place([part])
        return self._present(part.named)

    def _page(self, change: ProjectChange) -> None:
        """Place the pages of a project and its release files."""
        self.projects += 1
        parts, files = self._pages(change.name, change.after, place=True)
        old_parts, old_files = self._pages(change.name, change.before)
        paths = list(naming.file_paths(files))
        gone = set(naming.file_paths(old_files)).difference(paths)
        doubted = [(path, False) for path in self._placer.missing(paths)]
        self._note(paths, doubted, ((path, False) for path in gone))
        for file in files:
            self._placer.place_file(file)
        self._place(parts)
        self._leave(old_parts, parts)

    def _pages(
        self, name: str, entry: Entry | None, *, place: bool = False
    ) -> tuple[list[Part], tuple[SimpleFile, ...]]:
        """Return pages and files of a project as `entry` names them, nothing for None."""
        if entry is None:
            return [], ()
        own = shadowed(page_path(name), entry.sha256, entry.size_bytes)
        if place:
            self._place([Part(own, has_twin=naming.has_twin(own))])
        try:
            page = simple_parse.read(self._present(own))
        except Refusal as error:
            raise _unreadable(own.path, error, place=place) from error
        return naming.of_page(name, entry, page), page.page.files

    def _companions(self, change: ProjectChange) -> None:
        parts = self._manifest(change.name, change.after, place=True)
        old_parts = self._manifest(change.name, change.before)
        self._place(parts)
        self._leave(old_parts, parts)

    def _manifest(self, name: str, entry: Entry | None, *, place: bool = False) -> list[Part]:
        if entry is None:
            return []
        own = shadowed(manifest_path(name), entry.sha256, entry.size_bytes)
        if place:
            self._place([Part(own)])
        try:
            known = manifest.parse(self._present(own))
        except Refusal as error:
            raise _unreadable(own.path, error, place=place) from error
        return naming.of_manifest(name, entry, known)

    def _present(self, named: Named) -> bytes:
        content = self._placer.content(named)
        if content is None:
            raise BaseLost(named.path)
        return content

    def _place(self, parts: Iterable[Part]) -> None:
        """Place `parts`, noted before, so that a run that is cut off leaves nothing."""
        for part in parts:
            lasting, stable = part.lasting_paths, part.stable_paths
            doubted = [(path, False) for path in self._placer.missing(lasting)]
            doubted += [(path, True) for path in self._placer.missing(stable)]
            self._note([*lasting, *stable], doubted, ())
            self._placer.place(part)

    def _leave(self, gone: Iterable[Part], staying: Iterable[Part] = ()) -> None:
        kept = {path for part in staying for path in _paths(part)}
        leaving: list[Leaver] = []
        for part in gone:
            leaving += [(path, True) for path in part.stable_paths if path not in kept]
            leaving += [(path, False) for path in part.lasting_paths if path not in kept]
        if leaving:
            self._ledger.note((), (), leaving)

    def _note(
        self, coming: Iterable[str], doubted: Iterable[Leaver], going: Iterable[Leaver]
    ) -> None:
        # Without a round before, everything that is not named is looked for at the end.
        self._ledger.note(coming, doubted if self._before else (), going)

    def _strays(self) -> None:
        """Note as leaving what lies in the export and is not named."""
        for room in _ROOMS:
            strays = (path for path in self._files(room) if not self._ledger.is_coming(path))
            for path in strays:
                is_stable = path.startswith(_SHADOWED_ROOMS) and "/v/" not in path
                self._ledger.note((), (), [(path, is_stable)])

    def _files(self, room: str) -> Iterator[str]:
        top = self._export.root
        for folder, _, names in os.walk(top / room):
            for name in names:
                yield (Path(folder) / name).relative_to(top).as_posix()


def _paths(part: Part) -> list[str]:
    return [*part.lasting_paths, *part.stable_paths]


def _unreadable(path: str, error: Refusal, *, place: bool) -> Exception:
    reason = f"{path}: {error.detail}"
    return ExportIncomplete(reason) if place else BaseLost(reason)
