"""``pyramid-pypi import``: many files at once, through the pipeline that uploads take.

Each file is inspected by itself; rows are committed in groups, since one commit per file
would wait for the disk each time.  A second run skips what the index has already.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pyramid_pypi import bootstrap
from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.cli.invocation import FAILURE, Invocation
from pyramid_pypi.cli.options import pass_invocation, shared_options
from pyramid_pypi.cli.sessions import database_errors, finish, publish, reading
from pyramid_pypi.environment import Environment
from pyramid_pypi.errors import Refusal
from pyramid_pypi.models.catalog import File
from pyramid_pypi.publishing import orphans
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.upload import pipeline
from pyramid_pypi.upload.refusals import FileExists, UploadTooLarge
from pyramid_pypi.upload.values import Inspected, Spooled
from pyramid_pypi.values.digests import Digester, Digests

_SUFFIXES = (".whl", ".tar.gz", ".zip")
_GROUP = 200  # files to one commit
_BLOCK_BYTES = 256 * 1024


@dataclass(slots=True)
class Tally:
    """What became of the files."""

    added: int = 0
    present: int = 0
    refused: list[dict[str, str]] = field(default_factory=list)

    def refuse(self, path: Path, refusal: Refusal) -> None:
        """Note that `path` was not taken, and why."""
        self.refused.append(
            {"path": str(path), "code": refusal.code, "detail": refusal.sentence}
        )


@click.group("import")
def import_group() -> None:
    """Take in many files at once."""


@import_group.command("dir")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@shared_options
@pass_invocation
def import_dir(invocation: Invocation, folder: Path) -> None:
    """Take in every wheel and sdist under FOLDER.

    Each passes the checks of an upload.  Files that are refused are listed at the end,
    and the exit status is 1 then; the others are in the index all the same.
    """
    environment = invocation.environment()
    publisher = bootstrap.open_publisher(environment)
    with database_errors():
        publisher.reconcile()
        # Of an import that was killed: its marks would be looked through at each group.
        orphans.clear(environment)
    paths = sorted(
        path for path in folder.rglob("*") if path.name.endswith(_SUFFIXES) and path.is_file()
    )
    tally = Tally()
    for group in _groups(_with_progress(invocation, paths)):
        _take(publisher, invocation, group, tally)
    with database_errors():
        finish(publisher)
    if invocation.as_json:
        invocation.show(
            {"added": tally.added, "present": tally.present, "refused": tally.refused}
        )
    else:
        invocation.show(tally.refused)
    invocation.say(
        f"{tally.added} added, {tally.present} present already, {len(tally.refused)} refused."
    )
    if tally.refused:
        raise click.exceptions.Exit(FAILURE)


def _groups(paths: Iterable[Path]) -> Iterator[list[Path]]:
    remaining = iter(paths)
    while group := list(itertools.islice(remaining, _GROUP)):
        yield group


def _with_progress(invocation: Invocation, paths: list[Path]) -> Iterator[Path]:
    if invocation.quiet or not sys.stderr.isatty():
        yield from paths
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(paths, description="Importing", console=Console(stderr=True))


def _take(
    publisher: Publisher, invocation: Invocation, paths: list[Path], tally: Tally
) -> None:
    """Take one group: pass over what is known, inspect and store the rest, then commit."""
    environment = publisher.environment
    with reading(environment) as session:
        known = _known(session, paths)
    # Held until the rows stand, or `fsck` might take a stored file for an orphan.
    with environment.blobs.keeping():
        waiting = []
        for path in paths:
            try:
                inspected = _inspect(environment, path, known.get(path.name))
            except Refusal as refusal:
                tally.refuse(path, refusal)
                invocation.explain(f"{path}: {refusal.sentence}")
                continue
            if inspected is None:
                tally.present += 1
            else:
                waiting.append((path, inspected))
        environment.blobs.flush()
        _record(publisher, waiting, tally)


def _known(session: Session, paths: list[Path]) -> dict[str, str]:
    """Return the sha256 of those files that the index has under the same name."""
    names = [path.name for path in paths]
    rows = session.execute(select(File.filename, File.sha256).where(File.filename.in_(names)))
    return dict(rows.all())


def _inspect(environment: Environment, path: Path, known: str | None) -> Inspected | None:
    """Return what the file at `path` is, stored by digest; None when it stands already.

    Raises:
        Refusal: the file is not one that an upload could bring.
    """
    rules = pipeline.Rules.of(environment.settings)
    if path.stat().st_size > rules.limits.max_file_bytes:
        raise UploadTooLarge(f"{path.name} has more than {rules.limits.max_file_bytes} bytes")
    spool = environment.blobs.new_spool_path()
    try:
        digests = _copy(path, spool)
        if digests.sha256 == known:
            return None
        spooled = Spooled(spool, path.name, digests)
        return pipeline.receive(environment.blobs, spooled, {}, rules, flush=False)
    finally:
        spool.unlink(missing_ok=True)


def _copy(path: Path, spool: Path) -> Digests:
    digester = Digester()
    with path.open("rb") as source, spool.open("xb") as target:
        while block := source.read(_BLOCK_BYTES):
            digester.update(block)
            target.write(block)
    return digester.digests()


def _record(publisher: Publisher, waiting: list[tuple[Path, Inspected]], tally: Tally) -> None:
    """Commit `waiting` as one; where one is refused, halve, until it stands alone."""
    if not waiting:
        return
    try:
        added = _commit(publisher, [inspected for _, inspected in waiting])
    except (Refusal, IntegrityError) as error:
        if len(waiting) > 1:
            middle = len(waiting) // 2
            _record(publisher, waiting[:middle], tally)
            _record(publisher, waiting[middle:], tally)
        elif isinstance(error, Refusal):
            tally.refuse(waiting[0][0], error)
        else:
            tally.refuse(waiting[0][0], FileExists("another upload brought it just now"))
        return
    tally.added += added
    tally.present += len(waiting) - added


def _commit(publisher: Publisher, inspected: list[Inspected]) -> int:
    """Record all of `inspected` in one transaction; return how many were new."""
    environment = publisher.environment
    rules = pipeline.Rules.of(environment.settings)
    at = environment.clock()
    with database_errors():
        with environment.database.writing() as session:
            outcomes = [
                pipeline.record(session, COMMAND_LINE, one, rules, at=at) for one in inspected
            ]
        publish(publisher, session)
        publisher.settle_all()
    for one in inspected:
        environment.blobs.confirm(one.digests.sha256, one.filename)
    return outcomes.count(pipeline.Outcome.NEW)
