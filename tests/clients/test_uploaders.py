"""Every tool that people upload with, sending to a live index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.clients import packing
from tests.clients.recording import recording
from tests.clients.running import Ran, run
from tests.clients.serving import LiveIndex

Programs = Callable[[str], Path]


def twine(program: Programs, home: Path, url: str, token: str, *files: Path) -> Ran:
    return run(
        [program("twine") / "twine", "upload", "--verbose", *files],
        home,
        {
            "TWINE_REPOSITORY_URL": url,
            "TWINE_USERNAME": "__token__",
            "TWINE_PASSWORD": token,
            "TWINE_NON_INTERACTIVE": "1",
        },
    )


def uv_publish(program: Programs, home: Path, url: str, token: str, *words: object) -> Ran:
    command = [program("uv") / "uv", "publish", "--publish-url", url, *words]
    return run(command, home, {"UV_PUBLISH_TOKEN": token})


class TestTwine:
    def test_a_wheel_and_an_sdist_are_on_the_page_at_once(
        self, server: LiveIndex, program: Programs, tmp_path: Path, home: Path
    ) -> None:
        files = [
            packing.wheel(tmp_path, "twined", "1.0"),
            packing.sdist(tmp_path, "twined", "1.0"),
        ]

        done = twine(program, home, server.legacy, server.token, *files)

        assert done.code == 0, done.output
        assert server.filenames("twined") == {file.name for file in files}

    def test_the_root_takes_uploads_too(
        self, server: LiveIndex, program: Programs, tmp_path: Path, home: Path
    ) -> None:
        file = packing.wheel(tmp_path, "rooted", "1.0")

        done = twine(program, home, f"{server.url}/", server.token, file)

        assert done.code == 0, done.output
        assert server.filenames("rooted") == {file.name}

    def test_the_same_file_again_is_no_error(
        self, server: LiveIndex, program: Programs, tmp_path: Path, home: Path
    ) -> None:
        file = packing.wheel(tmp_path, "again", "1.0")
        twine(program, home, server.legacy, server.token, file)
        before = server.page("again")

        done = twine(program, home, server.legacy, server.token, file)

        assert done.code == 0, done.output
        assert server.page("again") == before

    def test_other_bytes_under_a_known_filename_are_refused(
        self, server: LiveIndex, program: Programs, tmp_path: Path, home: Path
    ) -> None:
        file = packing.wheel(tmp_path, "changed", "1.0")
        twine(program, home, server.legacy, server.token, file)
        before = server.page("changed")
        packing.wheel(tmp_path, "changed", "1.0", source="version = 'other'\n")

        done = twine(program, home, server.legacy, server.token, file)

        assert done.code == 1
        assert "File already exists" in done.output
        assert server.page("changed") == before

    def test_a_wrong_token_is_told_so(
        self, server: LiveIndex, program: Programs, tmp_path: Path, home: Path
    ) -> None:
        file = packing.wheel(tmp_path, "stranger", "1.0")

        done = twine(program, home, server.legacy, "pypi-wrong", file)

        assert done.code == 1
        assert "401" in done.output or "403" in done.output
        assert requests.get(f"{server.simple}stranger/", timeout=30).status_code == 404


class TestUvPublish:
    def test_a_wheel_and_an_sdist_arrive(
        self, server: LiveIndex, program: Programs, tmp_path: Path, home: Path
    ) -> None:
        files = [
            packing.wheel(tmp_path, "uved", "1.0"),
            packing.sdist(tmp_path, "uved", "1.0"),
        ]

        done = uv_publish(program, home, server.legacy, server.token, *files)

        assert done.code == 0, done.output
        assert server.filenames("uved") == {file.name for file in files}

    def test_check_url_sends_only_what_is_missing(
        self, server: LiveIndex, program: Programs, tmp_path: Path, home: Path
    ) -> None:
        old = packing.wheel(tmp_path, "checked", "1.0")
        uv_publish(program, home, server.legacy, server.token, old)
        new = packing.wheel(tmp_path, "checked", "2.0")

        with recording(server.url) as heard:
            done = uv_publish(
                program,
                home,
                f"{heard.url}/legacy/",
                server.token,
                "--check-url",
                f"{heard.url}/simple/",
                old,
                new,
            )

        assert done.code == 0, done.output
        assert [post.status for post in heard.of("/legacy/", method="POST")] == [200]
        assert server.filenames("checked") == {old.name, new.name}

    def test_check_url_finds_other_bytes(
        self, server: LiveIndex, program: Programs, tmp_path: Path, home: Path
    ) -> None:
        file = packing.wheel(tmp_path, "mismatch", "1.0")
        uv_publish(program, home, server.legacy, server.token, file)
        packing.wheel(tmp_path, "mismatch", "1.0", source="version = 'other'\n")

        done = uv_publish(
            program, home, server.legacy, server.token, "--check-url", server.simple, file
        )

        assert done.code != 0
        assert "do not match" in done.output, done.output

    def test_the_reason_of_a_refusal_is_shown(
        self, server: LiveIndex, program: Programs, tmp_path: Path, home: Path
    ) -> None:
        file = packing.wheel(tmp_path, "refused", "1.0")
        uv_publish(program, home, server.legacy, server.token, file)
        packing.wheel(tmp_path, "refused", "1.0", source="version = 'other'\n")

        done = uv_publish(program, home, server.legacy, server.token, file)

        assert done.code != 0
        assert "File already exists" in done.output


PYPROJECT = """
[build-system]
requires = ["{requires}"]
build-backend = "{backend}"

