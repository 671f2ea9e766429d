"""What the reference client of the signatures has verified, as it keeps it in its folder.

Its form is that of ``tuf.ngclient``: each role by its name, and the roots by their versions
in ``root_history``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata

_KEPT_ROLES = ("repomd", "snapshot", "targets", "timestamp")
_KEPT_ROOT = re.compile(r"([1-9][0-9]{0,8})\.root\.json", re.ASCII)


def verified(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what the client has verified and keeps in `folder`: path in the tree, content.

    Whatever else somebody keeps there is passed over.
    """
    newest = Metadata[Any].from_bytes((folder / "root.json").read_bytes()).signed.version
    for file in sorted((folder / "root_history").iterdir()):
        named = _KEPT_ROOT.fullmatch(file.name)
        if named and int(named[1]) <= newest and file.is_file():
            content = file.read_bytes()
            if version_of(content) == int(named[1]):
                yield f"tuf/{file.name}", content
    for role in _KEPT_ROLES:
        file = folder / f"{role}.json"
        if not file.is_file():
            continue
        content = file.read_bytes()
        number = "" if role == "timestamp" else f"{version_of(content)}."
        yield f"tuf/{number}{role}.json", content


def version_of(content: bytes) -> int | None:
    """Return the version of the signed document `content`, None if it is none."""
    try:
        version: int = Metadata[Any].from_bytes(content).signed.version
    except (RepositoryError, ValueError):
        return None
    return version


def expired(signed: Mapping[str, bytes], at: datetime) -> Iterator[tuple[str, datetime]]:
    """Yield the documents whose time is over at `at`; of the roots only the newest counts."""
    roots = [path for path in signed if path.endswith(".root.json")]
    newest = max(roots, key=root_version)
    for path, content in signed.items():
        expires = Metadata[Any].from_bytes(content).signed.expires
        if at >= expires and (path == newest or path not in roots):
            yield path, expires


def root_version(path: str) -> int:
    """Return the version in the path of a root."""
    return int(path.rpartition("/")[2].partition(".")[0])
