"""Signing the pointers: three small documents a round, by which TUF clients trust the index.

`repomd` names the pointers with their hashes and the serial, snapshot the version of
`repomd` and of targets, timestamp that of the snapshot
(theupdateframework.github.io/specification, 4.4 to 4.6).  A client so knows that what it
reads is the index's, whole, of one round, newer than what it has seen, and not frozen.

All that clients may ask for by number or hash is written before the pointers, and stays
as it is; timestamp is the one document that is replaced, last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from pyramid_pypi.publishing import charter as charters
from pyramid_pypi.publishing.ceremony import SIGNED, Ceremony
from pyramid_pypi.publishing.charter import REPOMD, ROOM, Charter
from pyramid_pypi.publishing.keys import Keyring, KeysUnusable
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.values.instants import Clock

TIMESTAMP = f"{ROOM}/timestamp.json"
POINTERS = ("repodata/repomd.xml", "repodata/repomd.json")
_SNAPSHOT_LIFE = timedelta(days=7)
_REPOMD_LIFE = timedelta(days=30)
_MOST_VERSION = 2**53 - 1  # what every JSON reader holds exactly

Document = tuple[str, bytes]
"""Path in the tree and bytes."""


@dataclass(frozen=True, slots=True)
class SignedRound:
    """The documents of one round, to be put in order; the pointers come between.

    `after` is timestamp, and after it roots that the tree does not show yet: the round is
    good by the root before and by the newest, so whichever a client has found will do.
    """

    before: tuple[Document, ...]
    after: tuple[Document, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the timestamp in the tree tells."""

    version: int  # of timestamp, and at least that of every other online document
    expires_at: datetime


