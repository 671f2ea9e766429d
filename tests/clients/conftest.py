"""One live index for all clients, and the programs that speak to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import corpus
from tests.clients import installers
from tests.clients.running import run
from tests.clients.serving import LiveIndex, live_index
from tests.conftest import unavailable


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the registry; the first test to ask for a program also installs it."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.network)
            item.add_marker(pytest.mark.timeout(900))
            # One process of a parallel run takes them all: they share one live index.
            item.add_marker(pytest.mark.xdist_group("clients"))


@pytest.fixture(scope="session")
def distributions() -> list[Path]:
    """Return the real distributions of the corpus."""
    try:
        return corpus.distributions()
    except corpus.Unfetchable as reason:
        unavailable(str(reason))


@pytest.fixture(scope="session")
def program() -> Callable[[str], Path]:
    """Return the function that finds the `bin` folder of one of today's programs."""

    def find(name: str) -> Path:
        try:
            return installers.program(name)
        except corpus.Unfetchable as reason:
            unavailable(str(reason))

    return find


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveIndex]:
    """Serve one index, empty at first, for the whole session."""
    with live_index(tmp_path_factory.mktemp("live")) as index:
        yield index


@pytest.fixture(scope="session")
def upload(
    server: LiveIndex,
    program: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., None]:
    """Return the function that uploads files with twine, and fails unless all are taken."""

    def send(*files: Path) -> None:
        home = tmp_path_factory.mktemp("twine")
        done = run(
            [program("twine") / "twine", "upload", "--disable-progress-bar", *files],
            home,
            {
                "TWINE_REPOSITORY_URL": server.legacy,
                "TWINE_USERNAME": "__token__",
                "TWINE_PASSWORD": server.token,
                "TWINE_NON_INTERACTIVE": "1",
            },
        )
        assert done.code == 0, done.output

    return send


@pytest.fixture(scope="session")
def loaded(
    server: LiveIndex,
    distributions: list[Path],
    program: Callable[[str], Path],
    upload: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
) -> LiveIndex:
    """Return the index holding the corpus: half sent by twine, half by `uv publish`."""
    # uv passes over a name that is not in lower case, as old projects still have.
    by_uv = [path for path in distributions[1::2] if path.name.islower()]
    upload(*(path for path in distributions if path not in by_uv))
    done = run(
        [program("uv") / "uv", "publish", "--publish-url", server.legacy, *by_uv],
        tmp_path_factory.mktemp("uv-publish"),
        {"UV_PUBLISH_TOKEN": server.token},
    )
    assert done.code == 0, done.output
    return server


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return an empty home folder for one client."""
    return tmp_path / "home"
