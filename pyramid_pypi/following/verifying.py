"""Verifying a tree that nobody vouches for, by nothing but the tree itself.

From the signatures to the pointer, from the pointer to its records, from the hash tree to
the pages of projects, from a page to the bytes of its files.  What is wrong is a finding;
what is below it is looked at all the same, so far as anything speaks of it.

A tree may be published to while it is read.  So whatever looks wrong is looked at again
under the pointer of then, and only what stays wrong is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

from pyramid_pypi.following import newer, projects, records, trust
from pyramid_pypi.following.findings import Fault, Finding, Named, look
from pyramid_pypi.following.pointing import Pointing, Trusting
from pyramid_pypi.following.signatures import ROOM, check_signatures
from pyramid_pypi.following.sources import FolderSource, Source
from pyramid_pypi.following.strays import NotingSource, strays
from pyramid_pypi.following.trust import Pointer
from pyramid_pypi.following.walking import ROOMS, HashTree
from pyramid_pypi.formats import manifest
from pyramid_pypi.formats.hash_tree import Digits, digits
from pyramid_pypi.formats.manifest import Manifest, ManifestUnreadable
from pyramid_pypi.formats.repomd import Record
from pyramid_pypi.values.instants import Clock, system_clock

_LOOKS = 8
_MOMENT_S = 1.2  # longer than a round of publishing takes
_AT_WORK = timedelta(seconds=10)
_MOMENTS = 10  # so often is waited in one run: a tree may have a thousand faults

Check = Callable[[Pointer], Iterator[Finding]]
Progress = Callable[[int, int], None]
"""Is told how many projects have been looked at, and of how many."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look at beside the top of the tree: projects by normalized name, or all.

    With `history` all of the change feed, which all is too; else its newest part.  With
    `ahead`, documents may be newer than the pointer, as in an export.
    """

    names: Collection[str] = ()
    everything: bool = False
    history: bool = False
    ahead: bool = False


class Verifier:
    """Looks at one tree, once."""

    def __init__(
        self,
        source: Source,
        wanted: Wanted,
        trusting: Trusting,
        clock: Clock,
        *,
        on_progress: Progress = lambda _done, _of: None,
    ) -> None:
        self._plain = source
        self._source = NotingSource(source)
        self._wanted = wanted
        self._on_progress = on_progress
        self._trees = {kind: HashTree(self._source, room) for kind, room in ROOMS.items()}
        self._told: set[tuple[Fault, str]] = set()
        self._unproven: set[str] = set()
        self._moments = _MOMENTS
        self.ahead: set[str] = set()  # paths that show later versions than are signed yet
        self._pointing = Pointing(self._source, trusting, clock)

    @property
    def pointer(self) -> Pointer | None:
        """Return the pointer of the tree, None before anything was read."""
        return self._pointing.now

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong with the tree, each once.

        Raises:
            SourceUnreadable: there is no tree, or nobody answers.
        """
        started = system_clock()  # the kernel's, to compare with what it notes of files
        with closing(self._source):
            for finding in self._every():
                if (finding.fault, finding.path) not in self._told:
                    self._told.add((finding.fault, finding.path))
                    if self._wanted.ahead and newer.is_ahead(
                        self._plain, finding, self.pointer
                    ):
                        self.ahead.add(finding.path)
                    else:
                        yield finding
            if self._wanted.everything and isinstance(self._plain, FolderSource):
                unproven = self._unproven_rooms()
                yield from strays(self._plain, self._source, unproven=unproven, since=started)

    def _every(self) -> Iterator[Finding]:
        yield from self._pointing.begin()
        if self.pointer is not None:
            yield from self._top()
            for name in self._wanted.names:
                yield from self._settled(partial(self._project, name=name))
            if self._wanted.everything:
                yield from self._all_projects()
        if self._wanted.everything:
            yield from self._signatures()

    def _top(self) -> Iterator[Finding]:
        yield from self._settled(partial(records.check_pointer, self._source))
        assert self.pointer is not None  # noqa: S101 - told to mypy; _every has looked
        for kind in [record.type for record in self.pointer.repomd.records]:
            yield from self._settled(partial(self._record, kind=kind))
        yield from self._settled(self._site)

    def _record(self, pointer: Pointer, kind: str) -> Iterator[Finding]:
        record = pointer.repomd.record(kind)
        if record is None:
            return
        yield from records.check_record(self._source, record)
        if kind == "changes":
            history = self._wanted.history or self._wanted.everything
            yield from records.check_changes(self._source, record, history=history)

    def _site(self, pointer: Pointer) -> Iterator[Finding]:
        """Look at the documents of the whole site."""
        record = pointer.repomd.record("site")
        if record is None:
            return
        looked = look(self._source, Named(record.href, record.sha256, record.size_bytes))
        if looked.content is None:
            return  # told already, as a record
        try:
            known = manifest.parse(looked.content)
        except ManifestUnreadable as error:
            yield Finding(Fault.UNREADABLE, record.href, error.detail)
            return
        for named in projects.listed_documents(known):
            yield from self._document(pointer, "site", named)

    def _document(self, pointer: Pointer, kind: str, named: Named) -> Iterator[Finding]:
        """Look at a document that the record `kind` leads to.

        Where the record lags behind the pointer, as it may for a while, the document may
        be ahead of it: then it is enough that the version that is signed is to be had.
        """
        record = pointer.repomd.record(kind)
        lags = record is not None and record.serial < pointer.repomd.serial
        findings = list(projects.check_document(self._source, named))
        if lags and findings and findings[0].superseded:
            self.ahead.add(named.path)
        else:
            yield from findings

    def _all_projects(self) -> Iterator[Finding]:
        lost: list[Digits] = []
        done = 0
        for found in self._names("shards", lost):
            if isinstance(found, tuple):
                yield from self._settled(partial(self._place, kind="shards", where=found))
                continue
            yield from self._settled(partial(self._project, name=found, known=True))
            done += 1
            self._on_progress(done, self._count())
        for name in self._names_below(lost) if lost else ():
            yield from self._settled(partial(self._project, name=name, known=True))
        for found in self._names("companions", []):
            if isinstance(found, tuple):
                yield from self._settled(partial(self._place, kind="companions", where=found))
            else:
                yield from self._settled(partial(self._orphan, name=found))

    def _orphan(self, pointer: Pointer, name: str) -> Iterator[Finding]:
        """Look whether the project `name`, which has companions, has a page too."""
        shards, companions = map(pointer.repomd.record, ROOMS)
        if shards is None or companions is None or companions.serial < pointer.repomd.serial:
            return
        told = yield from self._trees["shards"].find(shards, name)
        if told.entry is None and not told.is_lost:
            told = yield from self._trees["companions"].find(companions, name)
            if told.entry is not None:
                path = projects.manifest_path(name)
                yield Finding(Fault.MISPLACED, path, f"the tree knows no project {name}")

    def _names(self, kind: str, lost: list[Digits]) -> Iterator[str | Digits]:
        record = self.pointer.repomd.record(kind) if self.pointer else None
        if record is not None:
            yield from self._trees[kind].names(record, lost)
        if lost:
            self._unproven.add(f"{ROOMS[kind]}/")

    def _place(self, pointer: Pointer, kind: str, where: Digits) -> Iterator[Finding]:
        record = pointer.repomd.record(kind)
        if record is not None:
            yield from self._trees[kind].check(record, where)

    def _unproven_rooms(self) -> tuple[str, ...]:
        """Return the folders where more may lie than anything speaks of yet."""
        repomd = self.pointer.repomd if self.pointer else None
        companions = repomd.record("companions") if repomd else None
        if repomd and companions and companions.serial < repomd.serial:
            self._unproven.update(("projects/", "pypi/"))
        if self._wanted.ahead:
            self._unproven.update(newer.ROOMS)
        if self._may_move():
            self._unproven.update(("projects/", "pypi/", "simple/", "repodata/"))
        return tuple(self._unproven)

    def _count(self) -> int:
        known = self._trees["shards"].known_root
        return known.count if known else 0

    def _project(
        self, pointer: Pointer, name: str, *, known: bool = False
    ) -> Iterator[Finding]:
        """Look at all of one project; a `known` one may be gone meanwhile."""
        shards = pointer.repomd.record("shards")
        if shards is None:
            yield Finding(Fault.MISSING, trust.POINTER, "it has no record `shards`")
            return
        told = yield from self._trees["shards"].find(shards, name)
        if told.entry is None and not told.is_lost:
            if not known:
                path = projects.page_path(name)
                yield Finding(Fault.MISSING, path, "the tree knows no such project")
            return
        yield from projects.check_page(self._source, name, told.entry)
        if (companions := pointer.repomd.record("companions")) is not None:
            yield from self._companions(pointer, companions, name)

    def _companions(self, pointer: Pointer, record: Record, name: str) -> Iterator[Finding]:
        told = yield from self._trees["companions"].find(record, name)
        if told.entry is None and not told.is_lost:
            return
        manifests: list[Manifest] = []
        for finding in projects.read_manifest(self._source, name, told.entry, manifests):
            if finding.superseded and record.serial < pointer.repomd.serial:
                self.ahead.add(finding.path)
            else:
                yield finding
        for known in manifests:
            for named in projects.listed_documents(known):
                for finding in self._document(pointer, "companions", named):
                    # By a manifest that nothing proves nobody shall mend.
                    yield replace(finding, named=None) if told.is_lost else finding

    def _names_below(self, lost: Collection[Digits]) -> Iterable[str]:
        """Yield the projects whose leaf is lost, as far as anything else speaks of them."""
        names: set[str] = set()
        record = self.pointer.repomd.record("projects") if self.pointer else None
        if record is not None:
            names.update(records.listed_names(self._source, record))
        if isinstance(self._plain, FolderSource):
            names.update(name for name, is_folder in self._plain.names("simple") if is_folder)
        for name in sorted(names):
            if any(digits(name, len(where)) == where for where in lost):
                yield name

    def _signatures(self) -> Iterator[Finding]:
        paths = set(self._source.signed)
        if isinstance(self._plain, FolderSource):
            paths.update(self._plain.files(ROOM.rstrip("/")))
        known = self.pointer.signed.values() if self.pointer else ()
        yield from check_signatures(self._source, paths, known)

    def _settled(self, check: Check) -> Iterator[Finding]:
        """Yield what `check` finds, unless that is over under a pointer that has moved on."""
        found: list[Finding] = []
        waited = 0
        for _ in range(_LOOKS):
            pointer = self.pointer
            found = list(check(pointer)) if pointer else []
            if not found:
                self._moments += waited  # it was worth the while
                break
            if not self._pointing.has_moved(pointer):
                if self._moments <= 0 or not self._may_move():
                    break
                self._moments -= 1
                waited += 1
                time.sleep(_MOMENT_S)
                # What looked wrong may be right a moment later under the same pointer too.
                self._pointing.has_moved(pointer)
        yield from found

    def _may_move(self) -> bool:
        """Tell whether the tree may be one that is published to just now."""
        if not isinstance(self._plain, FolderSource):
            return True
        modified = self._plain.modified(trust.POINTER)
        return modified is not None and system_clock() - modified < _AT_WORK
