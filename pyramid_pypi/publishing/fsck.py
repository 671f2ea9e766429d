"""Whether what is stored agrees: database, release files, published tree.

Each disagreement is a finding.  What the database knows is taken as true; documents are
written anew from it, orphans removed.  A missing or corrupt release file cannot be made
again: that finding stays until the file is uploaded again or deleted.
"""

from __future__ import annotations

import enum
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from pyramid_pypi.catalog import describing, reading
from pyramid_pypi.changes import journal
from pyramid_pypi.formats.compression import gzip_bytes
from pyramid_pypi.models.catalog import File, UsedFilename
from pyramid_pypi.publishing import documents
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.storage.blobs import METADATA_SUFFIX
from pyramid_pypi.values.digests import file_path
from pyramid_pypi.values.names import ProjectName

_BLOCK_BYTES = 1024 * 1024
_SPOOL_AGE_S = 24 * 3600


class Fault(enum.StrEnum):
    """What sort of disagreement it is."""

    FILE_MISSING = "file-missing"
    FILE_CORRUPT = "file-corrupt"
    FILE_ORPHAN = "file-orphan"
    METADATA_WRONG = "metadata-wrong"
    DOCUMENT_WRONG = "document-wrong"
    DOCUMENT_ORPHAN = "document-orphan"
    FILENAME_UNREGISTERED = "filename-unregistered"
    SPOOL_LEFTOVER = "spool-leftover"
    TREE_BEHIND = "tree-behind"
    TREE_AHEAD = "tree-ahead"


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement, and whether it has been mended."""

    fault: Fault
    subject: str
    detail: str = ""
    repaired: bool = False


def findings(publisher: Publisher, *, repair: bool = False) -> Iterator[Finding]:
    """Yield each disagreement; with `repair`, mend what can be mended.

    Reads every release file once.  May run beside a working index: what is uploaded
    meanwhile is not taken for a fault.
    """
    yield from _serials(publisher, repair=repair)
    yield from _files(publisher)
    yield from _unregistered(publisher, repair=repair)
    yield from _orphans(publisher, repair=repair)
    yield from _documents(publisher, repair=repair)
    yield from _spool(publisher, repair=repair)


def _serials(publisher: Publisher, *, repair: bool) -> Iterator[Finding]:
    with publisher.environment.database.reading() as session:
        newest = journal.newest(session)
    shown = publisher.serial
    if shown > newest:
        detail = f"the tree shows {shown}, the journal ends at {newest}: an older database?"
        yield Finding(Fault.TREE_AHEAD, "tree", detail)
    elif shown < newest:
        if repair:
            publisher.publish_gap()
        detail = f"the tree shows {shown} of {newest}"
        yield Finding(Fault.TREE_BEHIND, "tree", detail, publisher.serial >= newest)


def _files(publisher: Publisher) -> Iterator[Finding]:
    root = publisher.environment.tree.root
    with publisher.environment.database.reading() as session:
        rows = session.execute(
            select(File.filename, File.sha256, File.core_metadata_sha256).order_by(
                File.filename
            )
        ).all()
    for filename, sha256, metadata_sha256 in rows:
        path = root / file_path(sha256, filename)
        found = _sha256(path)
        if found is None:
            yield Finding(Fault.FILE_MISSING, filename, str(path))
        elif found != sha256:
            yield Finding(Fault.FILE_CORRUPT, filename, f"sha256 is {found}, not {sha256}")
        sibling = path.with_name(path.name + METADATA_SUFFIX)
        if _sha256(sibling) != metadata_sha256:
            yield Finding(Fault.METADATA_WRONG, filename, str(sibling))


def _unregistered(publisher: Publisher, *, repair: bool) -> Iterator[Finding]:
    """Find files whose name nothing would keep from being taken after a deletion."""
    database = publisher.environment.database
    query = (
        select(File.filename, File.filename_key, File.sha256, File.uploaded_at)
        .outerjoin(UsedFilename, UsedFilename.filename == File.filename)
        .where(UsedFilename.filename.is_(None))
    )
    with database.reading() as session:
        rows = session.execute(query).all()
    for filename, key, sha256, used_at in rows:
        if repair:
            with database.writing() as writing:
                writing.merge(
                    UsedFilename(
                        filename=filename, filename_key=key, sha256=sha256, used_at=used_at
                    )
                )
        yield Finding(Fault.FILENAME_UNREGISTERED, filename, repaired=repair)


def _orphans(publisher: Publisher, *, repair: bool) -> Iterator[Finding]:
    """Find release files without a row, alone with the store so that none is on its way."""
    environment = publisher.environment
    for sha256, filename, path in environment.blobs.walk():
        with environment.database.reading() as session:
            if _has_row(session, sha256, filename):
                continue
        with environment.blobs.sweeping(), environment.database.reading() as session:
            if _has_row(session, sha256, filename):
                continue
            if repair:
                environment.blobs.remove(sha256, filename)
        relative = path.relative_to(environment.tree.root).as_posix()
        yield Finding(Fault.FILE_ORPHAN, relative, repaired=repair)


def _has_row(session: Session, sha256: str, filename: str) -> bool:
    row = select(File.id).where(File.sha256 == sha256, File.filename == filename)
    return session.scalar(row) is not None


def _documents(publisher: Publisher, *, repair: bool) -> Iterator[Finding]:
    database, tree = publisher.environment.database, publisher.environment.tree
    with database.reading() as session:
        names = reading.every_name(session)
    for name in names:
        publisher.settle(name)
        wrong = _wrong_documents(publisher, name)
        if wrong:
            if repair:
                publisher.rebuild([name])
            for path in wrong:
                yield Finding(Fault.DOCUMENT_WRONG, path, repaired=repair)
    for room in ("simple", "projects", "pypi"):
        for stray in sorted(set(tree.names(room)) - set(names)):
            if repair:
                tree.remove_folder(f"{room}/{stray}")
            yield Finding(Fault.DOCUMENT_ORPHAN, f"{room}/{stray}/", repaired=repair)


def _wrong_documents(publisher: Publisher, name: ProjectName) -> list[str]:
    tree = publisher.environment.tree
    with publisher.environment.database.reading() as session:
        page = reading.SimpleReader().page(session, name)
        document = describing.project_document(session, name)
    if page is None or document is None:
        return []
    wrong = []
    for path, content in documents.simple_documents(page):
        twin = tree.read(f"{path}.gz")
        if not tree.holds(path, content):
            wrong.append(path)
        elif twin is not None and twin != gzip_bytes(content):
            wrong.append(f"{path}.gz")
    versions = [release.version for release in document.releases]
    made = documents.companion_documents(document, versions, publisher.site)
    wrong.extend(path for path, content in made if not tree.holds(path, content))
    return wrong


def _spool(publisher: Publisher, *, repair: bool) -> Iterator[Finding]:
    for path in sorted(publisher.environment.blobs.spool.iterdir()):
        try:
            old = time.time() - path.stat().st_mtime > _SPOOL_AGE_S
        except FileNotFoundError:
            continue
        if old:
            if repair:
                path.unlink(missing_ok=True)
            yield Finding(Fault.SPOOL_LEFTOVER, path.name, repaired=repair)


def _sha256(path: Path) -> str | None:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    except FileNotFoundError:
        return None
    return digest.hexdigest()
