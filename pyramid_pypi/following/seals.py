"""The OpenPGP signature beside ``repomd.xml``, which librepo and dnf look at.

It takes the extra `openpgp`; without it the signature is passed over, for it says nothing
that the signatures of the tree do not say better.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyramid_pypi.following.findings import Fault, Finding
from pyramid_pypi.following.sources import Source, read
from pyramid_pypi.following.trust import POINTER_XML

try:
    import pysequoia
except ImportError:
    pysequoia = None  # type: ignore[assignment]

SIGNATURE_PATH = "repodata/repomd.xml.asc"
KEY_PATH = "repodata/repomd.xml.key"
_MAX_BYTES = 64 * 1024


def check_seal(source: Source, xml: bytes) -> Iterator[Finding]:
    """Look at the OpenPGP signature of the pointer `xml`, by the key that lies beside it."""
    seal = read(source, SIGNATURE_PATH, _MAX_BYTES)
    key = read(source, KEY_PATH, _MAX_BYTES)
    if pysequoia is None or (seal is None and key is None):
        return
    path, reason = KEY_PATH, "it is no OpenPGP key"
    try:
        certificate = pysequoia.Cert.from_bytes(key or b"")
        if str(certificate).encode() == key:
            path, reason = SIGNATURE_PATH, f"it is no signature of {POINTER_XML}"
            signature = pysequoia.Sig.from_bytes(seal or b"")
            pysequoia.verify(bytes=xml, store=lambda _ids: [certificate], signature=signature)
            # Not all of a signature is signed; but there is one way to write what is.
            if str(signature).encode() == seal:
                return
    except RuntimeError:
        pass  # what the library says is a backtrace of many lines
    yield Finding(Fault.SIGNATURE, path, reason, source.modified(path))
