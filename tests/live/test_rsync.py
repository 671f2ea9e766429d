"""Mirrors that copy an export with the real rsync, while the index publishes."""

from __future__ import annotations

import itertools
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pyramid_pypi.errors import Refusal
from pyramid_pypi.following import trust
from pyramid_pypi.following.changed_paths import POINTERS
from pyramid_pypi.following.findings import Fault, Finding, look, shadowed
from pyramid_pypi.following.pointing import Trusting
from pyramid_pypi.following.projects import page_path
from pyramid_pypi.following.sources import FolderSource
from pyramid_pypi.following.verifying import Verifier, Wanted
from pyramid_pypi.following.walking import ROOMS, HashTree
from pyramid_pypi.formats import simple_parse
from pyramid_pypi.publishing.exporting import Exporter
from pyramid_pypi.values.instants import system_clock
from tests.conftest import ToldClock, unavailable
from tests.static_trees import Origin, origin

CONFIGURATION = Path(__file__).parents[2] / "docs" / "rsyncd.conf"
OPERATORS = CONFIGURATION.with_name("operators.md")
PROGRAM = str(Path(sys.executable).with_name("pyramid-pypi"))
PROJECTS = 36

Rsync = Callable[..., float]


@pytest.fixture
def clock() -> ToldClock:
    """A clock of today, as programs of their own look at the signatures."""
    return ToldClock(system_clock().replace(microsecond=0))


@pytest.fixture
def index(tmp_path: Path, sqlite_template: Path, clock: ToldClock) -> Iterator[Origin]:
    made = origin(tmp_path / "index", sqlite_template, clock)
    for number in range(PROJECTS):
        made.add(f"demo-{number}", size=5000)
    made.point()
    yield made
    made.close()


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = tmp_path / "srv" / "export"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "mirror"


