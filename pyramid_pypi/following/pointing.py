"""Where a tree points, now and a moment later: one reader's view of a tree at work."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pyramid_pypi.errors import Refusal
from pyramid_pypi.following import trust
from pyramid_pypi.following.findings import Fault, Finding
from pyramid_pypi.following.sources import Source, SourceUnreadable
from pyramid_pypi.following.trust import (
    NoSignatures,
    Pointer,
    SignaturesUnreadable,
    TrustRefused,
)
from pyramid_pypi.formats.repomd import RepomdUnreadable
from pyramid_pypi.values.instants import Clock


@dataclass(frozen=True, slots=True)
class Trusting:
    """Whom to trust.

    `root` is the first root of the signatures, `state` the folder of what was seen in
    earlier runs (`trust.signed_pointer`); with `unsigned`, a tree without signatures is
    taken by its word.
    """

    root: bytes | None = None
    state: Path | None = None
    unsigned: bool = False


class Pointing:
    """The pointer of one tree, as far as it is trusted."""

    def __init__(self, source: Source, trusting: Trusting, clock: Clock) -> None:
        self._source = source
        self._trusting = trusting
        self._clock = clock
        self.now: Pointer | None = None
        """The pointer that was read last, None before `begin` and where there is none."""

    def trusted(self) -> Pointer:
        """Return the pointer, and let nothing pass.

        Raises:
            TrustRefused: a signature does not fit or has expired, or there is none.
            SourceUnreadable, RepomdUnreadable: as `trust.signed_pointer`.
        """
        try:
            self.now = self._signed()
        except NoSignatures as error:
            if not self._trusting.unsigned:
                raise TrustRefused(trust.FIRST_ROOT, "nothing is signed") from error
            self.now = trust.unsigned_pointer(self._source)
        for path, since in self.now.expired:
            raise TrustRefused(path, f"it expired at {since:%Y-%m-%d %H:%M} UTC")
        return self.now

    def begin(self) -> Iterator[Finding]:
        """Find the pointer, by its signatures or else by its word; yield what is wrong.

        Raises:
            SourceUnreadable: there is no tree, or nobody answers.
        """
        refused: Finding | None = None
        try:
            self.now = self._signed()
        except (TrustRefused, NoSignatures, SignaturesUnreadable, RepomdUnreadable) as error:
            refused = self._refused(error)
        if refused is not None:
            yield refused
        if self.now is not None:
            return
        try:
            self.now = trust.unsigned_pointer(self._source)
        except RepomdUnreadable as error:
            yield Finding(Fault.UNREADABLE, trust.POINTER, error.detail)
        except SourceUnreadable as error:
            if refused is None or refused.fault in {Fault.UNSIGNED, Fault.UNREADABLE}:
                raise
            yield Finding(Fault.MISSING, trust.POINTER, error.detail)

    def _refused(self, error: Refusal) -> Finding | None:
        """Return what is wrong with the signatures; None where nobody asks for any."""
        if isinstance(error, TrustRefused):
            fault = Fault.ROLLBACK if error.is_rollback else Fault.SIGNATURE
            return Finding(fault, error.path, error.reason, self._source.modified(error.path))
        if isinstance(error, SignaturesUnreadable):
            return Finding(Fault.UNREADABLE, error.path, error.detail)
        if isinstance(error, NoSignatures):
            if self._trusting.unsigned:
                return None
            return Finding(Fault.UNSIGNED, trust.FIRST_ROOT, "nothing here is signed")
        return Finding(Fault.UNREADABLE, trust.POINTER, error.detail)

    def has_moved(self, before: Pointer | None) -> bool:
        """Read the pointer again if it shows another state than `before`; tell whether."""
        try:
            standing = trust.unsigned_pointer(self._source)
            if before is None or standing.content == before.content:
                return False
            self.now = self._signed() if before.is_signed else standing
        except Refusal:
            return False
        return self.now.content != before.content

    def _signed(self) -> Pointer:
        trusting = self._trusting
        return trust.signed_pointer(
            self._source, at=self._clock(), root=trusting.root, state=trusting.state
        )
