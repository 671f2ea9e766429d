"""Whether what is stored agrees: database, release files, published tree.

Each disagreement is a finding.  What the database knows is taken as true; documents are
written anew from it, orphans removed.  A missing or corrupt release file cannot be made
again: that finding stays until the file is deleted, or, if missing, uploaded again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from pyramid_pypi.catalog import describing, reading
from pyramid_pypi.changes import journal
from pyramid_pypi.environment import Environment
from pyramid_pypi.formats.compression import gzip_bytes
from pyramid_pypi.formats.simple import serial_of
from pyramid_pypi.models.catalog import File, UsedFilename
from pyramid_pypi.publishing import documents, fsck_pointer, orphans
from pyramid_pypi.publishing.failures import stops_all
from pyramid_pypi.publishing.faults import Fault, Finding
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.publishing.state import State
from pyramid_pypi.storage.blobs import METADATA_SUFFIX
from pyramid_pypi.values.digests import file_path
from pyramid_pypi.values.names import ProjectName, is_normalized

_BLOCK_BYTES = 1024 * 1024
_SPOOL_AGE_S = 24 * 3600
_PATIENCE_S = 2.0
_MORE_LOOKS = 3


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
    yield from fsck_pointer.findings(publisher, repair=repair)


def serials(environment: Environment) -> tuple[int, int]:
    """Return the serial that the tree shows, and the journal's newest.

    Whoever is publishing just that one is given a moment.
    """
    state = State(environment.settings.data_dir)
    shown = state.published()  # before the journal, which others make longer meanwhile
    with environment.database.reading() as session:
        newest = journal.newest(session)
    deadline = time.monotonic() + _PATIENCE_S
    while shown < newest and time.monotonic() < deadline:
        time.sleep(0.05)
        shown = min(state.published(), newest)
    return shown, newest


def _serials(publisher: Publisher, *, repair: bool) -> Iterator[Finding]:
    shown, newest = serials(publisher.environment)
    if shown > newest:
        detail = f"the tree shows {shown}, the journal ends at {newest}: an older database?"
        repaired = repair and publisher.publish_gap() > shown
        yield Finding(Fault.TREE_AHEAD, "tree", detail, repaired)
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
            with publisher.environment.database.reading() as session:
                if not _has_row(session, sha256, filename):
                    continue  # deleted meanwhile
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
    if repair:
        orphans.clear(environment)
    for sha256, filename, path in environment.blobs.walk():
        with environment.database.reading() as session:
            if _has_row(session, sha256, filename):
                continue
        with environment.blobs.sweeping(), environment.database.reading() as session:
            if _has_row(session, sha256, filename) or sha256 in environment.blobs.doubted():
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
        known = reading.every_serial(session)
    for name in sorted(known):
        yield from _project(publisher, name, repair=repair)
    yield from _lists(publisher, repair=repair)
    strays = [
        (room, ProjectName(name))
        for room in ("simple", "projects", "pypi")
        for name in tree.names(room)
        if name not in known
    ]
    for room, stray in strays:
        with database.reading() as session:
            if reading.serial_of(session, stray) is not None:
                continue  # created meanwhile
        if repair:
            publisher.rebuild([stray])
        yield Finding(Fault.DOCUMENT_ORPHAN, f"{room}/{stray}/", repaired=repair)


def _project(publisher: Publisher, name: ProjectName, *, repair: bool) -> Iterator[Finding]:
    try:
        if not is_normalized(name):
            raise ValueError("it is no name of a project")  # noqa: TRY301 - told below
        wrong = _wrong_documents(publisher, name)
        for _ in range(_MORE_LOOKS):
            if wrong:
                # A change that is being published is no fault: look with the tree at rest.
                with publisher.at_rest(name):
                    wrong = _wrong_documents(publisher, name)
        if wrong and repair:
            publisher.rebuild([name])
        left = _wrong_documents(publisher, name) if wrong and repair else wrong
    except Exception as error:
        if stops_all(error):
            raise
        # What stops one project from being rendered is no reason to leave the others.
        yield Finding(Fault.PROJECT_BROKEN, name, repr(error))
        return
    for path in wrong:
        fault = Fault.DOCUMENT_ORPHAN if path.endswith("/") else Fault.DOCUMENT_WRONG
        yield Finding(fault, path, repaired=path not in left)


def _lists(publisher: Publisher, *, repair: bool) -> Iterator[Finding]:
    """Find lists that are torn or lost; to be older than the pages is their right."""
    try:
        wrong = _wrong_lists(publisher)
    except (TypeError, ValueError, LookupError) as error:
        yield Finding(Fault.PROJECT_BROKEN, "simple/", repr(error))
        return
    if wrong and repair:
        publisher.rebuild_lists()
    left = _wrong_lists(publisher) if wrong and repair else wrong
    for path in wrong:
        yield Finding(Fault.DOCUMENT_WRONG, path, repaired=path not in left)


def _wrong_lists(publisher: Publisher) -> list[str]:
    tree = publisher.environment.tree
    with publisher.environment.database.reading() as session:
        listed = reading.simple_list(session)
        home = reading.home_document(session, listed)
    wrong = []
    for path, content in documents.list_documents(listed, home, publisher.site):
        shown = tree.read(path)
        if shown is None:
            wrong.append(path)
        elif (expected := serial_of(content)) is not None:
            serial = serial_of(shown)
            if serial is None or (serial == expected and shown != content):
                wrong.append(path)
    return wrong


def _wrong_documents(publisher: Publisher, name: ProjectName) -> list[str]:
    """Return the paths of wrong and missing documents, and of folders that are too many."""
    tree = publisher.environment.tree
    with publisher.environment.database.reading() as session:
        page = reading.SimpleReader().page(session, name)
        document = describing.project_document(session, name, None)
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
    made = documents.companions_and_manifest(document, versions, publisher.site)
    wrong.extend(path for path, content in made if not tree.holds(path, content))
    listed = {release.version for release in document.listed_releases}
    strays = sorted(set(tree.names(f"pypi/{name}")) - listed)
    return wrong + [f"pypi/{name}/{version}/" for version in strays]


def _spool(publisher: Publisher, *, repair: bool) -> Iterator[Finding]:
    for path in sorted(publisher.environment.blobs.spool.glob("*")):
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
