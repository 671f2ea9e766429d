"""Bringing an older copy of a tree to the present of another, by events first.

An event has a hundredth of the size of the page it changes.  So pages are derived from
those that stand and the events since; whether they came out right, the root of the hash
tree tells, which is signed.  Where it does not agree, the trees are descended, and what
differs is fetched: at worst everything is.

The pointers are installed last.  Whoever is stopped on the way leaves a copy that shows
the old state still, and goes on from there.  What is gone, goes from the copy too: release
files just before the pointers, and what was superseded a day after them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pyramid_pypi.errors import Kind, Refusal
from pyramid_pypi.following import clearing, projects, trust
from pyramid_pypi.following.applying import Unclear, applied, known_page, written
from pyramid_pypi.following.companions import remove_companions, take_companions
from pyramid_pypi.following.feed import events_since
from pyramid_pypi.following.findings import look, shadowed
from pyramid_pypi.following.installing import install, seal_of
from pyramid_pypi.following.naming import of_top
from pyramid_pypi.following.pointing import Pointing, Trusting
from pyramid_pypi.following.replica import Replica, TreeReplica, entries
from pyramid_pypi.following.sources import FolderSource, Source, SourceUnreadable, read
from pyramid_pypi.following.trust import Pointer, TrustRefused
from pyramid_pypi.following.walking import ROOMS
from pyramid_pypi.formats import simple_parse
from pyramid_pypi.formats.events import Event
from pyramid_pypi.formats.hash_tree import Entry, entry_of
from pyramid_pypi.formats.hash_tree_edit import Change
from pyramid_pypi.formats.repomd import Record, Repomd
from pyramid_pypi.formats.simple import SimpleFile, SimplePage
from pyramid_pypi.formats.simple_parse import PageUnreadable
from pyramid_pypi.storage import durable
from pyramid_pypi.storage.spool import Spool
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.instants import Clock


class ReplayBusy(Refusal):
    """Another run is bringing the same copy to the present.

    Wait until it has ended: two at once would remove what the other has just put in place.
    """

    code = "replay.busy"
    title = "Another run is at work on the copy"
    kind = Kind.CONFLICT


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
        files: take the release files of changed projects too, before the pages; and remove
            those that their pages show no more.
        spool: a folder on the same file system for documents on their way; by default one
            beside `folder`.

    Raises:
        TrustRefused: the source's signatures are not good, or it is older than the copy.
        SourceUnreadable: something is not to be had; go on later.
        ReplayBusy: another run is at work on the folder.
        OSError: a document cannot be written.
    """
    spool = spool or folder.root.with_name(f"{folder.root.name}.spool")
    with _alone(spool.with_name(f"{spool.name}.lock")):
        pointer = Pointing(source, trusting, clock).trusted()
        replaying = _begun(folder, source, pointer, Tree(folder.root, spool, clock), spool)
        replaying.pages(files=files)
        if companions:
            replaying.companions()
        replaying.top()
        replaying.install(clock(), spool.with_name(f"{spool.name}.swept"))
    replaying.result.fetches = source.tally.fetches
    replaying.result.bytes = source.tally.bytes
    return replaying.result


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(durable.locked(lock, wait_s=0))
        except BlockingIOError as error:
            raise ReplayBusy(f"it holds {lock}") from error
        yield


