"""What grows with the index: lists, the site, and createrepo's documents of all files.

To write them costs as much as the index is large, so they are written seldom: the larger
they are, the longer they stand.  That also bounds what superseded ones take of the disk.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from pyramid_pypi.changes import journal
from pyramid_pypi.environment import Environment
from pyramid_pypi.formats import manifest
from pyramid_pypi.formats.canonical import json_document
from pyramid_pypi.formats.manifest import Listed, Manifest, shadow_path
from pyramid_pypi.formats.repomd import Record
from pyramid_pypi.publishing import documents, sqlite_twins
from pyramid_pypi.publishing.assembly import Assembly
from pyramid_pypi.publishing.failures import stops_all
from pyramid_pypi.publishing.lists import Lists
from pyramid_pypi.publishing.pointer import shown_at
from pyramid_pypi.publishing.records import Records
from pyramid_pypi.storage.spool import Spool

log = logging.getLogger(__name__)

KINDS = ("primary", "filelists", "other", "projects", "site", "mirrors")
_EVERY_KIND = frozenset(KINDS).union(f"{kind}_db" for kind in documents.PACKAGE_KINDS)
_BYTES_PER_S = 25_000  # kept for two days: some 4 GB at most
_LARGE_S = 10.0
_REST = 20.0  # times what the writing took of the processor, before it is done again


class Whole:
    """Makes the records of the whole index, by a clock of their own."""

    def __init__(self, environment: Environment, lists: Lists) -> None:
        settings = environment.settings
        self._tree = environment.tree
        self._clock = environment.clock
        self._database = environment.database
        self._least_apart_s = settings.publish_lists_s
        self._lists = lists
        self._with_sqlite = settings.repodata_sqlite
        self._spool = Spool(settings.spool_dir)
        self._assembly = Assembly(environment, most_files=settings.repodata_max_files)
        self._records = Records(environment.tree)
        self._due = 0.0
        # By a row that they could not be made with, the last time.
        self._is_held_up = False

    def is_fresh(self, serial: int, found: Mapping[str, Record]) -> bool:
        """Tell whether the records `found` show `serial`, or it is too early for others."""
        if self._is_held_up:
            return time.monotonic() < self._due
        has_twins = "primary_db" in found
        if not all(kind in found for kind in KINDS) or has_twins != self._with_sqlite:
            return False
        shows = all(found[kind].serial == serial for kind in KINDS)
        return shows or time.monotonic() < self._due or self._rest(found)

    def is_small(self, found: Mapping[str, Record]) -> bool:
        """Tell whether the records `found` are quickly made."""
        sizes = (found[kind].size_bytes for kind in KINDS if kind in found)
        return sum(sizes) < _LARGE_S * _BYTES_PER_S

    def _rest(self, found: Mapping[str, Record]) -> bool:
        """Tell whether large records, of another process perhaps, have not stood long."""
        if self.is_small(found):
            return False
        rest_s = sum(found[kind].size_bytes for kind in KINDS) / _BYTES_PER_S
        written = max(self._tree.mtime(found[kind].href) for kind in KINDS)
        return self._clock().timestamp() < written + rest_s

    def forget(self) -> None:
        """Have the next records made from the database alone."""
        self._assembly.forget()

    def records(self, found: Mapping[str, Record]) -> dict[str, Record]:
        """Return the records as of the newest change, by type; `found` are those of before.

        What is committed meanwhile may be in them too.  A row that none of them can be
        made with holds up nothing else: then those of before stay, until it is mended.

        Raises:
            sqlalchemy.exc.DBAPIError: the database is away.
            OSError: a document cannot be written.
        """
        worked, self._is_held_up = time.thread_time(), False
        try:
            made = self._made(found)
        except Exception as error:
            if stops_all(error):
                raise
            log.exception("the records of the whole index cannot be made; the old ones stay")
            self._is_held_up = True
            made = {kind: found[kind] for kind in found if kind in _EVERY_KIND}
        size_bytes = sum(record.size_bytes for record in made.values())
        worked_s = time.thread_time() - worked
        self._due = time.monotonic() + max(
            self._least_apart_s, size_bytes / _BYTES_PER_S, _REST * worked_s
        )
        return made

    def _made(self, found: Mapping[str, Record]) -> dict[str, Record]:
        with self._database.reading() as session:
            serial = journal.newest(session)
            at = shown_at(journal.instant_of(session, serial))
        made = self._assembled(serial, at, found) | self._listed(serial, at)
        if self._with_sqlite:
            made |= self._twins(made, found)
        mirrors = json_document({"mirrors": []})
        made["mirrors"] = self._records.json("mirrors", mirrors, serial, at)
        return made

    def _assembled(
        self, serial: int, at: datetime, found: Mapping[str, Record]
    ) -> dict[str, Record]:
        standing: dict[str, Record] = {
            kind: replace(found[kind], serial=serial, at=at)
            for kind in documents.PACKAGE_KINDS
            if kind in found and self._tree.exists(found[kind].href)
        }
        digests = {record.sha256 for record in standing.values()}
        assembled = self._assembly.refresh(serial, standing=digests)
        if assembled is None:
            return standing
        try:
            return {
                document.kind: self._records.assembled(document, serial, at)
                for document in assembled.documents
            }
        finally:
            assembled.discard()

    def _twins(
        self, made: Mapping[str, Record], found: Mapping[str, Record]
    ) -> dict[str, Record]:
        """Return the SQLite twins of the createrepo documents that are `made`."""
        twins = {}
        for kind in documents.PACKAGE_KINDS:
            document, before = made[kind], found.get(kind)
            standing = found.get(f"{kind}_db")
            if before and standing and before.sha256 == document.sha256:
                twins[standing.type] = replace(standing, serial=document.serial, at=document.at)
                continue
            path = self._tree.root / document.href
            twin = sqlite_twins.twin(kind, path, document.sha256, self._spool)
            twins[twin.kind] = self._records.assembled(twin, document.serial, document.at)
        return twins

    def _listed(self, serial: int, at: datetime) -> dict[str, Record]:
        """Return the records of the lists, whose versions of now are kept by their hash."""
        self._lists.refresh(serial)
        told: dict[str, Listed] = {}
        with self._lists.still():
            for path in documents.site_paths():
                content = self._tree.read(path)
                if content is not None:
                    told[path] = manifest.listed(content)
                    self._tree.link(path, shadow_path(path, told[path].sha256))
            names = self._tree.read("simple/index.json") or b""
        site = manifest.document(Manifest(serial, told))
        return {
            "projects": self._records.compressed_json("projects", names, serial, at),
            "site": self._records.json("site", site, serial, at),
        }
