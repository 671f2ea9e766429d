"""Tiny wheels and sdists built in memory, valid but for what a test asks otherwise."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping

from tests.archives import Entry, gzipped, tar_member, zip_bytes


def metadata(name: str = "demo", version: str = "1.0", lines: Iterable[str] = ()) -> bytes:
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines]
    return ("\n".join(head) + "\n\nA demonstration.\n").encode()


def record_row(path: str, content: bytes, algorithm: str = "sha256") -> str:
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest())
    return f"{path},{algorithm}={digest.decode().rstrip('=')},{len(content)}"


def wheel_entries(
    name: str = "demo",
    version: str = "1.0",
    *,
    extra_members: Mapping[str, bytes] | None = None,
    metadata_lines: Iterable[str] = (),
    record: Callable[[list[str]], list[str]] | None = None,
    replace: Mapping[str, bytes | None] | None = None,
    dist_info: str | None = None,
) -> list[Entry]:
    """Return the members of a valid wheel, RECORD last.

    `replace` gives documents of the ``.dist-info`` directory other contents, or drops
    them (None); `record` may change the rows of RECORD.
    """
    info = dist_info or f"{name.replace('-', '_')}-{version}.dist-info"
    documents: dict[str, bytes | None] = {
        "METADATA": metadata(name, version, metadata_lines),
        "WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **(replace or {}),
    }
    contents = {"demo.py": b"def answer():\n    return 42\n", **(extra_members or {})}
    for document, content in documents.items():
        if content is not None:
            contents[f"{info}/{document}"] = content
    rows = [record_row(path, content) for path, content in contents.items()]
    rows.append(f"{info}/RECORD,,")
    rows = record(rows) if record else rows
    entries = [Entry(path, content) for path, content in contents.items()]
    if documents.get("RECORD", b"") is not None:
        entries.append(
            Entry(f"{info}/RECORD", ("\n".join(rows) + "\n").encode("utf-8", "surrogateescape"))
        )
    return entries


def wheel(
    name: str = "demo",
    version: str = "1.0",
    *,
    extra_members: Mapping[str, bytes] | None = None,
    metadata_lines: Iterable[str] = (),
    record: Callable[[list[str]], list[str]] | None = None,
    replace: Mapping[str, bytes | None] | None = None,
) -> bytes:
    """Return a valid tiny wheel, but for what is asked; see `wheel_entries`."""
    return zip_bytes(
        wheel_entries(
            name,
            version,
            extra_members=extra_members,
            metadata_lines=metadata_lines,
            record=record,
            replace=replace,
        )
    )


def sdist_tar(
    name: str = "demo",
    version: str = "1.0",
    *,
    root: str | None = None,
    metadata_lines: Iterable[str] = (),
    more: bytes = b"",
    pkg_info: bytes | None = None,
) -> bytes:
    """Return the tar archive of an sdist, with the raw members `more` before its end."""
    top = f"{name.replace('-', '_')}-{version}" if root is None else root
    found = metadata(name, version, metadata_lines) if pkg_info is None else pkg_info
    return b"".join(
        (
            tar_member(f"{top}/", kind=b"5"),
            tar_member(f"{top}/PKG-INFO", found),
            tar_member(f"{top}/setup.py", b"from setuptools import setup\n\nsetup()\n"),
            more,
            bytes(1024),
        )
    )


def sdist(
    name: str = "demo",
    version: str = "1.0",
    *,
    root: str | None = None,
    metadata_lines: Iterable[str] = (),
    more: bytes = b"",
    pkg_info: bytes | None = None,
) -> bytes:
    """Return a valid tiny sdist, but for what is asked; see `sdist_tar`."""
    return gzipped(
        sdist_tar(
            name,
            version,
            root=root,
            metadata_lines=metadata_lines,
            more=more,
            pkg_info=pkg_info,
        )
    )
