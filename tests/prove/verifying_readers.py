"""Readers who verify everything find everything, wherever they read, while it changes.

Four places: the application, nginx on the published tree, a mirror by rsync in two
stages, and a naive ``rsync -a --delete`` of an export whose pointers lag.  The readers of
each are a process of their own; they believe nothing but hashes (`tests.prove.walks`).
A writer uploads, yanks, deletes files and projects and sets statuses meanwhile, a few
projects more often than the others.  In the end every place must show the last serial,
and is read whole.

    python -m tests.prove.verifying_readers [--publishes 500] [--reads 50000]
        [--projects 1000] [--readers 4] [--every 0.2]
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.prove import checking, copies
from tests.prove.serving import PROGRAM, ROOT, Server
from tests.prove.uploading import Client, Parcel, Reply
from tests.prove.verified import Watched, complete
from tests.prove.walks import Tally

_BUSY = 30  # projects that get half of all changes
_STATUSES = ("archived", "quarantined", "deprecated", "active", "active", "active")
_KINDS = {"shards", "companions", "changes", "primary", "filelists", "other", "projects"}
_KINDS |= {"site", "mirrors", "node", "page", "file", "manifest", "companion", "segment"}
_FOLLOWING = {"shards", "companions", "changes"}
_SETTLE_S = 90.0


@dataclass
class Writer:
    """Changes the index, each change drawn by lot; knows what there is."""

    client: Client
    seed: int
    files: dict[str, list[Parcel]]
    made: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._closed: set[str] = set()
        self._actions: dict[str, Callable[[], Reply | None]] = {
            "upload": self._upload,
            "new": self._new,
            "yank": self._yank,
            "delete": self._delete,
            "remove": self._remove,
            "status": self._status,
        }

    def change(self) -> None:
        """Make one change, and wait until it is published."""
        while True:
            kind = self._chance.choices([*self._actions], (40, 8, 18, 18, 4, 12))[0]
            reply = self._actions[kind]()
            if reply is not None:
                break
        self.made += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if reply.status not in (200, 204):
            self.violations.append(f"{kind}: {reply.status} {reply.text[:200]}")

    def _project(self) -> str:
        names = list(self.files)
        return self._chance.choice(names[:_BUSY] if self._chance.random() < 0.5 else names)

    def _upload(self, project: str = "") -> Reply | None:
        project = project or self._project()
        if project in self._closed:
            return None
        parcel = Parcel.new(project, f"{self.made + 2}.0")
        self.files.setdefault(project, []).append(parcel)
        return self.client.upload(parcel)

    def _new(self) -> Reply | None:
        return self._upload(f"newcomer{self.made}")

    def _yank(self) -> Reply | None:
        files = self.files[self._project()]
        return (
            self.client.yank(self._chance.choice(files), f"no {self.made}") if files else None
        )

    def _delete(self) -> Reply | None:
        files = self.files[self._project()]
        if not files:
            return None
        return self.client.delete(files.pop(self._chance.randrange(len(files))))

    def _remove(self) -> Reply | None:
        project = self._project()
        del self.files[project]
        self._closed.discard(project)
        return self.client.write("DELETE", f"/projects/{project}", b"", "")

    def _status(self) -> Reply | None:
        project, status = self._project(), self._chance.choice(_STATUSES)
        is_open = status in ("active", "deprecated")
        (self._closed.discard if is_open else self._closed.add)(project)
        document = {"status": status, "reason": f"for {self.made}"}
        return self.client.rest("PUT", f"/projects/{project}/status", document)


Copier = copies.Copying | copies.Export


@dataclass(frozen=True)
class Scope:
    """How much is asked."""

    publishes: int = 500
    reads: int = 50_000
    projects: int = 1000
    readers: int = 4  # at each place
    every_s: float = 0.2  # from one change to the next, on average
    lag_s: float = 10.0
    rest_s: float = 1.0  # of the copiers, between two runs


def seed(data: Path, folder: Path, projects: int) -> dict[str, list[Parcel]]:
    """Fill the new index at `data` with so many projects of one file; return the files."""
    folder.mkdir()
    files = {}
    for number in range(projects):
        parcel = Parcel.new(f"subject{number:04}", "1.0")
        (folder / parcel.filename).write_bytes(parcel.content)
        files[parcel.project] = [parcel]
    for verb in (["init"], ["import", "dir", str(folder)]):
        done = subprocess.run(
            [PROGRAM, *verb, "--data", str(data)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return files


@contextmanager
def places(
    server: Server, folder: Path, scope: Scope
) -> Iterator[tuple[dict[str, str], list[Copier]]]:
    """Yield where the tree of `server` is read, and what copies it, once they are filled."""
    tree = server.folder / "tree"
    two_stage = copies.TwoStage(tree, folder / "two-stage", rest_s=scope.rest_s)
    export = copies.Export(server, folder / "export", lag_s=scope.lag_s)
    naive = copies.Naive(export.target, folder / "naive", rest_s=scope.rest_s)
    copying: list[Copier] = [two_stage, export, naive]
    with copies.nginx(tree, folder / "nginx") as url, export:
        for one in copying:
            one.copy()
        for one in copying:
            one.start()
        yield (
            {
                "application": f"http://127.0.0.1:{server.port}",
                "nginx": url,
                "two-stage": str(two_stage.target),
                "naive": str(naive.target),
            },
            copying,
        )


def run(server: Server, files: dict[str, list[Parcel]], scope: Scope) -> tuple[list[str], str]:
    """Read everywhere while `server` publishes; return violations and figures."""
    folder = server.folder.parent
    names = folder / "names"
    names.write_text("\n".join(files))
    _settled(server)
    with ExitStack() as stack:
        writer = Writer(stack.enter_context(server.client()), 4711, files)
        where, copying = stack.enter_context(places(server, folder, scope))
        watched = []
        for number, (name, place) in enumerate(where.items()):
            watched.append(Watched(name, place, names, scope.readers, 100 * number))
            stack.callback(watched[-1].kill)
        began = time.monotonic()
        _write(writer, watched, scope)
        seconds = time.monotonic() - began
        tallies = {readers.name: readers.end() for readers in watched}
        serial = _settled(server)
        for one in copying:
            one.stop()
            one.copy()
        ends = {name: complete(place) for name, place in where.items()}
    reads = sum(tally.reads for tally in tallies.values())
    figures = [
        f"{writer.made} publishes in {seconds:.0f} s ({_counted(writer.kinds)}), {reads} reads"
    ]
    figures += [f"{one.name}: {one.told()}" for one in copying]
    violations = writer.violations + [words for one in copying for words in one.failures]
    for name, tally in tallies.items():
        violations += [f"{name}: {words}" for words in _amiss(tally, ends[name], serial)]
        figures.append(f"{name}: {_told(tally)}; in the end {ends[name].reads} of all")
    return violations, "\n  ".join(figures)


def _write(writer: Writer, watched: Sequence[Watched], scope: Scope) -> None:
    """Change until there were enough changes and enough reads."""
    pace = random.Random(writer.seed)
    while writer.made < scope.publishes or _reads(watched) < scope.reads:
        if not all(readers.is_running for readers in watched):
            return
        writer.change()
        time.sleep(pace.expovariate(1 / scope.every_s))


def _reads(watched: Sequence[Watched]) -> int:
    return sum(readers.tally.reads for readers in watched)


def _settled(server: Server) -> int:
    """Wait until the pointer of `server` tells of all changes; return its serial.

    Records that grow with the index may be older: they have a clock of their own.
    """
    ends, before = time.monotonic() + _SETTLE_S, b""
    with server.client() as client:
        while time.monotonic() < ends:
            content = client.get("/repodata/repomd.json").body
            told = json.loads(content)
            serials = {r["serial"] for r in told["records"] if r["type"] in _FOLLOWING}
            if content == before and serials == {told["serial"]}:
                return int(told["serial"])
            before = content
            time.sleep(1.5)
    raise AssertionError(f"the pointer does not come to rest: {before!r}")


def _amiss(tally: Tally, end: Tally, serial: int) -> Iterator[str]:
    yield from tally.failures
    yield from end.failures
    if end.serial != serial:
        yield f"it ended at {end.serial}, not at {serial}"
    if missing := _KINDS - {kind for kind, count in tally.kinds.items() if count}:
        yield f"nothing was read of {missing}: nothing was proved"


def _told(tally: Tally) -> str:
    return (
        f"{tally.walks} walks, {tally.reads} reads ({_counted(tally.kinds)}), "
        f"{tally.bytes / 1e6:.1f} MB, {tally.shadows} shadows, {tally.absent} absent, "
        f"{tally.refetches} refetches, {len(tally.failures)} failures"
    )


def _counted(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    for name, default in asdict(Scope()).items():
        option = "--" + name.removesuffix("_s").replace("_", "-")
        parser.add_argument(option, dest=name, type=type(default), default=default)
    scope = Scope(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory(prefix="verifying-") as name:
        folder = Path(name)
        files = seed(folder / "index", folder / "wheels", scope.projects)
        with Server(folder / "index", folder / "serve.log") as server:
            violations, figures = run(server, files, scope)
            violations += server.fsck()
    checking.end(violations, figures)


if __name__ == "__main__":
    main()