@pytest.fixture
def rsync(export: Path, tmp_path: Path) -> Iterator[Rsync]:
    """Serve the export as docs/rsyncd.conf does, and return what copies from it."""
    if shutil.which("rsync") is None:
        unavailable("rsync is not installed")
    port = free_port()
    daemon = subprocess.Popen(
        [
            *("rsync", "--daemon", "--no-detach", "--address=127.0.0.1"),
            *(f"--port={port}", f"--config={configured(export, tmp_path)}"),
        ],
        stderr=subprocess.PIPE,
    )
    await_port(port)

    def copy(target: Path, *words: str, module: str = "pypi", given: str = "") -> float:
        started = time.monotonic()
        done = subprocess.run(
            ["rsync", "-a", *words, f"rsync://127.0.0.1:{port}/{module}/", f"{target}/"],
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        # 24: a file was gone before it came, as happens where there is work.
        assert done.returncode in {0, 24}, done.stderr
        return time.monotonic() - started

    yield copy
    daemon.send_signal(signal.SIGTERM)
    daemon.communicate(timeout=20)


def configured(export: Path, folder: Path) -> Path:
    """The configuration with this machine's folders, for whoever runs the tests."""
    text = CONFIGURATION.read_text("utf-8").replace("/srv/pypi/export", str(export))
    text = re.sub(r"(?m)^(uid|gid) = .*\n", "", text)
    text = text.replace("use chroot = yes", "use chroot = no")
    text = re.sub(r"(?m)^(lock|log) file = .*/", rf"\1 file = {folder}/", text)
    made = folder / "rsyncd.conf"
    made.write_text(text, "utf-8")
    return made


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def await_port(port: int) -> None:
    for _ in range(200):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return
        time.sleep(0.05)
    raise AssertionError("the daemon did not start")


def settle(index: Origin, export: Path) -> None:
    """Export the tree, pointer too."""
    for _ in range(2):
        exporter(index, export, lag_s=0).run()


def exporter(index: Origin, export: Path, *, lag_s: float) -> Exporter:
    return Exporter(index.tree, export, system_clock, lag_s=lag_s, keep_s=3600)


def change(index: Origin, count: int) -> None:
    """Publish `count` changes of all kinds, and the pointer that names them."""
    for number in range(count - 4):
        index.add(f"demo-{number % PROJECTS}", f"2.{number}", sdist=bool(number % 2))
    index.yank("demo-0", "1.0", "broken")
    gone = index.add("demo-3", "9.0")
    index.delete_file("demo-3", gone)
    index.delete("demo-4")
    index.add("new-one")
    index.point()


def findings(index: Origin, tree: Path) -> list[Finding]:
    verifier = Verifier(FolderSource(tree), Wanted(everything=True), Trusting(), index.clock)
    # Deleted release files stay for as long as anybody may read pages that name them.
    return [
        finding
        for finding in verifier.findings()
        if finding.fault is not Fault.UNNAMED or not finding.path.startswith("packages/")
    ]


def files(tree: Path) -> dict[str, bytes]:
    return {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file()
    }


def unversioned(tree: Path) -> dict[str, bytes]:
    """What a tree shows at stable paths, and its release files."""
    named = re.compile(r".*/v/.*|repodata/c/.*|repodata/[0-9a-f]{64}.*|tuf/[0-9].*")
    return {path: content for path, content in files(tree).items() if not named.match(path)}


def test_a_mirror_of_the_whole(index: Origin, export: Path, tree: Path, rsync: Rsync) -> None:
    settle(index, export)
    rsync(tree, "--delete")
    assert findings(index, tree) == []
    assert files(tree) == files(export)
    change(index, 30)
    settle(index, export)
    rsync(tree, "--delete")
    assert findings(index, tree) == []
    assert files(tree) == files(export)


def test_parts_of_the_whole(index: Origin, export: Path, tree: Path, rsync: Rsync) -> None:
    settle(index, export)
    parts = {"meta": tree, "simple": tree / "simple", "packages": tree / "packages"}
    for module, target in parts.items():
        target.mkdir(parents=True, exist_ok=True)
        rsync(target, module=module)
    assert {path.name for path in tree.iterdir()} == {"repodata", "tuf", "simple", "packages"}
    for part in tree.iterdir():
        assert files(part) == files(export / part.name)


def test_a_mirror_that_asks_what_changed(
    index: Origin, export: Path, tree: Path, tmp_path: Path, rsync: Rsync
) -> None:
    """By the recipe of docs/operators.md it becomes what a copy of the whole becomes."""
    settle(index, export)
    rsync(tree, "--delete")
    for kind in ("changes", "another depth", "nothing"):
        if kind == "changes":
            change(index, 30)
        elif kind == "another depth":
            for number in range(8):
                index.delete(f"demo-{10 + number}")
            index.point()
        settle(index, export)
        following = tmp_path / "next"
        rsync(following, "--ignore-missing-args", "--files-from=-", given=lines(POINTERS))
        words = [str(export), "--since", str(tree), "--pointers", str(following)]
        told, gone = changed_paths(*words), changed_paths(*words, "--deleted")
        assert not set(told) & set(gone)
        rsync(tree, "--ignore-missing-args", "--files-from=-", given=lines(told))
        shutil.copytree(following, tree, dirs_exist_ok=True)
        for path in gone:
            remove(tree / path)
        # By now nobody reads the old pages any more.
        Exporter(index.tree, export, system_clock, lag_s=0, keep_s=0).run()
        whole = tmp_path / f"whole {kind}"
        rsync(whole)
        assert unversioned(tree) == unversioned(whole), kind
        assert findings(index, tree) == [], kind


def test_the_recipe_as_it_is_written(
    index: Origin, export: Path, tree: Path, tmp_path: Path
) -> None:
    """With the folder of the export for its address."""
    if shutil.which("rsync") is None:
        unavailable("rsync is not installed")
    settle(index, export)
    text = OPERATORS.read_text("utf-8")
    found = re.findall(r"(?m)(?:^    .*\n)+", text[text.index("    cd /srv/mirror &&") :])[0]
    script = found.replace("/srv/mirror", str(tmp_path))
    script = script.replace("https://pypi.example.org", str(export))
    script = script.replace("rsync://pypi.example.org/pypi", str(export))
    assert "example.org" not in script
    (tmp_path / "mirror").mkdir()
    script = script.replace(" tree", " mirror")
    shutil.copy(export / "tuf/1.root.json", tmp_path / "1.root.json")
    run_script(script)
    assert findings(index, tree) == []
    change(index, 20)
    settle(index, export)
    run_script(script)
    assert findings(index, tree) == []
    index.delete("demo-33")
    index.point()
    settle(index, export)
    # Signed by somebody else: nothing is copied, and nothing removed.
    before = files(tree)
    root = (tmp_path / "1.root.json").read_bytes()
    (tmp_path / "1.root.json").write_text("{}")
    shutil.move(tmp_path / "seen", tmp_path / "forgotten")
    run_script(script, status=1)
    assert files(tree) == before
    assert (tree / "simple/demo-33").is_dir()
    (tmp_path / "1.root.json").write_bytes(root)
    run_script(script)
    assert not (tree / "simple/demo-33").exists()
    assert findings(index, tree) == []


def run_script(script: str, status: int = 0) -> None:
    done = subprocess.run(
        ["bash", "-uc", script],
        env={"PATH": f"{Path(PROGRAM).parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == status, done.stdout + done.stderr


def test_what_changed_without_pointers_of_ones_own(
    index: Origin, export: Path, tree: Path
) -> None:
    settle(index, export)
    tree.mkdir()
    told = changed_paths(str(export), "--since", str(tree))
    assert told[-len(POINTERS) :] == list(POINTERS)
    there = files(export).keys()
    # Everything there is but superseded versions, and what has no twin or seal.
    assert {path for path in there if "/v/" not in path} <= set(told)
    assert set(told) - there <= {f"repodata/repomd.xml.{end}" for end in ("asc", "key")}


def changed_paths(*words: str) -> list[str]:
    done = subprocess.run(
        [PROGRAM, "changes", "paths", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def lines(paths: list[str] | tuple[str, ...]) -> str:
    return "".join(f"{path}\n" for path in paths)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def test_an_export_that_is_killed(
    index: Origin, export: Path, tree: Path, rsync: Rsync
) -> None:
    """SIGKILL at many moments; the mirror is good after each, and complete at the end."""
    settle(index, export)
    rsync(tree, "--delete")
    command = [PROGRAM, "export", str(export), "--lag", "0", "--data", str(index.tree.parent)]
    killed, whole_s = 0, 0.0
    for attempt in range(12):
        change_some(index, attempt)
        started = time.monotonic()
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        with suppress(subprocess.TimeoutExpired):
            run.wait(whole_s * (0.5 + attempt / 24) if attempt else None)
        whole_s = whole_s or time.monotonic() - started
        killed += run.poll() is None
        run.kill()
        run.wait()
        rsync(tree, "--delete")
        assert read_some(tree, PROJECTS) == (0, PROJECTS)
    assert killed > 2, f"{killed} killed of 11, each within {whole_s} s"
    settle(index, export)
    rsync(tree, "--delete")
    assert findings(index, tree) == []


def change_some(index: Origin, attempt: int) -> None:
    for number in range(4):
        index.add(f"demo-{attempt * 2 + number}", f"3.{attempt}")
    index.point()


@pytest.mark.parametrize("way", ["naive", "pointers last"])
def test_copying_while_the_index_publishes(
    index: Origin, export: Path, tree: Path, rsync: Rsync, way: str
) -> None:
    """A mirror that is read while it copies never shows a broken project.

    If pointers come last, the lag has to be longer than one run.  A mirror that knows
    nothing but ``rsync -a --delete`` gets pointers before pages: so a whole run must lie
    within the lag.
    """
    lag_s = 7.0 if way == "naive" else 3.0
    export_all(index, export, lag_s)
    rsync(tree, "--delete")
    durations: list[float] = []
    reads: list[tuple[int, int]] = []
    serials = set()

    def exporting() -> None:
        serials.add(exporter(index, export, lag_s=lag_s).run().installed)
        time.sleep(0.2)

    def copying() -> None:
        if way == "naive":
            durations.append(2 * rsync(tree, "--delete"))
        else:
            durations.append(pointers_last(rsync, tree))

    with going_on(exporting, copying, lambda: reads.append(read_some(tree, 8))):
        publish(index, seconds=10 + lag_s)
    assert len(serials) > 3
    slowest = max(durations)
    assert slowest < lag_s, f"runs of {slowest} s are too slow for this test"
    failed, done = (sum(column) for column in zip(*reads, strict=True))
    assert (failed, done > 100) == (0, True), f"{failed} of {done} reads failed"


def export_all(index: Origin, export: Path, lag_s: float) -> None:
    exporter(index, export, lag_s=lag_s).run()
    time.sleep(lag_s)
    exporter(index, export, lag_s=lag_s).run()


def publish(index: Origin, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for number in itertools.count():
        if time.monotonic() > deadline:
            return
        index.add(f"demo-{number % PROJECTS}", f"5.{number}")
        if number % 7 == 0:
            index.add(f"fresh-{number}")
        index.point(whole=number % 5 == 0)


def pointers_last(rsync: Rsync, tree: Path) -> float:
    excluded = [f"--exclude=/{path}" for path in POINTERS]
    spent_s = rsync(tree, "--delete", *excluded)
    words = ("--ignore-missing-args", "--files-from=-")
    return spent_s + rsync(tree, *words, given=lines(POINTERS))


@contextmanager
def going_on(*works: Callable[[], None]) -> Iterator[None]:
    """Have `works` done over and over beside a block, and none of them fail."""
    ended = threading.Event()

    def repeat(work: Callable[[], None]) -> None:
        while not ended.is_set():
            work()

    with ThreadPoolExecutor() as pool:
        going = [pool.submit(repeat, work) for work in works]
        try:
            yield
        finally:
            ended.set()
    for one in going:
        one.result()


def read_some(tree: Path, count: int) -> tuple[int, int]:
    """Read `count` projects, verified from the pointer on; return failures and reads."""
    source = FolderSource(tree)
    failed = 0
    pointer = trust.unsigned_pointer(source)
    record = pointer.repomd.record("shards")
    assert record is not None
    shards = HashTree(source, ROOMS["shards"])
    for number in random.sample(range(PROJECTS), count):
        try:
            is_read = reads(source, shards, record, f"demo-{number}")
        except Refusal:
            is_read = False
        if not is_read and trust.unsigned_pointer(source).content == pointer.content:
            failed += 1
    return failed, count


def reads(source: FolderSource, shards: HashTree, record: object, name: str) -> bool:
    steps = shards.find(record, name)  # type: ignore[arg-type]
    while True:
        try:
            next(steps)
        except StopIteration as end:
            told = end.value
            break
    if told.is_lost:
        return False
    if told.entry is None:
        return True
    named = shadowed(page_path(name), told.entry.sha256, told.entry.size_bytes)
    content = look(source, named).content
    if content is None:
        return False
    page = simple_parse.parse(content)
    return all((source.root / file.path).exists() for file in page.files)
