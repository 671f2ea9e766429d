"""Seventeen installers of 2009 to today, and zc.buildout 6, each install the newest version."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests import corpus
from tests.clients import installers, packing
from tests.clients.running import run
from tests.clients.serving import LiveIndex
from tests.conftest import unavailable

Programs = Callable[[str], Path]
VERSIONS = ("1.9", "1.10")  # the newest is the smaller one as text


@pytest.fixture(scope="module")
def elder(
    server: LiveIndex,
    upload: Callable[..., None],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """Return the name of a project of sdists that every Python can build."""
    folder = tmp_path_factory.mktemp("elder")
    upload(*(packing.sdist(folder, "elder", version) for version in VERSIONS))
    return "elder"


@pytest.mark.parametrize("installer", installers.ALL, ids=lambda it: it.name)
def test_an_installer_finds_the_newest_version(
    server: LiveIndex, elder: str, installer: installers.Installer, home: Path
) -> None:
    try:
        done, target = installer.install(server.simple, elder, home)
    except (corpus.Unfetchable, installers.NoPython27) as reason:
        unavailable(str(reason))

    # An egg, an installed wheel, or the sdist itself: all are named for their version.
    found = [path.name for path in target.iterdir() if path.name.startswith("elder-")]
    assert found, f"exit code {done.code}\n{done.output}"
    assert all(name.startswith("elder-1.10") for name in found), found


def test_buildout_6_installs_a_recipe_and_makes_a_script(
    loaded: LiveIndex, program: Programs, home: Path
) -> None:
    home.mkdir()
    (home / "buildout.cfg").write_text(
        "[buildout]\n"
        "parts = server\n"
        f"index = {loaded.simple}\n"
        "[server]\n"
        "recipe = zc.recipe.egg\n"
        "eggs = waitress\n",
        "utf-8",
    )

    done = run([program("buildout") / "buildout", "-N"], home)

    assert done.code == 0, done.output
    assert "--listen" in run([home / "bin" / "waitress-serve", "--help"], home).output


def test_a_client_of_no_name_gets_every_file_whole_and_in_parts(
    loaded: LiveIndex, distributions: list[Path]
) -> None:
    wanted = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in distributions
    }
    projects = requests.get(
        loaded.simple,
        headers={"Accept": "application/vnd.pypi.simple.v1+json"},
        timeout=30,
    ).json()["projects"]
    found = {}
    for project in projects:
        page = f"{loaded.simple}{project['name']}/"
        for file in loaded.page(project["name"])["files"]:
            if file["filename"] in wanted:
                url = requests.compat.urljoin(page, file["url"])
                whole = requests.get(url, timeout=30).content
                part = requests.get(url, headers={"Range": "bytes=-1000"}, timeout=30)
                assert (part.status_code, part.content) == (206, whole[-1000:])
                found[file["filename"]] = hashlib.sha256(whole).hexdigest()

    assert found == wanted
