"""Mending a folder from another tree that nobody vouches for either.

What is fetched is put in place only if it is what this folder's own pointer names, or what
the signatures and names in this folder ask for.  So a tree that lies can do no harm, and
one that is ahead serves by its shadows.  Each document is replaced at once: a reader finds
the wrong one or the right one, whole.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pyramid_pypi.errors import Refusal
from pyramid_pypi.following import trust
from pyramid_pypi.following.findings import (
    MAX_HELD_BYTES,
    Fault,
    Finding,
    Named,
)
from pyramid_pypi.following.placing import Overlay, put, put_if
from pyramid_pypi.following.pointing import Pointing, Trusting
from pyramid_pypi.following.projects import METADATA
from pyramid_pypi.following.seals import KEY_PATH, SIGNATURE_PATH, check_seal
from pyramid_pypi.following.signatures import ROOM, check_signatures, signed_serial
from pyramid_pypi.following.sources import FolderSource, Source, SourceUnreadable, read
from pyramid_pypi.following.strays import stray_fault, wheel_metadata
from pyramid_pypi.following.verifying import Progress, Verifier, Wanted
from pyramid_pypi.formats import repomd
from pyramid_pypi.formats.compression import gunzip_bytes, gzip_bytes
from pyramid_pypi.values.instants import Clock

_POINTERS = (trust.POINTER, trust.POINTER_XML)
_PASSES = 8  # what is mended lets more be seen, one level of the tree a pass
_OF_PROJECT = re.compile(r"(?:simple|projects|pypi)/([^/]+)/.+")
_ENDS = re.compile(
    r"packages/|static/|repodata/c/[0-9]{1,16}-|.*/v/[0-9a-f]{64}|.*\.(?:gz|html|asc|key)\Z"
)
"""Documents that lead to no other."""


class Repairer:
    """Mends one folder."""

    verifier: Verifier
    """The last look at all that was wanted; there once `findings` has begun."""

    def __init__(
        self,
        folder: FolderSource,
        other: Source,
        wanted: Wanted,
        trusting: Trusting,
        clock: Clock,
    ) -> None:
        self._folder = folder
        self._other = other
        self._wanted = wanted
        self._trusting = trusting
        self._clock = clock

    def findings(self, *, on_progress: Progress = lambda _done, _of: None) -> Iterator[Finding]:
        """Yield each finding, and whether it was mended.

        Raises:
            SourceUnreadable: there is no tree in the folder.
        """
        told: set[str] = set()
        left: list[Finding] = []
        wanted: Wanted | None = self._wanted
        for _ in range(_PASSES):
            if wanted is None:
                break
            found = self._look(wanted, on_progress)
            left, mended = [], set[str]()
            for finding in found:
                if not self._mend(finding):
                    left.append(finding)
                    continue
                if not finding.superseded:  # else its shadow told what is below
                    mended.add(finding.path)
                if finding.path not in told:
                    told.add(finding.path)
                    yield replace(finding, repaired=True)
            wanted = self._next(mended, is_whole=not left)
        yield from left

    def _look(self, wanted: Wanted, on_progress: Progress) -> list[Finding]:
        verifier = Verifier(
            self._folder, wanted, self._trusting, self._clock, on_progress=on_progress
        )
        if wanted is self._wanted:
            self.verifier = verifier
        return list(verifier.findings())

    def _next(self, mended: Collection[str], *, is_whole: bool) -> Wanted | None:
        """Return what to look at again, now that more may be seen; None for nothing.

        A mirror is not read again for one byte: where nothing is left, below what was
        mended.  What leads to all there is, such as a node, is asked for all again.
        """
        leading = [path for path in mended if not _ENDS.match(path)]
        found = [_OF_PROJECT.match(path) for path in leading]
        if not leading:
            return None
        if is_whole and all(found):
            names = sorted({one[1] for one in found if one})
            return replace(self._wanted, names=names, everything=False)
        return self._wanted

    def _mend(self, finding: Finding) -> bool:
        try:
            if finding.named is not None:
                return self._mend_named(finding.named)
            mend = self._way_of(finding)
            return mend is not None and mend(finding.path)
        except (SourceUnreadable, OSError):
            return False

    def _way_of(self, finding: Finding) -> Callable[[str], bool] | None:
        """Return how to mend a document that no other names; None if there is no way."""
        if finding.path in _POINTERS:
            return self._mend_pointer
        if finding.path.startswith(ROOM):
            return self._mend_trust if finding.fault is not Fault.EXPIRED else None
        if finding.path in (KEY_PATH, SIGNATURE_PATH):
            return self._mend_seal
        if finding.fault is Fault.TWIN and finding.path.endswith(".gz"):
            return self._mend_twin
        return self._mend_called if finding.fault is Fault.WRONG else None

    def _mend_named(self, named: Named) -> bool:
        """Put the document that is `named` in place, from here or there."""
        twin = f"{named.path}.gz"
        for source, path in (
            (self._folder, named.shadow),
            (self._other, named.path),
            (self._other, named.shadow),
            (self._folder, twin if named.shadow else None),
        ):
            with suppress(SourceUnreadable):
                if path is not None and self._take(source, path, named, unpack=path == twin):
                    return True
        return False

    def _take(self, source: Source, path: str, named: Named, *, unpack: bool) -> bool:
        if unpack:
            if named.size_bytes > MAX_HELD_BYTES:
                return False
            content = read(source, path, named.size_bytes + 1024)
            blocks = iter([_unpacked(content or b"", named.size_bytes)])
        else:
            coming = source.blocks(path)
            if coming is None:
                return False
            blocks = coming
        return put_if(self._folder, named, blocks)

    def _mend_pointer(self, path: str) -> bool:
        """Put a pointer in place from the signed copy under its hash."""
        pointer = self.verifier.pointer
        if pointer is None or path not in pointer.targets:
            return self._mend_trust(path)
        sha256, size_bytes = pointer.targets[path]
        room, _, name = path.rpartition("/")
        return self._mend_named(Named(path, sha256, size_bytes, f"{room}/{sha256}.{name}"))

    def _mend_trust(self, path: str) -> bool:
        """Put signed documents in place, if the tree is trusted with all of them.

        What is wrong with one may have hidden what is wrong with others, so all that are
        wrong are replaced together.
        """
        signed = {*self._folder.files(ROOM.rstrip("/")), path} - set(_POINTERS)
        wrong = {path, *(f.path for f in check_signatures(self._folder, signed))}
        if trust.FIRST_ROOT in wrong and not self._put_known_root():
            return False
        for more in ((), _POINTERS):
            replaced = {
                one: content
                for one in sorted(wrong.union(more) - {trust.FIRST_ROOT})
                if (content := read(self._other, one, MAX_HELD_BYTES)) is not None
            }
            laid = Overlay(self._folder, replaced)
            if path != trust.FIRST_ROOT and path not in replaced:
                return False
            if self._is_trusted(laid, signed - wrong):
                still = {finding.path for finding in check_signatures(laid, signed)}
                for one in sorted(replaced.keys() - still):
                    put(self._folder, one, replaced[one])
                return path not in still
        return False

    def _put_known_root(self) -> bool:
        """Put the first root in place, if it is known: another tree's would be believed."""
        root = self._trusting.root
        kept = self._trusting.state
        history = kept / "root_history" / "1.root.json" if kept else None
        if root is None and history is not None and history.exists():
            root = history.read_bytes()
        if root is None or any(
            check_signatures(
                Overlay(self._folder, {trust.FIRST_ROOT: root}), [trust.FIRST_ROOT]
            )
        ):
            return False
        put(self._folder, trust.FIRST_ROOT, root)
        return True

    def _is_trusted(self, laid: Source, good: Collection[str]) -> bool:
        """Tell whether the tree `laid` is trusted, and no older than what is `good` here."""
        with tempfile.TemporaryDirectory(prefix="pyramid-pypi-mend-") as folder:
            # Not remembered: it is a question, and not what the tree shows.
            asking = Path(folder) / "state"
            if self._trusting.state is not None and self._trusting.state.is_dir():
                shutil.copytree(self._trusting.state, asking)
            try:
                trusting = replace(self._trusting, state=asking)
                pointer = Pointing(laid, trusting, self._clock).trusted()
            except Refusal:
                return False
        return not pointer.differs and pointer.repomd.serial >= self._own_serial(good)

    def _own_serial(self, good: Collection[str]) -> int:
        """Return the newest serial that the folder shows, or that is signed for in it."""
        serials = [signed_serial(self._folder, path) for path in good]
        with suppress(Refusal):
            serials.append(trust.unsigned_pointer(self._folder).repomd.serial)
        return max(serials, default=0)

    def _mend_twin(self, path: str) -> bool:
        """Write a compressed twin anew from its document, which was found to be right."""
        content = read(self._folder, path.removesuffix(".gz"), MAX_HELD_BYTES)
        if content is None:
            return False
        put(self._folder, path, gzip_bytes(content))
        return True

    def _mend_seal(self, _path: str) -> bool:
        """Put signature and key for other readers in place, if they fit our pointer."""
        pointer = self.verifier.pointer
        found = {p: read(self._other, p, MAX_HELD_BYTES) for p in (KEY_PATH, SIGNATURE_PATH)}
        replaced = {path: content for path, content in found.items() if content is not None}
        laid = Overlay(self._folder, replaced)
        if pointer is None or any(check_seal(laid, repomd.xml(pointer.repomd))):
            return False
        for path, content in replaced.items():
            put(self._folder, path, content)
        return True

    def _mend_called(self, path: str) -> bool:
        """Put the other tree's document in place if it is what its name says."""
        if path.startswith("packages/") and path.endswith(METADATA):
            content = wheel_metadata(self._folder, path)
        else:
            content = read(self._other, path, MAX_HELD_BYTES)
        if content is None:
            return False
        if stray_fault(Overlay(self._folder, {path: content}), path) is not None:
            return False
        put(self._folder, path, content)
        return True


def _unpacked(content: bytes, max_bytes: int) -> bytes:
    try:
        return gunzip_bytes(content, max_bytes)
    except ValueError:
        return b""
