"""Ceremonies: making the keys of an index, changing them, prolonging what they signed.

Everything here needs offline keys, but for the beginning, which makes them.  Each ceremony
writes durably in an order that leaves a charter with enough signatures wherever it is cut
off, and is done again from its start.  Have the publisher's turn.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from copy import deepcopy
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from pyramid_pypi.publishing import charter as charters
from pyramid_pypi.publishing.charter import REPOMD, Charter
from pyramid_pypi.publishing.keys import (
    OFFLINE,
    Keyring,
    KeysAway,
    KeysUnusable,
    Role,
    make_private_folder,
)
from pyramid_pypi.storage import durable
from pyramid_pypi.values.instants import Clock

SIGNED = "signed"
"""Folder of the key folder with the charter; nothing in it is secret."""
_STAGING = "new"
_OFFLINE_LIFE = timedelta(days=365)
_ROOT_KEYS = 3
_TARGETS_KEYS = 2


class Ceremony:
    """What is done with the keys of `keyring`, once or once a year."""

    def __init__(self, keyring: Keyring, clock: Clock) -> None:
        self._keyring = keyring
        self._signed = keyring.folder / SIGNED
        self._clock = clock

    def begin(self) -> None:
        """Make all keys of a new index, and its first charter.

        All is made in a folder aside and moved when complete: what an interrupted
        beginning left is never mistaken for the keys of the index.

        Raises:
            KeysUnusable: the key folder holds keys already.
            OSError: a folder cannot be written to.
        """
        ring = self._keyring
        staging = ring.folder / _STAGING
        if not (staging / SIGNED / "1.root.json").exists():
            if self._signed.exists() or any(ring.folder.glob("*.pem")):
                raise KeysUnusable(f"{ring.folder} holds keys already, but not all of them")
            shutil.rmtree(staging, ignore_errors=True)
            make_private_folder(ring.folder)
            make_private_folder(staging)
            elsewhere = ring.offline if ring.offline != (ring.folder / OFFLINE,) else ()
            self._make_all(Keyring(staging, elsewhere))
        _move_keys(staging / OFFLINE, ring.folder / OFFLINE)
        _move_keys(staging, ring.folder)
        os.replace(staging / SIGNED, self._signed)
        staging.rmdir()
        durable.sync_folder(ring.folder)

    def rotate_online(self, sign_again: Callable[[], object]) -> None:
        """Name a new online key in targets and root; the old one may sign no more.

        Once the new key is made `sign_again` signs what the tree shows by both keys, so
        that it is good by the charter before and by the one after.

        Raises:
            KeysAway: it takes the offline keys of root and targets.
            KeysUnusable, OSError: see `charter.load`.
        """
        old = self._charter(Root.type, Targets.type)
        key = self._keyring.make(Role.ONLINE).public_key
        if self._keyring.within_reach(old.online_key_ids):
            sign_again()
        targets, root = deepcopy(old.targets.signed), deepcopy(old.root.signed)
        for key_id in old.key_ids(REPOMD):
            targets.revoke_key(key_id, REPOMD)
        targets.add_key(key, REPOMD)
        for role in (Timestamp.type, Snapshot.type):
            for key_id in old.key_ids(role):
                root.revoke_key(key_id, role)
            root.add_key(key, role)
        self._put_targets(old, root, targets, [])
        self._put_root(old, root, [])

    def rotate_root(self) -> None:
        """Replace all root keys: the new root is signed by the old ones and by its own.

        Raises:
            KeysAway: it takes the old root keys.
            KeysUnusable, OSError: see `charter.load`.
        """
        old = self._charter(Root.type)
        root = deepcopy(old.root.signed)
        made = _replace_keys(root, Role.ROOT, self._make(Role.ROOT, _ROOT_KEYS))
        self._put_root(old, root, made)

    def rotate_targets(self) -> None:
        """Replace both targets keys; old ones within reach sign once more.

        Raises:
            KeysAway: it takes the root keys.
            KeysUnusable, OSError: see `charter.load`.
        """
        old = self._charter(Root.type)
        root = deepcopy(old.root.signed)
        made = _replace_keys(root, Role.TARGETS, self._make(Role.TARGETS, _TARGETS_KEYS))
        self._put_targets(old, root, deepcopy(old.targets.signed), made)
        self._put_root(old, root, [])

    def prolong(self) -> list[str]:
        """Sign root and targets for another year; return the roles whose keys are here.

        Raises:
            KeysAway: the keys of neither are here.
            KeysUnusable, OSError: see `charter.load`.
        """
        old = self._charter()
        able = [role for role in (Targets.type, Root.type) if self._can_sign(old, role)]
        if not able:
            self._charter(Root.type)
        if Targets.type in able:
            self._put_targets(old, old.root.signed, deepcopy(old.targets.signed), [])
        if Root.type in able:
            self._put_root(old, deepcopy(old.root.signed), [])
        return able

    def tidy(self) -> list[Path]:
        """Remove secrets within reach that the charter names no more; return their files.

        Raises:
            KeysUnusable, OSError: see `charter.load`.
        """
        now = self._charter()
        kept = {
            Role.ONLINE: now.online_key_ids,
            Role.ROOT: now.key_ids(Root.type),
            Role.TARGETS: now.key_ids(Targets.type),
        }
        return [
            path
            for role, key_ids in kept.items()
            for path in self._keyring.drop_all_but(role, key_ids)
        ]

    def _make_all(self, ring: Keyring) -> None:
        signed = ring.folder / SIGNED
        signed.mkdir()
        expires_at = self._expires_at()
        root, targets = charters.first_root(expires_at), charters.first_targets(expires_at)
        online = ring.make(Role.ONLINE).public_key
        by_targets = [ring.make(Role.TARGETS) for _ in range(_TARGETS_KEYS)]
        by_root = [ring.make(Role.ROOT) for _ in range(_ROOT_KEYS)]
        targets.add_key(online, REPOMD)
        for role in (Timestamp.type, Snapshot.type):
            root.add_key(online, role)
        for role, signers in ((Targets.type, by_targets), (Root.type, by_root)):
            for signer in signers:
                root.add_key(signer.public_key, role)
        charters.store(signed, _sign(targets, by_targets))
        # The last: with it the keys are complete.
        charters.store(signed, _sign(root, by_root))

    def _charter(self, *needed: str) -> Charter:
        """Return the charter, if enough keys of the roles `needed` are here."""
        found = charters.load(self._signed)
        if found is None:
            raise KeysUnusable(f"there are none in {self._keyring.folder}")
        for role in needed:
            if not self._can_sign(found, role):
                here = len(self._keyring.within_reach(found.key_ids(role)))
                of = f"{found.threshold(role)} of its {len(found.key_ids(role))}"
                raise KeysAway(f"{role} takes {of} keys, and {here} can be found")
        return found

    def _can_sign(self, known: Charter, role: str) -> bool:
        here = self._keyring.within_reach(known.key_ids(role))
        return len(here) >= known.threshold(role)

    def _make(self, role: Role, count: int) -> list[CryptoSigner]:
        return [self._keyring.make(role) for _ in range(count)]

    def _put_targets(
        self, old: Charter, root: Root, targets: Targets, made: Iterable[CryptoSigner]
    ) -> None:
        """Store the next targets, good by `root` and, where possible, by the old root."""
        signers = [*self._keyring.within_reach(old.key_ids(Targets.type)), *made]
        self._put(targets, signers, root)

    def _put_root(self, old: Charter, root: Root, made: Iterable[CryptoSigner]) -> None:
        """Store the next root, good by itself and by the one before it."""
        signers = [*self._keyring.within_reach(old.key_ids(Root.type)), *made]
        self._put(root, signers, old.root.signed, root)

    def _put(
        self, body: Root | Targets, signers: Iterable[CryptoSigner], *judges: Root
    ) -> None:
        body.version += 1
        body.expires = self._expires_at()
        document = _sign(body, signers)
        try:
            for judge in judges:
                judge.verify_delegate(body.type, document.signed_bytes, document.signatures)
        except UnsignedMetadataError as error:
            raise KeysAway(str(error)) from error
        charters.store(self._signed, document)

    def _expires_at(self) -> datetime:
        return self._clock().replace(microsecond=0) + _OFFLINE_LIFE


def _replace_keys(root: Root, role: Role, made: list[CryptoSigner]) -> list[CryptoSigner]:
    for key_id in list(root.roles[role].keyids):
        root.revoke_key(key_id, role)
    for signer in made:
        root.add_key(signer.public_key, role)
    return made


def _sign(body: Any, signers: Iterable[CryptoSigner]) -> Metadata[Any]:
    document = Metadata(body)
    for signer in signers:
        document.sign(signer, append=True)
    return document


def _move_keys(source: Path, folder: Path) -> None:
    """Move the keys in `source`, if any, to `folder`, durably."""
    if not source.is_dir():
        return
    make_private_folder(folder)
    for path in sorted(source.glob("*.pem")):
        os.replace(path, folder / path.name)
    durable.sync_folder(folder)
    if source.name == OFFLINE:
        source.rmdir()
