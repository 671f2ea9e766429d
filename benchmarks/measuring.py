"""How things are measured: CPU of process trees, load by wrk, and what others used."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORES, CLIENT_CORES = set(_CORES[-1:]), set(_CORES[:-1] or _CORES)
"""Servers have one core and clients the others.  Python threads that may run on two cores
hand the interpreter's lock to and fro, and their cost per request then jumps by a factor
of two from run to run; on one core, ratios stand still."""

_TICKS = os.sysconf("SC_CLK_TCK")
_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


class MeasurementFailed(Exception):
    """A server answered otherwise than the measurement needs."""


@dataclass
class Used:
    """What passed between the two ends of `observed`; filled in at the second."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    others_cores: float = 0.0
    """CPU that neither the server nor this harness and its children used, in cores."""


@dataclass(frozen=True)
class Load:
    """One run of requests against one server."""

    requests: int
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    mb_per_s: float
    cpu_us: float
    """CPU of the server's process tree per request."""
    others_cores: float


@dataclass
class Series:
    """The runs of each server, taken in turn; asked for medians."""

    runs: dict[str, list[Load]] = field(default_factory=dict)

    def add(self, server: str, load: Load) -> None:
        self.runs.setdefault(server, []).append(load)

    def median(self, server: str, what: str) -> float:
        return float(median(getattr(load, what) for load in self.runs[server]))

    def ratio(self, server: str, other: str, what: str) -> float:
        """Return the median of the ratios of runs that followed each other."""
        pairs = zip(self.runs[server], self.runs[other], strict=True)
        return float(median(getattr(a, what) / getattr(b, what) for a, b in pairs))


def process_tree(pid: int) -> Iterator[int]:
    """Yield `pid` and all processes below it."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            below = children.read_text().split()
        except OSError:
            continue
        for child in below:
            yield from process_tree(int(child))


def cpu_s(pids: Iterable[int]) -> float:
    """Return the CPU seconds of the processes `pids`, with those of reaped children."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(int(value) for value in fields[11:15])
    return ticks / _TICKS


def memory_mb(pid: int) -> float:
    """Return the proportional memory (PSS) of the process tree of `pid` in MB."""
    total_kb = 0
    for one in process_tree(pid):
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{one}/smaps_rollup").read_text(), re.M)
        total_kb += int(found[1]) if found else 0
    return total_kb / 1024


@contextmanager
def observed(pids: Iterable[int]) -> Iterator[Used]:
    """Note wall time, CPU of the process trees of `pids`, and what others used."""
    used = Used()
    trees = [one for pid in pids for one in process_tree(pid)]
    start = (time.perf_counter(), cpu_s(trees), _own_cpu_s(), _machine_cpu_s())
    yield used
    end = (time.perf_counter(), cpu_s(trees), _own_cpu_s(), _machine_cpu_s())
    used.wall_s, used.cpu_s, own_s, machine_s = (b - a for a, b in zip(start, end, strict=True))
    used.others_cores = max(0.0, (machine_s - used.cpu_s - own_s) / used.wall_s)


def wait_until_idle(
    pids: Iterable[int], *, quiet_s: float = 1.0, at_most_s: float = 60
) -> None:
    """Return when the process trees of `pids` have done nothing for `quiet_s`."""
    deadline = time.monotonic() + at_most_s
    trees = [one for pid in pids for one in process_tree(pid)]
    while time.monotonic() < deadline:
        before = cpu_s(trees)
        time.sleep(quiet_s)
        if cpu_s(trees) - before <= 0.02 * quiet_s:
            return


def wrk(
    url: str,
    pids: Iterable[int],
    *,
    connections: int = 8,
    seconds: int = 2,
    headers: Mapping[str, str] | None = None,
    script: Path | None = None,
) -> Load:
    """Load `url` by wrk over keep-alive connections, after a second of warming up."""
    command = ["wrk", "--latency", "-t", str(min(2, connections)), "-c", str(connections)]
    for name, value in (headers or {}).items():
        command += ["-H", f"{name}: {value}"]
    if script is not None:
        command += ["-s", str(script)]
    _run([*command, "-d", "1s", url])
    with observed(pids) as used:
        said = _run([*command, "--timeout", "10s", "-d", f"{seconds}s", url])
    requests = int(_found(r"(\d+) requests in", said))
    if errors := re.search(r"Non-2xx or 3xx responses: (\d+)", said):
        raise MeasurementFailed(f"{url}: {errors[1]} of {requests} answers were errors")
    if not requests:
        raise MeasurementFailed(f"{url}: no answer within {seconds} s")
    transferred = re.search(r"Transfer/sec:\s+([\d.]+)([KMG]?)B", said)
    scale = {"": 1e-6, "K": 1.024e-3, "M": 1.048576, "G": 1073.74}
    return Load(
        requests=requests,
        requests_per_s=float(_found(r"Requests/sec:\s+([\d.]+)", said)),
        p50_ms=_latency_ms("50%", said),
        p99_ms=_latency_ms("99%", said),
        mb_per_s=float(transferred[1]) * scale[transferred[2]] if transferred else 0.0,
        cpu_us=used.cpu_s / requests * 1e6,
        others_cores=used.others_cores,
    )


def in_turn(servers: Iterable[str], rounds: int, measure: Callable[[str], Load]) -> Series:
    """Measure each of `servers` once a round; one that fails is left out, aloud."""
    series = Series()
    standing = list(servers)
    for _ in range(rounds):
        for server in list(standing):
            try:
                series.add(server, measure(server))
            except (MeasurementFailed, OSError) as error:
                print(f"  {server} left out: {error}", flush=True)
                standing.remove(server)
                series.runs.pop(server, None)
    return series


def _own_cpu_s() -> float:
    return sum(
        resource.getrusage(who).ru_utime + resource.getrusage(who).ru_stime
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


def _machine_cpu_s() -> float:
    # user, nice, system, irq, softirq; neither idle nor waiting for the disk.
    fields = [int(value) for value in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    return sum(fields[i] for i in (0, 1, 2, 5, 6)) / _TICKS


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise MeasurementFailed(f"wrk said nothing like {pattern!r}")
    return found[1]


def _latency_ms(share: str, said: str) -> float:
    found = re.search(rf"^\s+{re.escape(share)}\s+([\d.]+)(us|ms|s|m)$", said, re.M)
    return float(found[1]) * _UNITS_S[found[2]] * 1000 if found else float("nan")
