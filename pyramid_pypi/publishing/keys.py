"""The keys that sign: ed25519, one PEM file each, never in the tree and never in a log.

The online key lies in the key folder, and the index signs every round with it.  Offline
keys (root and targets) lie in ``offline/`` of it at first and belong on other media: the
index needs them only when keys change or once a year (docs/operators.md, "Keys").

A file is found by the key in it; its name is for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner

from pyramid_pypi.errors import Kind, Refusal
from pyramid_pypi.storage import durable

OFFLINE = "offline"
_MOST_KEY_BYTES = 4096  # a PEM file of ed25519 has 119
_SHOWN_DIGITS = 16  # of a key id, in file names


class KeysUnusable(Refusal):
    """The index cannot sign with what is in its key folder; the detail says what is wrong.

    Put the folder `keys` of the data folder back from its backup, or make a new online key
    with `pyramid-pypi keys rotate online`.  Pages and files are served all the same.
    """

    code = "keys.unusable"
    title = "The signing keys cannot be used"
    kind = Kind.UNAVAILABLE


class KeysAway(Refusal):
    """What was asked for needs more offline keys than are here.

    Bring the medium they lie on, and name its folder with `--offline-dir`; the option may
    be repeated.
    """

    code = "keys.away"
    title = "Not enough offline keys are here"
    kind = Kind.MISSING


class Role(StrEnum):
    """What a key signs for."""

    ROOT = "root"
    TARGETS = "targets"
    ONLINE = "online"


class Keyring:
    """The keys within reach: those in `folder`, and in the `offline` folders."""

    def __init__(self, folder: Path, offline: Sequence[Path] = ()) -> None:
        self.folder = folder
        self.offline = tuple(offline) or (folder / OFFLINE,)

    def __repr__(self) -> str:
        return f"Keyring({str(self.folder)!r})"

    def refuse_within(self, tree_root: Path) -> None:
        """Refuse folders of keys in the published tree, where everybody could read them.

        Raises:
            KeysUnusable: the key folder or an offline folder lies in `tree_root`.
        """
        public = tree_root.resolve()
        for folder in (self.folder, *self.offline):
            if folder.resolve().is_relative_to(public):
                raise KeysUnusable(f"{folder} lies in the published tree")

    def make(self, role: Role) -> CryptoSigner:
        """Make a key for `role`, durably stored (mode 0600); offline ones in the first folder.

        Raises:
            OSError: the folder cannot be written to.
        """
        folder = self.folder if role is Role.ONLINE else self.offline[0]
        make_private_folder(self.folder)
        make_private_folder(folder)
        signer = CryptoSigner.generate_ed25519()
        name = f"{role}-{signer.public_key.keyid[:_SHOWN_DIGITS]}.pem"
        durable.write_durably(folder / name, signer.private_bytes, mode=0o600)
        return signer

    def find(self, key_id: str) -> CryptoSigner | None:
        """Return the signer of the key called `key_id`, None when its secret is not here.

        Raises:
            KeysUnusable: a file within reach is not a key.
            OSError: a file cannot be read.
        """
        return next((s for _, s in self.present() if s.public_key.keyid == key_id), None)

    def within_reach(self, key_ids: Iterable[str]) -> list[CryptoSigner]:
        """Return the signers of those `key_ids` whose secrets are here, in that order.

        Raises:
            KeysUnusable, OSError: as `find`.
        """
        here = {signer.public_key.keyid: signer for _, signer in self.present()}
        return [here[key_id] for key_id in key_ids if key_id in here]

    def online(self) -> list[CryptoSigner]:
        """Return the signers of the keys in the key folder itself; offline ones stay unread.

        Raises:
            KeysUnusable, OSError: as `find`.
        """
        return [read_key(path) for path in sorted(self.folder.glob("*.pem"))]

    def place(self, key_id: str) -> Path | None:
        """Return the file with the secret of `key_id`, None when it is not here.

        Raises:
            KeysUnusable, OSError: as `find`.
        """
        return next((p for p, s in self.present() if s.public_key.keyid == key_id), None)

    def present(self) -> Iterator[tuple[Path, CryptoSigner]]:
        """Yield each key within reach with its file, online ones first.

        Raises:
            KeysUnusable, OSError: as `find`.
        """
        for folder in (self.folder, *self.offline):
            for path in sorted(folder.glob("*.pem")):
                yield path, read_key(path)

    def drop_all_but(self, role: Role, key_ids: Iterable[str]) -> list[Path]:
        """Remove the keys made for `role` other than `key_ids`; return their files.

        Raises:
            KeysUnusable, OSError: as `find`.
        """
        kept = frozenset(key_ids)
        dropped = [
            path
            for path, signer in self.present()
            if path.name.startswith(f"{role}-") and signer.public_key.keyid not in kept
        ]
        for path in dropped:
            path.unlink()
            durable.sync_folder(path.parent)
        return dropped

    def exposed(self) -> list[Path]:
        """Return what of the key folder others than its owner can read."""
        places = [self.folder, *self.folder.glob("*.p*"), self.folder / OFFLINE]
        places += (self.folder / OFFLINE).glob("*.pem")
        return sorted(p for p in places if p.exists() and p.stat().st_mode & 0o077)


def make_private_folder(folder: Path) -> None:
    """Make `folder` for its owner alone (mode 0700), and what lacks above it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    durable.sync_folder(folder.parent)


def read_key(path: Path) -> CryptoSigner:
    """Return the signer of the key in the PEM file `path` (PKCS #8, unencrypted).

    Raises:
        KeysUnusable: that is not an ed25519 key.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as stream:
        content = stream.read(_MOST_KEY_BYTES)
    try:
        key = load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What the library says may quote the content.
        raise KeysUnusable(f"{path} is not a PEM file of a key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeysUnusable(f"{path} is not an ed25519 key")
    return CryptoSigner(key)
