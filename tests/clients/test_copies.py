"""Readers of createrepo's repositories on real projects: the index, its export, a copy of that.

The same programs are shown all three, and must find the same in each.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyramid_pypi.following.pointing import Trusting
from pyramid_pypi.following.sources import FolderSource
from pyramid_pypi.following.verifying import Verifier, Wanted
from pyramid_pypi.formats import repomd
from pyramid_pypi.values.instants import system_clock
from tests.clients import repositories
from tests.clients.running import run
from tests.clients.serving import LiveIndex
from tests.conftest import unavailable

LEAST_PROJECTS = 20


@pytest.fixture(scope="module")
def folders(loaded: LiveIndex, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the published tree, an export of it, and what rsync makes of that."""
    if shutil.which("rsync") is None:
        unavailable("rsync is not installed")
    top = tmp_path_factory.mktemp("copies")
    program = Path(sys.executable).with_name("pyramid-pypi")
    # The records of the whole index have a slow clock; this brings them to the present.
    done = run([program, "publish", "--data", loaded.folder], top)
    assert done.code == 0, done.output
    done = run([program, "export", top / "export", "--lag", "0", "--data", loaded.folder], top)
    assert done.code == 0, done.output
    done = run(["rsync", "-a", f"{top / 'export'}/", top / "mirror"], top)
    assert done.code == 0, done.output
    return {
        "index": loaded.folder / "tree",
        "export": top / "export",
        "mirror": top / "mirror",
    }


@pytest.fixture(scope="module", params=["index", "export", "mirror"])
def place(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    return folders[request.param]


@pytest.fixture(scope="module")
def address(place: Path, loaded: LiveIndex) -> Iterator[str]:
    """Return where the programs find it: the index itself, or a plain web server."""
    if place.is_relative_to(loaded.folder):
        yield loaded.url
        return
    with repositories.served(place) as url:
        yield url


@pytest.fixture(scope="module")
def projects(folders: dict[str, Path]) -> list[str]:
    found = sorted(path.name for path in (folders["index"] / "simple").iterdir())
    names = [name for name in found if (folders["index"] / "simple" / name).is_dir()]
    assert len(names) >= LEAST_PROJECTS
    return names


@pytest.fixture(scope="module")
def files(folders: dict[str, Path]) -> int:
    pages = (folders["export"] / "simple").glob("*/index.json")
    return sum(len(json.loads(page.read_bytes())["files"]) for page in pages)


def test_every_byte_is_verified(place: Path) -> None:
    wanted = Wanted(everything=True)
    verifier = Verifier(FolderSource(place), wanted, Trusting(), system_clock)
    assert list(verifier.findings()) == []


def test_createrepo_c(address: str, files: int) -> None:
    assert repositories.accepts_createrepo_c(address, files) == files


def test_createrepo_c_of_the_distribution(address: str) -> None:
    repositories.accepts_old_createrepo_c(address)


def test_librepo(address: str, place: Path) -> None:
    told = repositories.accepts_librepo(address)
    pointer = repomd.parse_json((place / "repodata/repomd.json").read_bytes())
    assert told["revision"] == str(pointer.serial)
    assert set(told["records"]) == {record.type for record in pointer.records}


def test_libsolv(address: str, projects: list[str]) -> None:
    chosen = repositories.accepts_libsolv(address, expect=projects, resolve="flask")
    assert {"flask", "werkzeug", "jinja2", "markupsafe", "click"} <= set(chosen)


def test_dnf_lists_and_mirrors(address: str, files: int) -> None:
    assert repositories.accepts_dnf(address, "flask") == files


@pytest.mark.parametrize("name", ["six", "zope-interface"])
def test_a_project_alone_has_its_own_documents(place: Path, name: str) -> None:
    for kind in repositories.KINDS:
        assert (place / f"simple/{name}/{kind}.xml.gz").exists()


def test_a_project_is_a_repository_of_its_own(loaded: LiveIndex, projects: list[str]) -> None:
    for name in (projects[0], "flask"):
        alone = f"{loaded.url}/simple/{name}"
        repositories.accepts_createrepo_c(alone, 1)
        repositories.accepts_librepo(alone)
        assert repositories.accepts_dnf(alone, name) >= 1
