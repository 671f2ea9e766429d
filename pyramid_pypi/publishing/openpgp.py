"""The OpenPGP signature beside ``repomd.xml``, for librepo and dnf (``repo_gpgcheck``).

It says who, and neither when nor which is newest: that is what TUF is for.  It takes the
extra `openpgp`; without it there is no ``repomd.xml.asc``, and nothing else is missing.
"""

from __future__ import annotations

from pathlib import Path

try:
    import pysequoia
except ImportError:
    pysequoia = None  # type: ignore[assignment]

from pyramid_pypi.publishing.keys import KeysUnusable, make_private_folder
from pyramid_pypi.storage import durable
from pyramid_pypi.storage.tree import Tree

SECRET_NAME = "openpgp.pgp"  # noqa: S105 - the name of a file
PUBLIC_PATH = "repodata/repomd.xml.key"
SIGNATURE_PATH = "repodata/repomd.xml.asc"


class OpenPgp:
    """Signs with the one OpenPGP key of the index."""

    def __init__(self, key: pysequoia.Tsk) -> None:
        # Not the key itself: `str` of one is its secret.
        self._certificate = key.extract_certificate()
        self._signer = key.signer()

    def __repr__(self) -> str:
        return f"OpenPgp({self.fingerprint!r})"

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the key in lower-case hex."""
        return self._certificate.fingerprint

    def certificate(self) -> bytes:
        """Return the public key, in ASCII armor (RFC 9580, 6.2)."""
        return str(self._certificate).encode("utf-8")

    def sign(self, content: bytes) -> bytes:
        """Return a detached signature of `content` in ASCII armor, made now.

        It carries the instant, so no two are equal.
        """
        return pysequoia.sign(self._signer, content, mode=pysequoia.SignatureMode.DETACHED)


def is_available() -> bool:
    """Tell whether the extra `openpgp` is installed."""
    return pysequoia is not None


def prepare(tree: Tree, keys_dir: Path, title: str) -> OpenPgp | None:
    """Return who signs for `tree`, having shown the public key; None without the extra.

    The key is made at the first start, for a user id with the index's `title`, and lies in
    `keys_dir` (mode 0600).  Have the publisher's turn.

    Raises:
        KeysUnusable: the file of the key holds none; or the tree has a public key, and its
            secret is not here.
        OSError: a folder cannot be read or written to.
    """
    if not is_available():
        return None
    path = keys_dir / SECRET_NAME
    if path.exists():
        signer = _read(path)
    elif tree.exists(PUBLIC_PATH):
        raise KeysUnusable(f"the tree has {PUBLIC_PATH}, but {path} is missing")
    else:
        # RFC 4880: what the gpg of today's distributions reads.
        key = pysequoia.Tsk.generate(user_id=title, profile=pysequoia.Profile.RFC4880)
        make_private_folder(keys_dir)
        durable.write_durably(path, str(key).encode("utf-8"), mode=0o600)
        signer = OpenPgp(key)
    if not tree.holds(PUBLIC_PATH, signer.certificate()):
        tree.put(PUBLIC_PATH, signer.certificate())
    return signer


def _read(path: Path) -> OpenPgp:
    try:
        return OpenPgp(pysequoia.Tsk.from_bytes(path.read_bytes()))
    except RuntimeError:
        # What the library says is a backtrace of many lines.
        raise KeysUnusable(f"{path} is not the secret of an OpenPGP key") from None
