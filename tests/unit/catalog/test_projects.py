"""Status, roles and deletion of projects."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pyramid_pypi.accounts.permissions import COMMAND_LINE, Actor, Scope
from pyramid_pypi.catalog import files, projects, releases
from pyramid_pypi.errors import (
    BadValue,
    LastOwner,
    NoSuchProject,
    NoSuchUser,
    NotPermitted,
)
from pyramid_pypi.models.catalog import File, Project, ProjectRole, ProjectStatus, Release, Role
from pyramid_pypi.values.names import ProjectName
from tests.conftest import NOON, actor_named
from tests.factories import record, sdist_of, wheel_of

DEMO = ProjectName("demo")
WHEEL = "demo-1.0-py3-none-any.whl"


@pytest.fixture
def ann(session: Session) -> Actor:
    """The owner of the project demo."""
    ann = actor_named(session, "ann")
    record(session, ann, wheel_of("Demo"))
    return ann


def test_the_first_uploader_owns_the_project(session: Session, ann: Actor) -> None:
    project = projects.get(session, DEMO)
    assert (project.name, project.display_name, project.created_at) == ("demo", "Demo", NOON)
    assert [(r.user.name, r.role) for r in projects.roles(session, project)] == [
        ("ann", Role.OWNER)
    ]


def test_nobody_owns_what_the_command_line_brought(session: Session) -> None:
    record(session, COMMAND_LINE, wheel_of("other"))
    assert projects.roles(session, projects.get(session, ProjectName("other"))) == []


@pytest.mark.parametrize("lock", [False, True])
def test_a_missing_project_is_said_to_be_missing(session: Session, lock: bool) -> None:
    assert projects.find(session, DEMO) is None
    with pytest.raises(NoSuchProject):
        projects.get(session, DEMO, lock=lock)


def test_a_status_is_set_with_its_reason(session: Session, ann: Actor) -> None:
    projects.set_status(session, ann, DEMO, ProjectStatus.ARCHIVED, " use other ", at=NOON)
    project = projects.get(session, DEMO)
    assert (project.status, project.status_reason) == (ProjectStatus.ARCHIVED, "use other")
    projects.set_status(session, ann, DEMO, ProjectStatus.ACTIVE, at=NOON)
    assert (project.status, project.status_reason) == (ProjectStatus.ACTIVE, "")


@pytest.mark.parametrize("reason", ["a\nb", "\x00", "\x1b[31m", "\u202e", "a" * 1001, "\udcff"])
def test_a_reason_is_one_plain_line(session: Session, ann: Actor, reason: str) -> None:
    with pytest.raises(BadValue, match="reason"):
        projects.set_status(session, ann, DEMO, ProjectStatus.ARCHIVED, reason, at=NOON)
    with pytest.raises(BadValue, match="reason"):
        files.yank(session, ann, DEMO, WHEEL, reason, at=NOON)
    with pytest.raises(BadValue, match="reason"):
        releases.yank(session, ann, DEMO, "1.0", reason, at=NOON)
    assert projects.get(session, DEMO).status is ProjectStatus.ACTIVE


def test_only_an_administrator_sets_and_lifts_the_quarantine(
    session: Session, ann: Actor
) -> None:
    root = actor_named(session, "root", is_admin=True)
    narrow = Actor(root.user_id, "root", True, frozenset({Scope.MANAGE}), None)
    quarantined = ProjectStatus.QUARANTINED
    for actor in (ann, narrow):
        with pytest.raises(NotPermitted):
            projects.set_status(session, actor, DEMO, quarantined, at=NOON)
    projects.set_status(session, root, DEMO, quarantined, "malware", at=NOON)
    for actor in (ann, narrow):
        with pytest.raises(NotPermitted):
            projects.set_status(session, actor, DEMO, ProjectStatus.ACTIVE, at=NOON)
    projects.set_status(session, root, DEMO, ProjectStatus.ACTIVE, at=NOON)
    assert projects.get(session, DEMO).status is ProjectStatus.ACTIVE


def test_an_owner_cannot_change_or_escape_the_quarantine(session: Session, ann: Actor) -> None:
    """Else its owner would delete the evidence, or the project, and upload it again."""
    actor_named(session, "bob")
    projects.set_status(session, COMMAND_LINE, DEMO, ProjectStatus.QUARANTINED, at=NOON)
    tries: list[Callable[[], object]] = [
        lambda: projects.delete(session, ann, DEMO, at=NOON),
        lambda: files.delete(session, ann, DEMO, WHEEL, at=NOON),
        lambda: releases.delete(session, ann, DEMO, "1.0", at=NOON),
        lambda: files.yank(session, ann, DEMO, WHEEL, at=NOON),
        lambda: projects.set_role(session, ann, DEMO, "bob", Role.OWNER, at=NOON),
    ]
    for attempt in tries:
        with pytest.raises(NotPermitted, match="quarantined"):
            attempt()
    files.delete(session, COMMAND_LINE, DEMO, WHEEL, at=NOON)
    projects.delete(session, COMMAND_LINE, DEMO, at=NOON)
    assert projects.find(session, DEMO) is None


def test_a_deleted_project_leaves_no_rows(session: Session, ann: Actor) -> None:
    record(session, ann, sdist_of("demo"))
    record(session, ann, wheel_of("demo", "2.0"))
    record(session, ann, wheel_of("other"))
    projects.delete(session, ann, DEMO, at=NOON)
    session.flush()
    left = [
        session.scalar(select(func.count()).select_from(table))
        for table in (Project, Release, File, ProjectRole)
    ]
    assert left == [1, 1, 1, 1]


def test_a_maintainer_cannot_delete(session: Session, ann: Actor) -> None:
    bob = actor_named(session, "bob")
    projects.set_role(session, ann, DEMO, "bob", Role.MAINTAINER, at=NOON)
    files.yank(session, bob, DEMO, WHEEL, at=NOON)
    for attempt in (
        lambda: projects.delete(session, bob, DEMO, at=NOON),
        lambda: files.delete(session, bob, DEMO, WHEEL, at=NOON),
        lambda: releases.delete(session, bob, DEMO, "1.0", at=NOON),
        lambda: projects.set_role(session, bob, DEMO, "bob", Role.OWNER, at=NOON),
        lambda: projects.set_status(session, bob, DEMO, ProjectStatus.ARCHIVED, at=NOON),
    ):
        with pytest.raises(NotPermitted):
            attempt()


def roles_of(session: Session) -> dict[str, Role]:
    rows = projects.roles(session, projects.get(session, DEMO))
    return {row.user.name: row.role for row in rows}


def test_roles_are_given_changed_and_taken(session: Session, ann: Actor) -> None:
    actor_named(session, "bob")
    projects.set_role(session, ann, DEMO, "bob", Role.MAINTAINER, at=NOON)
    assert roles_of(session) == {"ann": Role.OWNER, "bob": Role.MAINTAINER}
    projects.set_role(session, ann, DEMO, "bob", Role.OWNER, at=NOON)
    projects.remove_role(session, ann, DEMO, "ann", at=NOON)
    assert roles_of(session) == {"bob": Role.OWNER}
    with pytest.raises(NotPermitted):
        projects.set_role(session, ann, DEMO, "ann", Role.OWNER, at=NOON)


def test_a_project_keeps_its_last_owner(session: Session, ann: Actor) -> None:
    actor_named(session, "bob")
    projects.set_role(session, ann, DEMO, "bob", Role.MAINTAINER, at=NOON)
    with pytest.raises(LastOwner):
        projects.remove_role(session, ann, DEMO, "ann", at=NOON)
    with pytest.raises(LastOwner):
        projects.set_role(session, ann, DEMO, "ann", Role.MAINTAINER, at=NOON)
    projects.set_role(session, ann, DEMO, "ann", Role.OWNER, at=NOON)
    projects.remove_role(session, ann, DEMO, "bob", at=NOON)
    assert roles_of(session) == {"ann": Role.OWNER}


def test_roles_are_for_users_there_are(session: Session, ann: Actor) -> None:
    for name in ("nobody", "a\x00b"):
        with pytest.raises(NoSuchUser):
            projects.set_role(session, ann, DEMO, name, Role.OWNER, at=NOON)
        with pytest.raises(NoSuchUser):
            projects.remove_role(session, ann, DEMO, name, at=NOON)
