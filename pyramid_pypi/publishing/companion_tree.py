"""The hash tree of companions: of each project, the manifest of all but its simple pages.

It is apart from that of the pages, because they are written later, and because a follower
can make pages from the journal alone, but not what a README looks like (docs/adr/0006).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from itertools import chain

from pyramid_pypi.catalog import reading
from pyramid_pypi.environment import Environment
from pyramid_pypi.formats import hash_tree, manifest
from pyramid_pypi.formats.hash_tree import Entry, Root, TreeUnreadable
from pyramid_pypi.formats.hash_tree_edit import Change
from pyramid_pypi.formats.manifest import ManifestUnreadable
from pyramid_pypi.formats.repomd import Record, Repomd
from pyramid_pypi.publishing import documents, touched
from pyramid_pypi.publishing.companions import Companions
from pyramid_pypi.publishing.hash_trees import VANISHED, HashTree
from pyramid_pypi.publishing.records import Records
from pyramid_pypi.publishing.touched import EVERY
from pyramid_pypi.values.names import ProjectName

log = logging.getLogger(__name__)

COMPANIONS_ROOM = "repodata/p"


class CompanionTree:
    """Writes the tree, and first those companions that lag."""

    def __init__(self, environment: Environment, companions: Companions) -> None:
        self._database = environment.database
        self._tree = environment.tree
        self._companions = companions
        self._records = Records(environment.tree)
        self._hash_tree = HashTree(environment.tree, COMPANIONS_ROOM)
        self._only_standing = False

    def follow(
        self, shown: Repomd, found: Mapping[str, Record], marked: AbstractSet[ProjectName]
    ) -> Record:
        """Return the record of the tree as of what `shown` tells.

        `found` are the records of before; the projects `marked` are looked at in any case.

        Raises:
            sqlalchemy.exc.DBAPIError: the database is away.
            OSError: a document cannot be written.
        """
        record = found.get("companions")
        content = self._records.content(record)
        if record is None or content is None:
            root = self._all()
        elif record.serial == shown.serial and not marked:
            return record
        else:
            since = touched.between(self._database, record.serial, shown.serial)
            again = ((name, {EVERY}) for name in marked)
            try:
                changes = self._manifests(chain(since, again))
                root = self._hash_tree.edit(hash_tree.parse_root(content), changes)
            except TreeUnreadable as error:
                log.warning("the hash tree of companions is made anew: %s", error)
                root = self._all()
        content = hash_tree.root(root)
        return self._records.json("companions", content, shown.serial, shown.at)

    @contextmanager
    def leaving_out(self, absent: bool) -> Iterator[None]:
        """Meanwhile, if `absent`, have the tree tell of companions that stand, and write none.

        Those of a large index take an hour; each is written once a reader asks for it.
        """
        self._only_standing = absent
        try:
            yield
        finally:
            self._only_standing = False

    def _all(self) -> Root:
        if self._only_standing:
            names = list(self._tree.holding("projects", "documents.json"))
        else:
            with self._database.reading() as session:
                names = list(reading.every_name(session))
            for name in names:
                self._companions.mend(ProjectName(name), {EVERY})
        standing = (name for name in names if self._manifest(name))
        return self._hash_tree.build(standing, lambda name: self._manifest(name) or VANISHED)

    def _manifests(self, changed: Iterable[tuple[ProjectName, set[str]]]) -> dict[str, Change]:
        versions: dict[ProjectName, set[str]] = {}
        for name, some in changed:
            versions.setdefault(name, set()).update(some)
        for name, touched_versions in versions.items():
            self._companions.mend(name, touched_versions)
        return {name: self._manifest(name) for name in versions}

    def _manifest(self, name: str) -> Entry | None:
        content = self._tree.read(documents.manifest_path(name))
        try:
            serial = manifest.parse(content).serial if content else 0
        except ManifestUnreadable:
            return None  # torn; it is written anew with the project's next change
        return hash_tree.entry_of(content, serial) if content else None
