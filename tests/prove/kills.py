"""SIGKILL at every rename, fsync, link, unlink and commit of one upload and its publishing.

strace counts those system calls, thread by thread, for one upload; then for each of them
the same upload is made again from the same start, with SIGKILL as the process enters the
call.  Afterwards the index starts by itself, what was answered 200 is intact, what was
not answered is absent or whole, the same upload succeeds, and fsck finds nothing.

    python -m tests.prove.kills [--every N]
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.prove import checking
from tests.prove.serving import Server
from tests.prove.uploading import Parcel

CALLS = (
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "unlink", "unlinkat",
    "rmdir", "mkdir", "fsync", "fdatasync", "syncfs", "sync", "pwrite64", "ftruncate",
)  # fmt: skip
# One thread answers, so that the counts are the same each time; lists and checkpoint
# come soon after the upload, so that their calls are among those counted.
_SETTINGS = {"server.threads": "1", "publish.lists_s": "1", "publish.checkpoint_s": "1"}
_WATCH_S = 3.0
# SQLite writes a page of its log with each of these: every fifth is killed at, and the last.
_MANY = "pwrite64"
_LINE = re.compile(r"^(?:\d+ +)?(\w+)\(")


@dataclass(frozen=True)
class KillPoint:
    """The `number`-th `call` of the `thread`-th thread."""

    thread: int
    call: str
    number: int

    def __str__(self) -> str:
        return f"thread {self.thread}, {self.call} {self.number}"


class Bench:
    """A start to go back to, and the upload that is made from it."""

    def __init__(self, folder: Path, *, new_project: bool) -> None:
        self.folder = folder
        folder.mkdir()
        self._base = folder / "base"
        self._standing = [Parcel.new("standing", f"{n}.0", pad_bytes=50) for n in range(3)]
        project = "brandnew" if new_project else "standing"
        self.parcel = Parcel.new(project, "9.0", pad_bytes=50)
        with Server(self._base, folder / "base.log", _SETTINGS) as server:
            with server.client() as client:
                for parcel in self._standing:
                    assert client.upload(parcel).status == 200
            assert server.stop() == 0

    def server(self) -> Server:
        """Return a server on a fresh copy of the start."""
        home = self.folder / "index"
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self._base, home)
        return Server(home, self.folder / "serve.log", _SETTINGS)

    def count(self) -> list[KillPoint]:
        """Return every kill point of the upload."""
        with self.server() as server:
            points: list[KillPoint] = []
            threads = _threads(server.pid)
            traces = [
                _Trace(thread, self.folder / f"trace-{number}", ())
                for number, thread in enumerate(threads)
            ]
            with server.client() as client:
                assert client.upload(self.parcel).status == 200
            time.sleep(_WATCH_S)
            for number, trace in enumerate(traces):
                for call, times in trace.end().items():
                    step = 5 if call == _MANY else 1
                    chosen = {*range(1, times + 1, step), times}
                    points += [KillPoint(number, call, n) for n in sorted(chosen)]
        return points

    def kill(self, point: KillPoint) -> tuple[bool, list[str]]:
        """Kill at `point`; return whether it came to that, and what is wrong after."""
        with self.server() as server:
            thread = _threads(server.pid)[point.thread]
            fault = f"inject={point.call}:signal=SIGKILL:when={point.number}"
            trace = _Trace(thread, self.folder / "trace", ("-e", fault))
            acknowledged = False
            try:
                with server.client(timeout_s=15) as client:
                    acknowledged = client.upload(self.parcel).status == 200
            except OSError:
                pass
            killed = _ends_within(server, _WATCH_S)
            trace.end()
            server.kill()
            return killed, self._breaches(server, acknowledged=acknowledged)

    def _breaches(self, server: Server, *, acknowledged: bool) -> list[str]:
        try:
            server.start()
        except AssertionError as error:
            return [str(error)]
        promised = [*self._standing, *([self.parcel] if acknowledged else [])]
        found = list(checking.intact(server, promised))
        found += checking.whole(server, self.parcel)
        found += server.fsck()
        with server.client() as client:
            again = client.upload(self.parcel)
        if again.status != 200:
            found.append(f"the same upload again: {again.status} {again.text[:200]}")
        return [*found, *checking.intact(server, [*promised, self.parcel])]


class _Trace:
    """strace on one thread."""

    def __init__(self, thread: int, log: Path, more: tuple[str, ...]) -> None:
        self._log = log
        log.unlink(missing_ok=True)
        calls = "trace=" + ",".join(CALLS)
        self._process = subprocess.Popen(
            ["strace", "-qq", "-p", str(thread), "-o", str(log), "-e", calls, *more],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        status = Path(f"/proc/{thread}/status")
        deadline = time.monotonic() + 10
        while "TracerPid:\t0\n" in status.read_text():
            assert time.monotonic() < deadline, "strace did not attach"
            time.sleep(0.005)

    def end(self) -> Counter[str]:
        """Detach; return how often each call was made."""
        self._process.terminate()
        self._process.wait()
        lines = self._log.read_text("utf-8", "replace").splitlines()
        found = (_LINE.match(line) for line in lines)
        return Counter(match[1] for match in found if match and match[1] in CALLS)


def _threads(pid: int) -> list[int]:
    return sorted(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir())


def _ends_within(server: Server, seconds: float) -> bool:
    assert server.process is not None
    try:
        server.process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--every", type=int, default=1, help="take every N-th kill point only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kills-") as name, ThreadPoolExecutor(2) as pool:
        outcomes = [
            pool.submit(prove, Path(name) / label, options.every, new_project=new_project)
            for label, new_project in (("new project", True), ("known project", False))
        ]
    violations = [line for outcome in outcomes for line in outcome.result()[0]]
    checking.end(violations, "; ".join(outcome.result()[1] for outcome in outcomes))


def prove(folder: Path, every: int, *, new_project: bool) -> tuple[list[str], str]:
    """Kill at every `every`-th point; return violations and figures."""
    bench = Bench(folder, new_project=new_project)
    points = bench.count()[::every]
    print(f"{folder.name}: {len(points)} kill points: {_sum(points)}", flush=True)
    violations: list[str] = []
    killed = 0
    for point in points:
        hit, found = bench.kill(point)
        killed += hit
        violations += [f"{folder.name}, {point}: {line}" for line in found]
        state = "killed" if hit else "not met"
        print(f"{folder.name}, {point}: {state}, {len(found)} violations", flush=True)
    if not killed:
        violations.append(f"{folder.name}: nothing was killed; nothing was proved")
    return violations, f"{folder.name}: {len(points)} kill points, killed at {killed} of them"


def _sum(points: list[KillPoint]) -> str:
    counts = Counter(point.call for point in points)
    return ", ".join(f"{call} {times}" for call, times in counts.most_common())


if __name__ == "__main__":
    main()
