"""How the keys stand: where each secret lies, until when it has signed, what is to be done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tuf.api.metadata import Root, Targets

from pyramid_pypi.publishing import charter as charters
from pyramid_pypi.publishing.ceremony import SIGNED
from pyramid_pypi.publishing.charter import Charter
from pyramid_pypi.publishing.keys import OFFLINE, Keyring
from pyramid_pypi.publishing.signing import POINTERS, shown_by
from pyramid_pypi.storage.tree import Tree

NOTICE = timedelta(days=30)
"""How long before a charter ends to ask for its keys."""
_ONLINE = "online"
_NONE_YET = "there are no keys yet: the next start of `serve` makes them, or `keys init`"
_LOST = "put the folder back from its backup"


@dataclass(frozen=True, slots=True)
class KeyStanding:
    """One key that the charter names."""

    role: str
    key_id: str
    secret: str | None  # its file; None when it is not within reach
    signed_until: datetime | None
    renewed_by: str


@dataclass(frozen=True, slots=True)
class Standing:
    """All keys; what must be done about them now, and what would be better done."""

    keys: tuple[KeyStanding, ...] = ()
    due: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


def look(tree: Tree, keyring: Keyring, now: datetime) -> Standing:
    """Return how the keys of `tree` stand at the instant `now`.

    Raises:
        KeysUnusable: charter or keys cannot be read.
        OSError: a file cannot be read.
    """
    charter = charters.load(keyring.folder / SIGNED)
    if charter is None and charters.numbers(tree.root / charters.ROOM):
        return Standing(
            due=(f"the tree is signed, but {keyring.folder} holds nothing: {_LOST}",)
        )
    if charter is None:
        return Standing(advice=(_NONE_YET,))
    exposed = [f"others can read {path}: chmod go= it" for path in keyring.exposed()]
    due = [*_charter_due(charter, now), *_online_due(charter, tree, keyring, now), *exposed]
    return Standing(_keys(charter, tree, keyring), tuple(due), tuple(_advice(keyring)))


def _keys(charter: Charter, tree: Tree, keyring: Keyring) -> tuple[KeyStanding, ...]:
    shown = shown_by(tree)
    ends = _ends(charter)
    places = {signer.public_key.keyid: str(path) for path, signer in keyring.present()}
    found = []
    for role, until in ends.items():
        key_ids = charter.key_ids(role)
        renewed_by = f"`keys sign`, with {charter.threshold(role)} of {len(key_ids)}"
        found += [KeyStanding(role, k, places.get(k), until, renewed_by) for k in key_ids]
    signed_until = shown.expires_at if shown else None
    found += [
        KeyStanding(_ONLINE, key_id, places.get(key_id), signed_until, "the running index")
        for key_id in sorted(charter.online_key_ids)
    ]
    return tuple(found)


def _ends(charter: Charter) -> dict[str, datetime]:
    return {
        Root.type: charter.root.signed.expires,
        Targets.type: charter.targets.signed.expires,
    }


def _charter_due(charter: Charter, now: datetime) -> list[str]:
    return [
        f"{role} {'expires' if until > now else 'expired'} on {until:%Y-%m-%d}: run"
        f" `pyramid-pypi keys sign` with {charter.threshold(role)} of its keys"
        for role, until in _ends(charter).items()
        if until - now < NOTICE
    ]


def _online_due(charter: Charter, tree: Tree, keyring: Keyring, now: datetime) -> list[str]:
    here = {signer.public_key.keyid for signer in keyring.online()}
    due = []
    if charter.online_key_ids - here:
        due.append("the online key is missing: run `pyramid-pypi keys rotate online`")
    shown = shown_by(tree)
    if shown and shown.expires_at <= now:
        due.append(f"timestamp expired on {shown.expires_at:%Y-%m-%d}: is the index running?")
    if not shown and any(tree.exists(path) for path in POINTERS):
        due.append("the pointers are not signed: is the index running?")
    return due


def _advice(keyring: Keyring) -> list[str]:
    folder = keyring.folder / OFFLINE
    count = sum(1 for _ in folder.glob("*.pem"))
    if not count:
        return []
    return [f"{count} offline keys lie in {folder}: move them to other media, and keep a copy"]
