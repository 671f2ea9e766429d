from __future__ import annotations

import pytest

from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.environment import Environment
from pyramid_pypi.publishing import fsck_pointer
from pyramid_pypi.publishing.publisher import Publisher
from tests.factories import Workshop


@pytest.fixture
def workshop(services: Environment, publisher: Publisher) -> Workshop:
    return Workshop(services, publisher, COMMAND_LINE)


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody publishes beside a test of fsck, so it need not look twice in peace."""
    monkeypatch.setattr(fsck_pointer, "_PATIENCE_S", 0.01)
