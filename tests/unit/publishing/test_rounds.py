"""Rounds of the repository beside others who commit, and rounds that fail at their end."""

from __future__ import annotations

import pytest

from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.catalog import projects
from pyramid_pypi.models.catalog import ProjectStatus
from pyramid_pypi.publishing import repository
from pyramid_pypi.publishing.keys import KeysUnusable
from pyramid_pypi.publishing.pointer import Pointer
from pyramid_pypi.values.names import ProjectName
from tests.conftest import NOON
from tests.factories import Workshop
from tests.unit.publishing.test_repository import DEMO, assert_exact


def test_changes_that_are_committed_and_not_yet_published_are_waited_for(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "_AT_A_TIME", 3)
    names = [f"p{number}" for number in range(6)]
    for name in names:
        workshop.add(name)
    workshop.settle()
    with workshop.services.database.writing() as session:
        for name in names:
            projects.set_status(
                session, COMMAND_LINE, ProjectName(name), ProjectStatus.ARCHIVED, at=NOON
            )
    workshop.publisher.repository.refresh()
    workshop.settle()
    assert_exact(workshop, set(names))


def test_what_is_marked_is_looked_at_until_a_pointer_is_shown(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise KeysUnusable("the online key is away")

    workshop.add("demo")
    workshop.settle()
    workshop.services.tree.put("simple/demo/index.json", b"torn")
    workshop.publisher.repository.mark([DEMO])
    workshop.settle()
    workshop.publisher.rebuild([DEMO])
    with monkeypatch.context() as patched:
        patched.setattr(Pointer, "show", refuse)
        with pytest.raises(KeysUnusable):
            workshop.publisher.repository.refresh()
    workshop.settle()
    assert_exact(workshop, {"demo"})
