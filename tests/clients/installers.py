"""The programs under test: today's, and installers that people still run from 2009 on.

All are made once, in the cache.  The oldest run from unpacked sdists through PYTHONPATH,
under Python 2.7: they predate virtual environments, and nothing of the machine changes.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests import corpus
from tests.clients.running import Ran, run

EASY_INSTALLS = ("0.6c11", "1.4.2", "5.8", "18.5", "44.1.1")  # versions of setuptools
OLD_PIPS = ("1.0.2", "1.3.1", "1.4.1", "1.5.6", "7.1.2", "9.0.3")
OLD_BUILDOUTS = {"1.7.1": "0.6c11", "2.2.1": "1.4.2"}  # with the setuptools of their day
MIDDLE_PIPS = ("23.2.1", "25.0")

# What is installed for each program of today: always the newest, once per cache.
PROGRAMS = {
    "pip": corpus.NEWEST_PIP,
    "uv": ("uv",),
    "twine": ("twine",),
    "poetry": ("poetry",),
    "flit": ("flit",),
    "hatch": ("hatch",),
    "buildout": ("zc.buildout>=6,<7",),
}


class NoPython27(Exception):
    """There is no Python 2.7 with pip on this machine."""


def program(name: str) -> Path:
    """Return the `bin` folder of the environment that holds today's `name`."""
    return corpus.environment(name, PROGRAMS[name])


@cache
def python27() -> Path:
    """Return a Python 2.7 that has pip.

    Raises:
        NoPython27: none stands in PATH, nor among the versions of pyenv.
    """
    roots = (os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv")
    candidates = [
        path
        for root in roots
        if root
        for path in sorted(Path(root).glob("versions/2.7*/bin/python2.7"))
    ]
    if found := shutil.which("python2.7"):
        candidates.append(Path(found))
    for candidate in candidates:
        try:
            corpus.fetch("--version", python=candidate)
        except corpus.Unfetchable:
            continue
        return candidate
    raise NoPython27("no Python 2.7 with pip, which this installer runs under")


def old_source(name: str, version: str) -> Path:
    """Return the unpacked sdist of an old installer."""
    spec = f"{name}=={version}"

    def make(folder: Path) -> None:
        alone = ("--no-deps", "--no-binary", ":all:", "--no-build-isolation")
        corpus.fetch("download", "-q", "-d", str(folder), *alone, spec, python=python27())
        archive = next(folder.iterdir())
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(folder)
        else:
            with tarfile.open(archive) as packed_tar:
                # As Python 3.11.2 does, which has no filters, and 3.12 warns of.
                packed_tar.extraction_filter = lambda member, _path: member
                packed_tar.extractall(folder)

    folder = corpus.made_once(f"old-{name}-{version}", spec, make)
    return folder / f"{name}-{version}"


@dataclass(frozen=True)
class Installer:
    """One program that installs projects from a simple index, `name` telling its version."""

    name: str

    def install(self, simple: str, project: str, home: Path) -> tuple[Ran, Path]:
        """Install the newest `project` from the index `simple`; return where it went to."""
        target = home / "target"
        target.mkdir(parents=True)
        kind, _, version = self.name.partition(" ")
        steps = {
            "easy_install": _easy_install,
            "buildout": _old_buildout,
            "pip": _pip,
            "uv": _uv,
        }
        return steps[kind](version, simple, project, target), target


ALL = tuple(
    Installer(name)
    for name in (
        *(f"easy_install {version}" for version in EASY_INSTALLS),
        *(f"buildout {version}" for version in OLD_BUILDOUTS),
        *(f"pip {version}" for version in OLD_PIPS),
        "pip 1.5.6 external",
        *(f"pip {version}" for version in MIDDLE_PIPS),
        "uv",
    )
)


def _easy_install(version: str, simple: str, project: str, target: Path) -> Ran:
    paths = [target, old_source("setuptools", version)]
    script = "from setuptools.command.easy_install import main; main()"
    into = ["-d", target, "-s", target.parent, "-S", target, "-N", "-Z"]
    return _run27(script, ["-i", simple, *into, project], paths, target.parent)


def _old_buildout(version: str, simple: str, project: str, target: Path) -> Ran:
    home = target.parent
    for folder in ("develop-eggs", "bin", "parts"):
        (home / folder).mkdir()
    # An extension is installed before anything else, and needs no recipe from the index.
    (home / "buildout.cfg").write_text(
        f"[buildout]\nparts =\nindex = {simple}\nextensions = {project}\n"
        f"eggs-directory = {target}\nallow-picked-versions = true\n",
        "utf-8",
    )
    paths = [
        old_source("zc.buildout", version) / "src",
        old_source("setuptools", OLD_BUILDOUTS[version]),
    ]
    script = "import sys; sys.argv[0] = 'buildout'; import zc.buildout.buildout as b; b.main()"
    return _run27(script, ["-N", "-c", home / "buildout.cfg"], paths, home)


def _pip(version: str, simple: str, project: str, target: Path) -> Ran:
    version, _, external = version.partition(" ")
    if version in MIDDLE_PIPS:
        return _middle_pip(version, simple, project, target)
    setuptools = "0.6c11" if version == "1.0.2" else "18.5"
    paths = [old_source("pip", version), old_source("setuptools", setuptools)]
    home = target.parent
    words: list[object] = ["install", "--no-deps", "-v", "-i", simple]
    words += ["--build", home / "build"]
    if version == "1.0.2":  # which knows no --target
        words += ["--download", target, "--src", home / "src"]
    else:
        words += ["--target", target]
    if version in {"7.1.2", "9.0.3"}:
        words += ["--trusted-host", "127.0.0.1", "--no-cache-dir"]
    if external:
        words += ["--allow-all-external", "--allow-unverified", project]
    script = "import sys, pip; sys.argv[0] = 'pip'; sys.exit(pip.main())"
    return _run27(script, [*words, project], paths, home)


def _middle_pip(version: str, simple: str, project: str, target: Path) -> Ran:
    requirements = (f"pip=={version}", "setuptools", "wheel")
    python = corpus.environment(f"pip-{version}", requirements) / "python"
    words = ["install", "--no-deps", "--no-build-isolation", "--no-cache-dir"]
    command = [python, "-m", "pip", *words, "-i", simple, "--target", target, project]
    return run(command, target.parent)


def _uv(version: str, simple: str, project: str, target: Path) -> Ran:
    tools = program("pip")
    words: list[object] = ["--no-cache", "--no-deps", "--no-build-isolation", project]
    words += ["--python", tools / "python", "--default-index", simple, "--target", target]
    return run([program("uv") / "uv", "pip", "install", *words], target.parent)


def _run27(script: str, words: Sequence[object], paths: list[Path], home: Path) -> Ran:
    path = os.pathsep.join(str(path) for path in paths)
    return run([python27(), "-c", script, *words], home, {"PYTHONPATH": path})
