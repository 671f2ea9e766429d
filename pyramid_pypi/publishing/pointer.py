"""The pointer: ``repomd.xml`` and its twins, which name all else, and are replaced last."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from pyramid_pypi.environment import Environment
from pyramid_pypi.formats import repomd
from pyramid_pypi.formats.repomd import Repomd, RepomdUnreadable
from pyramid_pypi.publishing import openpgp
from pyramid_pypi.publishing.openpgp import OpenPgp
from pyramid_pypi.publishing.signing import TIMESTAMP, Signer, hash_named
from pyramid_pypi.storage.tree import Tree

log = logging.getLogger(__name__)

JSON = "repodata/repomd.json"
XML = "repodata/repomd.xml"
XML_SIGNATURE = "repodata/repomd.xml.asc"

BEFORE_ANY = datetime(1980, 1, 1, tzinfo=UTC)
"""The instant of serial 0; not of 1970, which readers take for none."""

NOTHING = Repomd(0, BEFORE_ANY, ())


def shown_at(at: datetime | None) -> datetime:
    """Return the instant to show for that of a change, which may be before any computer."""
    return BEFORE_ANY if at is None else max(at, BEFORE_ANY)


def standing(tree: Tree) -> Repomd:
    """Return what the pointer in `tree` names, `NOTHING` if there is none to be read."""
    content = tree.read(JSON)
    if content is None:
        return NOTHING
    try:
        return repomd.parse_json(content)
    except RepomdUnreadable as error:
        log.warning("%s: %s; all records are made anew", JSON, error)
        return NOTHING


class Pointer:
    """Shows one set of records after the other, signed if the index signs.

    Keys are made, or taken up, when something is shown for the first time.
    """

    def __init__(self, environment: Environment, *, title: str) -> None:
        self._tree = environment.tree
        self._title = title
        settings = environment.settings
        self._keys_dir = settings.keys_dir
        self._signer = (
            Signer(
                environment.tree,
                settings.keys_dir,
                environment.clock,
                timestamp_expiry_s=settings.signing_timestamp_expiry_s,
            )
            if settings.signing_enabled
            else None
        )
        self._seal: OpenPgp | None = None
        self._is_prepared = False

    def standing(self) -> Repomd:
        """Return what the pointer names now, `NOTHING` if there is none that can be read."""
        return standing(self._tree)

    def forget(self) -> None:
        """Have the next pointers signed, and the keys shown, whatever stands."""
        self._is_prepared = False

    def show(self, shown: Repomd) -> None:
        """Replace the pointers by those that name `shown`, if they do not already.

        Every document they name stands and is flushed before (trust: nothing promised is
        missing after a power cut), and each is replaced at once.  A reader of one of them
        needs none of the others, except that a signature is of one version: it comes just
        before.
        """
        pointers = {XML: repomd.xml(shown), JSON: repomd.json(shown)}
        stands = all(self._tree.holds(path, content) for path, content in pointers.items())
        if stands and self._is_prepared and not (self._signer and self._signer.is_due()):
            return
        self._prepare()
        signed = self._signer.sign(pointers, shown.serial) if self._signer else None
        copies = {path: hash_named(path, content) for path, content in pointers.items()}
        for path, content in signed.before if signed else ():
            if path not in copies.values():
                self._tree.put(path, content)
        self._renew(shown)
        self._tree.sync()
        self._remove_seals()
        if self._seal and not (stands and self._tree.exists(XML_SIGNATURE)):
            self._tree.put(XML_SIGNATURE, self._seal.sign(pointers[XML]))
        for path, content in pointers.items():
            # Its copy is a shadow of it, for those who come by way of a signature.
            copy = copies[path] if signed else None
            if not (stands and (copy is None or self._tree.exists(copy))):
                self._tree.put(path, content, shadow=copy)
        for path, content in signed.after if signed else ():
            self._tree.put(path, content)
        self._is_prepared = True

    def _renew(self, shown: Repomd) -> None:
        """Give records that come back a time of now, by which they are superseded later."""
        named = {record.href for record in self.standing().records}
        for record in shown.records:
            if record.href not in named:
                self._tree.touch(record.href)

    def _remove_seals(self) -> None:
        """Remove signatures that nobody makes any more, before what they do not fit."""
        if self._signer is None:
            self._tree.remove(TIMESTAMP)
        if self._seal is None:
            self._tree.remove(XML_SIGNATURE)

    def _prepare(self) -> None:
        if self._signer and not self._is_prepared:
            self._signer.prepare()
            self._seal = openpgp.prepare(self._tree, self._keys_dir, self._title)
