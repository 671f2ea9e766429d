"""Bringing an older copy of a tree to the present of another, by events first.

An event has a hundredth of the size of the page it changes.  So pages are derived from
those that stand and the events since; whether they came out right, the root of the hash
tree tells, which is signed.  Where it does not agree, the trees are descended, and what
differs is fetched: at worst everything is.

The pointers are installed last.  Whoever is stopped on the way leaves a copy that shows
the old state still, and goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyramid_pypi.errors import Refusal
from pyramid_pypi.following import projects, trust
from pyramid_pypi.following.applying import Unclear, applied, known_page, written
from pyramid_pypi.following.findings import Named, shadowed
from pyramid_pypi.following.naming import of_top
from pyramid_pypi.following.placing import Overlay
from pyramid_pypi.following.pointing import Pointing, Trusting
from pyramid_pypi.following.records import events_of
from pyramid_pypi.following.replica import Replica, TreeReplica, entries
from pyramid_pypi.following.seals import KEY_PATH, SIGNATURE_PATH, check_seal
from pyramid_pypi.following.sources import FolderSource, Source, SourceUnreadable, read
from pyramid_pypi.following.trust import Pointer, TrustRefused
from pyramid_pypi.following.walking import ROOMS
from pyramid_pypi.formats import manifest, repomd, segment_lists, segments, simple_parse
from pyramid_pypi.formats.events import Event
from pyramid_pypi.formats.hash_tree import Entry, entry_of
from pyramid_pypi.formats.hash_tree_edit import Change
from pyramid_pypi.formats.manifest import Listed, ManifestUnreadable
from pyramid_pypi.formats.repomd import Record, Repomd
from pyramid_pypi.formats.segments import SegmentsUnreadable
from pyramid_pypi.formats.simple import SimplePage
from pyramid_pypi.storage.spool import Spool
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.instants import Clock

_MAX_SEAL_BYTES = 64 * 1024


@dataclass(slots=True)
class Result:
    """What a replay did.

    `derived` projects came from events alone, `fetched` ones from the source; `bytes` and
    `fetches` are what was read of it for everything.
    """

    serial_before: int
    serial: int
    events: int = 0
    derived: int = 0
    fetched: int = 0
    removed: int = 0
    fetches: int = 0
    bytes: int = 0


def replay(
    folder: FolderSource,
    source: Source,
    trusting: Trusting,
    clock: Clock,
    *,
    companions: bool = True,
    files: bool = False,
    spool: Path | None = None,
) -> Result:
    """Bring the copy in `folder` to what `source` shows now; an empty folder will do.

    Args:
        companions: take the other documents of projects too; without them the copy is
            whole for installers only.
        files: take the release files of changed projects too, before the pages.
        spool: a folder on the same file system for documents on their way; by default one
            beside `folder`.

    Raises:
        TrustRefused: the source's signatures are not good, or it is older than the copy.
        SourceUnreadable: something is not to be had; go on later.
        OSError: a document cannot be written.
    """
    pointer = Pointing(source, trusting, clock).trusted()
    own = _own(folder)
    before = own.serial if own else 0
    if before > pointer.repomd.serial:
        reason = f"it shows serial {pointer.repomd.serial}, the copy {before}"
        raise TrustRefused(trust.POINTER, reason, is_rollback=True)
    spool = spool or folder.root.with_name(f"{folder.root.name}.spool")
    Spool(spool).prepare()
    replica = Replica(folder, source, Tree(folder.root, spool, clock))
    replaying = _Replaying(replica, own, pointer, Result(before, pointer.repomd.serial))
    replaying.pages(files=files)
    if companions:
        replaying.companions()
    replaying.top()
    replaying.install()
    replaying.result.fetches = source.tally.fetches
    replaying.result.bytes = source.tally.bytes
    return replaying.result


def _own(folder: FolderSource) -> Repomd | None:
    try:
        return trust.unsigned_pointer(folder).repomd
    except Refusal:
        return None


@dataclass
class _Replaying:
    replica: Replica
    own: Repomd | None
    pointer: Pointer
    result: Result

    def pages(self, *, files: bool) -> None:
        """Bring the pages of projects to the present, and the hash tree over them."""
        events = self._events()
        derived: dict[str, Change] = {}
        for name, some in events.items():
            try:
                page = self._derived(name, some)
                derived[name] = _entry(page) if page else None
            except Unclear:
                continue
        tree = self._tree("shards")
        tree.edit(derived)
        differing = tree.changes()
        for name in sorted(derived.keys() - differing.keys()):
            page = self._derived(name, events[name])
            if page is None:
                self._remove_pages(name)
                continue
            if files:
                self.replica.take_files(page.files)
            self._put_page(name, *written(page))
            self.result.derived += 1
        for name, entry in entries(differing):
            self._fetch_page(name, entry, files=files)
        for name in (name for name, entry in differing.items() if entry is None):
            self._remove_pages(name)
        tree.install()

    def companions(self) -> None:
        """Bring the other documents of projects to the present."""
        if self.pointer.repomd.record("companions") is None:
            return
        tree = self._tree("companions")
        differing = tree.changes()
        for name, entry in sorted(differing.items()):
            before = self._listed(name)
            wanted = self._fetch_companions(name, entry) if entry else {}
            for path in before.keys() - wanted.keys():
                self.replica.tree.remove(path)
            if entry is None:
                self.replica.tree.remove(projects.manifest_path(name))
        tree.install()

    def top(self) -> None:
        """Have every record in place, and what the records name apart from projects."""
        for part in of_top(self.pointer.repomd, self.replica.fetched):
            self.replica.take(part.named, twin=part.has_twin)

    def install(self) -> None:
        """Put the signed documents and, last of all, the pointers in place."""
        tree, pointer = self.replica.tree, self.pointer
        contents = {
            trust.POINTER_XML: repomd.xml(pointer.repomd),
            trust.POINTER: pointer.content,
        }
        last = {**contents, **{p: c for p, c in pointer.signed.items() if p == trust.TIMESTAMP}}
        first = {path: c for path, c in pointer.signed.items() if path not in last}
        for path, (sha256, _) in pointer.targets.items():
            room, _, name = path.rpartition("/")
            first[f"{room}/{sha256}.{name}"] = contents[path]
        for path, content in first.items():
            if not tree.holds(path, content):
                tree.put(path, content)
        tree.sync()
        self._install_seal(contents)
        for path, content in last.items():
            if not tree.holds(path, content):
                tree.put(path, content)

    def _install_seal(self, contents: Mapping[str, bytes]) -> None:
        """Put the OpenPGP signature in place if it is of just this pointer."""
        found = {
            path: content
            for path in (KEY_PATH, SIGNATURE_PATH)
            if (content := read(self.replica.source, path, _MAX_SEAL_BYTES)) is not None
        }
        laid = Overlay(self.replica.folder, found)
        if len(found) < 2 or any(check_seal(laid, contents[trust.POINTER_XML])):
            self.replica.tree.remove(SIGNATURE_PATH)
            return
        for path, content in found.items():
            self.replica.tree.put(path, content)

    def _tree(self, kind: str) -> TreeReplica:
        own = self.own.record(kind) if self.own else None
        return TreeReplica(self.replica, ROOMS[kind], own, self._record(kind))

    def _record(self, kind: str) -> Record:
        record = self.pointer.repomd.record(kind)
        if record is None:
            raise SourceUnreadable(f"{self.replica.source.name} has no record {kind!r}")
        return record

    def _events(self) -> dict[str, list[Event]]:
        """Return the events since our own serial by project; none if they do not lead on."""
        found: dict[str, list[Event]] = {}
        if self.own is None:
            return found
        try:
            for event in self._every_event(self.own.serial):
                self.result.events += 1
                if event.project:
                    found.setdefault(event.project, []).append(event)
        except (SegmentsUnreadable, SourceUnreadable):
            return {}
        return found

    def _every_event(self, since: int) -> list[Event]:
        record = self._record("changes")
        content = self.replica.fetched(Named(record.href, record.sha256, record.size_bytes))
        known, older = segment_lists.parse_record(content), None
        if not known.reaches(since) and known.periods and known.periods_path:
            named = Named(known.periods_path, *known.periods)
            older = segment_lists.parse_periods(self.replica.fetched(named))
        found = []
        for span in segments.covering(known, older, since):
            told = self.replica.fetched(Named(span.path, *span.events))
            found += [event for event in events_of(told, span) if event.serial > since]
        return found

    def _derived(self, name: str, events: list[Event]) -> SimplePage | None:
        content = read(self.replica.folder, projects.page_path(name), simple_parse.MAX_BYTES)
        page = known_page(content) if content is not None else None
        since = page.serial if page else 0
        return applied(page, (event for event in events if event.serial > since))

    def _put_page(self, name: str, html: bytes, json: bytes) -> None:
        self.replica.put(projects.html_path(name), html, twin=True)
        self.replica.put(projects.page_path(name), json, twin=True)

    def _fetch_page(self, name: str, entry: Entry, *, files: bool) -> None:
        path = projects.page_path(name)
        named = shadowed(path, entry.sha256, entry.size_bytes)
        content = self.replica.fetched(named)
        known = simple_parse.read(content)
        if files:
            self.replica.take_files(known.page.files)
        if known.html is not None:
            sha256, size_bytes = known.html.sha256, known.html.size_bytes
            html = shadowed(projects.html_path(name), sha256, size_bytes)
            self.replica.take(html, twin=True)
        if not self.replica.holds(named):
            self.replica.put(path, content, twin=True)
        self.result.fetched += 1

    def _remove_pages(self, name: str) -> None:
        for path in (projects.page_path(name), projects.html_path(name)):
            self.replica.tree.remove(path)
            self.replica.tree.remove(f"{path}.gz")
        self.result.removed += 1

    def _listed(self, name: str) -> Mapping[str, Listed]:
        """Return what the manifest lists that stands here."""
        path = projects.manifest_path(name)
        content = self.replica.tree.read(path)
        try:
            return manifest.parse(content).documents if content else {}
        except ManifestUnreadable:
            return {}

    def _fetch_companions(self, name: str, entry: Entry) -> Mapping[str, Listed]:
        path = projects.manifest_path(name)
        content = self.replica.fetched(shadowed(path, entry.sha256, entry.size_bytes))
        known = projects.parsed_manifest(name, content)
        for named in projects.listed_documents(known):
            self.replica.take(named)
        self.replica.put(path, content)
        return known.documents


def _entry(page: SimplePage) -> Entry:
    return entry_of(written(page)[1], page.serial)
