"""Makes small wheels and sdists by hand, so that a test needs no build backend."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

MODIFIED_AT = 1_700_000_000  # seconds since 1970; eggs are zips, which begin at 1980


def wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    requires_python: str = "",
    source: str = "",
    padding_bytes: int = 0,
) -> Path:
    """Write a pure wheel of one module called `name`, and return its path.

    `padding_bytes` of incompressible content make it large enough to be read in parts.
    """
    about = f"{name}-{version}.dist-info"
    members = {
        f"{name}.py": (source or f"version = '{version}'\n").encode(),
        f"{name}_padding.bin": _incompressible(padding_bytes),
        f"{about}/METADATA": _core_metadata(name, version, requires_python),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nGenerator: hand\n"
        b"Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [
        f"{path},sha256={_record_digest(content)},{len(content)}"
        for path, content in members.items()
    ]
    members[f"{about}/RECORD"] = "\n".join([*rows, f"{about}/RECORD,,", ""]).encode()
    target = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in members.items():
            archive.writestr(path, content)
    return target


def sdist(folder: Path, name: str, version: str, *, source: str = "") -> Path:
    """Write a pure sdist that Python 2.7 and 3 can build alike, and return its path."""
    members = {
        "PKG-INFO": _core_metadata(name, version, ""),
        "setup.py": b"from setuptools import setup\n"
        + f"setup(name='{name}', version='{version}', py_modules=['{name}'])\n".encode(),
        f"{name}.py": (source or f"version = '{version}'\n").encode(),
    }
    target = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(target, "w:gz") as archive:
        for path, content in members.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size, member.mode = len(content), 0o644
            member.mtime = MODIFIED_AT
            archive.addfile(member, io.BytesIO(content))
    return target


def _core_metadata(name: str, version: str, requires_python: str) -> bytes:
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        "Summary: A project of one module",
        "Author: Nobody",
        "Author-email: nobody@example.org",
        "License: MIT",
        "Home-page: https://example.org/",
    ]
    if requires_python:
        lines.append(f"Requires-Python: {requires_python}")
    return ("\n".join(lines) + "\n\nA project of one module.\n").encode()


def _record_digest(content: bytes) -> str:
    digest = hashlib.sha256(content).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _incompressible(size_bytes: int) -> bytes:
    return hashlib.shake_256(b"padding").digest(size_bytes)
