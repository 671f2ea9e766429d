"""Runs a client as if nothing on this machine were configured for it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CLIENT_TIMEOUT_S = 150


@dataclass(frozen=True)
class Ran:
    """What a client did: its exit `code`, and all that it printed."""

    code: int
    output: str


def clean_environment(home: Path) -> dict[str, str]:
    """Return the least environment a program runs with; all of its state lies in `home`.

    Settings of this machine could send a client to another index, and then a test would
    pass with packages that ours never served.
    """
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(home),
        "LC_ALL": "C.UTF-8",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }


def run(
    command: Sequence[object],
    home: Path,
    environment: Mapping[str, str] | None = None,
    *,
    cwd: Path | None = None,
) -> Ran:
    """Run the words of `command` in a clean environment, and wait for the end.

    `environment` is added to it; the program starts in `cwd`, or else in its `home`.
    """
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [str(word) for word in command],
        env=clean_environment(home) | dict(environment or {}),
        cwd=cwd or home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=CLIENT_TIMEOUT_S,
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode("utf-8", "replace"))
