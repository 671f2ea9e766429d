"""uv as an installer, against a live index that holds real distributions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from tests.clients import packing
from tests.clients.recording import recording
from tests.clients.running import Ran, run
from tests.clients.serving import LiveIndex
from tests.clients.test_pip import versions_in, without_core_metadata

Programs = Callable[[str], Path]
Upload = Callable[..., None]


def uv(program: Programs, home: Path, simple: str, *words: object) -> Ran:
    """Run `uv pip` with our index alone."""
    python = ["--python", program("pip") / "python"]
    command = [program("uv") / "uv", "pip", *words, "--default-index", simple, *python]
    return run(command, home)


class TestInstall:
    def test_dependencies_and_an_extra_come_from_our_index(
        self, loaded: LiveIndex, program: Programs, home: Path
    ) -> None:
        words = ["install", "--target", home / "a", "requests[socks]", "pyramid"]

        done = uv(program, home, loaded.simple, *words)

        assert done.code == 0, done.output
        expected = {"requests", "pysocks", "idna", "certifi", "webob", "zope_interface"}
        assert expected <= set(versions_in(home / "a"))

    def test_an_sdist_is_built_with_a_backend_from_our_index(
        self, loaded: LiveIndex, program: Programs, home: Path
    ) -> None:
        words = ["install", "--no-binary", "venusian", "--target", home / "a", "venusian"]

        done = uv(program, home, loaded.simple, *words)

        assert done.code == 0, done.output
        assert "venusian" in versions_in(home / "a")

    def test_hashes_are_required_and_checked(
        self, server: LiveIndex, upload: Upload, program: Programs, home: Path, tmp_path: Path
    ) -> None:
        wheel = packing.wheel(tmp_path, "hashed", "1.0")
        upload(wheel)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        right, wrong = tmp_path / "right.txt", tmp_path / "wrong.txt"
        right.write_text(f"hashed==1.0 --hash=sha256:{digest}\n", "utf-8")
        wrong.write_text(f"hashed==1.0 --hash=sha256:{'0' * 64}\n", "utf-8")
        words = ["install", "--require-hashes", "--target"]

        taken = uv(program, home, server.simple, *words, home / "a", "-r", right)
        refused = uv(program, home, server.simple, *words, home / "b", "-r", wrong)

        assert taken.code == 0, taken.output
        assert versions_in(home / "a") == {"hashed": "1.0"}
        assert refused.code != 0
        assert "hash" in refused.output.lower()

    def test_a_yanked_version_comes_only_when_pinned(
        self, server: LiveIndex, upload: Upload, program: Programs, home: Path, tmp_path: Path
    ) -> None:
        new = packing.wheel(tmp_path, "shaky", "2.0")
        upload(packing.wheel(tmp_path, "shaky", "1.0"), new)
        server.rest("PUT", f"/projects/shaky/files/{new.name}/yank", {"reason": "It shakes"})

        uv(program, home, server.simple, "install", "--target", home / "a", "shaky")
        pinned = uv(program, home, server.simple, "install", "-t", home / "b", "shaky==2.0")

        assert versions_in(home / "a") == {"shaky": "1.0"}
        assert versions_in(home / "b") == {"shaky": "2.0"}, pinned.output
        assert "It shakes" in pinned.output

    def test_a_version_for_another_python_is_passed_over(
        self, server: LiveIndex, upload: Upload, program: Programs, home: Path, tmp_path: Path
    ) -> None:
        upload(
            packing.wheel(tmp_path, "future", "1.0"),
            packing.wheel(tmp_path, "future", "2.0", requires_python=">=3.99"),
        )

        done = uv(program, home, server.simple, "install", "--target", home / "a", "future")

        assert versions_in(home / "a") == {"future": "1.0"}, done.output

    def test_exclude_newer_reads_the_time_of_upload(
        self, server: LiveIndex, upload: Upload, program: Programs, home: Path, tmp_path: Path
    ) -> None:
        upload(packing.wheel(tmp_path, "dated", "1.0"))
        words = ["install", "--target", home / "a", "dated", "--exclude-newer"]

        then = uv(program, home, server.simple, *words, "2020-01-01")
        now = uv(program, home, server.simple, *words, "2100-01-01")

        assert then.code != 0, then.output
        assert now.code == 0, now.output


class TestTraffic:
    def test_compile_reads_metadata_and_no_wheel(
        self, loaded: LiveIndex, program: Programs, home: Path, tmp_path: Path
    ) -> None:
        wanted = tmp_path / "wanted.in"
        wanted.write_text("flask\nrequests[socks]\nrich\n", "utf-8")

        with recording(loaded.url) as heard:
            simple = f"{heard.url}/simple/"
            done = uv(program, home, simple, "compile", "--generate-hashes", wanted)

        assert done.code == 0, done.output
        pins = [line for line in done.output.splitlines() if "==" in line and line[0] != "#"]
        assert len(pins) >= 15, done.output
        assert done.output.count("--hash=sha256:") >= len(pins)
        assert len(heard.of(".metadata")) == len(pins)
        assert heard.of(".whl") == []
        assert heard.of(".tar.gz") == []

    def test_a_wheel_without_metadata_is_read_by_ranges(
        self, server: LiveIndex, upload: Upload, program: Programs, home: Path, tmp_path: Path
    ) -> None:
        upload(packing.wheel(tmp_path, "weighty", "1.0", padding_bytes=600_000))
        wanted = tmp_path / "wanted.in"
        wanted.write_text("weighty\n", "utf-8")

        with recording(server.url, without_core_metadata) as heard:
            done = uv(program, home, f"{heard.url}/simple/", "compile", wanted)

        assert "weighty==1.0" in done.output
        wheel = heard.of(".whl")
        assert (wheel[0].method, wheel[0].status) == ("HEAD", 200)
        assert {part.status for part in wheel[1:]} == {206}
        sent = sum(int(part.answer_headers["content-length"]) for part in wheel[1:])
        assert sent < 100_000

    def test_an_unchanged_page_is_answered_with_304(
        self, loaded: LiveIndex, program: Programs, home: Path
    ) -> None:
        with recording(loaded.url) as heard:
            for target in ("a", "b"):
                words = ["install", "--no-deps", "--target", home / target, "attrs"]
                done = uv(program, home, f"{heard.url}/simple/", *words)
                assert done.code == 0, done.output

        first, second = heard.of("/simple/attrs/")
        assert (first.status, second.status) == (200, 304)
        assert second.headers["if-none-match"] == first.answer_headers["etag"]
