"""Placing documents of one tree into another on the same machine, by hard links or copies.

Linking is sound because nothing in a published tree is ever written in place: a document is
replaced by another file.  A version is looked for under its hash first, where it stays when
the tree has moved on, then at its stable path.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from pyramid_pypi.following.findings import Named
from pyramid_pypi.following.naming import Part
from pyramid_pypi.following.projects import METADATA
from pyramid_pypi.formats.compression import gunzip_bytes, gzip_bytes
from pyramid_pypi.formats.simple import SimpleFile
from pyramid_pypi.storage import durable
from pyramid_pypi.storage.spool import Spool
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.digests import sha256_hex

_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})


class NotThere(Exception):
    """The version of a document that is wanted is not, or no longer, in the tree."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Placer:
    """Brings documents from the tree `live` into `export`, whose spool is `spool`."""

    def __init__(self, live: Path, export: Tree, spool: Spool, *, copy: bool) -> None:
        self._live = live
        self._export = export
        self._spool = spool
        self._copy = copy
        self.placed = 0
        """How many files were linked or copied so far."""

    def place(self, part: Part) -> None:
        """Have the export show `part`, under its hash first, and its twin.

        Raises:
            NotThere: the live tree does not have it.
        """
        named = part.named
        if not part.has_twin:
            # A front server sends whatever twin it finds: none is better than an old one.
            if named.shadow is not None:
                self._export.remove(part.twin_path)
            self._document(named)
            return
        self._document(named)
        self._twin(part)

    def place_file(self, file: SimpleFile) -> None:
        """Have the export hold a release file, and its metadata.

        Raises:
            NotThere: the live tree does not have it.
        """
        if self._export.size_bytes(file.path) != file.size_bytes:
            self._show(self._taken([file.path], file.size_bytes, file.sha256), file.path)
        sibling = f"{file.path}{METADATA}"
        if file.core_metadata_sha256 and not self._export.exists(sibling):
            self._show(self._taken([sibling], None, file.core_metadata_sha256), sibling)

    def missing(self, paths: Iterable[str]) -> list[str]:
        """Return those of `paths` that the export does not have yet."""
        return [path for path in paths if not self._export.exists(path)]

    def content(self, named: Named) -> bytes | None:
        """Return the version that is `named` as the export has it, None if it has not."""
        for path in (named.shadow, named.path):
            content = self._export.read(path) if path is not None else None
            if content is not None and sha256_hex(content) == named.sha256:
                return content
        return None

    def _document(self, named: Named) -> None:
        if self._stands(named):
            return
        candidates = [path for path in (named.shadow, named.path) if path is not None]
        spooled = self._taken(candidates, named.size_bytes, named.sha256)
        self._show_both(spooled, named.shadow, named.path)

    def _stands(self, named: Named) -> bool:
        if self._export.size_bytes(named.path) != named.size_bytes:
            return False
        if named.shadow is not None and not self._is_one(named.shadow, named.path):
            return False
        # A link is as whole as what it links to; a copy may be torn after a power cut.
        is_trusted = named.shadow is not None and not self._copy
        return is_trusted or self._export.sha256(named.path) == named.sha256

    def _twin(self, part: Part) -> None:
        """Place the twin of `part`; one that is not there, or of another, is made."""
        named, shadow = part.named, part.twin_shadow
        if shadow is not None and self._is_one(shadow, part.twin_path):
            return
        for candidate in (shadow, part.twin_path):
            spooled = self._linked(candidate) if candidate is not None else None
            if spooled is None:
                continue
            if _unpacked(spooled, named.size_bytes) == named.sha256:
                self._show_both(spooled, shadow, part.twin_path)
                return
            spooled.unlink()
        content = self.content(named)
        if content is None:
            raise NotThere(named.path)
        mtime = self._export.mtime(named.path)
        self._export.put(part.twin_path, gzip_bytes(content), shadow=shadow, mtime=mtime)
        self.placed += 1

    def _is_one(self, shadow: str, path: str) -> bool:
        """Tell whether `path` of the export shows the version kept at `shadow`."""
        try:
            return (self._export.root / shadow).samefile(self._export.root / path)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _show_both(self, spooled: Path, shadow: str | None, path: str) -> None:
        if shadow is not None:
            second = self._spool.new_path()
            os.link(spooled, second)
            self._show(second, shadow)
        self._show(spooled, path)

    def _show(self, spooled: Path, path: str) -> None:
        self._export.adopt(path, spooled)
        # To rename a file over another name of itself does nothing (rename(2)).
        spooled.unlink(missing_ok=True)
        self.placed += 1

    def _taken(self, candidates: Sequence[str], size_bytes: int | None, sha256: str) -> Path:
        """Return the first of `candidates` that is what is wanted, as a file in the spool.

        A release file is flushed before anything names it and its path is its hash, so of
        one that is linked the size tells enough.
        """
        for path in candidates:
            spooled = self._linked(path)
            if spooled is None:
                continue
            if self._is_wanted(spooled, path, size_bytes, sha256):
                return spooled
            spooled.unlink()
        raise NotThere(candidates[-1])

    def _is_wanted(self, spooled: Path, path: str, size_bytes: int | None, sha256: str) -> bool:
        if size_bytes is not None and spooled.stat().st_size != size_bytes:
            return False
        is_linked_blob = path.startswith("packages/") and not self._copy
        return (is_linked_blob and size_bytes is not None) or _digest(spooled) == sha256

    def _linked(self, path: str) -> Path | None:
        """Return the live document at `path` as a file in the spool, None if there is none."""
        source, spooled = self._live / path, self._spool.new_path()
        with suppress(FileNotFoundError, NotADirectoryError):
            if not self._copy and self._is_linked(source, spooled):
                return spooled
            shutil.copy2(source, spooled)
            if path.startswith("packages/"):
                durable.sync_file(spooled)
            return spooled
        return None

    def _is_linked(self, source: Path, spooled: Path) -> bool:
        """Link `source`; where that cannot be, tell so, and have all else copied."""
        try:
            os.link(source, spooled, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            self._copy = True
        return not self._copy


def _digest(path: Path) -> str:
    with path.open("rb") as document:
        return hashlib.file_digest(document, "sha256").hexdigest()


def _unpacked(path: Path, most_bytes: int) -> str | None:
    """Return the sha256 of what the file at `path` unpacks to, None for no such file."""
    try:
        return sha256_hex(gunzip_bytes(path.read_bytes(), most_bytes))
    except ValueError:
        return None
