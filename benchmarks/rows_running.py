"""Rows e1, e2, f1, f2, i: start and memory, real installers, and rendering everything."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import corpus
import servers
from bench import PROGRAM, Bench, readers, run
from measuring import MeasurementFailed, cpu_s, memory_mb, observed, process_tree, wrk
from servers import HTML, JSON, Server

_INSTALLED_FROM = ("ours", "nginx", "proxpi", "pypicloud")


def starting(bench: Bench) -> None:
    """Row e1: seconds from the command to the first answer, servers in turn."""
    sizes = sorted({100, bench.projects})
    starts: dict[str, Callable[[], AbstractContextManager[Server]]] = {
        f"ours {size}": partial(servers.ours, bench.data(size)) for size in sizes
    }
    files = bench.corpus(bench.projects)
    if bench.peer("pypicloud", "pserve"):
        starts["pypicloud"] = lambda: servers.pypicloud(bench.peers, bench.work, files)
    if bench.peer("pypiserver", "pypi-server"):
        starts["pypiserver"] = lambda: servers.pypiserver(bench.peers, bench.work, files)
    seconds: dict[str, list[float]] = {name: [] for name in starts}
    cpu: dict[str, list[float]] = {name: [] for name in starts}
    for turn in range(bench.rounds + 1):
        for name, begin in starts.items():
            at = time.perf_counter()
            with begin() as server:
                if turn:  # the first warms the disk's cache, and the peers' own
                    seconds[name].append(time.perf_counter() - at)
                    cpu[name].append(cpu_s(process_tree(server.process.pid)))
    print("e1 start to first answer")
    for name, each in seconds.items():
        bench.report.figure(
            "e1", name, seconds=statistics.median(each), cpu_s=statistics.median(cpu[name])
        )
    own = f"ours {bench.projects}"
    start_s = statistics.median(seconds[own])
    bench.report.claim("e1", f"start at {bench.projects} projects, s", start_s, "<=", 1.5)
    growth = statistics.median(
        a / b for a, b in zip(seconds[own], seconds["ours 100"], strict=True)
    )
    bench.report.claim("e1", f"start at {bench.projects} / at 100 projects", growth, "<=", 1.2)


def memory(bench: Bench) -> None:
    """Row e2: memory (PSS of the tree) at start, and after every kind of page was asked for."""
    print("e2 memory")
    loaded: dict[int, float] = {}
    for size in sorted({1000, bench.projects}):
        with servers.ours(bench.data(size)) as server:
            fresh_mb = memory_mb(server.process.pid)
            _load(server, size)
            loaded[size] = memory_mb(server.process.pid)
        bench.report.figure("e2", f"ours {size}", fresh_mb=fresh_mb, loaded_mb=loaded[size])
    what = f"memory after load at {bench.projects} projects, MB"
    bench.report.claim("e2", what, loaded[bench.projects], "<=", 100)
    if bench.projects > 1000:
        grown_mb = loaded[bench.projects] - loaded[1000]
        what = f"memory at {bench.projects} less at 1000 projects, MB"
        bench.report.claim("e2", what, grown_mb, "<=", 20)


def _load(server: Server, projects: int) -> None:
    for name in corpus.project_names(projects):
        for accept in (HTML, JSON):
            servers.get(server.page(name), Accept=accept)
    for path in ("/simple/", f"/simple/{corpus.BIG_PROJECT}/"):
        for headers in ({"Accept": HTML}, {"Accept": JSON}, {"Accept-Encoding": "gzip"}):
            wrk(server.url + path, server.pids, seconds=1, headers=headers)


def installing(bench: Bench, rows: list[str]) -> None:
    """Rows f1 and f2: pip and uv resolve 24 packages from each server, in turn."""
    jobs: dict[str, Callable[[Server, Path], list[str]]] = {}
    uv = servers.peer_program(bench.peers, "uv", "uv") or shutil.which("uv")
    if "f1" in rows:
        jobs["pip"] = _pip
    if "f2" in rows and uv:
        jobs["uv cold"] = lambda server, cache: _uv(str(uv), server, cache)
        jobs["uv warm"] = lambda server, cache: [*_uv(str(uv), server, cache), "--refresh"]
    seconds: dict[tuple[str, str], list[float]] = {}
    cpu_ms: dict[tuple[str, str], list[float]] = {}
    with readers(bench) as running, tempfile.TemporaryDirectory() as folder:
        for number in range(bench.rounds + 1):
            for name in (name for name in _INSTALLED_FROM if name in running):
                cache = Path(folder) / f"{name}-{number}"
                for job, command in jobs.items():
                    used = _client(command(running[name], cache), running[name])
                    if number:
                        seconds.setdefault((job, name), []).append(used[0])
                        cpu_ms.setdefault((job, name), []).append(used[1])
    for job in jobs:
        print(f"f {job}, {corpus.CLOSURE_SIZE} packages")
        for (one, name), each in seconds.items():
            if one == job:
                bench.report.figure(
                    f"f {job}",
                    name,
                    seconds=statistics.median(each),
                    server_cpu_ms=statistics.median(cpu_ms[job, name]),
                )
        pairs = zip(seconds[job, "ours"], seconds[job, "nginx"], strict=True)
        ratio = statistics.median(own / static for own, static in pairs)
        row, target = ("f1", 1.05) if job == "pip" else ("f2", 1.2)
        bench.report.claim(row, f"{job}: seconds, ours / nginx", ratio, "<=", target)
        own_ms = statistics.median(cpu_ms[job, "ours"])
        bench.report.claim(row, f"{job}: CPU of ours, ms", own_ms, "<=", 30)


def _pip(server: Server, _cache: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "pip", "install", "--dry-run", "--no-cache-dir", "--quiet"),
        *("--ignore-installed", "--disable-pip-version-check", "--index-url"),
        *(server.url + server.simple, corpus.CLOSURE_ROOT),
    ]


def _uv(uv: str, server: Server, cache: Path) -> list[str]:
    return [
        *(uv, "pip", "compile", "-", "--quiet", "--no-config", "--cache-dir", str(cache)),
        *("--python", sys.executable, "--default-index", server.url + server.simple),
    ]


def _client(command: list[str], server: Server) -> tuple[float, float]:
    """Run a client; return its wall seconds and the server's CPU in ms."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))}
    with observed(server.pids) as used:
        done = subprocess.run(
            command,
            check=False,
            input=corpus.CLOSURE_ROOT,
            capture_output=True,
            text=True,
            env=kept | {"PIP_CONFIG_FILE": os.devnull},
        )
    if done.returncode:
        raise MeasurementFailed(f"{command[0]} from {server.name}: {done.stderr[-1000:]}")
    return used.wall_s, used.cpu_s * 1000


