"""Whether the pointer of a tree is signed by whom we trust, fresh, and not an older one.

The signatures are those of The Update Framework, checked by its own reference client
(https://theupdateframework.github.io/specification/, section 5).  It leads from a root
that the reader knows, or meets for the first time, to ``repodata/repomd.json``; from
there on the tree carries its own hashes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    RepositoryError,
)
from tuf.api.metadata import TargetFile
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from pyramid_pypi.errors import Refusal
from pyramid_pypi.following.sources import Source, SourceUnreadable, read
from pyramid_pypi.following.trust_kept import expired, verified
from pyramid_pypi.formats import repomd
from pyramid_pypi.formats.repomd import Repomd

POINTER = "repodata/repomd.json"
POINTER_XML = "repodata/repomd.xml"
FIRST_ROOT = "tuf/1.root.json"
TIMESTAMP = "tuf/timestamp.json"
MAX_TUF_BYTES = 512 * 1024
_BASE = "tree:///"
_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)


class NoSignatures(SourceUnreadable):
    """A tree has no signatures at all."""


class SignaturesUnreadable(SourceUnreadable):
    """A signed document could not be read: no answer came, or none that is one.

    That says nothing of whom to trust.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path = path


class TrustRefused(Refusal):
    """The pointer of a tree is not what its signatures say, or nobody trusted signed it.

    The detail names the document.  A tree whose signatures are gone, or are by another
    root than the one that is trusted, is refused too.
    """

    code = "trust.refused"
    title = "The signatures of the tree are not good"

    def __init__(self, path: str, reason: str, *, is_rollback: bool = False) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason
        self.is_rollback = is_rollback


@dataclass(frozen=True)
class Pointer:
    """What a tree shows now: the content of its pointer, read and verified as far as told.

    `targets` are the documents that the signatures name, by path: (sha256, size).  `root`
    tells whom we trusted: ``given``, ``known`` from an earlier run, ``met`` now for the
    first time, or ``none`` where nothing was signed.  `expired` names the documents whose
    time is over, with since when.
    """

    content: bytes
    repomd: Repomd
    root: str
    targets: Mapping[str, tuple[str, int]]
    expired: tuple[tuple[str, datetime], ...] = ()
    differs: tuple[str, ...] = ()  # signed pointers whose plain path shows something else
    signed: Mapping[str, bytes] = field(default_factory=dict)
    """The signed documents that led here, by path."""

    @property
    def is_signed(self) -> bool:
        """Tell whether the pointer was reached by signatures."""
        return self.root != "none"


def unsigned_pointer(source: Source) -> Pointer:
    """Return the pointer as it stands, believed by its word.

    Raises:
        SourceUnreadable: there is none.
        RepomdUnreadable: it is no pointer.
    """
    content = read(source, POINTER, repomd.MAX_BYTES)
    if content is None:
        raise SourceUnreadable(f"{source.name}: there is no {POINTER}")
    return Pointer(content, repomd.parse_json(content), "none", {})


def signed_pointer(
    source: Source, *, at: datetime, root: bytes | None = None, state: Path | None = None
) -> Pointer:
    """Return the pointer that the signatures lead to.

    An expired signature is told in the answer and not refused, so that all else can be
    looked at.

    Args:
        root: the root that is trusted; without it the one of an earlier run, and without
            that the tree's own first.
        state: a folder that keeps what was seen from run to run, by which an older state
            of the tree is refused.

    Raises:
        TrustRefused: a signature or a hash does not fit, or the tree is older than `state`.
        NoSignatures: there are none.
        SourceUnreadable: a document could not be read (`SignaturesUnreadable` names it).
        RepomdUnreadable: what is signed is no pointer.
    """
    met = "given" if root else "met"
    if root is None:
        if state is not None and (state / "root.json").exists():
            met = "known"
        else:
            root = read(source, FIRST_ROOT, MAX_TUF_BYTES)
            if root is None:
                raise NoSignatures(f"{source.name}: there is no {FIRST_ROOT}")
    with _folder(state) as folder:
        fetcher = _SourceFetcher(source)
        with _worded(fetcher):
            updater = Updater(
                str(folder),
                f"{_BASE}tuf/",
                fetcher=fetcher,
                config=UpdaterConfig(root_max_length=MAX_TUF_BYTES),
                bootstrap=root,
            )
            # Expiry is told apart from all other faults, below.
            updater._trusted_set.reference_time = _BEFORE_ALL
            updater.refresh()
            targets = {path: _target(updater, path) for path in (POINTER, POINTER_XML)}
        pointer = _pointer(source, targets, met)
        signed = dict(verified(folder))
        return replace(pointer, signed=signed, expired=tuple(expired(signed, at)))


