"""Rows a1 to a4, b, c1, c2: pages, validators, compression, lists and files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import corpus
from bench import Bench, readers
from measuring import Load, Series, in_turn, memory_mb, wrk
from report import Report
from servers import HTML, JSON, Server, get

_OURS_AND_STATIC = ("ours", "floor", "nginx")
_MANY = 1000


class Reading:
    """The servers that answer reads, and how one kind of request is measured on them."""

    def __init__(self, bench: Bench, running: dict[str, Server]) -> None:
        self.bench = bench
        self.running = running
        self.report: Report = bench.report
        self.usual = corpus.project_names(bench.projects)[bench.projects // 2]

    def compare(
        self,
        title: str,
        servers: tuple[str, ...],
        url: Callable[[Server], str],
        *,
        connections: int = 8,
        headers: Callable[[Server], dict[str, str]] = lambda _server: {},
        script: Path | None = None,
    ) -> Series:
        """Load `url` on each of `servers` that runs, in turn."""

        def measure(name: str) -> Load:
            server = self.running[name]
            return wrk(
                url(server),
                server.pids,
                connections=connections,
                seconds=self.bench.seconds,
                headers=headers(server),
                script=script,
            )

        standing = [name for name in servers if name in self.running]
        return self.report.series(title, in_turn(standing, self.bench.rounds, measure))

    def over_floor(self, row: str, what: str, series: Series, target: float) -> None:
        if {"ours", "floor"} <= series.runs.keys():
            ratio = series.ratio("ours", "floor", "cpu_us")
            self.report.claim(row, f"{what}: CPU, ours / floor", ratio, "<=", target)

    def over_peer(self, row: str, what: str, series: Series, peer: str, target: float) -> None:
        if {"ours", peer} <= series.runs.keys():
            ratio = series.ratio("ours", peer, "requests_per_s")
            self.report.claim(row, f"{what}: rate, ours / {peer}", ratio, ">=", target)


def small_pages(reading: Reading) -> None:
    """Row a1: the page of a project with three files."""
    for kind, accept, peers in (
        ("HTML", HTML, ("proxpi", "pypicloud", "pypiserver")),
        ("JSON", JSON, ("proxpi",)),
    ):
        series = reading.compare(
            f"a1 small page, {kind}",
            (*_OURS_AND_STATIC, *peers),
            lambda server: server.page(reading.usual),
            headers=lambda _server, accept=accept: {"Accept": accept},  # type: ignore[misc]
        )
        reading.over_floor("a1", f"small page, {kind}", series, 1.25)
        reading.over_peer("a1", f"small page, {kind}", series, "proxpi", 4)
        reading.over_peer("a1", f"small page, {kind}", series, "pypicloud", 15)
        p99_ms = series.median("ours", "p99_ms")
        what = f"small page, {kind}: p99 of 8 connections, ms"
        reading.report.claim("a1", what, p99_ms, "<=", 10)
    script = _many_pages(reading)
    series = reading.compare(
        f"a1 {_MANY} different small pages",
        ("ours", "floor", "nginx", "pypicloud"),
        lambda server: server.url + server.simple,
        script=script,
    )
    reading.over_floor("a1", f"{_MANY} different small pages", series, 1.25)


def big_page(reading: Reading) -> None:
    """Row a2: the page of a project with 2,000 files."""
    for kind, accept, target in (("HTML", HTML, 25), ("JSON", JSON, 8)):
        series = reading.compare(
            f"a2 page of 2,000 files, {kind}",
            (*_OURS_AND_STATIC, "proxpi"),
            lambda server: server.page(corpus.BIG_PROJECT),
            headers=lambda _server, accept=accept: {"Accept": accept},  # type: ignore[misc]
        )
        reading.over_floor("a2", f"2,000 files, {kind}", series, 1.25)
        reading.over_peer("a2", f"2,000 files, {kind}", series, "proxpi", target)


def validators(reading: Reading) -> None:
    """Row a3: a page that the client has already."""
    series = Series()
    for title, project in (("small page", reading.usual), ("2,000 files", corpus.BIG_PROJECT)):
        series = reading.compare(
            f"a3 If-None-Match, {title}",
            _OURS_AND_STATIC,
            lambda server, project=project: server.page(project),  # type: ignore[misc]
            headers=lambda server, project=project: {  # type: ignore[misc]
                "If-None-Match": get(server.page(project))[1]["ETag"]
            },
        )
        reading.over_floor("a3", f"304, {title}", series, 1.1)


def compression(reading: Reading) -> None:
    """Row a4: gzip, which is stored and not made."""
    identity = reading.compare(
        "a4 page of 2,000 files, identity",
        ("ours",),
        lambda server: server.page(corpus.BIG_PROJECT),
    )
    packed = reading.compare(
        "a4 page of 2,000 files, gzip",
        (*_OURS_AND_STATIC, "proxpi"),
        lambda server: server.page(corpus.BIG_PROJECT),
        headers=lambda _server: {"Accept": HTML, "Accept-Encoding": "gzip"},
    )
    ratio = packed.median("ours", "cpu_us") / identity.median("ours", "cpu_us")
    reading.report.claim("a4", "gzip / identity, CPU of ours", ratio, "<=", 1)
    own = reading.running["ours"]
    for title, url, target_kb in (
        ("page of 2,000 files", own.page(corpus.BIG_PROJECT), 190),
        ("/simple/", own.url + "/simple/", 90),
    ):
        size_kb = len(get(url, Accept_Encoding="gzip")[2]) / 1000
        reading.report.claim("a4", f"{title}, gzip, kB", size_kb, "<=", target_kb)


def project_list(reading: Reading) -> None:
    """Row b: the list of all projects, one connection."""
    for kind, accept, peers in (
        ("HTML", HTML, ("proxpi", "pypiserver", "pypicloud")),
        ("JSON", JSON, ("proxpi",)),
    ):
        series = reading.compare(
            f"b /simple/, {kind}",
            (*_OURS_AND_STATIC, *peers),
            lambda server: server.url + server.simple,
            connections=1,
            headers=lambda _server, accept=accept: {"Accept": accept},  # type: ignore[misc]
        )
        reading.over_floor("b", f"/simple/, {kind}", series, 1.25)
        best = max(
            (peer for peer in peers if peer in series.runs),
            key=lambda peer: series.median(peer, "requests_per_s"),
            default="",
        )
        reading.over_peer("b", f"/simple/, {kind}", series, best, 20)
        p50_ms = series.median("ours", "p50_ms")
        reading.report.claim("b", f"/simple/, {kind}: p50, ms", p50_ms, "<=", 2)


def small_file(reading: Reading) -> None:
    """Row c1: a wheel of some 2 kB."""
    filename = f"{reading.usual.replace('-', '_')}-1.1-py3-none-any.whl"
    series = reading.compare(
        "c1 small wheel",
        ("ours", "floor", "nginx", "nginx+ours", "nginx+floor", "proxpi", "pypicloud"),
        lambda server: server.file(reading.usual, filename),
    )
    reading.over_peer("c1", "small wheel", series, "proxpi", 2)
    if {"ours", "floor"} <= series.runs.keys():
        ratio = series.ratio("ours", "floor", "requests_per_s")
        reading.report.claim("c1", "small wheel: rate, ours / FileResponse", ratio, ">=", 1.2)
    if {"nginx+ours", "nginx+floor"} <= series.runs.keys():
        ratio = series.ratio("nginx+ours", "nginx+floor", "requests_per_s")
        what = "small wheel by X-Accel: rate, ours / floor"
        reading.report.claim("c1", what, ratio, ">=", 0.9)


def large_file(reading: Reading) -> None:
    """Row c2: a wheel of 10 MB, four connections."""
    filename = f"{corpus.HEAVY_PROJECT}-1.0-py3-none-any.whl"
    own = reading.running["ours"]
    before_mb = memory_mb(own.pids[0])
    series = reading.compare(
        "c2 10 MB wheel",
        ("ours", "floor", "nginx", "proxpi", "pypicloud"),
        lambda server: server.file(corpus.HEAVY_PROJECT, filename),
        connections=4,
    )
    grown_mb = memory_mb(own.pids[0]) - before_mb
    reading.report.claim("c2", "10 MB wheel: memory of ours grew, MB", grown_mb, "<=", 5)
    ratio = series.ratio("ours", "nginx", "mb_per_s")
    reading.report.claim("c2", "10 MB wheel: MB/s, ours / nginx", ratio, ">=", 0.9)


ROWS: dict[str, Callable[[Reading], None]] = {
    "a1": small_pages,
    "a2": big_page,
    "a3": validators,
    "a4": compression,
    "b": project_list,
    "c1": small_file,
    "c2": large_file,
}


def measure(bench: Bench, rows: list[str]) -> None:
    """Measure `rows`, all on one set of running servers."""
    with readers(bench) as running:
        reading = Reading(bench, running)
        for row in rows:
            ROWS[row](reading)


def _many_pages(reading: Reading) -> Path:
    names = corpus.project_names(reading.bench.projects)[:_MANY]
    listed = ", ".join(f'"{name}"' for name in names)
    path = reading.bench.work / "many.lua"
    path.write_text(
        f"local names = {{{listed}}}\n"
        "local at = 0\n"
        "request = function()\n"
        "  at = at % #names + 1\n"
        '  return wrk.format("GET", wrk.path .. names[at] .. "/")\n'
        "end\n"
    )
    return path
