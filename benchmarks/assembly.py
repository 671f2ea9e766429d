"""Root documents assembled from members, beside ``createrepo_c --update``; prints figures.

    python benchmarks/assembly.py --work DIR [--files 10000,100000] [--createrepo PATH]

Every step runs in a process of its own, so that its memory is its own; its CPU is that of
the refresh alone.  createrepo_c is measured whole, as it is run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import rpms
from corpus import project_names
from packaging.version import Version
from sqlalchemy import Table, func, insert, select

from pyramid_pypi import environment, migrations
from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.catalog import files as catalog_files
from pyramid_pypi.changes import journal
from pyramid_pypi.environment import Environment
from pyramid_pypi.models.catalog import File, PackageType, Project, Release
from pyramid_pypi.models.journal import Change, ChangeKind
from pyramid_pypi.models.tables import table_of
from pyramid_pypi.publishing.assembly import Assembled, Assembly
from pyramid_pypi.settings import Settings
from pyramid_pypi.values.names import ProjectName, confusable
from pyramid_pypi.values.versions import sort_key

START = datetime(2026, 1, 1, tzinfo=UTC)
FILES_PER_PROJECT = 19  # on average, as in 100,000 files of 5,200 projects
LARGEST = 2000
REPEATS = 7
NO_LIMIT = 10**9

Row = dict[str, Any]


# --- an index of made-up rows ---------------------------------------------------------


def populate(folder: Path, count: int) -> None:
    """Make an index with `count` files in `folder`, most projects small, a few large."""
    folder.mkdir(parents=True)
    built = opened(folder)
    migrations.upgrade(built.database)
    batch: dict[Table, list[Row]] = {}
    with built.database.writing() as session:
        for table, row in rows(count):
            batch.setdefault(table, []).append(row)
            if len(batch.get(table_of(File), ())) >= 5000:
                flush(session, batch)
        flush(session, batch)
    built.database.dispose()


def flush(session: Any, batch: dict[Table, list[Row]]) -> None:
    for mapped in (Project, Release, File, Change):
        if found := batch.pop(table_of(mapped), None):
            session.execute(insert(table_of(mapped)), found)


def rows(count: int) -> Iterator[tuple[Table, Row]]:
    """Yield the rows of an index: releases have two wheels and an sdist, or fewer."""
    source = random.Random(20260101)
    project_table, release_table = table_of(Project), table_of(Release)
    file_table, change_table = table_of(File), table_of(Change)
    release_id = file_id = 0
    for project_id, (name, size) in enumerate(sizes(source, count), 1):
        yield project_table, project_row(project_id, name, file_id + size)
        for number in range(size):
            if number % 3 == 0:
                release_id += 1
                version = Version(f"{number // 30}.{number // 3 % 10}.{number // 300}")
                row = release_row(source, release_id, project_id, name, version)
                yield release_table, row | {"serial": file_id + min(3, size - number)}
            file_id += 1
            row = file_row(file_id, project_id, release_id, name, str(version), number % 3)
            yield file_table, row
            yield change_table, change_row(file_id, name, str(version), row)


def sizes(source: random.Random, count: int) -> Iterator[tuple[str, int]]:
    """Yield projects with their numbers of files, `count` in all."""
    names = project_names(count // FILES_PER_PROJECT + 1)
    drawn = [min(LARGEST, source.paretovariate(0.9)) for _ in names]
    scale = count / sum(drawn)
    left = count
    for name, weight in zip(names, drawn, strict=True):
        size = min(left, max(1, round(weight * scale)), LARGEST)
        left -= size
        if size:
            yield name, size
    number = 0
    while left:  # what rounding left over
        size, number = min(left, FILES_PER_PROJECT), number + 1
        left -= size
        yield f"rest-{number}", size


def project_row(project_id: int, name: str, serial: int) -> Row:
    return {
        "id": project_id,
        "name": name,
        "display_name": name,
        "confusable_name": f"{confusable(name)}-{project_id}",
        "serial": serial,
        "created_at": START,
    }


def release_row(
    source: random.Random, release_id: int, project_id: int, name: str, version: Version
) -> Row:
    return {
        "id": release_id,
        "project_id": project_id,
        "version": str(version),
        "sort_key": sort_key(version),
        "created_at": START,
        "description": f"# {name}\n\n{'What it is good for. ' * 40}",
        "core_metadata": {
            "metadata_version": "2.1",
            "name": name,
            "version": str(version),
            "summary": f"What {name} is good for & why",
            "author_email": "Somebody <somebody@example.org>",
            "license": "MIT",
            "requires_python": ">=3.8",
            "classifiers": [f"Programming Language :: Python :: 3.{n}" for n in range(8, 14)],
            "project_urls": [["Homepage", f"https://example.org/{name}"]],
            "requires_dist": [
                f"package{source.randrange(500)}>={source.randrange(9)}.{source.randrange(9)}"
                for _ in range(source.randrange(8))
            ],
        },
    }


def file_row(
    file_id: int, project_id: int, release_id: int, name: str, version: str, number: int
) -> Row:
    stem = f"{name.replace('-', '_')}-{version}"
    is_sdist = number == 2
    tag = ("py3", "cp311", "source")[number]
    filename = f"{stem}.tar.gz" if is_sdist else f"{stem}-{tag}-none-any.whl"
    digest = hashlib.sha256(filename.encode()).hexdigest()
    return {
        "id": file_id,
        "project_id": project_id,
        "release_id": release_id,
        "filename": filename,
        "filename_key": filename,
        "sha256": digest,
        "blake2b_256": digest,
        "md5": digest[:32],
        "size_bytes": 1000 + file_id % 10**6,
        "packagetype": PackageType.SDIST if is_sdist else PackageType.WHEEL,
        "python_tag": tag,
        "requires_python": ">=3.8",
        "core_metadata_sha256": None if is_sdist else digest,
        "uploaded_at": START + timedelta(seconds=file_id),
        "uploaded_by": "somebody",
    }


def change_row(serial: int, name: str, version: str, file: Row) -> Row:
    return {
        "serial": serial,
        "at": file["uploaded_at"],
        "kind": ChangeKind.FILE_ADDED,
        "project": name,
        "version": version,
        "filename": file["filename"],
        "actor": "somebody",
        "details": {"sha256": file["sha256"]},
    }


def opened(folder: Path) -> Environment:
    settings = Settings(data_dir=folder)
    settings.spool_dir.mkdir(parents=True, exist_ok=True)
    return environment.build(settings)


# --- steps, each in a process of its own -----------------------------------------------


def step_nothing(folder: Path, most_files: int) -> Row:
    """Load everything and open the index, for the memory that this takes by itself."""
    with opened(folder).database.reading() as session:
        return {"newest": journal.newest(session)}


def step_build(folder: Path, most_files: int) -> Row:
    """Render and assemble everything."""
    assembly = Assembly(opened(folder), most_files=most_files)
    assembly.forget()
    found, cpu_s = timed(lambda: assembly.refresh(0))
    return {"cpu_s": cpu_s, **told(found)}


def step_cached(folder: Path, most_files: int) -> Row:
    """Assemble everything from the members that are kept."""
    assembly = Assembly(opened(folder), most_files=most_files)
    runs = [timed(lambda: assembly.refresh(0)) for _ in range(REPEATS)]
    for found, _ in runs:
        told(found)
    return {"cpu_s": median(cpu_s for _, cpu_s in runs)}


def step_one(folder: Path, most_files: int) -> Row:
    """Refresh after one file of a project of middling size was yanked or unyanked."""
    return refreshed_after_yanks(folder, most_files, most=5)


def step_one_large(folder: Path, most_files: int) -> Row:
    """The same of a file of the largest project."""
    return refreshed_after_yanks(folder, most_files, most=LARGEST)


def refreshed_after_yanks(folder: Path, most_files: int, *, most: int) -> Row:
    built = opened(folder)
    assembly = Assembly(built, most_files=most_files)
    name, filename, size = chosen_file(built, most)
    spent = []
    for number in range(REPEATS):
        with built.database.writing() as session:
            at, reason = START + timedelta(days=30), f"reason {number}"
            catalog_files.yank(session, COMMAND_LINE, name, filename, reason, at=at)
        serial = journal.committed_serial(session)
        assert serial is not None
        found, cpu_s = timed(partial(assembly.refresh, serial))
        spent.append(cpu_s)
        told(found)
    return {"cpu_s": median(spent), "first_cpu_s": spent[0], "files_of_project": size}


def chosen_file(built: Environment, most: int) -> tuple[ProjectName, str, int]:
    """Return the newest file of the largest project that has at most `most` files."""
    file, project = table_of(File), table_of(Project)
    size = func.count()
    with built.database.reading() as session:
        largest = session.execute(
            select(project.c.name, size, func.max(file.c.id))
            .join(project, project.c.id == file.c.project_id)
            .group_by(project.c.name)
            .having(size <= most)
            .order_by(size.desc(), func.max(file.c.id).desc())
        ).first()
        assert largest is not None
        name, count, newest = largest
        filename = session.scalar(select(file.c.filename).where(file.c.id == newest))
    return ProjectName(name), str(filename), count


def timed(work: Callable[[], Assembled | None]) -> tuple[Assembled | None, float]:
    before = time.process_time()
    return work(), time.process_time() - before


def told(found: Assembled | None) -> Row:
    assert found is not None
    found.discard()
    sizes_mb = {f"{d.kind}_mb": d.size_bytes / 1e6 for d in found.documents}
    raw_mb = sum(d.open_size_bytes for d in found.documents) / 1e6
    return {"file_count": found.file_count, **sizes_mb, "xml_mb": raw_mb}


STEPS = {
    f.__name__.removeprefix("step_"): f
    for f in (
        step_nothing,
        step_build,
        step_cached,
        step_one,
        step_one_large,
    )
}


def run_step(name: str, folder: Path, most_files: int) -> Row:
    command = [sys.executable, __file__, "--step", name, str(folder), str(most_files)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: Row = json.loads(printed)
    shown = "  ".join(f"{key} {value:.4g}" for key, value in figures.items())
    print(f"  {name:12} {shown}", flush=True)
    return figures


def peak_mb() -> float:
    """Return the most memory that this process had, without its parent's at the fork."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


