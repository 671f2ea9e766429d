"""Measures this index beside its peers, and says which targets are met.

    python benchmarks/run.py --rows a1,a2 --projects 1000 --work DIR --peers DIR

README.md says what is measured and how.  Times are printed, never asserted.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import rows_reading
import rows_running
import rows_writing
import servers
from bench import Bench
from measuring import CLIENT_CORES
from report import Report

ROWS = (*rows_reading.ROWS, "f1", "f2", "e1", "e2", "d1", "d2", "d3", "d4", "i")


def main() -> None:
    given = _arguments()
    rows = given.rows.split(",")
    report = Report()
    bench = Bench(
        work=given.work or Path(tempfile.mkdtemp(prefix="benchmarks-")),
        peers=given.peers,
        projects=given.projects,
        rounds=given.rounds,
        seconds=given.seconds,
        report=report,
    )
    servers.pinned = not given.unpinned
    if servers.pinned:
        os.sched_setaffinity(0, CLIENT_CORES)
    bench.work.mkdir(parents=True, exist_ok=True)
    if reading := [row for row in rows if row in rows_reading.ROWS]:
        rows_reading.measure(bench, reading)
    rows_running.measure(bench, [row for row in rows if row != "i"])
    rows_writing.measure(bench, rows)
    rows_running.measure(bench, [row for row in rows if row == "i"])
    print("\n" + report.table())
    if given.out:
        report.save(given.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default=",".join(ROWS), help="rows, separated by commas")
    parser.add_argument("--projects", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="length of one run of wrk")
    parser.add_argument("--work", type=Path, help="folder for corpus and data, kept")
    parser.add_argument("--peers", type=Path, default=Path("peers"), help="peers' venvs")
    parser.add_argument("--unpinned", action="store_true", help="all may use all cores")
    parser.add_argument("--out", type=Path, help="JSON file for all figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
