from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyramid_pypi.following import verifying
from tests.conftest import ToldClock
from tests.static_trees import Origin, busy_tree


@pytest.fixture(scope="module")
def busy(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """An index that has been busy; tests read its tree, and change copies."""
    folder = tmp_path_factory.mktemp("busy")
    made = busy_tree(folder / "index", sqlite_template, ToldClock())
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody publishes to these trees while they are read: to wait for it is in vain."""
    monkeypatch.setattr(verifying, "_MOMENT_S", 0.01)


@pytest.fixture
def copy(busy: Origin, tmp_path: Path) -> Path:
    """A copy of the busy tree, without its hard links: as rsync makes it."""
    return Path(shutil.copytree(busy.tree, tmp_path / "copy"))
