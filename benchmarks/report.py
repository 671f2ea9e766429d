"""What came out: figures, and the targets they meet or miss.  Nothing here asserts."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from measuring import Series


@dataclass(frozen=True)
class Claim:
    """One figure held against its target."""

    row: str
    what: str
    value: float
    sense: str  # "<=" or ">="
    target: float

    @property
    def met(self) -> bool:
        return self.value <= self.target if self.sense == "<=" else self.value >= self.target

    def __str__(self) -> str:
        verdict = "met" if self.met else "MISSED"
        held = f"{self.value:10.4g} {self.sense} {self.target:<6g}"
        return f"{self.row:3} {self.what:58} {held} {verdict}"


@dataclass
class Report:
    """Gathers figures and claims, and says each aloud when it comes."""

    figures: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)

    def figure(self, title: str, server: str, **values: float) -> None:
        """Note what was measured of one server; the names of `values` carry the units."""
        self.figures.setdefault(title, {})[server] = values
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        print(f"  {server:12} {shown}", flush=True)

    def series(self, title: str, series: Series) -> Series:
        """Note the medians of `series`."""
        print(title, flush=True)
        for server in series.runs:
            names = ("requests_per_s", "p50_ms", "p99_ms", "cpu_us", "mb_per_s", "others_cores")
            self.figure(title, server, **{name: series.median(server, name) for name in names})
        return series

    def claim(self, row: str, what: str, value: float, sense: str, target: float) -> None:
        """Hold `value` against `target`; `sense` is ``<=`` or ``>=``."""
        claim = Claim(row, what, value, sense, target)
        self.claims.append(claim)
        print(claim, flush=True)

    def table(self) -> str:
        """Return all claims, one a line."""
        return "\n".join(map(str, self.claims))

    def save(self, path: Path) -> None:
        """Write everything as JSON."""
        content = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{os.cpu_count()} cores, Linux {platform.release()}",
            "python": platform.python_version(),
            "figures": self.figures,
            "claims": [asdict(claim) | {"met": claim.met} for claim in self.claims],
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
