"""RPM's order of versions, for tests: what resolvers do with the versions we write.

Source: rpm, ``rpmvercmp``.  `tests.clients` holds it against libsolv's own.
"""

from __future__ import annotations

import re

from pyramid_pypi.formats.rpm_relations import Evr

_PART = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")


def compare(one: Evr, two: Evr) -> int:
    """Return -1, 0 or 1, as `one` sorts before, with or after `two`."""
    if one.epoch != two.epoch:
        return -1 if one.epoch < two.epoch else 1
    return compare_text(one.ver, two.ver)


def compare_text(one: str, two: str) -> int:
    """Compare two versions without epochs."""
    ranks = [[*map(_rank, _PART.findall(text)), END] for text in (one, two)]
    return (ranks[0] > ranks[1]) - (ranks[0] < ranks[1])


def satisfies(evr: Evr, flags: str, bound: Evr) -> bool:
    """Tell whether a provided `evr` is within the bound that `flags` and `bound` are."""
    order = compare(evr, bound)
    return {
        "EQ": order == 0,
        "GE": order >= 0,
        "GT": order > 0,
        "LE": order <= 0,
        "LT": order < 0,
    }[flags]


END = (1, 0, "")


def _rank(part: str) -> tuple[int, int, str]:
    if part == "~":
        return (0, 0, "")  # before the end
    if part == "^":
        return (2, 0, "")  # after the end, before anything else
    return (4, int(part), "") if part.isdigit() else (3, 0, part)
