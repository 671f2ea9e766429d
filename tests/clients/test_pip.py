"""The newest pip against a live index that holds real distributions."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.clients import packing
from tests.clients.recording import recording
from tests.clients.running import Ran, run
from tests.clients.serving import LiveIndex

Programs = Callable[[str], Path]
Upload = Callable[..., None]


def pip(program: Programs, home: Path, simple: str, *words: object) -> Ran:
    """Run pip with our index alone."""
    command = [program("pip") / "python", "-m", "pip", *words, "--index-url", simple]
    return run(command, home)


def versions_in(target: Path) -> dict[str, str]:
    """Return the version of each project installed in `target`, which may be missing."""
    found = (re.match(r"(.+)-([^-]+)\.dist-info$", path.name) for path in target.glob("*"))
    return {match[1].lower(): match[2] for match in found if match}


def without_core_metadata(_path: str, page: bytes) -> bytes:
    """Return a project page as an index writes it that publishes no metadata of wheels."""
    page = re.sub(rb'"core-metadata":\s*(\{[^}]*\}|true),?', b"", page)
    page = re.sub(rb",\s*\}", b"}", page)
    return re.sub(rb' data-(core|dist-info)-metadata="[^"]*"', b"", page)


class TestInstall:
    def test_dependencies_and_an_extra_come_from_our_index(
        self, loaded: LiveIndex, program: Programs, home: Path
    ) -> None:
        target = home / "target"
        words = ["install", "--target", target, "requests[socks]", "flask", "pyramid", "rich"]

        done = pip(program, home, loaded.simple, *words)

        assert done.code == 0, done.output
        installed = versions_in(target)
        assert {"pysocks", "urllib3", "jinja2", "markupsafe", "webob"} <= set(installed)
        script = (
            "import flask, pyramid.config, requests, rich, socks\nprint(requests.__version__)"
        )
        told = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            env={"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.strip() == installed["requests"]

    def test_an_sdist_is_built_with_a_backend_from_our_index(
        self, loaded: LiveIndex, program: Programs, home: Path
    ) -> None:
        target = home / "target"
        words = ["install", "--no-binary", "six", "--target", target, "six"]

        with recording(loaded.url) as heard:
            done = pip(program, home, f"{heard.url}/simple/", *words)

        assert done.code == 0, done.output
        assert (target / "six.py").is_file()
        assert [ask.status for ask in heard.of("/simple/setuptools/")] == [200]

    def test_hashes_are_required_and_checked(
        self,
        loaded: LiveIndex,
        distributions: list[Path],
        program: Programs,
        home: Path,
        tmp_path: Path,
    ) -> None:
        wheel = next(path for path in distributions if path.name.startswith("six-"))
        version = wheel.name.split("-")[1].removesuffix(".tar.gz")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        right, wrong = tmp_path / "right.txt", tmp_path / "wrong.txt"
        right.write_text(f"six=={version} --hash=sha256:{digest}\n", "utf-8")
        wrong.write_text(f"six=={version} --hash=sha256:{'0' * 64}\n", "utf-8")
        words = ["install", "--require-hashes", "--no-deps", "--no-build-isolation"]

        taken = pip(program, home, loaded.simple, *words, "-t", home / "a", "-r", right)
        refused = pip(program, home, loaded.simple, *words, "-t", home / "b", "-r", wrong)

        assert taken.code == 0, taken.output
        assert versions_in(home / "a") == {"six": version}
        assert refused.code == 1
        assert "DO NOT MATCH THE HASHES" in refused.output
        assert versions_in(home / "b") == {}


class TestChoice:
    def test_a_yanked_version_comes_only_when_pinned(
        self, server: LiveIndex, upload: Upload, program: Programs, home: Path, tmp_path: Path
    ) -> None:
        upload(
            packing.wheel(tmp_path, "wobble", "1.0"), packing.wheel(tmp_path, "wobble", "2.0")
        )
        server.rest("PUT", "/projects/wobble/releases/2.0/yank", {"reason": "It wobbles"})
        words = ["install", "--target"]

        newest = pip(program, home, server.simple, *words, home / "a", "wobble")
        pinned = pip(program, home, server.simple, *words, home / "b", "wobble==2.0")

        assert versions_in(home / "a") == {"wobble": "1.0"}, newest.output
        assert versions_in(home / "b") == {"wobble": "2.0"}, pinned.output
        assert "It wobbles" in pinned.output

    def test_a_version_for_another_python_is_passed_over(
        self, server: LiveIndex, upload: Upload, program: Programs, home: Path, tmp_path: Path
    ) -> None:
        upload(
            packing.wheel(tmp_path, "ahead", "1.0", requires_python=">=3.9"),
            packing.wheel(tmp_path, "ahead", "2.0", requires_python=">=3.99"),
        )

        done = pip(program, home, server.simple, "install", "-t", home / "a", "ahead")

        assert versions_in(home / "a") == {"ahead": "1.0"}, done.output

    def test_a_deleted_file_is_not_offered(
        self, server: LiveIndex, upload: Upload, program: Programs, home: Path, tmp_path: Path
    ) -> None:
        new = packing.wheel(tmp_path, "fading", "2.0")
        upload(packing.wheel(tmp_path, "fading", "1.0"), new)
        server.rest("DELETE", f"/projects/fading/files/{new.name}")

        done = pip(program, home, server.simple, "install", "-t", home / "a", "fading")

        assert versions_in(home / "a") == {"fading": "1.0"}, done.output

    def test_any_spelling_of_a_name_is_found(
        self, server: LiveIndex, upload: Upload, program: Programs, home: Path, tmp_path: Path
    ) -> None:
        upload(packing.wheel(tmp_path, "many_spellings", "1.0"))

        done = pip(program, home, server.simple, "install", "-t", home / "a", "Many.Spellings")

        assert versions_in(home / "a") == {"many_spellings": "1.0"}, done.output

    def test_an_unknown_project_is_an_error_of_one_line(
        self, server: LiveIndex, program: Programs, home: Path
    ) -> None:
        done = pip(program, home, server.simple, "install", "-t", home / "a", "nobody-has-this")

        assert done.code == 1
        assert "No matching distribution found for nobody-has-this" in done.output


class TestTraffic:
    def test_a_dry_run_reads_metadata_and_no_wheel(
        self, loaded: LiveIndex, program: Programs, home: Path
    ) -> None:
        report = home / "report.json"
        words = ["install", "--dry-run", "--ignore-installed", "--no-cache-dir"]

        with recording(loaded.url) as heard:
            simple = f"{heard.url}/simple/"
            done = pip(program, home, simple, *words, "--report", report, "flask")

        assert done.code == 0, done.output
        resolved = {
            item["metadata"]["name"].lower()
            for item in json.loads(report.read_text())["install"]
        }
        assert {"flask", "werkzeug", "markupsafe", "blinker"} <= resolved
        assert len(heard.of(".whl.metadata", method="GET")) == len(resolved)
        assert heard.of(".whl") == []

    def test_an_unchanged_page_is_answered_with_304(
        self, loaded: LiveIndex, program: Programs, home: Path
    ) -> None:
        # Over plain HTTP pip keeps pages only of hosts it is told to trust.
        words = ["install", "--dry-run", "--ignore-installed", "--trusted-host", "127.0.0.1"]

        with recording(loaded.url) as heard:
            for _ in range(2):
                done = pip(program, home, f"{heard.url}/simple/", *words, "six")
                assert done.code == 0, done.output

        first, second = heard.of("/simple/six/")
        assert (first.status, second.status) == (200, 304)
        assert second.headers["if-none-match"] == first.answer_headers["etag"]

    def test_a_wheel_without_metadata_is_read_by_ranges(
        self, server: LiveIndex, upload: Upload, program: Programs, home: Path, tmp_path: Path
    ) -> None:
        upload(packing.wheel(tmp_path, "bulky", "1.0", padding_bytes=600_000))
        words = ["install", "--use-feature=fast-deps", "--no-cache-dir", "-t", home / "a"]

        with recording(server.url, without_core_metadata) as heard:
            done = pip(program, home, f"{heard.url}/simple/", *words, "bulky")

        assert done.code == 0, done.output
        wheel = heard.of(".whl")
        assert (wheel[0].method, wheel[0].status) == ("HEAD", 200)
        assert wheel[0].answer_headers["accept-ranges"] == "bytes"
        assert (wheel[1].status, wheel[1].headers["range"][:6]) == (206, "bytes=")
        assert heard.of(".metadata") == []
        assert versions_in(home / "a") == {"bulky": "1.0"}

    def test_index_versions_lists_them_newest_first(
        self, server: LiveIndex, upload: Upload, program: Programs, home: Path, tmp_path: Path
    ) -> None:
        upload(*(packing.wheel(tmp_path, "listed", text) for text in ("1.9", "1.10", "1.2")))

        done = pip(program, home, server.simple, "index", "versions", "listed")

        assert "Available versions: 1.10, 1.9, 1.2" in done.output
