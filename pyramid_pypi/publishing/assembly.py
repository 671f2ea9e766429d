"""The documents that list the files of all projects, put together from finished parts.

``primary``, ``filelists`` and ``other`` are what createrepo's readers load.  To write
them anew for each change would cost as much as the index is large.  But gzip files put
one after the other are a gzip file (RFC 1952, 2.2): so what each project contributes is
kept compressed (`publishing.members`), only projects that changed are rendered, and the
rest is copied.

Which refreshes came before never shows: the same index gives the same bytes.
"""

from __future__ import annotations

import hashlib
import logging
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from sqlalchemy.orm import Session

from pyramid_pypi.catalog import describing, window
from pyramid_pypi.changes import journal
from pyramid_pypi.environment import Environment
from pyramid_pypi.formats import packages_xml
from pyramid_pypi.formats.compression import gzip_bytes
from pyramid_pypi.formats.packages_xml import KINDS, Kind, Members
from pyramid_pypi.publishing import documents, touched
from pyramid_pypi.publishing.failures import Failures
from pyramid_pypi.publishing.members import (
    MemberStore,
    MembersTorn,
    OpenMembers,
    Progress,
)
from pyramid_pypi.publishing.records import SpooledDocument
from pyramid_pypi.publishing.turns import Turn
from pyramid_pypi.storage.spool import Spool
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.values.names import ProjectName

log = logging.getLogger(__name__)

_CHANGES_AT_A_TIME = 1000
_BLOCK_BYTES = 256 * 1024  # most members are small, and each call of a hash costs


@dataclass(frozen=True, slots=True)
class Assembled:
    """The documents of one state of the index: just what its change `serial` left."""

    serial: int
    file_count: int
    documents: tuple[SpooledDocument, ...]

    def discard(self) -> None:
        """Remove those of the documents that were not taken out of the spool."""
        for document in self.documents:
            document.path.unlink(missing_ok=True)


class Stopped(Exception):
    """Somebody wants this to end before it is done."""


class Assembly:
    """Assembles the documents of the newest `most_files` files of one index.

    `failures` are the projects that the documents lack, because they cannot be rendered;
    each refresh tries them again.
    """

    def __init__(self, environment: Environment, *, most_files: int) -> None:
        self.failures = Failures(environment.clock)
        self._database = environment.database
        self._most_files = most_files
        folder = environment.settings.data_dir
        # Another zlib may compress to other bytes; then all must come from the same.
        rules = f"{documents.REVISION} {zlib.ZLIB_RUNTIME_VERSION}"
        self._store = MemberStore(folder / "members.sqlite", rules)
        self._spool = Spool(environment.settings.spool_dir)
        self._turn = Turn(folder / "members.lock")

    def refresh(
        self,
        until_serial: int,
        *,
        standing: Collection[str] = (),
        stopping: Callable[[], bool] = lambda: False,
    ) -> Assembled | None:
        """Return the documents as of the change `until_serial` or a later one.

        None when they are those with the sha256 `standing`, which need no writing again,
        or when `stopping` says so between two projects.  The caller has the documents
        taken to their place, or discards them.

        Raises:
            sqlalchemy.exc.DBAPIError: the database is away.
            OSError: a document or the cache cannot be written.
        """
        with self._turn.taken():
            try:
                return self._refresh(until_serial, standing, stopping)
            except MembersTorn as torn:
                log.info("members are made anew, the old ones are of no use: %s", torn)
                self._store.forget()
                return self._refresh(until_serial, standing, stopping)
            except Stopped:
                return None

    def forget(self) -> None:
        """Have the next refresh render every project again."""
        with self._turn.taken():
            self._store.forget()

    def _refresh(
        self, until_serial: int, standing: Collection[str], stopping: Callable[[], bool]
    ) -> Assembled | None:
        with self._store.opened() as members:
            progress = members.progress()
            if not self._is_done(progress, until_serial, members.failed()):
                progress = self._follow(members, stopping)
            assert progress is not None  # noqa: S101 - for the type alone: not done without
            if progress.digests and set(standing).issuperset(progress.digests):
                return None
            assembled = self._assemble(members, progress.serial)
            digests = tuple(document.sha256 for document in assembled.documents)
            with members.changing():
                members.set_progress(progress._replace(digests=digests))
            return assembled

    def _is_done(
        self, progress: Progress | None, until_serial: int, failed: list[ProjectName]
    ) -> bool:
        if progress is None or progress.most_files != self._most_files:
            return False
        return progress.serial >= until_serial and not failed

    def _follow(self, members: OpenMembers, stopping: Callable[[], bool]) -> Progress:
        """Render what changed; all of it is read from one state of the database."""
        with self._database.reading() as session, members.changing():
            before = members.progress()
            serial = journal.newest(session)
            now = Progress(
                serial,
                entry=_entry(session, serial),
                most_files=self._most_files,
                outside=window.outside(session, self._most_files),
            )
            if before is not None and before.entry != _entry(session, before.serial):
                raise MembersTorn("the journal is another one")
            _ask(session, members, before, now)
            changed = self._render(session, members, now.outside, stopping)
            if before is not None and not changed:
                now = now._replace(digests=before.digests)
            members.set_progress(now)
            return now

    def _render(
        self,
        session: Session,
        members: OpenMembers,
        outside: int,
        stopping: Callable[[], bool],
    ) -> bool:
        """Render the projects that are asked for; return whether any member changed."""
        changed = False
        for name in members.asked():
            if stopping():
                raise Stopped
            self.failures.clear(name)
            made = None
            with self.failures.isolated(name):
                made = _members(session, name, outside)
            if made is not None and made.count:
                changed |= members.put(name, made)
            else:
                changed |= members.drop(name, failed=name in self.failures)
        return changed

    def _assemble(self, members: OpenMembers, serial: int) -> Assembled:
        count = members.file_count()
        assembled = Assembled(serial, count, ())
        try:
            for kind in KINDS:
                document = _write(self._spool.new_path(), kind, count, members.members(kind))
                assembled = Assembled(serial, count, (*assembled.documents, document))
        except BaseException:
            assembled.discard()
            raise
        return assembled


