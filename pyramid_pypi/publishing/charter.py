"""The charter of the index: who may sign what, in the two documents that offline keys sign.

TUF calls them root and targets (theupdateframework.github.io/specification, 4.3 and 4.5).
Root names the keys of the four top-level roles; targets hands ``repodata/repomd.*`` on to
the role `repomd`, whose key is online.  They lie in ``signed/`` of the key folder, every
root and the newest targets, and are copied from there to ``tuf/`` of the tree: a tree that
was lost gets the same ones again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError

from pyramid_pypi.publishing.keys import KeysUnusable
from pyramid_pypi.storage import durable

ROOM = "tuf"
"""Folder of the tree with all metadata of TUF."""
REPOMD = "repomd"
"""The role that signs the pointers."""
POINTERS = "repodata/repomd.*"
"""The documents that role may speak of, as TUF writes patterns of paths."""
_NUMBERED = re.compile(r"([1-9][0-9]{0,8})\.(root|targets)\.json")
_MOST_BYTES = 512_000  # what clients take of a root


@dataclass(frozen=True, slots=True)
class Charter:
    """The newest root and targets, with targets as the bytes that were signed."""

    root: Metadata[Root]
    targets: Metadata[Targets]
    targets_content: bytes

    def key_ids(self, role: str) -> list[str]:
        """Return the ids of the keys that may sign for `role`."""
        if role == REPOMD:
            return list(_delegation(self.targets.signed).keyids)
        return list(self.root.signed.roles[role].keyids)

    def threshold(self, role: str) -> int:
        """Return how many of its keys must sign for `role`."""
        if role == REPOMD:
            return _delegation(self.targets.signed).threshold
        return self.root.signed.roles[role].threshold

    @property
    def online_key_ids(self) -> set[str]:
        """Return the ids of all keys that the index signs its rounds with."""
        return {
            key_id
            for role in (Timestamp.type, Snapshot.type, REPOMD)
            for key_id in self.key_ids(role)
        }


def load(folder: Path) -> Charter | None:
    """Return the charter in `folder`, None when there is none.

    Raises:
        KeysUnusable: a document of it is missing or unreadable, or no targets are signed
            by enough of the keys that root names.
        OSError: a document cannot be read.
    """
    known = numbers(folder)
    if not known:
        return None
    roots = [version for version, role in known if role == Root.type]
    if not roots or roots != list(range(1, len(roots) + 1)):
        raise KeysUnusable(f"{folder} lacks a root")
    root: Metadata[Root] = _read(folder / f"{roots[-1]}.root.json")[0]
    reason = "there are none"
    # A ceremony that was cut off may leave targets that no root knows yet.
    for version in sorted((v for v, role in known if role == Targets.type), reverse=True):
        targets: Metadata[Targets]
        targets, content = _read(folder / f"{version}.targets.json")
        try:
            root.signed.verify_delegate(Targets.type, targets.signed_bytes, targets.signatures)
            return Charter(root, targets, content)
        except (RepositoryError, ValueError) as error:
            reason = str(error)
    raise KeysUnusable(f"{folder} holds no targets that its root knows: {reason}")


def store(folder: Path, document: Metadata[Any]) -> bytes:
    """Keep `document`, a root or targets, durably in `folder`; return its bytes."""
    content = document.to_bytes()
    name = f"{document.signed.version}.{document.signed.type}.json"
    durable.write_durably(folder / name, content)
    return content


def numbers(folder: Path) -> list[tuple[int, str]]:
    """Return version and role of each root and targets in `folder`, oldest first."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    found = filter(None, map(_NUMBERED.fullmatch, names))
    return sorted((int(match[1]), match[2]) for match in found)


def roots(folder: Path, charter: Charter) -> Iterator[tuple[str, bytes]]:
    """Yield path in the tree and bytes of every root in `folder`, the oldest first.

    By them a client walks from the one it trusts to that of the `charter`.
    """
    for version in range(1, charter.root.signed.version + 1):
        yield root_path(version), (folder / f"{version}.root.json").read_bytes()


def root_path(version: int) -> str:
    """Return where the tree shows root `version`."""
    return f"{ROOM}/{version}.root.json"


def first_root(expires_at: datetime) -> Root:
    """Return a root without keys yet: two of root's must sign, and two of targets'."""
    root = Root(version=1, expires=expires_at, consistent_snapshot=True)
    root.roles[Root.type].threshold = 2
    root.roles[Targets.type].threshold = 2
    return root


def first_targets(expires_at: datetime) -> Targets:
    """Return targets that hand the pointers on to `repomd`, which has no key yet."""
    role = DelegatedRole(REPOMD, [], 1, terminating=True, paths=[POINTERS])
    return Targets(version=1, expires=expires_at, delegations=Delegations({}, {REPOMD: role}))


def _delegation(targets: Targets) -> DelegatedRole:
    roles = targets.delegations.roles if targets.delegations else None
    if not roles or REPOMD not in roles:
        raise KeysUnusable(f"targets do not name the role {REPOMD}")
    return roles[REPOMD]


def _read(path: Path) -> tuple[Metadata[Any], bytes]:
    with open(path, "rb") as stream:
        content = stream.read(_MOST_BYTES)
    try:
        return Metadata.from_bytes(content), content
    except (DeserializationError, ValueError) as error:
        raise KeysUnusable(f"{path} cannot be read: {error}") from error
