"""``pyramid-pypi user`` and ``token``: who may use the index, and by which token."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from pyramid_pypi.accounts import tokens, users
from pyramid_pypi.accounts.permissions import COMMAND_LINE, Scope
from pyramid_pypi.cli.invocation import Invocation
from pyramid_pypi.cli.options import pass_invocation, shared_options
from pyramid_pypi.cli.sessions import changing, reading
from pyramid_pypi.values.instants import iso_instant
from pyramid_pypi.values.names import normalize

if TYPE_CHECKING:
    from pyramid_pypi.models.accounts import Token

_SCOPES = [scope.value for scope in Scope]


@click.group()
def user() -> None:
    """Add users."""


@user.command("add")
@click.argument("name")
@click.option("--email", help="Where the index may write to this user.")
@click.option("--admin", is_flag=True, help="Make the user an administrator.")
@shared_options
@pass_invocation
def add_user(invocation: Invocation, name: str, email: str | None, admin: bool) -> None:
    """Add the user NAME."""
    environment = invocation.environment()
    with changing(environment) as session:
        users.add(
            session, COMMAND_LINE, name, email=email, is_admin=admin, at=environment.clock()
        )
    invocation.say(f"Added the user {name}.")


@click.group()
def token() -> None:
    """Create, list and revoke API tokens."""


@token.command("create")
@click.argument("user_name", metavar="USER")
@click.option("--label", default="", help="What the token is for.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(_SCOPES),
    multiple=True,
    default=[Scope.UPLOAD.value],
    show_default=True,
    help="What the token may do; may be repeated.",
)
@click.option(
    "--project",
    "projects",
    multiple=True,
    help="Bind the token to this project; may be repeated. Without it: all projects.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 3660),
    default=365,
    show_default=True,
    help="Days until the token expires.",
)
@shared_options
@pass_invocation
def create_token(
    invocation: Invocation,
    user_name: str,
    label: str,
    scopes: tuple[str, ...],
    projects: tuple[str, ...],
    days: int,
) -> None:
    """Create a token for USER and print its secret, which is shown this once only."""
    environment = invocation.environment()
    at = environment.clock()
    with changing(environment) as session:
        secret, row = tokens.create(
            session,
            COMMAND_LINE,
            user_name,
            label,
            {Scope(scope) for scope in scopes},
            {normalize(name) for name in projects} or None,
            expires_at=at + timedelta(days=days),
            at=at,
        )
        described = _described(row, at)
    if invocation.as_json:
        invocation.show(described | {"secret": secret})
    else:
        invocation.say(f"Token {described['id']} of {user_name}, until {described['expires']}:")
        click.echo(secret)


@token.command("list")
@click.option("--user", "user_name", help="Only the tokens of this user.")
@shared_options
@pass_invocation
def list_tokens(invocation: Invocation, user_name: str | None) -> None:
    """List tokens, without their secrets, which the index does not know."""
    environment = invocation.environment()
    with reading(environment) as session:
        rows = tokens.listing(session, user_name)
        described = [_described(row, environment.clock()) for row in rows]
    invocation.show(described)


@token.command("revoke")
@click.argument("token_id", metavar="ID", type=int)
@shared_options
@pass_invocation
def revoke_token(invocation: Invocation, token_id: int) -> None:
    """End the token numbered ID at once."""
    environment = invocation.environment()
    with changing(environment) as session:
        tokens.revoke(session, COMMAND_LINE, token_id, at=environment.clock())
    invocation.say(f"Token {token_id} is revoked.")


def _described(row: Token, at: datetime) -> dict[str, Any]:
    if row.revoked_at is not None:
        state = "revoked"
    else:
        state = "valid" if at < row.expires_at else "expired"
    return {
        "id": row.id,
        "user": row.user.name,
        "label": row.label,
        "scopes": row.scopes,
        "projects": row.projects,
        "created": iso_instant(row.created_at),
        "expires": iso_instant(row.expires_at),
        "last_used": row.last_used_at and iso_instant(row.last_used_at),
        "state": state,
    }