def _pointer(source: Source, targets: Mapping[str, TargetFile], met: str) -> Pointer:
    differs, contents = [], {}
    for path, target in targets.items():
        contents[path], is_plain = _signed_content(source, path, target)
        if not is_plain:
            differs.append(path)
    pointer = Pointer(
        content=contents[POINTER],
        repomd=repomd.parse_json(contents[POINTER]),
        root=met,
        targets={path: (t.hashes["sha256"], t.length) for path, t in targets.items()},
        differs=tuple(differs),
    )
    custom: Any = targets[POINTER].custom
    told = custom.get("serial") if isinstance(custom, dict) else None
    if told is not None and told != pointer.repomd.serial:
        raise TrustRefused(POINTER, f"it is not of the signed serial {told!r:.40}")
    return pointer


def _signed_content(source: Source, path: str, target: TargetFile) -> tuple[bytes, bool]:
    """Return the pointer at `path` that `target` names, and whether it stands there."""
    room, _, name = path.rpartition("/")
    copy = f"{room}/{target.hashes['sha256']}.{name}"
    for is_plain, place in ((True, path), (False, copy)):
        content = read(source, place, min(target.length, repomd.MAX_BYTES))
        try:
            if content is not None:
                target.verify_length_and_hashes(content)
                return content, is_plain
        except RepositoryError:
            continue
    raise TrustRefused(path, "it is not the one that is signed, nor is there a copy of that")


def _target(updater: Updater, path: str) -> TargetFile:
    target = updater.get_targetinfo(path)
    if target is None or "sha256" not in target.hashes:
        raise RepositoryError(f"{path} is not signed")
    return target


@contextmanager
def _folder(state: Path | None) -> Iterator[Path]:
    """Give the folder in which the client keeps what it has verified."""
    if state is not None:
        state.mkdir(parents=True, exist_ok=True)
        yield state
        return
    with tempfile.TemporaryDirectory(prefix="pyramid-pypi-trust-") as folder:
        yield Path(folder)


@contextmanager
def _worded(fetcher: _SourceFetcher) -> Iterator[None]:
    try:
        yield
    except BadVersionNumberError as error:
        raise TrustRefused(fetcher.last, f"{error}", is_rollback=True) from error
    except SourceUnreadable as error:
        raise SignaturesUnreadable(fetcher.last, error.detail) from error
    except (RepositoryError, DownloadError) as error:
        if fetcher.failed is not None:
            raise SignaturesUnreadable(fetcher.last, fetcher.failed.detail) from error
        raise TrustRefused(fetcher.last, f"{error}") from error


class _SourceFetcher(FetcherInterface):
    """Has the reference client read through a `Source`."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.last = FIRST_ROOT
        """The document that was asked for last: the one that a refusal is about."""
        self.failed: SourceUnreadable | None = None
        """Why that document could not be read, if it could not."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        before, self.last = self.last, urlsplit(url).path.lstrip("/")
        try:
            blocks = self._source.blocks(self.last)
        except SourceUnreadable as error:
            self.failed = error
            raise
        if blocks is None:
            path = self.last
            # The client asks for one more root than there is, and takes this for the end.
            if path.endswith(".root.json"):
                self.last = before
            raise DownloadHTTPError(f"there is no {path}", 404)
        return blocks
