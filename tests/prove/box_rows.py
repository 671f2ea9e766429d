"""The rows of a large index: real names, versions and summaries, and files as PyPI has them.

How many files a project has is modelled: those that have a rank a median of 60 to 1,265
by rank, the others a log-normal number with median 5 and mean 16.9; all are scaled to the
mean that is asked for, but no project is without a file.  The journal is the one that
uploads leave: a change for each project, release and file, in the order of time, over
twenty years, ever more of them.  Digests are of names, since no file has bytes.
"""

from __future__ import annotations

import json
import lzma
import math
import random
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from packaging.version import InvalidVersion, Version

from pyramid_pypi.values.names import confusable, normalize
from pyramid_pypi.values.versions import sort_key

BEGINNING = datetime(2006, 1, 1, tzinfo=UTC)
_SPAN_US = int(timedelta(days=20 * 365.25).total_seconds()) * 10**6
_US = 10**6
_AT_A_TIME = 20_000
_RANKED, _ALL = 15_000, 886_323
_MOST_RANKED, _LEAST_RANKED = 1265, 60
_OTHERS_MEDIAN, _OTHERS_SPREAD = 5.0, 1.561  # a mean of 16.9
_RANKED_SPREAD = 0.8
_BINARY_UP_TO = 2000  # projects up to this rank have wheels for several machines
_PLATFORMS = ("manylinux_2_17_x86_64", "macosx_11_0_arm64")
_TAGS = [
    f"cp3{minor}-cp3{minor}-{platform}" for minor in range(10, 15) for platform in _PLATFORMS
]
_USER = "box"
_COLUMNS = {
    "project": "id, name, display_name, confusable_name, serial, status, status_reason,"
    " size_bytes, created_at",
    "release": "id, project_id, version, sort_key, serial, created_at, core_metadata",
    "file": "id, project_id, release_id, filename, filename_key, sha256, blake2b_256, md5,"
    " size_bytes, packagetype, python_tag, requires_python, core_metadata_sha256, yanked,"
    " yanked_reason, uploaded_at, uploaded_by, revision",
    "used_filename": "filename, filename_key, sha256, used_at",
    "change": "serial, at, kind, project, version, filename, actor, details",
}
_INSERT = {
    table: f"INSERT INTO {table} ({columns})"
    f" VALUES ({', '.join('?' * (columns.count(',') + 1))})"
    for table, columns in _COLUMNS.items()
}
Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A project as the list of real ones tells of it; `rank` is 0 for most."""

    name: str
    version: str
    rank: int
    summary: str


@dataclass(frozen=True, slots=True)
class Made:
    """How many rows there are."""

    projects: int
    releases: int
    files: int
    changes: int


def projects(names: Path | None, count: int) -> list[Wanted]:
    """Return `count` projects of the list `names`, spread over all of it, or made up."""
    if names is None:
        ranked = max(1, count * _RANKED // _ALL)
        return [
            Wanted(f"project-{number:06}", f"{number % 7}.{number % 10}", rank, "Made up.")
            for number in range(count)
            for rank in [number * _RANKED // ranked + 1 if number < ranked else 0]
        ]
    with lzma.open(names, "rt", encoding="utf-8", newline="\n") as lines:
        next(lines)
        found = [_wanted(line) for line in lines]
    unique = list({project.name: project for project in found}.values())
    if count >= len(unique):
        return unique
    # The same share of the ranked ones, which have most files.
    return sorted(random.Random(0).sample(unique, count), key=lambda project: project.name)


def _wanted(line: str) -> Wanted:
    name, version, rank, summary = line.rstrip("\n").split("\t", 3)
    try:
        newest = str(Version(version))
    except InvalidVersion:
        newest = "1.0"
    return Wanted(normalize(name), newest, int(rank or 0), summary)


def file_counts(wanted: Sequence[Wanted], mean: float) -> list[int]:
    """Return how many files each of `wanted` has, `mean` of them on the average."""
    chance = random.Random(1)
    modelled = [_modelled(project.rank, chance) for project in wanted]
    least, most = 0.0, 1000.0
    for _ in range(50):
        factor = (least + most) / 2
        total = sum(max(1.0, count * factor) for count in modelled)
        least, most = (factor, most) if total < mean * len(modelled) else (least, factor)
    return [max(1, round(count * least)) for count in modelled]


def _modelled(rank: int, chance: random.Random) -> float:
    if not rank:
        return chance.lognormvariate(math.log(_OTHERS_MEDIAN), _OTHERS_SPREAD)
    steepness = math.log(_MOST_RANKED / _LEAST_RANKED) / math.log(_RANKED)
    median: float = _MOST_RANKED * rank**-steepness
    return chance.lognormvariate(math.log(median), _RANKED_SPREAD)


def fill(database: Path, wanted: Sequence[Wanted], files_mean: float) -> Made:
    """Write the rows of `wanted` into the empty SQLite `database`, of the newest schema."""
    counts = file_counts(wanted, files_mean)
    with sqlite3.connect(database, isolation_level=None) as connection:
        for setting in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-2500000"):
            connection.execute(f"PRAGMA {setting}")
        made = _Filling(connection, wanted, counts).fill()
        connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    return made


class _Filling:
    """Writes releases in the order of time, as their uploads came."""

    def __init__(
        self, connection: sqlite3.Connection, wanted: Sequence[Wanted], counts: Sequence[int]
    ) -> None:
        self._connection = connection
        self._wanted = wanted
        self._counts = counts
        self._rows: dict[str, list[Row]] = {table: [] for table in _COLUMNS}
        self._serial = self._releases = self._files = 0
        self._ids = array("Q", bytes(8 * len(wanted)))
        self._serials = array("Q", bytes(8 * len(wanted)))
        self._sizes = array("Q", bytes(8 * len(wanted)))
        self._created = array("Q", bytes(8 * len(wanted)))

    def fill(self) -> Made:
        known = 0
        self._connection.execute("BEGIN")
        for at_us, number, release in self._uploads():
            if not self._ids[number]:
                known += 1
                self._ids[number] = known
                self._created[number] = at_us
                self._tell("project-created", at_us, number)
            self._release(number, release, at_us)
            if len(self._rows["change"]) >= _AT_A_TIME:
                self._flush()
        self._projects()
        self._flush()
        self._connection.execute("COMMIT")
        return Made(len(self._wanted), self._releases, self._files, self._serial)

    def _uploads(self) -> Iterator[tuple[int, int, int]]:
        """Yield instant, project and number of each release, in order of time."""
        chance = random.Random(2)
        # One number each, which a sort of millions can bear: instant, project.
        keys = array("Q")
        for number, count in enumerate(self._counts):
            first = math.sqrt(chance.random())
            times = sorted(chance.uniform(first, 1) for _ in range(self._releases_of(number)))
            times[0] = first
            keys.extend(int(at * (_SPAN_US // _US)) << 24 | number for at in times)
            assert count
        told = array("L", bytes(array("L").itemsize * len(self._counts)))
        for key in sorted(keys):
            number = key & 0xFFFFFF
            yield (key >> 24) * _US + told[number] % _US, number, told[number]
            told[number] += 1

    def _files_per_release(self, number: int) -> int:
        return len(_TAGS) + 2 if 0 < self._wanted[number].rank <= _BINARY_UP_TO else 2

    def _releases_of(self, number: int) -> int:
        return -(-self._counts[number] // self._files_per_release(number))

    def _release(self, number: int, release: int, at_us: int) -> None:
        project = self._wanted[number]
        last = release == self._releases_of(number) - 1
        version = project.version if last else _older(release, project.version)
        each = self._files_per_release(number)
        count = min(each, self._counts[number] - release * each)
        self._releases += 1
        self._tell("release-created", at_us, number, version)
        for file in range(count):
            self._file(number, version, file, at_us)
        metadata = {
            "metadata_version": "2.1",
            "name": project.name,
            "version": version,
            "requires_python": ">=3.8",
        }
        if project.summary:
            metadata["summary"] = project.summary
        self._rows["release"].append(
            (
                self._releases,
                self._ids[number],
                version,
                sort_key_of(version),
                self._serial,
                _stored(at_us),
                json.dumps(metadata, ensure_ascii=False),
            )
        )

    def _file(self, number: int, version: str, file: int, at_us: int) -> None:
        name = self._wanted[number].name
        stem = f"{name.replace('-', '_')}-{version}"
        if file == 1:
            filename, kind, tag = f"{stem}.tar.gz", "sdist", "source"
        else:
            compatible = _TAGS[file - 2] if file else "py3-none-any"
            filename, kind = f"{stem}-{compatible}.whl", "bdist_wheel"
            tag = compatible.partition("-")[0]
        key = filename.removesuffix(".whl")
        digest = sha256(filename.encode()).hexdigest()
        described = sha256(key.encode()).hexdigest() if kind == "bdist_wheel" else None
        size_bytes = 2000 + int(digest[:5], 16)
        at = _stored(at_us)
        self._files += 1
        self._rows["file"].append(
            (
                self._files,
                self._ids[number],
                self._releases,
                filename,
                key,
                digest,
                digest[::-1],
                digest[16:48],
                size_bytes,
                kind,
                tag,
                ">=3.8",
                described,
                0,
                "",
                at,
                _USER,
                0,
            )
        )
        self._rows["used_filename"].append((filename, key, digest, at))
        details = {"requires_python": ">=3.8", "sha256": digest, "size": size_bytes}
        if described:
            details["core_metadata_sha256"] = described
        details["type"] = kind
        self._tell("file-added", at_us, number, version, filename, json.dumps(details))
        self._sizes[number] += size_bytes

    def _tell(
        self,
        kind: str,
        at_us: int,
        number: int,
        version: str | None = None,
        filename: str | None = None,
        details: str = "{}",
    ) -> None:
        self._serial += 1
        self._serials[number] = self._serial
        name = self._wanted[number].name
        told = (self._serial, _stored(at_us), kind, name, version, filename, _USER, details)
        self._rows["change"].append(told)

    def _projects(self) -> None:
        taken: set[str] = set()
        for number, project in enumerate(self._wanted):
            alike = confusable(project.name)
            # PyPI has names from before it looked at this.
            alike = f"{alike} {project.name}" if alike in taken else alike
            taken.add(alike)
            self._rows["project"].append(
                (
                    self._ids[number],
                    project.name,
                    project.name,
                    alike,
                    self._serials[number],
                    "active",
                    "",
                    self._sizes[number],
                    _stored(self._created[number]),
                )
            )

    def _flush(self) -> None:
        for table, rows in self._rows.items():
            if rows:
                self._connection.executemany(_INSERT[table], rows)
                rows.clear()


def _older(release: int, newest: str) -> str:
    """Return a version for a release that is not the project's newest."""
    version = f"0.{release // 10}.{release % 10}"
    return f"{version}.post1" if version == newest else version


@lru_cache(maxsize=100_000)
def sort_key_of(version: str) -> str:
    """Return the text by which the database sorts `version`."""
    return sort_key(Version(version))


@lru_cache(maxsize=16)
def _stored(at_us: int) -> str:
    """Return an instant, in microseconds since `BEGINNING`, as SQLAlchemy stores it."""
    at = BEGINNING + timedelta(microseconds=at_us)
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")
