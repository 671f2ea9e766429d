"""Rows d1 to d4: uploads, into new projects and a large one; when seen; authentication."""

from __future__ import annotations

import os
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import corpus
import servers
from bench import Bench, start_peers
from measuring import Load, MeasurementFailed, in_turn, observed, wait_until_idle
from servers import Server, get
from uploading import Uploader, form

SIZES = (100, 1000, 10_000)
_FILES = 100
_WARM_UP_FILES = 5
_AT_MOST_S = 10.0
_RUN = secrets.token_hex(3)


@dataclass
class Target:
    """Where files go: a server, and either new projects or the one with 2,000 files."""

    server: Server
    into_big: bool = False


class Forms:
    """Makes upload forms of files that were never sent before."""

    def __init__(self) -> None:
        self._sent = 0

    def take(self, count: int, *, into_big: bool) -> list[tuple[str, str, bytes]]:
        """Return project, filename and form of `count` small wheels."""
        made = []
        for _ in range(count):
            self._sent += 1
            name, version = f"run{_RUN}-number{self._sent}", "1.0"
            if into_big:
                name, version = corpus.BIG_PROJECT, f"{int(_RUN, 16)}.{self._sent}"
            filename, body = corpus.wheel(name, version)
            made.append((name, filename, form(name, version, filename, body)))
        return made


def uploads(bench: Bench, rows: list[str]) -> None:
    """Rows d1 and d2: files/s, and CPU with all that follows in the background."""
    sizes = [size for size in SIZES if size <= bench.projects]
    largest = sizes[-1]
    with _running(bench, sizes) as targets:
        series = bench.report.series(
            "d1, d2 uploads, one keep-alive connection (cpu_us with the background's)",
            in_turn(list(targets), bench.rounds, _measure(targets)),
        )
    _disk(bench)
    claim = bench.report.claim
    for size in sizes:
        own = f"ours {size}"
        cpu_ms = series.median(own, "cpu_us") / 1000
        claim("d1", f"upload at {size} projects: server CPU, ms", cpu_ms, "<=", 5)
    for peer in ("pypicloud", "pypiserver"):
        if f"{peer} {largest}" in series.runs:
            ratio = series.ratio(f"ours {largest}", f"{peer} {largest}", "requests_per_s")
            claim("d1", f"upload at {largest}: rate, ours / {peer}", ratio, ">=", 2)
    growth = series.ratio(f"ours {largest}", f"ours {sizes[0]}", "cpu_us")
    claim("d1", f"upload: CPU at {largest} / at {sizes[0]} projects", growth, "<=", 1.2)
    if "d2" in rows:
        growth = series.ratio("ours big", f"ours {largest}", "cpu_us")
        claim("d2", "upload into 2,000 files: CPU / into a new project", growth, "<=", 2)


def _peers(projects: int) -> tuple[str, ...]:
    # pypiserver walks all files for each upload: at 10,000 projects one takes a second.
    return servers.PEERS if projects <= 1000 else ("pypicloud",)


@contextmanager
def _running(bench: Bench, sizes: list[int]) -> Iterator[dict[str, Target]]:
    with ExitStack() as stack:
        targets = {}
        for size in sizes:
            server = stack.enter_context(servers.ours(bench.data(size)))
            targets[f"ours {size}"] = Target(server)
        targets["ours big"] = Target(server, into_big=True)
        for peer in start_peers(bench, stack, sizes[-1], _peers(sizes[-1])):
            targets[f"{peer.name} {sizes[-1]}"] = Target(peer)
            targets[f"{peer.name} big"] = Target(peer, into_big=True)
        yield targets


def _measure(targets: dict[str, Target]) -> Callable[[str], Load]:
    forms = Forms()

    def measure(name: str) -> Load:
        target = targets[name]
        made = forms.take(_WARM_UP_FILES + _FILES, into_big=target.into_big)
        bodies = [body for _, _, body in made]
        server = target.server
        uploader = Uploader(server.url + server.upload, server.user, server.password)
        uploader.send(bodies[:_WARM_UP_FILES], at_most_s=_AT_MOST_S / 2)
        wait_until_idle(server.pids)
        with observed(server.pids) as used:
            sent = uploader.send(bodies[_WARM_UP_FILES:], at_most_s=_AT_MOST_S)
            wait_until_idle(server.pids)
        uploader.close()
        count, total_s = len(sent.seconds), sum(sent.seconds)
        return Load(
            requests=count,
            requests_per_s=count / total_s,
            p50_ms=sent.quantile_ms(0.5),
            p99_ms=sent.quantile_ms(0.99),
            mb_per_s=sum(map(len, bodies[-count:])) / total_s / 1e6,
            cpu_us=used.cpu_s / count * 1e6,
            others_cores=used.others_cores,
        )

    return measure


def _disk(bench: Bench) -> None:
    """Note how many files a second the disk makes durable, by one writer."""
    body = os.urandom(2500)
    with tempfile.TemporaryDirectory(dir=bench.work) as name:
        folder = Path(name)
        start = time.perf_counter()
        for number in range(_FILES):
            with open(folder / "new", "wb") as out:
                out.write(body)
                out.flush()
                os.fsync(out.fileno())
            os.replace(folder / "new", folder / str(number))
            descriptor = os.open(folder, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        files_per_s = _FILES / (time.perf_counter() - start)
    bench.report.figure("d1, d2 disk", "disk", durable_files_per_s=files_per_s)


def visibility(bench: Bench) -> None:
    """Row d3: the file is on its page when the answer arrives; and the list of all, row b."""
    page_ms, list_ms, seen = [], [], 0
    made = Forms().take(20, into_big=False)
    with servers.ours(bench.data(bench.projects)) as server:
        uploader = Uploader(server.url + server.upload, server.user, server.password)
        for project, filename, body in made:
            uploader.send([body])
            start = time.perf_counter()
            page = get(server.page(project))[2]
            page_ms.append((time.perf_counter() - start) * 1000)
            seen += filename.encode() in page
            start = time.perf_counter()
            listed = get(server.url + "/simple/")[2]
            list_ms.append((time.perf_counter() - start) * 1000)
            if project.encode() not in listed:
                raise MeasurementFailed(f"/simple/ lacks {project} after its upload")
    report = bench.report
    report.figure("d3", "ours", page_p50_ms=statistics.median(page_ms))
    report.claim("d3", "share of files on their page after the answer", seen / 20, ">=", 1)
    after_ms = statistics.median(list_ms)
    report.claim("b", "/simple/ right after an upload: p50, ms", after_ms, "<=", 10)


def authentication(bench: Bench) -> None:
    """Row d4: CPU of finding out who asks, by token, its look-up included."""
    from dataclasses import replace

    from pyramid_pypi import environment, settings
    from pyramid_pypi.accounts import tokens

    data = bench.data(min(bench.projects, 1000))
    services = environment.build(replace(settings.load({}, {}), data_dir=data))
    secret = (data / "admin.token").read_text().strip()
    times = 1000
    with services.database.reading() as session:
        at = services.clock()
        tokens.identify(session, secret, at=at)
        start = time.thread_time()
        for _ in range(times):
            tokens.identify(session, secret, at=at)
        each_ms = (time.thread_time() - start) / times * 1000
    bench.report.claim("d4", "authentication by token: CPU, ms", each_ms, "<=", 0.1)


def measure(bench: Bench, rows: list[str]) -> None:
    """Measure those of d1 to d4 that are in `rows`."""
    if {"d1", "d2"} & set(rows):
        uploads(bench, rows)
    if "d3" in rows:
        visibility(bench)
    if "d4" in rows:
        authentication(bench)
