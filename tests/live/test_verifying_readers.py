"""Short form of `tests.prove.verifying_readers`: whoever verifies everything finds it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.conftest import unavailable
from tests.prove import verifying_readers
from tests.prove.serving import Server
from tests.prove.verifying_readers import Scope


def test_readers_who_verify_everything_find_it_at_every_place(tmp_path: Path) -> None:
    for program in ("nginx", "rsync"):
        if shutil.which(program, path="/usr/sbin:/usr/bin:/usr/local/bin") is None:
            unavailable(f"{program} is not installed")
    scope = Scope(
        publishes=40, reads=2000, projects=40, readers=1, every_s=0.2, lag_s=5.0, rest_s=0.3
    )
    files = verifying_readers.seed(tmp_path / "index", tmp_path / "wheels", scope.projects)
    with Server(tmp_path / "index", tmp_path / "serve.log") as server:
        violations, figures = verifying_readers.run(server, files, scope)
    assert not violations, f"{violations[:5]}\n{figures}"