def rendering(bench: Bench) -> None:
    """Row i: every document anew, beside writing the same bytes without rendering them."""
    data = bench.data(bench.projects)
    tree = data / "tree"
    files = int((data / "imported").read_text().split()[0])
    start = time.perf_counter()
    run(PROGRAM, "publish", "--rebuild", "--data", data, "--set", servers.SITE)
    compared_s = time.perf_counter() - start
    aside = Path(tempfile.mkdtemp(dir=bench.work))
    for room in ("simple", "pypi", "projects"):
        (tree / room).rename(aside / room)
    start = time.perf_counter()
    run(PROGRAM, "publish", "--rebuild", "--data", data, "--set", servers.SITE)
    written_s = time.perf_counter() - start
    copied_s, documents = _copy(tree, aside)
    print("i rendering all")
    bench.report.figure(
        "i",
        "ours",
        files=files,
        documents=documents,
        rendered_and_compared_s=compared_s,
        rendered_and_written_s=written_s,
        same_bytes_written_s=copied_s,
    )
    bench.report.claim("i", "all documents rendered and written, s", written_s, "<=", 6)
    shutil.rmtree(aside)


def _copy(tree: Path, aside: Path) -> tuple[float, int]:
    """Write the stable documents of `tree` again elsewhere; return seconds and how many."""
    target = aside / "copy"
    contents = [
        (path.relative_to(tree), path.read_bytes())
        for room in ("simple", "pypi", "projects")
        for path in (tree / room).rglob("*")
        if path.is_file()
    ]
    start = time.perf_counter()
    for path, body in contents:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / "new").write_bytes(body)
        (target / "new").rename(target / path)
    return time.perf_counter() - start, len(contents)


def measure(bench: Bench, rows: list[str]) -> None:
    """Measure those of e1, e2, f1, f2 and i that are in `rows`."""
    if "e1" in rows:
        starting(bench)
    if "e2" in rows:
        memory(bench)
    if {"f1", "f2"} & set(rows):
        installing(bench, rows)
    if "i" in rows:
        rendering(bench)