class Signer:
    """Signs the rounds of one tree with the online key; one at a time, in the turn."""

    def __init__(
        self,
        tree: Tree,
        keys_dir: Path,
        clock: Clock,
        *,
        timestamp_expiry_s: int,
        offline: Sequence[Path] = (),
    ) -> None:
        self._tree = tree
        self._keyring = Keyring(keys_dir, offline)
        self._signed = keys_dir / SIGNED
        self._clock = clock
        self._timestamp_life = timedelta(seconds=timestamp_expiry_s)
        self._charter: Charter | None = None
        self._signers: list[CryptoSigner] = []
        # Names of keys and charter: each is of one content for ever.
        self._seen: frozenset[str] | None = None

    def prepare(self) -> None:
        """Make the keys of a new index, or take up what is there, and show the charter.

        Raises:
            KeysUnusable: the tree has a root, but its keys are not here; the online key is
                missing; or the key folder lies in the tree.
            OSError: a folder cannot be read or written to.
        """
        self._keyring.refuse_within(self._tree.root)
        if charters.load(self._signed) is None:
            if charters.numbers(self._tree.root / ROOM):
                raise KeysUnusable(f"the tree has a root, but {self._signed} is empty")
            Ceremony(self._keyring, self._clock).begin()
        self._show_roots()

    def sign(self, pointers: Mapping[str, bytes], serial: int) -> SignedRound:
        """Return the signed documents for `pointers` (path to bytes) that show `serial`.

        A charter that a ceremony beside us has changed is shown at once.

        Raises:
            KeysUnusable: see `prepare`.
            OSError: a folder cannot be read or written to.
        """
        charter = self._take_up()
        now = self._clock().replace(microsecond=0)
        version = self._next_version(now)
        named = {
            path: TargetFile(
                len(content),
                {"sha256": sha256_hex(content)},
                path,
                {"custom": {"serial": serial}},
            )
            for path, content in pointers.items()
        }
        repomd = self._sign(
            Targets(version, expires=self._until(now, _REPOMD_LIFE), targets=named)
        )
        meta = {
            "targets.json": _meta(charter.targets.signed.version, charter.targets_content),
            f"{REPOMD}.json": _meta(version, repomd),
        }
        snapshot = self._sign(
            Snapshot(version, expires=self._until(now, _SNAPSHOT_LIFE), meta=meta)
        )
        timestamp = self._sign(
            Timestamp(
                version,
                expires=now + self._timestamp_life,
                snapshot_meta=_meta(version, snapshot),
            )
        )
        copies = ((hash_named(path, content), content) for path, content in pointers.items())
        return SignedRound(
            before=(
                *copies,
                (f"{ROOM}/{version}.{REPOMD}.json", repomd),
                (f"{ROOM}/{version}.snapshot.json", snapshot),
            ),
            after=((TIMESTAMP, timestamp), *self._unshown_roots(charter)),
        )

    def sign_again(self) -> bool:
        """Sign the pointers that the tree shows once more; return whether there are any.

        Raises:
            KeysUnusable: see `prepare`; or the pointers do not tell their serial.
            OSError: a document cannot be written.
        """
        found = {path: self._tree.read(path) for path in self._signed_paths()}
        pointers = {path: content for path, content in found.items() if content is not None}
        if not pointers:
            self._show_roots()
            return False
        signed = self.sign(pointers, _serial(pointers))
        for path, content in (*signed.before, *signed.after):
            self._tree.put(path, content)
        return True

    def is_due(self) -> bool:
        """Tell whether to sign again though nothing has changed.

        So it is when half of timestamp's life has passed, when a ceremony has changed the
        charter, and when nothing readable is signed.
        """
        shown = shown_by(self._tree)
        left = shown.expires_at - self._clock() if shown else timedelta()
        kept = self._seen is None or self._seen == self._names()
        return not (kept and self._timestamp_life / 2 < left <= self._timestamp_life)

    def _take_up(self) -> Charter:
        """Return the charter, read again and shown if the key folder has changed."""
        names = self._names()
        if self._charter is not None and self._seen == names:
            return self._charter
        charter = charters.load(self._signed)
        if charter is None:
            raise KeysUnusable(f"{self._signed} is empty")
        self._signers = self._keyring.online()
        missing = charter.online_key_ids - {s.public_key.keyid for s in self._signers}
        if missing:
            raise KeysUnusable(
                f"the online key {min(missing)[:16]} is not in {self._keyring.folder}"
            )
        self._refuse_another(charter)
        path = f"{ROOM}/{charter.targets.signed.version}.targets.json"
        if not self._tree.holds(path, charter.targets_content):
            self._tree.put(path, charter.targets_content)
        self._charter, self._seen = charter, names
        return charter

    def _show_roots(self) -> None:
        for path, content in self._unshown_roots(self._take_up()):
            self._tree.put(path, content)

    def _unshown_roots(self, charter: Charter) -> list[Document]:
        if self._tree.exists(charters.root_path(charter.root.signed.version)):
            return []
        known = charters.roots(self._signed, charter)
        return [(path, content) for path, content in known if not self._tree.exists(path)]

    def _refuse_another(self, charter: Charter) -> None:
        """Refuse keys that are not, or no longer, those of the root in the tree."""
        known = {
            "root": charter.root.signed.version,
            "targets": charter.targets.signed.version,
        }
        for version, role in charters.numbers(self._tree.root / ROOM):
            if version > known[role]:
                told = f"the tree has {role} {version}, the key folder {known[role]}"
                raise KeysUnusable(told)
        for path, content in charters.roots(self._signed, charter):
            if self._tree.read(path) not in (None, content):
                raise KeysUnusable(f"{path} of the tree is not that of the key folder")

    def _names(self) -> frozenset[str]:
        try:
            folders = (self._keyring.folder, self._signed)
            return frozenset(name for folder in folders for name in os.listdir(folder))
        except FileNotFoundError:
            return frozenset()

    def _next_version(self, now: datetime) -> int:
        """Return a number that no client has seen a higher one of.

        Beside a tree that was lost or is an older one put back, the clock is ahead of all
        numbers given before: rounds are no more than one a second.
        """
        shown = shown_by(self._tree)
        return max(shown.version + 1 if shown else 1, int(now.timestamp()))

    def _signed_paths(self) -> tuple[str, ...]:
        """Return what the last round spoke of; the pointers when there was none."""
        shown = shown_by(self._tree)
        path = f"{ROOM}/{shown.version if shown else 0}.{REPOMD}.json"
        try:
            told = json.loads(self._tree.read(path) or b"")["signed"]["targets"]
        except (ValueError, KeyError, TypeError):
            return POINTERS
        named = (name for name in told if fnmatchcase(name, charters.POINTERS))
        return tuple(sorted(name for name in named if name.count("/") == 1))

    def _until(self, now: datetime, life: timedelta) -> datetime:
        return now + max(life, self._timestamp_life)

    def _sign(self, body: Targets | Snapshot | Timestamp) -> bytes:
        document: Metadata[Any] = Metadata(body)
        payload = document.signed_bytes
        for signer in self._signers:
            signature = signer.sign(payload)
            document.signatures[signature.keyid] = signature
        return document.to_bytes()


def shown_by(tree: Tree) -> Shown | None:
    """Return what the timestamp in `tree` tells, None when there is none that is readable."""
    try:
        told = json.loads(tree.read(TIMESTAMP) or b"")["signed"]
        versions = (told["version"], told["meta"]["snapshot.json"]["version"])
        expires_at = datetime.strptime(told["expires"], "%Y-%m-%dT%H:%M:%S%z")
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not all(type(version) is int and 0 < version < _MOST_VERSION for version in versions):
        return None
    return Shown(max(versions), expires_at)


def _serial(pointers: Mapping[str, bytes]) -> int:
    try:
        return int(json.loads(pointers["repodata/repomd.json"])["serial"])
    except (ValueError, KeyError, TypeError) as error:
        raise KeysUnusable("repodata/repomd.json does not tell its serial") from error


def _meta(version: int, content: bytes) -> MetaFile:
    return MetaFile(version, len(content), {"sha256": sha256_hex(content)})


def hash_named(path: str, content: bytes) -> str:
    """Return where consistent snapshots look for the target at `path` (specification 6)."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{sha256_hex(content)}.{name}"