def _ask(
    session: Session, members: OpenMembers, before: Progress | None, now: Progress
) -> None:
    """Ask for the projects whose members may differ `now` from those `before`."""
    if before is None:
        members.ask(window.names_between(session, now.outside, window.newest_file(session)))
        return
    edges = sorted((before.outside, now.outside))
    members.ask(members.failed())
    members.ask(_changed(session, before.serial))
    members.ask(window.names_between(session, *edges))


def _changed(session: Session, after: int) -> Iterator[ProjectName]:
    while changes := journal.since(session, after, _CHANGES_AT_A_TIME):
        yield from touched.by_project(changes)
        after = changes[-1].serial


def _entry(session: Session, serial: int) -> str:
    """Return what tells the change `serial` from that of another journal, ``""`` for none.

    A database put back from a backup gives the same numbers to other changes.
    """
    found = journal.since(session, serial - 1, 1)
    return sha256_hex(repr(found[0]).encode()) if found and found[0].serial == serial else ""


def _members(session: Session, name: ProjectName, outside: int) -> Members | None:
    wanted = window.filenames(session, name, outside) if outside else None
    if wanted is not None and not wanted:
        return None
    document = describing.project_document(session, name)
    return packages_xml.members(document, wanted) if document is not None else None


def _write(
    path: Path, kind: Kind, count: int, members: Iterable[tuple[bytes, bytes]]
) -> SpooledDocument:
    """Write the document `kind` to `path`, taking its digests as it passes."""
    head, tail = packages_xml.opening(kind, count), packages_xml.closing(kind)
    parts = chain([(head, gzip_bytes(head))], members, [(tail, gzip_bytes(tail))])
    stored, opened = hashlib.sha256(), hashlib.sha256()
    size_bytes = open_size_bytes = 0
    try:
        with path.open("xb") as out:
            for xml, compressed in _blocks(parts):
                out.write(compressed)
                stored.update(compressed)
                opened.update(xml)
                size_bytes += len(compressed)
                open_size_bytes += len(xml)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return SpooledDocument(
        kind, path, stored.hexdigest(), size_bytes, opened.hexdigest(), open_size_bytes
    )


def _blocks(parts: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Join neighbours among `parts` until they are worth a call of their own."""
    texts: list[bytes] = []
    twins: list[bytes] = []
    size_bytes = 0
    for xml, compressed in parts:
        texts.append(xml)
        twins.append(compressed)
        size_bytes += len(xml)
        if size_bytes >= _BLOCK_BYTES:
            yield b"".join(texts), b"".join(twins)
            texts, twins, size_bytes = [], [], 0
    yield b"".join(texts), b"".join(twins)
