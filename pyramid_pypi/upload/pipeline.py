"""From a received file to a recorded one: the steps of an upload, in their order.

1. `precheck`: what can be refused before anything costly, from the database as it is.
2. `receive`: inspect the file, then make its bytes durable under their digest.
3. `record`: rows, journal and audit in one transaction, which the caller commits.

Steps 2 and 3 run inside `Blobs.keeping`; after the commit the caller calls
`Blobs.confirm`.  A crash or a refusal between them leaves a doubted blob in the store,
which is removed soon; nobody was told that it had been taken.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from pyramid_pypi.accounts.permissions import Actor, Permission, require
from pyramid_pypi.catalog import adding
from pyramid_pypi.catalog.adding import Holder, KnownProject, KnownRelease, NewFile
from pyramid_pypi.changes import journal
from pyramid_pypi.errors import BadValue
from pyramid_pypi.formats import core_metadata
from pyramid_pypi.models.catalog import PackageType, ProjectStatus
from pyramid_pypi.settings import Settings
from pyramid_pypi.storage.blobs import Blobs
from pyramid_pypi.upload import inspection
from pyramid_pypi.upload.checks import check_digests, form_value, read_filename
from pyramid_pypi.upload.refusals import (
    ContentKnown,
    FileExists,
    FilenameReused,
    NameConfusable,
    NameProhibited,
    ProjectFull,
    ProjectReadOnly,
    ReleaseClosed,
)
from pyramid_pypi.upload.values import Form, Inspected, Limits, Spooled
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.values.names import is_valid, normalize
from pyramid_pypi.values.versions import sort_key

_STANDARD_LIBRARY = frozenset(normalize(name) for name in sys.stdlib_module_names)
_CLOSED_TO_UPLOADS = {ProjectStatus.ARCHIVED, ProjectStatus.QUARANTINED}


class Outcome(enum.Enum):
    """How an upload ended well."""

    NEW = "new"
    SAME = "same"  # the very file stood in the index already


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator allows of uploads."""

    limits: Limits
    max_project_bytes: int
    release_closes_after: timedelta | None
    prohibited_names: frozenset[str]

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """Return the rules that `settings` describe."""
        days = settings.upload_release_closes_after_days
        return cls(
            limits=Limits(
                max_file_bytes=settings.upload_max_file_bytes,
                max_unpacked_bytes=settings.upload_max_unpacked_bytes,
                max_members=settings.upload_max_members,
            ),
            max_project_bytes=settings.upload_max_project_bytes,
            release_closes_after=timedelta(days=days) if days else None,
            prohibited_names=frozenset(map(normalize, settings.upload_prohibited_names)),
        )


def precheck(
    session: Session, actor: Actor, form: Form, spooled: Spooled, rules: Rules
) -> Outcome | None:
    """Refuse early what `record` would refuse; return SAME when the file stands already.

    Reads only.  `record` asks everything again, under its lock.

    Raises:
        FilenameInvalid, TypeUnsupported, FormInvalid, DigestMismatch, BadValue (the name):
            before the database is asked.
        NotPermitted, ProjectReadOnly, NameProhibited, NameConfusable, FileExists,
        FilenameReused, ContentKnown.
    """
    artifact = read_filename(spooled.filename, form)
    check_digests(form, spooled.digests)
    display_name = form_value(form, "name") or artifact.name
    _check_spelling(display_name)
    project = adding.find_project(session, normalize(display_name))
    if project is None:
        require(session, actor, Permission.PROJECT_CREATE)
        _check_new_name(session, display_name, rules)
    else:
        _check_project(session, actor, project)
    sha256 = spooled.digests.sha256
    holders = adding.holders(session, artifact.filename, artifact.key, sha256)
    return _check_holders(holders, artifact.filename, sha256)


def receive(
    blobs: Blobs, spooled: Spooled, form: Form, rules: Rules, *, flush: bool = True
) -> Inspected:
    """Inspect the received file, move it to its place by digest, and return what it is.

    When this returns, the bytes survive a power cut; without `flush` (for many files at
    once) they do so after the caller's `Blobs.flush`, before which nothing is recorded.

    Raises:
        Refusal: any of `upload.refusals` that the file itself gives reason for.
        OSError: the bytes cannot be stored.
    """
    inspected = inspection.inspect(spooled, form, rules.limits)
    blobs.keep(
        spooled.path,
        inspected.digests.sha256,
        inspected.filename,
        inspected.metadata_bytes,
        flush=flush,
    )
    return inspected


