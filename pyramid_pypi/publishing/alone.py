"""A project as a repository of its own: the pointer to its createrepo documents."""

from __future__ import annotations

import gzip
import hashlib
import io
from datetime import UTC, datetime

from pyramid_pypi.formats import manifest, packages_xml
from pyramid_pypi.formats.manifest import ManifestUnreadable
from pyramid_pypi.formats.repomd import Record, Repomd
from pyramid_pypi.publishing import documents
from pyramid_pypi.publishing.proving import Vanished, version, while_it_moves
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.names import ProjectName

_BLOCK_BYTES = 256 * 1024


def pointer(tree: Tree, name: ProjectName) -> Repomd | None:
    """Return the pointer of the project `name` alone, None if there is none to point to.

    Its records are those of the project's manifest, which belong together, under their
    hashes; so a reader in the midst of an upload finds one state or the other.  Its
    instant is the time of the manifest.

    Raises:
        RepodataMoves: the documents changed again and again while they were read.
    """
    return while_it_moves(lambda: _pointer(tree, name))


def _pointer(tree: Tree, name: ProjectName) -> Repomd | None:
    path = documents.manifest_path(name)
    content = tree.read(path)
    if content is None:
        return None
    try:
        told = manifest.parse(content)
        at = datetime.fromtimestamp(tree.mtime(path), UTC)
    except (ManifestUnreadable, FileNotFoundError) as error:
        raise Vanished(str(error)) from error
    kinds = zip(packages_xml.KINDS, documents.package_paths(name), strict=True)
    records = tuple(
        _record(tree, kind, path, told.documents[path].sha256, told.serial, at)
        for kind, path in kinds
        if path in told.documents
    )
    return Repomd(told.serial, at, records) if records else None


def _record(tree: Tree, kind: str, path: str, sha256: str, serial: int, at: datetime) -> Record:
    content = version(tree, path, sha256)
    open_sha256, open_size_bytes = _opened(content)
    return Record(
        type=kind,
        # librepo ends at an assertion when a record lies elsewhere than in ``repodata/``.
        href=f"repodata/{sha256}-{kind}.xml.gz",
        sha256=sha256,
        size_bytes=len(content),
        at=at,
        serial=serial,
        open_sha256=open_sha256,
        open_size_bytes=open_size_bytes,
    )


def _opened(content: bytes) -> tuple[str, int]:
    """Return digest and size of what the gzip file `content` holds, block by block."""
    taken, size_bytes = hashlib.sha256(), 0
    with gzip.open(io.BytesIO(content)) as inside:
        while block := inside.read(_BLOCK_BYTES):
            taken.update(block)
            size_bytes += len(block)
    return taken.hexdigest(), size_bytes
