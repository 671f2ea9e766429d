"""Mending a folder from another tree that nobody vouches for either.

What is fetched is put in place only if it is what this folder's own pointer names, so a
tree that lies can do no harm, and one that is ahead serves by its shadows.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyramid_pypi.following.findings import Finding
from pyramid_pypi.following.sources import FolderSource, Source
from pyramid_pypi.following.verifying import Progress, Verifier, Wanted
from pyramid_pypi.values.instants import Clock


class Repairer:
    """Mends one folder."""

    def __init__(
        self, folder: FolderSource, other: Source, wanted: Wanted, clock: Clock
    ) -> None:
        self.folder, self.other, self._wanted, self._clock = folder, other, wanted, clock
        self.verifier = Verifier(folder, wanted, clock)

    def findings(self, *, on_progress: Progress = lambda _done, _of: None) -> Iterator[Finding]:
        """Yield each finding, and whether it was mended."""
        yield from self.verifier.findings()