def _begun(
    folder: FolderSource, source: Source, pointer: Pointer, tree: Tree, spool: Path
) -> _Replaying:
    seal = seal_of(source, pointer)
    own = _own(folder)
    before = own.serial if own else 0
    if before > pointer.repomd.serial:
        reason = f"it shows serial {pointer.repomd.serial}, the copy {before}"
        raise TrustRefused(trust.POINTER, reason, is_rollback=True)
    Spool(spool).prepare()
    replica = Replica(folder, source, tree)
    return _Replaying(replica, own, pointer, seal, Result(before, pointer.repomd.serial))


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
    seal: Mapping[str, bytes]
    result: Result
    _named: set[str] = field(default_factory=set)
    """The paths of the top, which the pointer leads to."""
    _gone: list[SimpleFile] = field(default_factory=list)

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
            if files:
                self._change_files(tree, name, page)
            if page is None:
                self._remove_pages(name)
                continue
            self._put_page(name, *written(page))
            self.result.derived += 1
        for name, entry in entries(differing):
            self._fetch_page(tree, name, entry, files=files)
        for name in (name for name, entry in differing.items() if entry is None):
            if files:
                self._change_files(tree, name, None)
            self._remove_pages(name)
        tree.install()

    def _change_files(self, tree: TreeReplica, name: str, page: SimplePage | None) -> None:
        """Take the release files of a project; note those that its page shows no more.

        A page in quarantine shows none.  They are fetched again when that is over.
        """
        after = page.files if page else ()
        self.replica.take_files(after)
        there = {file.path for file in after}
        self._gone += (one for one in self._files_before(tree, name) if one.path not in there)

    def _files_before(self, tree: TreeReplica, name: str) -> Collection[SimpleFile]:
        """Return the files that the copy's own state names; believed as far as its tree is."""
        entry = tree.entry_before(name)
        if entry is None:
            return ()
        named = shadowed(projects.page_path(name), entry.sha256, entry.size_bytes)
        content = look(self.replica.folder, named).content
        try:
            page = simple_parse.parse(content) if content is not None else None
        except PageUnreadable:
            return ()
        return page.files if page is not None and page.name == name else ()

    def companions(self) -> None:
        """Bring the other documents of projects to the present."""
        if self.pointer.repomd.record("companions") is None:
            return
        tree = self._tree("companions")
        differing = tree.changes()
        for name, entry in sorted(differing.items()):
            wanted = take_companions(self.replica, name, entry) if entry else set()
            remove_companions(self.replica, name, keeping=wanted)
        tree.install()

    def top(self) -> None:
        """Have every record in place, and what the records name apart from projects."""
        for part in of_top(self.pointer.repomd, self.replica.fetched):
            self.replica.take(part.named, twin=part.has_twin)
            self._named.update(part.lasting_paths)

    def install(self, at: datetime, mark: Path) -> None:
        """Put the pointers in place; remove what is gone before, what is superseded after."""
        self.replica.remove_files(self._gone)
        install(self.replica, self.pointer, self.seal)
        self._named.update(self.pointer.signed)
        for path, (sha256, _) in self.pointer.targets.items():
            room, _, name = path.rpartition("/")
            self._named.add(f"{room}/{sha256}.{name}")
        clearing.clear(self.replica.tree, self._named, at)
        clearing.sweep(self.replica.tree, mark, at)

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
            record = self._record("changes")
            for event in events_since(record, self.own.serial, self.replica.fetched):
                self.result.events += 1
                if event.project:
                    found.setdefault(event.project, []).append(event)
        except Refusal:  # of any sort: then they are no help, and no harm
            return {}
        return found

    def _derived(self, name: str, events: list[Event]) -> SimplePage | None:
        content = read(self.replica.folder, projects.page_path(name), simple_parse.MAX_BYTES)
        page = known_page(content) if content is not None else None
        since = page.serial if page else 0
        return applied(page, (event for event in events if event.serial > since))

    def _put_page(self, name: str, html: bytes, json: bytes) -> None:
        self.replica.put(projects.html_path(name), html, twin=True)
        self.replica.put(projects.page_path(name), json, twin=True)

    def _fetch_page(self, tree: TreeReplica, name: str, entry: Entry, *, files: bool) -> None:
        path = projects.page_path(name)
        named = shadowed(path, entry.sha256, entry.size_bytes)
        content = self.replica.fetched(named)
        known = simple_parse.read(content)
        if files:
            self._change_files(tree, name, known.page)
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


def _entry(page: SimplePage) -> Entry:
    return entry_of(written(page)[1], page.serial)
