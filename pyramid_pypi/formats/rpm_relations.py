"""Python's versions and requirements in the words of RPM, for resolvers that know those.

A release provides ``python3dist(NAME)`` and needs it of others, as Fedora's packages do.
RPM compares versions by other rules than PEP 440, so marks are set where it needs them:
``~`` sorts before the end of the text, ``^`` after the end but before any further part::

    2.0rc1 → 2~rc1    2.0.dev3 → 2~~dev3    2.0.post1 → 2.0^post1    1!2.0 → epoch 1, 2.0

Without the marks such a version is, to PEP 440, the same version again.  Zeros at the end
go where PEP 440's order asks for it: before a mark that sorts before the end, and in all
relations, where ``==2.0`` must meet 2 and 2.0.0.  One pair remains that RPM orders
otherwise: a release and a post-release of it whose zeros differ, 2.0.0 and 2.0.post1.

Sources: PEP 440, PEP 508; RPM, "Dependencies basics" and ``rpmvercmp``; Fedora,
``pythondistdeps.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import Specifier
from packaging.version import InvalidVersion, Version

from pyramid_pypi.values.names import MAX_NAME_CHARS, is_valid, normalize

MAX_REQUIREMENT_CHARS = 2_000
"""A longer requirement is passed over; the longest in use have a few hundred."""

RELEASE_NUMBER = "1"
"""What stands for RPM's release of a package: there is one build of each file."""

_ORDERED = {">=": "GE", ">": "GT", "<=": "LE", "==": "EQ", "===": "EQ"}
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_EXTRA = re.compile(r"\bextras?\b")


class Strength(StrEnum):
    """How much a release needs another, by the name of RPM's element."""

    REQUIRES = "requires"
    RECOMMENDS = "recommends"
    SUGGESTS = "suggests"


class Evr(NamedTuple):
    """RPM's epoch and version; the release is left to the package."""

    epoch: int
    ver: str


class Relation(NamedTuple):
    """What is provided or needed: a name, and with `flags` a bound on its version."""

    name: str
    flags: str | None = None  # EQ, GE, GT, LE, LT
    evr: Evr | None = None


def package_evr(version: Version) -> Evr:
    """Return the version of a package: the text of `version`, but for RPM's marks.

    A final release reads as it does on the index.  A local version sorts after its public
    one and before its post-releases, and keeps its ``+``.
    """
    sorts_before = version.pre is not None or (
        version.is_devrelease and not version.is_postrelease
    )
    local = f"^~+{version.local}" if version.local else ""
    return Evr(version.epoch, _release(version, bare=sorts_before) + _marks(version) + local)


def relation_evr(version: Version) -> Evr:
    """Return the version that relations compare: without zeros at the end, without local.

    To PEP 440 a bound without a local version means every local version of it.
    """
    return Evr(version.epoch, _release(version, bare=True) + _marks(version))


def provided(name: str, version: Version, extras: tuple[str, ...]) -> Iterator[Relation]:
    """Yield what a wheel of the project with normalized `name` provides, `extras` too."""
    evr = relation_evr(version)
    yield Relation(_dist(name), "EQ", evr)
    for extra in dict.fromkeys(normalize(extra) for extra in extras):
        if is_valid(extra):
            yield Relation(_dist(name, extra), "EQ", evr)


def needed(requirement: str) -> tuple[tuple[Strength, Relation], ...]:
    """Return what `requirement`, a ``Requires-Dist``, needs; nothing if it cannot be read.

    Every bound is a relation of its own, and all of them hold.  RPM cannot leave out a
    version, so ``!=`` is dropped.  Nobody here knows the system of those who install, so
    what a marker asks for is recommended only, and suggested where it is for an extra.
    So are extras of others: installers warn where one is missing, and go on.
    """
    if len(requirement) > MAX_REQUIREMENT_CHARS:
        return ()
    try:
        read = Requirement(requirement)
    except (InvalidRequirement, RecursionError):
        return ()
    if not is_valid(read.name):
        return ()
    strength = _strength(read)
    weaker = Strength.RECOMMENDS if strength is Strength.REQUIRES else strength
    name = normalize(read.name)
    bounds = tuple(bound for clause in _clauses(read) for bound in _bounds(clause))
    extras = sorted({normalize(extra) for extra in read.extras if len(extra) <= MAX_NAME_CHARS})
    return (
        *((strength, Relation(_dist(name), *bound)) for bound in bounds or ((None, None),)),
        *((weaker, Relation(_dist(name, extra))) for extra in extras),
    )


def _dist(name: str, extra: str = "") -> str:
    return f"python3dist({name}[{extra}])" if extra else f"python3dist({name})"


def _strength(requirement: Requirement) -> Strength:
    if requirement.marker is None:
        return Strength.REQUIRES
    words = _QUOTED.sub("", str(requirement.marker))
    return Strength.SUGGESTS if _EXTRA.search(words) else Strength.RECOMMENDS


def _clauses(requirement: Requirement) -> list[Specifier]:
    # A set has no order of its own: equal requirements shall give equal bytes.
    return sorted(requirement.specifier, key=str)


def _bounds(clause: Specifier) -> Iterator[tuple[str, Evr]]:
    """Yield `clause` as bounds of RPM: none, one or two."""
    operator, text = clause.operator, clause.version
    is_prefix = text.endswith(".*")
    try:
        version = Version(text.removesuffix(".*"))
    except InvalidVersion:  # `===` takes any text
        return
    evr = relation_evr(version)
    if operator == "==" and is_prefix:
        yield "GE", _lowest(version.epoch, version.release)
        yield "LT", _lowest(version.epoch, _next(version.release))
    elif operator == "~=":
        yield "GE", evr
        yield "LT", _lowest(version.epoch, _next(version.release[:-1]))
    elif operator == "<":
        # Below 2.0 are no pre-releases of 2.0, unless one of them is named.
        is_final = not version.is_prerelease and not version.is_postrelease
        yield "LT", _lowest(version.epoch, version.release) if is_final else evr
    elif operator == ">" and not version.is_postrelease:
        # Above 2.0 are no post-releases of 2.0, unless one of them is named.
        yield "GT", Evr(evr.epoch, evr.ver + "^z")
    elif operator in _ORDERED:
        yield _ORDERED[operator], evr


def _next(release: tuple[int, ...]) -> tuple[int, ...]:
    return (*release[:-1], release[-1] + 1)


def _lowest(epoch: int, release: tuple[int, ...]) -> Evr:
    """Return what sorts before every version of `release`, pre-releases included."""
    return Evr(epoch, _dotted(release, bare=True) + "~~")


def _release(version: Version, *, bare: bool) -> str:
    return _dotted(version.release, bare=bare)


def _dotted(release: tuple[int, ...], *, bare: bool) -> str:
    last = len(release)
    while bare and last > 1 and release[last - 1] == 0:
        last -= 1
    return ".".join(map(str, release[:last]))


def _marks(version: Version) -> str:
    pre = "~{}{}".format(*version.pre) if version.pre else ""
    post = f"^post{version.post}" if version.post is not None else ""
    dev = f"~~dev{version.dev}" if version.dev is not None else ""
    return pre + post + dev
