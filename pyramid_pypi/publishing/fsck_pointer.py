"""Whether the pointer vouches for what stands: records, signatures, both hash trees."""

from __future__ import annotations

import time
from collections.abc import Iterator

from pyramid_pypi.errors import Refusal
from pyramid_pypi.following.pointing import Trusting
from pyramid_pypi.following.sources import FolderSource, SourceUnreadable
from pyramid_pypi.following.verifying import Verifier, Wanted
from pyramid_pypi.formats import hash_tree, hash_tree_edit, repomd
from pyramid_pypi.formats.hash_tree import Entry, TreeUnreadable
from pyramid_pypi.formats.repomd import Repomd, RepomdUnreadable
from pyramid_pypi.publishing import documents
from pyramid_pypi.publishing.companion_tree import COMPANIONS_ROOM
from pyramid_pypi.publishing.faults import Fault, Finding
from pyramid_pypi.publishing.pointer import JSON
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.publishing.repository import SHARDS_ROOM
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.digests import sha256_hex

_PATIENCE_S = 5.0  # a running index brings its pointer up within a second or two
_LOOK_S = 0.25


def findings(publisher: Publisher, *, repair: bool) -> Iterator[Finding]:
    """Yield what the pointer says and is not so; with `repair`, make it anew.

    What a running index publishes meanwhile is not taken for a fault.
    """
    behind = _lag(publisher)
    if repair:
        publisher.repository.refresh()  # what was written anew has another hash
    if behind is not None:
        yield Finding(Fault.POINTER_BEHIND, JSON, behind, repair and _lag(publisher) is None)
        if not repair:
            return
    wrong = _wrong(publisher)
    if wrong and repair:
        publisher.repository.rebuild()
    left = _wrong(publisher) if wrong and repair else wrong
    for path, detail in sorted(wrong.items()):
        yield Finding(Fault.POINTER_WRONG, path, detail, path not in left)


def _lag(publisher: Publisher) -> str | None:
    """Return what the pointer shows and what it should, None when it is up to date."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        shown, published = publisher.repository.serial, publisher.serial
        if shown >= published and publisher.environment.tree.exists(JSON):
            return None
        if time.monotonic() >= deadline:
            return f"the pointer shows {shown} of {published}"
        time.sleep(_LOOK_S)


def _wrong(publisher: Publisher) -> dict[str, str]:
    """Return what is wrong, by path, in two looks some time apart: what moved is not."""
    found = _look(publisher.environment.tree)
    if found:
        time.sleep(_PATIENCE_S / 2)
        again = _look(publisher.environment.tree)
        found = {path: detail for path, detail in again.items() if path in found}
    if not found:
        clock = publisher.environment.clock
        trusting = Trusting(unsigned=not publisher.environment.settings.signing_enabled)
        source = FolderSource(publisher.environment.tree.root)
        try:
            verifier = Verifier(source, Wanted(history=True), trusting, clock)
            found = {finding.path: finding.detail for finding in verifier.findings()}
        except SourceUnreadable as error:
            found = {JSON: str(error)}
    return found


def _look(tree: Tree) -> dict[str, str]:
    try:
        standing = repomd.parse_json(tree.read(JSON) or b"")
        return dict(_entries(tree, standing))
    except (RepomdUnreadable, TreeUnreadable) as error:
        return {JSON: _told(error)}


def _entries(tree: Tree, standing: Repomd) -> Iterator[tuple[str, str]]:
    for kind, room in (("shards", SHARDS_ROOM), ("companions", COMPANIONS_ROOM)):
        record = standing.record(kind)
        content = tree.read(record.href) if record else None
        if content is None:
            yield JSON, f"the record {kind} is lost"
            continue
        top = hash_tree.parse_root(content)
        named = dict(hash_tree_edit.entries_below(top, room, _reading(tree)))
        is_page = kind == "shards"
        for name in {*named, *tree.names("simple" if is_page else "projects")}:
            page, manifest = documents.simple_paths(name)[1], documents.manifest_path(name)
            path = page if is_page else manifest
            shown, said = tree.read(path), named.get(name)
            if shown is None and said is None:
                continue
            if shown is None or said is None or sha256_hex(shown) != said.sha256:
                yield path, "the hash tree names another version"


def _reading(tree: Tree) -> hash_tree_edit.Read:
    def read(path: str, entry: Entry) -> bytes:
        content = tree.read(path)
        if content is None or sha256_hex(content) != entry.sha256:
            raise TreeUnreadable(f"{path}: the version {entry.sha256} is lost")
        return content

    return read


def _told(refusal: Refusal) -> str:
    return str(refusal) or refusal.title
