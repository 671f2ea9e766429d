"""The whole application over a real index, without a socket between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from webtest import TestApp

from pyramid_pypi.accounts import tokens, users
from pyramid_pypi.accounts.permissions import COMMAND_LINE, Scope
from pyramid_pypi.app import make_app
from pyramid_pypi.environment import Environment
from pyramid_pypi.publishing.publisher import Publisher
from tests.distributions import wheel

Signer = Callable[..., str]


@dataclass
class Client:
    """A WebTest application, with what uploaders do to it."""

    app: TestApp
    token: str

    @property
    def registry(self) -> Any:
        """Pyramid's registry of the application."""
        wsgi: Any = self.app.app
        return wsgi.registry

    def signed(self, token: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {token or self.token}"}

    def get(self, path: str, *, status: int | str = 200, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.app.get(path, headers=named, status=status)

    def upload(
        self,
        filename: str = "demo-1.0-py3-none-any.whl",
        content: bytes | None = None,
        *,
        path: str = "/legacy/",
        token: str | None = None,
        status: int | str = 200,
        headers: dict[str, str] | None = None,
        action: str = "file_upload",
        **form: str,
    ) -> Any:
        name, version = filename.split("-")[:2]
        fields = {
            ":action": action,
            "protocol_version": "1",
            "name": name,
            "version": version,
            **form,
        }
        return self.app.post(
            path,
            params=fields,
            upload_files=[("content", filename, content or wheel(name, version))],
            headers=self.signed(token) | (headers or {}),
            status=status,
        )

    def put(self, path: str, body: Any = None, *, token: str | None = None, status: int) -> Any:
        return self.app.put_json(path, body or {}, headers=self.signed(token), status=status)

    def delete(self, path: str, *, token: str | None = None, status: int) -> Any:
        return self.app.delete(path, headers=self.signed(token), status=status)


@pytest.fixture
def wsgi(services: Environment, publisher: Publisher) -> Any:
    return make_app(services, publisher)


@pytest.fixture
def client(wsgi: Any, admin_token: str) -> Client:
    return Client(TestApp(wsgi, extra_environ={"HTTP_HOST": "localhost"}), admin_token)


@pytest.fixture
def token_of(services: Environment) -> Signer:
    """Make a user (once) and a token; return the token."""

    def make(
        name: str,
        *,
        scopes: set[Scope] | None = None,
        projects: set[str] | None = None,
        is_admin: bool = False,
        lasts: timedelta = timedelta(days=1),
    ) -> str:
        now = services.clock()
        with services.database.writing() as session:
            if users.find(session, name) is None:
                users.add(session, COMMAND_LINE, name, is_admin=is_admin, at=now)
            secret, _ = tokens.create(
                session,
                COMMAND_LINE,
                name,
                "test",
                scopes or set(Scope),
                projects,
                expires_at=now + lasts,
                at=now,
            )
        return secret

    return make
