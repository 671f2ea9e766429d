"""Short forms of the long proofs in `tests.prove`, for every run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import unavailable
from tests.prove import crashes, database_away, kills, race, readers, slow_clients
from tests.prove.serving import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "index", tmp_path / "serve.log") as server:
        yield server


@pytest.mark.parametrize("database", ["", "postgresql"], ids=["sqlite", "postgresql"])
def test_writers_race_and_followers_miss_nothing(tmp_path: Path, database: str) -> None:
    with (
        race.database(database) as settings,
        Server(tmp_path / "index", tmp_path / "serve.log", settings) as server,
    ):
        violations, figures = race.run(server, writers=6, uploads=9, followers=3)
    assert not violations, figures


def test_readers_find_every_page_in_agreement_with_its_files(server: Server) -> None:
    violations, figures = readers.run(server, publishes=45, readers=4)
    assert not violations, figures


def test_acknowledged_uploads_survive_sigkill(server: Server) -> None:
    violations, figures = crashes.prove(
        server, lambda _: server.kill(), crashes=2, uploads=10, seed=1
    )
    assert not violations, figures


def test_a_kill_at_any_step_of_an_upload_leaves_nothing_half_done(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        unavailable("strace is not installed")
    violations, figures = kills.prove(tmp_path / "kills", every=20, new_project=True)
    assert not violations, figures


def test_slow_clients_stop_nobody(server: Server) -> None:
    violations, figures = slow_clients.run(server, sockets=150, seconds=3)
    assert not violations, figures


def test_reads_go_on_and_writes_come_back_without_the_database(tmp_path: Path) -> None:
    violations, figures = database_away.prove(tmp_path)
    assert not violations, figures
