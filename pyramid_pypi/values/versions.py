"""Versions as text that a database can sort."""

from __future__ import annotations

from packaging.version import Version

_LETTER = {"a": "a", "b": "b", "rc": "c"}


def sort_key(version: Version) -> str:
    """Return text that sorts, byte by byte, as PEP 440 orders `version`.

    Numbers carry their length before them (``9`` is ``b9``, ``10`` is ``c10``), so that
    text order is number order.  ``!`` sorts before every letter, ``~`` after them.
    """
    release = list(version.release)
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    return "".join(
        (
            _number(version.epoch),
            "".join(_number(part) for part in release),
            "!",  # ends the release, so that 1 < 1.1
            _pre(version),
            "!" if version.post is None else "p" + _number(version.post),
            "~" if version.dev is None else "d" + _number(version.dev),
            _local(version),
        )
    )


def _number(value: int) -> str:
    digits = str(value)
    # Two letters of length reach 675 digits; PEP 440 sets no bound, our upload check does.
    first, second = divmod(len(digits), 26)
    return chr(ord("a") + first) + chr(ord("a") + second) + digits


def _pre(version: Version) -> str:
    if version.pre is not None:
        letter, number = version.pre
        return _LETTER[letter] + _number(number)
    # 1.0.dev1 comes before 1.0a1; a final or post release after every pre-release.
    return "!" if version.dev is not None and version.post is None else "~"


def _local(version: Version) -> str:
    if version.local is None:
        return "!"
    # Numeric segments sort after alphabetic ones, and a longer local after its prefix.
    segments = version.local.split(".")
    return "$" + "".join(f"~{_number(int(s))}" if s.isdigit() else f"${s}!" for s in segments)
