"""Inspect the numbered files of a folder; print the worst CPU time and memory growth."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from pyramid_pypi.errors import Refusal
from pyramid_pypi.upload.inspection import inspect
from pyramid_pypi.upload.values import Limits, Spooled
from pyramid_pypi.values.digests import Digester


def peak_kib() -> int:
    """Return the highest resident size since this program began (rusage counts its parent)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def main(folder: Path, rows: list[tuple[str, dict[str, str], str]]) -> None:
    worst: tuple[float, str] = (0.0, "")
    refused = 0
    before_kib = peak_kib()
    for number, (filename, form, label) in enumerate(rows):
        path = folder / str(number)
        digester = Digester()
        with path.open("rb") as file:
            while chunk := file.read(65536):
                digester.update(chunk)
        spooled = Spooled(path, filename, digester.digests())
        start = time.process_time()
        try:
            inspect(spooled, {name: (value,) for name, value in form.items()}, Limits())
        except Refusal:
            refused += 1
        worst = max(worst, (time.process_time() - start, label))
    growth_kib = peak_kib() - before_kib
    report = {"worst_cpu_seconds": worst[0], "worst": worst[1], "growth_kib": growth_kib}
    print(json.dumps({**report, "refused": refused}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.load(sys.stdin))