# --- createrepo_c ----------------------------------------------------------------------


def createrepo(command: str, folder: Path, count: int) -> float:
    """Return the CPU seconds of an update after one of `count` packages has changed."""
    if not folder.exists():
        rpms.write(folder, count)
    shutil.rmtree(folder / "repodata", ignore_errors=True)
    run_createrepo("full", [command, "--quiet", str(folder)])
    spent = []
    for number in range(2):
        rpms.write_one(folder, number, release=f"2.{time.time_ns()}")
        update = [command, "--quiet", "--update", str(folder)]
        spent.append(run_createrepo("--update", update))
    return median(spent)


def run_createrepo(what: str, command: list[str]) -> float:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"createrepo_c failed: {status}")
    cpu_s = used.ru_utime + used.ru_stime
    print(f"  createrepo_c {what:9} cpu_s {cpu_s:.4g}  peak_mb {used.ru_maxrss / 1024:.4g}")
    return cpu_s


def main() -> None:
    if sys.argv[1:2] == ["--step"]:
        name, folder, most_files = sys.argv[2:5]
        figures = STEPS[name](Path(folder), int(most_files))
        print(json.dumps({**figures, "peak_mb": peak_mb()}))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where indexes are kept")
    parser.add_argument("--files", default="10000,100000")
    parser.add_argument("--most", type=int, default=NO_LIMIT, help="files in the window")
    parser.add_argument("--createrepo", help="the command; without it that part is left out")
    asked = parser.parse_args()
    for count in map(int, asked.files.split(",")):
        folder = asked.work / str(count)
        if not folder.exists():
            populate(folder, count)
        print(f"{count} files, window of {asked.most}")
        found = {name: run_step(name, folder, asked.most) for name in STEPS}
        if asked.createrepo:
            update_s = createrepo(asked.createrepo, asked.work / f"rpms-{count}", count)
            print(f"  createrepo_c --update takes {update_s / found['one']['cpu_s']:.1f} times")


if __name__ == "__main__":
    main()
