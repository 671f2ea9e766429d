"""Role, scope and project binding must agree; each alone is not enough."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy.orm import Session

from pyramid_pypi.accounts.permissions import (
    COMMAND_LINE,
    ROLE_PERMISSIONS,
    SCOPE_PERMISSIONS,
    Actor,
    Permission,
    Scope,
    reaches,
    require,
)
from pyramid_pypi.catalog import projects
from pyramid_pypi.errors import NotPermitted
from pyramid_pypi.models.catalog import Project, ProjectRole, Role
from pyramid_pypi.values.names import ProjectName
from tests.conftest import actor_named
from tests.factories import record, wheel_of

P = Permission
IN_PROJECT = frozenset(P) - {P.PROJECT_CREATE, P.INDEX_ADMIN}
# Said again and by hand, so that a slip in the tables of the code cannot pass.
PART_MAY = {
    "nobody": {P.PROJECT_CREATE},
    "maintainer": {P.PROJECT_CREATE, P.PROJECT_UPLOAD, P.PROJECT_YANK},
    "owner": {P.PROJECT_CREATE, *IN_PROJECT},
    "administrator": set(P),
}
SCOPE_MAY = {
    Scope.UPLOAD: {P.PROJECT_CREATE, P.PROJECT_UPLOAD},
    Scope.MANAGE: {P.PROJECT_YANK, P.PROJECT_DELETE, P.PROJECT_STATUS, P.PROJECT_ROLES},
    Scope.ADMIN: {P.INDEX_ADMIN},
}


@pytest.fixture
def demo(session: Session) -> Project:
    record(session, COMMAND_LINE, wheel_of("demo"))
    return projects.get(session, ProjectName("demo"))


def speaker(session: Session, project: Project, part: str) -> Actor:
    actor = actor_named(session, part, is_admin=part == "administrator")
    if part in set(Role):
        session.add(ProjectRole(project_id=project.id, user_id=actor.user_id, role=Role(part)))
        session.flush()
    return actor


def allowed(session: Session, actor: Actor, permission: Permission, project: Project) -> bool:
    # What no project is concerned in is asked without one, as the callers do.
    concerned = project if permission in IN_PROJECT else None
    try:
        require(session, actor, permission, concerned)
    except NotPermitted:
        return False
    return True


@pytest.mark.parametrize("part", PART_MAY)
def test_a_permission_needs_the_part_the_scope_and_the_project(
    session: Session, demo: Project, part: str
) -> None:
    user = speaker(session, demo, part)
    bindings = [None, frozenset({"demo"}), frozenset({"other"})]
    for scope, binding, permission in itertools.product(Scope, bindings, Permission):
        actor = Actor(user.user_id, user.name, user.is_admin, frozenset({scope}), binding)
        bound_right = binding is None or ("demo" in binding and permission in IN_PROJECT)
        expected = (
            permission in PART_MAY[part] and permission in SCOPE_MAY[scope] and bound_right
        )
        found = allowed(session, actor, permission, demo)
        assert found is expected, (part, scope, binding, permission)


def test_every_permission_has_one_scope_and_roles_grant_project_permissions_only() -> None:
    scoped = [permission for granted in SCOPE_PERMISSIONS.values() for permission in granted]
    assert sorted(scoped) == sorted(Permission)
    assert set(ROLE_PERMISSIONS) == set(Role)
    assert set().union(*ROLE_PERMISSIONS.values()) <= IN_PROJECT


def test_no_scope_reaches_nothing() -> None:
    actor = Actor(1, "ann", is_admin=True, scopes=frozenset(), projects=None)
    assert not any(reaches(actor, permission, "demo") for permission in Permission)


def test_the_command_line_may_do_everything(session: Session, demo: Project) -> None:
    assert all(allowed(session, COMMAND_LINE, p, demo) for p in Permission)


def test_a_role_counts_in_its_own_project_only(session: Session, demo: Project) -> None:
    owner = speaker(session, demo, "owner")
    record(session, COMMAND_LINE, wheel_of("other"))
    other = projects.get(session, ProjectName("other"))
    assert allowed(session, owner, P.PROJECT_YANK, demo)
    assert not allowed(session, owner, P.PROJECT_YANK, other)


def test_a_role_taken_back_counts_no_more(session: Session, demo: Project) -> None:
    owner = speaker(session, demo, "owner")
    session.delete(session.get(ProjectRole, (demo.id, owner.user_id)))
    assert not allowed(session, owner, P.PROJECT_UPLOAD, demo)


def test_the_refusal_names_what_is_missing(session: Session, demo: Project) -> None:
    nobody = speaker(session, demo, "nobody")
    with pytest.raises(NotPermitted, match=r"nobody has no role.*project\.yank in demo"):
        require(session, nobody, P.PROJECT_YANK, demo)
    bound = Actor(nobody.user_id, "nobody", False, frozenset(Scope), frozenset({"x"}))
    with pytest.raises(NotPermitted, match=r"token does not reach project\.yank in demo"):
        require(session, bound, P.PROJECT_YANK, demo)
