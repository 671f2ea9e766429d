"""Clearing away what was superseded some time ago: shadows, records, signed rounds."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from pyramid_pypi.environment import Environment
from pyramid_pypi.formats import repomd
from pyramid_pypi.formats.manifest import SITE_SHADOWS
from pyramid_pypi.formats.repomd import Repomd, RepomdUnreadable
from pyramid_pypi.formats.segments import SegmentsUnreadable
from pyramid_pypi.publishing import documents, segment_files
from pyramid_pypi.publishing.pointer import JSON, XML
from pyramid_pypi.publishing.signing import hash_named, shown_by
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.digests import sha256_hex

_SHADOWED_ROOMS = ("simple", "projects", "pypi", "repodata/t", "repodata/p")
_RECORD = re.compile(r"[0-9a-f]{64}(-.+)")  # <sha256>-primary.xml.gz
# What each round leaves: <sha256>-shards.json, <sha256>.repomd.xml, N.snapshot.json; never
# root and targets, which clients walk from the first on.
_OF_ROUND = re.compile(r"[0-9a-f]{64}(-(?:shards|companions|changes)\.json|[.].+)")
_SIGNED = re.compile(r"[0-9]+(\.(?:snapshot|repomd)\.json)")
_KEEP_ROUNDS_S = 6 * 3600


def sweep(environment: Environment) -> int:
    """Remove what was superseded more than `publish.keep_s` ago; return how many files.

    Raises:
        OSError: a folder cannot be read.
    """
    tree, keep_s = environment.tree, environment.settings.publish_keep_s
    standing = _standing(tree)
    if standing is None:
        return 0  # what is named is not known, so nothing is known to be superseded
    now = environment.clock().timestamp()
    # What the pointer names may be superseded already, and is wanted while it stands.
    pointed = tree.mtime(JSON) - 1
    before, recently = (min(now - s, pointed) for s in (keep_s, min(keep_s, _KEEP_ROUNDS_S)))
    removed = sum(tree.sweep(room, keep_s=int(now - before)) for room in _SHADOWED_ROOMS)
    current = _current(tree, standing)
    repodata = tree.root / "repodata"
    removed += _sweep_named(repodata, _RECORD, current, before)
    removed += _sweep_named(repodata, _OF_ROUND, current, recently)
    removed += _sweep_named(tree.root / "tuf", _SIGNED, current, recently)
    removed += _sweep_site(tree, before)
    for path in _segments(tree, standing, before):
        tree.remove(path)
        removed += 1
    return removed


def _standing(tree: Tree) -> Repomd | None:
    content = tree.read(JSON)
    try:
        return repomd.parse_json(content) if content else None
    except RepomdUnreadable:
        return None


def _current(tree: Tree, standing: Repomd) -> set[str]:
    """Return the names of the files that the pointer and its signatures lead to."""
    current = {Path(record.href).name for record in standing.records}
    for path in (XML, JSON):
        current.add(Path(hash_named(path, tree.read(path) or b"")).name)
    signed = shown_by(tree)
    if signed:
        current |= {f"{signed.version}.{role}.json" for role in ("snapshot", "repomd")}
    return current


def _segments(tree: Tree, standing: Repomd, before: float) -> list[str]:
    record = standing.record("changes")
    content = tree.read(record.href) if record else None
    try:
        return segment_files.superseded(tree, content, before) if content else []
    except SegmentsUnreadable:
        return []  # the next round makes them anew


def _sweep_named(
    folder: Path, pattern: re.Pattern[str], current: set[str], before: float
) -> int:
    """Remove files that a later one of their kind superseded before the instant `before`.

    A file was superseded when the next of its kind was written; the newest never was.
    """
    kinds: defaultdict[str, list[tuple[float, Path]]] = defaultdict(list)
    for path in _files(folder):
        if found := pattern.fullmatch(path.name):
            kinds[found[1]].append((path.stat().st_mtime, path))
    removed = 0
    for files in kinds.values():
        for (_, old), (superseded_at, _) in pairwise(sorted(files)):
            if superseded_at < before and old.name not in current:
                old.unlink(missing_ok=True)
                removed += 1
    return removed


def _sweep_site(tree: Tree, before: float) -> int:
    """Remove superseded lists and home pages; the names of those of now are kept."""
    current = set()
    for path in documents.site_paths():
        content = tree.read(path)
        if content is not None:
            current.add(sha256_hex(content))
    removed = 0
    for shadow in _files(tree.root / SITE_SHADOWS):
        digest = shadow.name.partition(".")[0]
        if digest not in current and shadow.stat().st_ctime < before:
            shadow.unlink(missing_ok=True)
            removed += 1
    return removed


def _files(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_file()]
    except FileNotFoundError:
        return []
