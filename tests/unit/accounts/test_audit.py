"""Every write of the domain tells the audit who did it, in its own transaction."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from types import ModuleType

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pyramid_pypi.accounts import audit, tokens, users
from pyramid_pypi.accounts.permissions import COMMAND_LINE, Actor, Scope
from pyramid_pypi.catalog import adding, files, projects, releases, telling
from pyramid_pypi.environment import Environment
from pyramid_pypi.models.accounts import AuditEntry
from pyramid_pypi.models.catalog import ProjectStatus, Role
from pyramid_pypi.upload import pipeline
from pyramid_pypi.values.names import ProjectName
from tests.conftest import NOON
from tests.factories import later, record, sdist_of, wheel_of

DEMO = ProjectName("demo")
WHEEL = "demo-1.0-py3-none-any.whl"
Act = Callable[[Session, Actor], object]

ACTS: dict[str, Act] = {
    "users.add": lambda s, a: users.add(s, a, "new", at=NOON),
    "tokens.create": lambda s, a: tokens.create(
        s, a, "bob", "ci", [Scope.UPLOAD], None, expires_at=later(days=1), at=NOON
    ),
    "tokens.revoke": lambda s, a: tokens.revoke(s, a, tokens.listing(s)[0].id, at=NOON),
    "pipeline.record": lambda s, a: record(s, a, sdist_of()),
    "projects.set_status": lambda s, a: projects.set_status(
        s, a, DEMO, ProjectStatus.DEPRECATED, at=NOON
    ),
    "projects.delete": lambda s, a: projects.delete(s, a, DEMO, at=NOON),
    "projects.set_role": lambda s, a: projects.set_role(s, a, DEMO, "bob", Role.OWNER, at=NOON),
    "projects.remove_role": lambda s, a: projects.remove_role(s, a, DEMO, "bob", at=NOON),
    "files.yank": lambda s, a: files.yank(s, a, DEMO, WHEEL, at=NOON),
    "files.unyank": lambda s, a: files.unyank(s, a, DEMO, "demo-2.0-py3-none-any.whl", at=NOON),
    "files.delete": lambda s, a: files.delete(s, a, DEMO, WHEEL, at=NOON),
    "releases.yank": lambda s, a: releases.yank(s, a, DEMO, "1.0", at=NOON),
    "releases.unyank": lambda s, a: releases.unyank(s, a, DEMO, "2.0", at=NOON),
    "releases.delete": lambda s, a: releases.delete(s, a, DEMO, "1.0", at=NOON),
}
# Parts of the acts above: `record` and `set_yanked`'s callers tell the audit of them.
PARTS = {
    "adding.add_file",
    "adding.create_project",
    "adding.find_or_create_release",
    "files.set_yanked",
    "telling.tell",
    "telling.tell_deleted",
}


def writes_of(module: ModuleType) -> set[str]:
    """Return the public functions of `module` that act at an instant in a session."""
    found = set()
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            taken = {argument.arg for argument in node.args.args + node.args.kwonlyargs}
            if {"session", "actor", "at"} <= taken:
                found.add(f"{module.__name__.rpartition('.')[2]}.{node.name}")
    return found


def test_every_write_of_the_domain_is_tried_below() -> None:
    written: set[str] = set()
    for module in (users, tokens, adding, projects, files, releases, telling, pipeline):
        written |= writes_of(module)
    # That a token was used is noted in its row.
    assert written - {"tokens.touch"} == set(ACTS) | PARTS


@pytest.fixture
def bob(services: Environment) -> Actor:
    """An administrator with a project of theirs, one release of which is yanked."""
    with services.database.writing() as session:
        user = users.add(session, COMMAND_LINE, "bob", is_admin=True, at=NOON)
        bob = Actor(user.id, "bob", True, frozenset(Scope), None, token_id=7)
        users.add(session, COMMAND_LINE, "owner", at=NOON)
        record(session, COMMAND_LINE, wheel_of())
        record(session, COMMAND_LINE, wheel_of(version="2.0"))
        projects.set_role(session, COMMAND_LINE, DEMO, "owner", Role.OWNER, at=NOON)
        projects.set_role(session, COMMAND_LINE, DEMO, "bob", Role.MAINTAINER, at=NOON)
        releases.yank(session, COMMAND_LINE, DEMO, "2.0", at=NOON)
    return bob


def count(services: Environment) -> int:
    with services.database.reading() as session:
        return session.scalar(select(func.count(AuditEntry.id))) or 0


@pytest.mark.parametrize("name", ACTS)
def test_the_entry_stands_and_falls_with_the_act(
    services: Environment, bob: Actor, name: str
) -> None:
    before = count(services)
    with services.database.writing_session() as session:
        ACTS[name](session, bob)
        session.rollback()
    assert count(services) == before
    with services.database.writing() as session:
        ACTS[name](session, bob)
    with services.database.reading() as session:
        new = session.scalars(select(AuditEntry).order_by(AuditEntry.id).offset(before)).all()
    assert new
    assert {(entry.actor, entry.token_id, entry.at) for entry in new} == {("bob", 7, NOON)}
    assert all(entry.subject.split()[0] in {"project", "user", "token"} for entry in new)


def test_what_changes_nothing_tells_nothing(services: Environment, bob: Actor) -> None:
    before = count(services)
    with services.database.writing() as session:
        files.unyank(session, bob, DEMO, WHEEL, at=NOON)
        releases.yank(session, bob, DEMO, "2.0", at=NOON)
        projects.set_role(session, bob, DEMO, "bob", Role.MAINTAINER, at=NOON)
        projects.remove_role(session, bob, DEMO, "admin", at=NOON)
        projects.set_status(session, bob, DEMO, ProjectStatus.ACTIVE, at=NOON)
        record(session, bob, wheel_of())
    assert count(services) == before


def test_entries_of_one_transaction_keep_their_order(services: Environment) -> None:
    with services.database.writing() as session:
        for number in range(5):
            audit.record(session, COMMAND_LINE, f"act-{number}", "token 1", at=NOON)
    with services.database.reading() as session:
        told = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert list(told[-5:]) == [f"act-{number}" for number in range(5)]
