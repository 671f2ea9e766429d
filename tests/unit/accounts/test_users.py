from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from pyramid_pypi.accounts import users
from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.errors import BadValue, NoSuchUser, NotPermitted, UserExists
from tests.conftest import NOON, actor_named


def test_a_user_is_found_by_name(session: Session) -> None:
    users.add(session, COMMAND_LINE, "ann.b-c_1", email="ann@example.org", at=NOON)
    found = users.get(session, "ann.b-c_1")
    assert (found.email, found.is_admin, found.created_at) == ("ann@example.org", False, NOON)
    assert users.find(session, "ann") is None
    with pytest.raises(NoSuchUser):
        users.get(session, "ann")


@pytest.mark.parametrize(
    "name",
    ["", "Ann", "a b", "a/b", "-a", "a-", "a\n", "é", "a" * 65, "__token__", "command line"],
)
def test_names_no_user_may_have(session: Session, name: str) -> None:
    with pytest.raises(BadValue):
        users.add(session, COMMAND_LINE, name, at=NOON)


@pytest.mark.parametrize("name", ["a", "a" * 64, "0", "a.b"])
def test_names_users_may_have(session: Session, name: str) -> None:
    assert users.add(session, COMMAND_LINE, name, at=NOON).name == name


@pytest.mark.parametrize("email", ["", "ann", "a@b@c", "a b@c", "@b", "a@", "a@b\n"])
def test_addresses_that_are_none(session: Session, email: str) -> None:
    with pytest.raises(BadValue):
        users.add(session, COMMAND_LINE, "ann", email=email, at=NOON)


def test_a_name_is_taken_once(session: Session) -> None:
    users.add(session, COMMAND_LINE, "ann", at=NOON)
    with pytest.raises(UserExists):
        users.add(session, COMMAND_LINE, "ann", at=NOON)


def test_only_administrators_add_users(session: Session) -> None:
    ann = actor_named(session, "ann")
    with pytest.raises(NotPermitted):
        users.add(session, ann, "bob", at=NOON)
    root = actor_named(session, "root", is_admin=True)
    assert users.add(session, root, "bob", is_admin=True, at=NOON).is_admin


@pytest.mark.parametrize("name", ["a\x00b", "\udcff", "ann\n"])
def test_no_name_upsets_the_database(session: Session, name: str) -> None:
    assert users.find(session, name) is None