[project]
name = "{name}"
version = "1.0"
description = "A project of one module"
requires-python = ">=3.9"
"""


@pytest.fixture
def source(tmp_path: Path) -> Callable[[str, str, str], Path]:
    """Return the function that writes the source of one project for one build backend."""

    def write(name: str, requires: str, backend: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        text = PYPROJECT.format(name=name, requires=requires, backend=backend)
        (folder / "pyproject.toml").write_text(text, "utf-8")
        (folder / f"{name}.py").write_text(f'"""The project {name}."""\n', "utf-8")
        return folder

    return write


BOTH = "{0}-1.0-py3-none-any.whl", "{0}-1.0.tar.gz"


def both(name: str) -> set[str]:
    return {pattern.format(name) for pattern in BOTH}


def test_poetry_builds_and_publishes(
    server: LiveIndex,
    program: Programs,
    source: Callable[[str, str, str], Path],
    home: Path,
) -> None:
    folder = source("poetic", "poetry-core", "poetry.core.masonry.api")
    ours = {
        "POETRY_REPOSITORIES_OURS_URL": server.legacy,
        "POETRY_HTTP_BASIC_OURS_USERNAME": "__token__",
        "POETRY_HTTP_BASIC_OURS_PASSWORD": server.token,
        "POETRY_VIRTUALENVS_CREATE": "false",
    }
    command = [program("poetry") / "poetry", "publish", "--no-interaction", "-r", "ours"]

    done = run([*command, "--build"], home, ours, cwd=folder)
    again = run([*command, "--skip-existing"], home, ours, cwd=folder)

    assert (done.code, again.code) == (0, 0), done.output + again.output
    assert server.filenames("poetic") == both("poetic")


def test_flit_builds_and_publishes(
    server: LiveIndex,
    program: Programs,
    source: Callable[[str, str, str], Path],
    home: Path,
) -> None:
    folder = source("flitting", "flit_core>=3.2,<5", "flit_core.buildapi")

    done = run(
        [program("flit") / "flit", "publish"],
        home,
        {
            "FLIT_INDEX_URL": server.legacy,
            "FLIT_USERNAME": "__token__",
            "FLIT_PASSWORD": server.token,
        },
        cwd=folder,
    )

    assert done.code == 0, done.output
    assert server.filenames("flitting") == both("flitting")


def test_hatch_publishes_and_then_skips_what_it_finds(
    server: LiveIndex, program: Programs, tmp_path: Path, home: Path
) -> None:
    packing.wheel(tmp_path, "hatched", "1.0")
    packing.sdist(tmp_path, "hatched", "1.0")
    command = [program("hatch") / "hatch", "publish", "--no-prompt", tmp_path]

    with recording(server.url) as heard:
        ours = {
            "HATCH_INDEX_REPO": f"{heard.url}/legacy/",
            "HATCH_INDEX_USER": "__token__",
            "HATCH_INDEX_AUTH": server.token,
        }
        done = run(command, home, ours)
        again = run(command, home, ours)

    # It takes every index but one for a devpi, and asks it for what is already there.
    asked = [exchange.status for exchange in heard.exchanges if "simple" in exchange.path]
    sent = [exchange.status for exchange in heard.exchanges if exchange.method == "POST"]
    assert done.code == 0, done.output
    assert server.filenames("hatched") == both("hatched")
    assert asked[-1] == 200, heard.exchanges
    assert sent == [200, 200], again.output
