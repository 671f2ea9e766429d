"""What every row needs: where things lie, how long to measure, and prepared data."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import corpus
import servers
from measuring import MeasurementFailed
from report import Report
from servers import Server

PROGRAM = Path(sys.executable).parent / "pyramid-pypi"


@dataclass
class Bench:
    """One run of the benchmarks."""

    work: Path
    peers: Path
    projects: int
    rounds: int
    seconds: int
    report: Report

    def corpus(self, projects: int) -> Path:
        """Return the folder of distributions of so many projects, made if need be."""
        return corpus.build(self.work / "corpus", projects)

    def data(self, projects: int) -> Path:
        """Return a data folder of ours with so many projects, imported if need be."""
        data = self.work / f"data-{projects}"
        if not (data / "imported").exists():
            files = self.corpus(projects)
            shutil.rmtree(data, ignore_errors=True)
            run(PROGRAM, "init", "--data", data, "--set", servers.SITE)
            start = time.perf_counter()
            run(PROGRAM, "import", "dir", files, "--data", data, "--set", servers.SITE)
            run(PROGRAM, "publish", "--data", data, "--set", servers.SITE)
            seconds = time.perf_counter() - start
            count = sum(1 for path in files.glob("*/*"))
            (data / "imported").write_text(f"{count} {seconds:.1f}\n")
        return data

    def peer(self, name: str, program: str) -> bool:
        return servers.peer_program(self.peers, name, program) is not None


def run(*command: object) -> None:
    """Run a command to its end; its talk is shown only when it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        raise MeasurementFailed(f"{' '.join(words)}: {done.stderr[-2000:]}")


@contextmanager
def readers(
    bench: Bench, *, peers: tuple[str, ...] = servers.PEERS
) -> Iterator[dict[str, Server]]:
    """Run ours, the floor, nginx before and without them, and the `peers` that are there.

    ``nginx+ours`` and ``nginx+floor`` send release files by X-Accel-Redirect.
    """
    data = bench.data(bench.projects)
    with ExitStack() as stack:
        start = stack.enter_context
        own, low = start(servers.ours(data)), start(servers.floor(data))
        with_accel = start(servers.ours(data, "files.offload=x-accel"))
        plain, own_proxy, low_proxy = start(servers.nginx(data, with_accel, low))
        running = [own, low, plain, own_proxy, low_proxy]
        if "proxpi" in peers and bench.peer("proxpi", "gunicorn"):
            running.append(start(servers.proxpi(bench.peers, bench.work, plain)))
        running += start_peers(bench, stack, bench.projects, peers)
        yield {server.name: server for server in running}


def start_peers(
    bench: Bench, stack: ExitStack, projects: int, peers: tuple[str, ...]
) -> list[Server]:
    """Start those `peers` that take uploads and are installed."""
    running = []
    if "pypicloud" in peers and bench.peer("pypicloud", "pserve"):
        files = bench.corpus(projects)
        running.append(stack.enter_context(servers.pypicloud(bench.peers, bench.work, files)))
    if "pypiserver" in peers and bench.peer("pypiserver", "pypi-server"):
        files = bench.corpus(projects)
        running.append(stack.enter_context(servers.pypiserver(bench.peers, bench.work, files)))
    return running
