"""``pyramid-pypi project``: what the REST faces do to a project, for the operator."""

from __future__ import annotations

import click

from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.catalog import files, releases
from pyramid_pypi.catalog import projects as catalog
from pyramid_pypi.cli.invocation import Invocation
from pyramid_pypi.cli.options import pass_invocation, shared_options
from pyramid_pypi.cli.sessions import changing, reading
from pyramid_pypi.models.catalog import ProjectStatus, Role
from pyramid_pypi.values.names import normalize

_STATUSES = [status.value for status in ProjectStatus]
_ROLES = [role.value for role in Role]

_version = click.argument("version", required=False)
_filename = click.option("--file", "filename", help="One file instead of a whole release.")


@click.group()
def project() -> None:
    """Yank, delete, set status and roles."""


@project.command()
@click.argument("name")
@_version
@_filename
@click.option("--reason", default="", help="Why; installers and pages show it.")
@shared_options
@pass_invocation
def yank(
    invocation: Invocation, name: str, version: str | None, filename: str | None, reason: str
) -> None:
    """Hide a release or a file from installers that have a choice (PEP 592)."""
    one, chosen = _release_or_file(version, filename)
    environment = invocation.environment()
    at = environment.clock()
    with changing(environment) as session:
        verb = files.yank if one else releases.yank
        verb(session, COMMAND_LINE, normalize(name), chosen, reason, at=at)
    invocation.say(f"Yanked {chosen} of {name}.")


@project.command()
@click.argument("name")
@_version
@_filename
@shared_options
@pass_invocation
def unyank(
    invocation: Invocation, name: str, version: str | None, filename: str | None
) -> None:
    """Take back the yank of a release or a file."""
    one, chosen = _release_or_file(version, filename)
    environment = invocation.environment()
    at = environment.clock()
    with changing(environment) as session:
        verb = files.unyank if one else releases.unyank
        verb(session, COMMAND_LINE, normalize(name), chosen, at=at)
    invocation.say(f"{chosen} of {name} is no longer yanked.")


@project.command()
@click.argument("name")
@_version
@_filename
@shared_options
@pass_invocation
def delete(
    invocation: Invocation, name: str, version: str | None, filename: str | None
) -> None:
    """Delete a project, a release or a file.

    Names of deleted files stay taken: other bytes never get them again.
    """
    whole = version is None and filename is None
    one, chosen = (False, "the whole project") if whole else _release_or_file(version, filename)
    invocation.confirm(f"Delete {chosen} of {name}?")
    environment = invocation.environment()
    at = environment.clock()
    with changing(environment) as session:
        if whole:
            catalog.delete(session, COMMAND_LINE, normalize(name), at=at)
        else:
            verb = files.delete if one else releases.delete
            verb(session, COMMAND_LINE, normalize(name), chosen, at=at)
    invocation.say(f"Deleted {chosen} of {name}.")


@project.command()
@click.argument("name")
@click.argument("new_status", metavar="[STATUS]", type=click.Choice(_STATUSES), required=False)
@click.option("--reason", default="", help="Why; installers and pages show it.")
@shared_options
@pass_invocation
def status(invocation: Invocation, name: str, new_status: str | None, reason: str) -> None:
    """Show the status of a project, or set it (PEP 792).

    STATUS is active, archived, quarantined or deprecated.
    """
    environment = invocation.environment()
    if new_status is None:
        with reading(environment) as session:
            found = catalog.get(session, normalize(name))
            invocation.show({"status": found.status.value, "reason": found.status_reason})
        return
    with changing(environment) as session:
        catalog.set_status(
            session,
            COMMAND_LINE,
            normalize(name),
            ProjectStatus(new_status),
            reason,
            at=environment.clock(),
        )
    invocation.say(f"{name} is {new_status}.")


@project.command()
@click.argument("name")
@click.option(
    "--give",
    type=(str, click.Choice(_ROLES)),
    metavar="USER ROLE",
    help="Make USER owner or maintainer.",
)
@click.option("--take", metavar="USER", help="Take any role from USER.")
@shared_options
@pass_invocation
def roles(
    invocation: Invocation, name: str, give: tuple[str, str] | None, take: str | None
) -> None:
    """Show who has which role in a project, or change it."""
    environment = invocation.environment()
    at = environment.clock()
    if give or take:
        with changing(environment) as session:
            if give:
                user_name, role = give
                catalog.set_role(
                    session, COMMAND_LINE, normalize(name), user_name, Role(role), at=at
                )
            if take:
                catalog.remove_role(session, COMMAND_LINE, normalize(name), take, at=at)
    with reading(environment) as session:
        rows = catalog.roles(session, catalog.get(session, normalize(name)))
        invocation.show([{"user": row.user.name, "role": row.role.value} for row in rows])


def _release_or_file(version: str | None, filename: str | None) -> tuple[bool, str]:
    """Return whether one file is meant, and its name or the version."""
    if version and not filename:
        return False, version
    if filename and not version:
        return True, filename
    raise click.UsageError("Give either a VERSION or --file FILENAME.")