def record(
    session: Session, actor: Actor, inspected: Inspected, rules: Rules, *, at: datetime
) -> Outcome:
    """Record an inspected file whose bytes are stored: project, release, file, journal.

    The first upload of a name makes the project, and its uploader the owner.

    Raises:
        As `precheck`, and ReleaseClosed, ProjectFull.
        sqlalchemy.exc.IntegrityError: another upload won a race; ask again to see it.
    """
    project = _project(session, actor, inspected, rules, at=at)
    filename, sha256 = inspected.filename, inspected.digests.sha256
    holders = adding.holders(session, filename, inspected.filename_key, sha256)
    same = _check_holders(holders, filename, sha256)
    if same is not None:
        return same
    held_bytes = project.size_bytes + journal.waiting_bytes(session, project.name)
    if held_bytes + inspected.digests.size_bytes > rules.max_project_bytes:
        raise ProjectFull(f"{project.name} may hold {rules.max_project_bytes} bytes")
    release = adding.find_or_create_release(
        session,
        actor,
        project,
        str(inspected.version),
        sort_key(inspected.version),
        core_metadata.to_json(inspected.metadata),
        at=at,
    )
    _check_open(release, rules, at=at)
    spent = any(holder.filename == filename for holder in holders)
    new = _new_file(inspected)
    adding.add_file(session, actor, project, release, new, at=at, name_is_spent=spent)
    return Outcome.NEW


def _project(
    session: Session, actor: Actor, inspected: Inspected, rules: Rules, *, at: datetime
) -> KnownProject:
    project = adding.find_project(session, inspected.name, lock=True)
    if project is None:
        _check_new_name(session, inspected.display_name, rules)
        return adding.create_project(session, actor, inspected.display_name, at=at)
    _check_project(session, actor, project)
    return project


def _check_project(session: Session, actor: Actor, project: KnownProject) -> None:
    require(session, actor, Permission.PROJECT_UPLOAD, project)
    if project.status in _CLOSED_TO_UPLOADS:
        raise ProjectReadOnly(f"{project.name} is {project.status}")


def _check_spelling(display_name: str) -> None:
    if not is_valid(display_name):
        raise BadValue(f"name {display_name[:100]!r}: use ASCII letters, digits, '.', '-', '_'")


def _check_new_name(session: Session, display_name: str, rules: Rules) -> None:
    _check_spelling(display_name)
    name = normalize(display_name)
    if name in _STANDARD_LIBRARY or name in rules.prohibited_names:
        raise NameProhibited(display_name)
    similar = adding.find_confusable(session, name)
    if similar is not None:
        raise NameConfusable(f"{display_name} is too similar to {similar}")


def _check_holders(holders: Sequence[Holder], filename: str, sha256: str) -> Outcome | None:
    """Return SAME for a file that stands already; refuse a name or content that is taken."""
    standing = [holder for holder in holders if holder.stands]
    if any((holder.filename, holder.sha256) == (filename, sha256) for holder in standing):
        return Outcome.SAME
    for holder in standing:
        if holder.sha256 == sha256:
            raise ContentKnown(f"{filename} has the content of {holder.filename}")
        raise FileExists(f"{holder.filename} has other content")
    if any(holder.sha256 != sha256 for holder in holders):
        raise FilenameReused(f"{filename}; use another version or build number")
    return None


def _check_open(release: KnownRelease, rules: Rules, *, at: datetime) -> None:
    after = rules.release_closes_after
    if after is not None and at - release.created_at > after:
        raise ReleaseClosed(f"{release.version} was made {release.created_at:%Y-%m-%d}")


def _new_file(inspected: Inspected) -> NewFile:
    metadata = inspected.metadata_bytes
    return NewFile(
        filename=inspected.filename,
        filename_key=inspected.filename_key,
        digests=inspected.digests,
        packagetype=PackageType(inspected.packagetype),
        python_tag=inspected.python_tag,
        requires_python=inspected.metadata.requires_python,
        core_metadata_sha256=None if metadata is None else sha256_hex(metadata),
    )
