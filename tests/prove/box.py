"""PyPI in a box: an index of any size built from nothing, and what one more file costs then.

Its rows are put into the database straight away (`tests.prove.box_rows`); all else is what
`pyramid-pypi publish --rebuild` does but for companions.  Then files are added one by
one, each followed by a round of its own: what the round takes must not grow with the
index.  Project pages and the like are left to be written when they are asked for, so the
hash tree of companions is measured apart, full, of made-up manifests.

    python -m tests.prove.box [--names FILE] [--projects N] [--files-mean M] [--curve]

FILE is a list of projects, tab-separated in xz: name, version, rank by downloads if it has
one, summary.  Without it names are made up.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.prove import box_rows, box_steps, checking
from tests.prove.box_rows import Made, Wanted
from tests.prove.box_steps import Costs, Took

MOST_TREE_MS = 5.0
MOST_BYTES = 30_000
CURVE = (1_000, 10_000, 100_000)


@dataclass
class Box:
    """One index, and what it took to build it."""

    projects: int
    made: Made
    took: dict[str, Took]
    peak_mb: dict[str, float]
    megabytes: dict[str, float]
    inodes: dict[str, int]
    costs: Costs
    violations: list[str]


def measure(folder: Path, wanted: Sequence[Wanted], files_mean: float, publishes: int) -> Box:
    """Build the index of the projects `wanted` in the empty `folder`, and publish in it.

    Each step has a process of its own, whose time and memory are counted.
    """
    took: dict[str, Took] = {}
    peak_mb: dict[str, float] = {}

    def apart(step: str, work: Callable[..., Any], *values: object) -> Any:
        began = time.monotonic()
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found, cpu_s, peak_mb[step] = pool.apply(_watched, (work, *values))
        took[step] = Took(time.monotonic() - began, cpu_s)
        return found

    made = apart("rows", box_steps.fill, folder, wanted, files_mean)
    parts = apart("build", box_steps.build, folder)
    took |= {f"its {part}": each for part, each in parts.items()}
    megabytes, inodes = box_steps.sizes(folder)
    names = [project.name for project in wanted]
    costs = apart("publishes", box_steps.publish, folder, names, publishes)
    took["companions tree"], full = apart(
        "companions", box_steps.companions, folder, names, publishes
    )
    costs.extend(full)
    violations = apart("checks", box_steps.violations, folder, names)
    return Box(len(names), made, took, peak_mb, megabytes, inodes, costs, violations)


def _watched(work: Callable[..., Any], *values: object) -> tuple[Any, float, float]:
    """Return what `work` does, its seconds of CPU, and the most memory it had, in MB."""
    found = work(*values)
    # Not that of getrusage(2), which begins with what the parent had.
    told = Path("/proc/self/status").read_text("ascii")
    peak_kb = int(told.partition("VmHWM:")[2].split()[0])
    return found, time.process_time(), peak_kb / 1024


def breaches(box: Box, *, timed: bool = True) -> list[str]:
    """Return what is wrong with `box`, and which bounds it breaks; times only if `timed`."""
    found = list(box.violations)
    most_bytes = max(box.costs.total_bytes())
    if most_bytes > MOST_BYTES:
        found.append(f"a publish wrote {most_bytes} bytes beside the project's documents")
    tree_ms = statistics.median(box.costs.total("hash trees of the box", "companions"))
    if timed and tree_ms > MOST_TREE_MS:
        found.append(f"a publish took {tree_ms:.1f} ms of CPU in the hash trees")
    return found


def told(box: Box) -> str:
    """Return what is known of `box`, as lines of text."""
    lines = [
        f"{box.projects:,} projects, {box.made.releases:,} releases, {box.made.files:,} files,"
        f" {box.made.changes:,} changes",
        "seconds (of CPU): "
        + ", ".join(
            f"{part} {each.s:.1f} ({each.cpu_s:.1f})" for part, each in box.took.items()
        ),
        "peak MB: " + ", ".join(f"{step} {size:.0f}" for step, size in box.peak_mb.items()),
        "MB: " + ", ".join(f"{room} {size:,.1f}" for room, size in box.megabytes.items()),
        "inodes: " + ", ".join(f"{room} {count:,}" for room, count in box.inodes.items()),
    ]
    parts = {
        **box.costs.ms,
        "hash trees": box.costs.total("hash trees of the box", "companions"),
    }
    for part, values in parts.items():
        lines.append(f"CPU ms, {part}: {_quantiles(values, '.2f')}")
    sizes = {**box.costs.size_bytes, "all": box.costs.total_bytes()}
    for part, counts in sizes.items():
        lines.append(f"bytes, {part}: {_quantiles(counts, ',.0f')}")
    return "\n".join(f"  {line}" for line in lines)


def _quantiles(values: Sequence[float], form: str) -> str:
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return f"p50 {cuts[9]:{form}}, p95 {cuts[18]:{form}}, most {max(values):{form}}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--names", type=Path, help="list of projects, xz; else made up")
    parser.add_argument("--projects", type=int, default=20_000)
    parser.add_argument("--files-mean", type=float, default=5.0)
    parser.add_argument("--publishes", type=int, default=200)
    parser.add_argument("--curve", action="store_true", help="smaller indexes first")
    parser.add_argument("--folder", type=Path, help="where to build; else a temporary one")
    options = parser.parse_args()
    smaller = [count for count in CURVE if count < options.projects] if options.curve else []
    found, figures = [], ""
    for count in (*smaller, options.projects):
        with tempfile.TemporaryDirectory(prefix="box-", dir=options.folder) as name:
            wanted = box_rows.projects(options.names, count)
            box = measure(Path(name), wanted, options.files_mean, options.publishes)
        print(told(box), flush=True)
        found += [f"{box.projects} projects: {breach}" for breach in breaches(box)]
        sizes = _quantiles(box.costs.total_bytes(), ",.0f")
        figures += f"{box.projects:,} projects: a publish writes {sizes} bytes; "
    checking.end(found, figures.removesuffix("; "))


if __name__ == "__main__":
    main()
