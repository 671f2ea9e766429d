"""Who asks, and may they: tokens in the `Authorization` header, and nothing else.

Reading what is published needs no identity, so nobody is looked up for it.  For the rest
the policy answers from the headers, before any body is read: is there a good token, and
does it reach this permission in this project at all?  The user's role is asked by the
domain itself, in the transaction of the act.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from pyramid_pypi.accounts.permissions import Actor, Permission, reaches
from pyramid_pypi.errors import NotAuthenticated, NotPermitted
from pyramid_pypi.web.places import Resource

READ = "published.read"
"""The permission of views that show what everybody may see; it is never a write's."""

TOKEN_USER = "__token__"  # noqa: S105 - the user name that says a token follows


class SecurityPolicy:
    """Pyramid's questions, answered (`pyramid.interfaces.ISecurityPolicy`)."""

    def identity(self, request: Any) -> Actor | None:
        """Return who asks, None when the request carries no good token."""
        try:
            actor: Actor = request.actor
        except NotAuthenticated:
            return None
        return actor

    def authenticated_userid(self, request: Any) -> str | None:
        """Return the user name of who asks."""
        actor = self.identity(request)
        return actor.name if actor else None

    def permits(self, request: Any, context: Resource, permission: str) -> bool:
        """Tell whether the request may go on to the view.

        Raises:
            NotAuthenticated: something more than reading, without a good token.
            NotPermitted: the token does not reach `permission` in the context's project.
        """
        if permission == READ:
            return True
        wanted = Permission(permission)
        actor = request.actor
        # An upload names its project in its body; the domain asks again when it is known.
        named = context.project is not None
        if reaches(actor, wanted, context.project if named else _any_of(actor)):
            return True
        where = f" in {context.project}" if named else ""
        raise NotPermitted(f"this token does not reach {wanted}{where}")

    def remember(self, request: Any, userid: str, **kw: Any) -> list[tuple[str, str]]:
        """Return no headers: nobody is remembered."""
        return []

    def forget(self, request: Any, **kw: Any) -> list[tuple[str, str]]:
        """Return no headers: nobody is remembered."""
        return []


def _any_of(actor: Actor) -> str | None:
    return next(iter(actor.projects), None) if actor.projects else None


def secret_in(authorization: str | None) -> str:
    """Return the token that an `Authorization` header carries (RFC 7617, RFC 6750).

    Raises:
        NotAuthenticated: there is none, or not in a form the index takes.
    """
    scheme, _, rest = (authorization or "").strip().partition(" ")
    if scheme.lower() == "bearer" and rest.strip():
        return rest.strip()
    if scheme.lower() != "basic":
        raise NotAuthenticated
    try:
        decoded = base64.b64decode(rest.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise NotAuthenticated from None
    user, _, password = decoded.partition(":")
    if user != TOKEN_USER:
        raise NotAuthenticated(f"give {TOKEN_USER} as the user name, a token as the password")
    return password
