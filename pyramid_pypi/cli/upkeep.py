"""``pyramid-pypi init``, ``db``, ``publish`` and ``fsck``: the index and its folder."""

from __future__ import annotations

import click

from pyramid_pypi import bootstrap, migrations
from pyramid_pypi.cli.invocation import FAILURE, FINDINGS, Invocation
from pyramid_pypi.cli.options import pass_invocation, shared_options
from pyramid_pypi.cli.sessions import database_errors
from pyramid_pypi.publishing import bulk
from pyramid_pypi.publishing import fsck as checking


@click.command()
@shared_options
@pass_invocation
def init(invocation: Invocation) -> None:
    """Prepare the data folder: schema, first administrator, token.

    What is there already stays as it is; `serve` does the same at its start.
    """
    environment = invocation.environment(in_use=False)
    folder = environment.settings.data_dir.absolute()
    with database_errors():
        token_path = bootstrap.prepare(environment)
        publisher = bootstrap.open_publisher(environment)
        publisher.publish_gap()
        publisher.fresh_lists()
        publisher.repository.refresh(whole=True)
    invocation.show({"data": str(folder), "admin_token": str(token_path.absolute())})


@click.group()
def db() -> None:
    """Upgrade or check the schema of the database."""


@db.command()
@shared_options
@pass_invocation
def upgrade(invocation: Invocation) -> None:
    """Bring the database to the newest schema."""
    environment = invocation.environment(in_use=False)
    environment.settings.data_dir.mkdir(parents=True, exist_ok=True)
    with database_errors():
        changed = migrations.upgrade(environment.database)
    invocation.say("The schema is the newest now." if changed else "It was the newest already.")


@db.command()
@shared_options
@pass_invocation
def check(invocation: Invocation) -> None:
    """Tell whether the schema is the newest; exit status 3 if not."""
    environment = invocation.environment()
    with database_errors():
        current = migrations.current(environment.database)
    invocation.show({"current": current, "newest": migrations.HEAD})
    if current != migrations.HEAD:
        raise click.exceptions.Exit(FINDINGS)


@click.command()
@click.option("--rebuild", is_flag=True, help="Write every document again.")
@shared_options
@pass_invocation
def publish(invocation: Invocation, rebuild: bool) -> None:
    """Bring the published tree up to date.

    With --rebuild a tree in which nothing was published yet is written all at once.
    """
    environment = invocation.environment()
    publisher = bootstrap.open_publisher(environment)
    with database_errors():
        at_once = rebuild and bulk.is_called_for(publisher)
        if at_once:
            bulk.build(publisher)
        newest = publisher.publish_gap()
        if rebuild and not at_once:
            publisher.rebuild_all()
        else:
            publisher.retry_failures()
        publisher.settle_all()
        publisher.fresh_lists()
        publisher.repository.refresh(whole=True)
    failures = [
        {"project": failure.project, "error": failure.error}
        for failure in publisher.failures.values()
    ]
    invocation.show({"newest": newest, "published": publisher.serial, "failures": failures})
    if publisher.serial < newest or failures:
        raise click.exceptions.Exit(FAILURE)


@click.command()
@click.option("--repair", is_flag=True, help="Mend what can be mended, and say so.")
@shared_options
@pass_invocation
def fsck(invocation: Invocation, repair: bool) -> None:
    """Compare database, release files and published tree.

    Ends with status 3 on findings; with --repair only when a finding is left.
    """
    environment = invocation.environment()
    with database_errors():
        opened = bootstrap.open_publisher if repair else bootstrap.publisher_of
        publisher = opened(environment)
        found = [
            {
                "fault": finding.fault.value,
                "subject": finding.subject,
                "detail": finding.detail,
                "repaired": finding.repaired,
            }
            for finding in checking.findings(publisher, repair=repair)
        ]
    invocation.show(found)
    left = sum(not finding["repaired"] for finding in found)
    noun = "finding" if len(found) == 1 else "findings"
    invocation.say(f"{len(found)} {noun}, {left} left.")
    if left:
        raise click.exceptions.Exit(FINDINGS)
