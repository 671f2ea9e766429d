"""What is done in a box, a process each: its rows, its tree, publishes in it, checks."""

from __future__ import annotations

import logging
import os
import random
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from pyramid_pypi import bootstrap, environment, settings
from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.catalog import adding
from pyramid_pypi.environment import Environment
from pyramid_pypi.formats import hash_tree, hash_tree_edit, repomd
from pyramid_pypi.formats.hash_tree import Entry, Root
from pyramid_pypi.models.catalog import PackageType
from pyramid_pypi.publishing import bulk, hash_trees
from pyramid_pypi.publishing.beginning import page_of
from pyramid_pypi.publishing.companion_tree import COMPANIONS_ROOM
from pyramid_pypi.publishing.hash_trees import HashTree
from pyramid_pypi.publishing.pointer import JSON
from pyramid_pypi.publishing.records import Records
from pyramid_pypi.publishing.repository import SHARDS_ROOM
from pyramid_pypi.publishing.signing import Signer
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.digests import Digests, sha256_hex
from pyramid_pypi.values.names import ProjectName
from tests.prove import box_rows
from tests.prove.box_rows import Wanted

_CHECKED = 100
_REBUILT_UP_TO = 100_000
_ROOMS = ("simple", "projects", "pypi", "repodata", "tuf")
_KINDS = {
    SHARDS_ROOM: "shards",
    COMPANIONS_ROOM: "companions",
    "repodata/c": "segment",
    "tuf": "tuf",
}


class Took(NamedTuple):
    """What a step took, in seconds of the clock and of CPU."""

    s: float
    cpu_s: float


@dataclass
class Costs:
    """What single publishes took: milliseconds of CPU, and bytes, by what for."""

    ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    size_bytes: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def extend(self, other: Costs) -> None:
        """Take up what `other` measured of other parts of as many publishes."""
        self.ms.update(other.ms)
        self.size_bytes.update(other.size_bytes)

    def total(self, *parts: str) -> list[float]:
        """Return the milliseconds of `parts` together, for each publish."""
        return [sum(each) for each in zip(*(self.ms[part] for part in parts), strict=True)]

    def total_bytes(self) -> list[int]:
        """Return the bytes of all parts together, for each publish."""
        return [sum(each) for each in zip(*self.size_bytes.values(), strict=True)]


def _services(folder: Path) -> Environment:
    told = replace(
        settings.load({}, {}), data_dir=folder, site_public_url="https://box.example"
    )
    return environment.build(told)


def fill(folder: Path, wanted: Sequence[Wanted], files_mean: float) -> box_rows.Made:
    services = _services(folder)
    bootstrap.prepare(services)
    services.database.dispose()
    return box_rows.fill(folder / "index.sqlite", wanted, files_mean)


def build(folder: Path) -> dict[str, Took]:
    """Publish all; return what each part took, as it tells of them itself."""
    services = _services(folder)
    publisher = bootstrap.open_publisher(services)
    clock = _Clock()
    log = logging.getLogger("pyramid_pypi.publishing")
    log.setLevel(logging.INFO)
    log.addHandler(clock)
    bulk.build(publisher, companions=False)
    log.removeHandler(clock)
    services.database.dispose()
    if publisher.failures:
        raise AssertionError(f"failed: {list(publisher.failures.values())[:3]}")
    return clock.took


class _Clock(logging.Handler):
    """Keeps how long after the one before each message came."""

    def __init__(self) -> None:
        super().__init__()
        self.took: dict[str, Took] = {}
        self._last = Took(time.monotonic(), time.process_time())

    def emit(self, record: logging.LogRecord) -> None:
        now = Took(time.monotonic(), time.process_time())
        part = record.getMessage().partition(":")[0]
        self.took[part] = Took(now.s - self._last.s, now.cpu_s - self._last.cpu_s)
        self._last = now


def sizes(folder: Path) -> tuple[dict[str, float], dict[str, int]]:
    """Return megabytes on the disk and inodes, by room of the tree."""
    megabytes = {"database": (folder / "index.sqlite").stat().st_size / 1e6}
    inodes = {}
    for room in _ROOMS:
        blocks = count = 0
        waiting = [str(folder / "tree" / room)] if (folder / "tree" / room).is_dir() else []
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    blocks += entry.stat(follow_symlinks=False).st_blocks
                    count += 1
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        megabytes[room], inodes[room] = blocks * 512 / 1e6, count
    return megabytes, inodes


class _CountingTree(Tree):
    """A tree that keeps how much was put into it, by what for."""

    def __init__(self, *values: Any) -> None:
        super().__init__(*values)
        self.put_bytes: defaultdict[str, int] = defaultdict(int)

    def put(self, path: str, content: bytes, **named: Any) -> int:
        self.put_bytes[_kind(path)] += len(content)
        return super().put(path, content, **named)


def _kind(path: str) -> str:
    folder, _, name = path.rpartition("/")
    for room, kind in _KINDS.items():
        if path.startswith(f"{room}/"):
            return kind
    if folder == "repodata" and name.startswith("repomd."):
        return "pointers"
    if folder == "repodata":
        return name.partition("-")[2].partition(".")[0]
    return "own documents"


def publish(folder: Path, names: Sequence[str], publishes: int) -> Costs:
    """Add a file to `publishes` projects, a round after each; return what each round took."""
    services = _services(folder)
    tree = _CountingTree(services.tree.root, services.settings.spool_dir, services.clock)
    services = replace(services, tree=tree)
    publisher = bootstrap.open_publisher(services)
    publisher.begin()
    publisher.resume()
    # What a first round of a process does besides, and is not done again for minutes.
    _add_file(services, names[0], 0)
    publisher.repository.refresh(whole=True)
    chance = random.Random(3)
    costs = Costs()
    for number in range(1, publishes + 1):
        name = chance.choice(names)
        _add_file(services, name, number)
        with _cpu(costs, "page"):
            publisher.publish_gap()
        with _cpu(costs, "own companions"):
            publisher.settle_all()
        tree.put_bytes.clear()
        taken: dict[str, float] = defaultdict(float)
        with ExitStack() as watching:
            watching.enter_context(_watching(HashTree, "edit", taken))
            watching.enter_context(_watching(Signer, "sign", taken))
            with _cpu(costs, "round"):
                publisher.repository.refresh()
        costs.ms["hash trees of the box"].append(taken["edit"])
        costs.ms["signing"].append(taken["sign"])
        for kind in ("shards", "changes", "segment", "pointers", "tuf"):
            costs.size_bytes[kind].append(tree.put_bytes.pop(kind, 0))
        tree.put_bytes.pop("companions", 0)  # a small one; the full one is measured apart
        if unexpected := dict(tree.put_bytes):
            raise AssertionError(f"a round also wrote {unexpected}")
    services.database.dispose()
    return costs


@contextmanager
def _cpu(costs: Costs, part: str) -> Iterator[None]:
    began = time.thread_time()
    yield
    costs.ms[part].append((time.thread_time() - began) * 1000)


@contextmanager
def _watching(kind: type, name: str, taken: dict[str, float]) -> Iterator[None]:
    """Add the CPU milliseconds that the method `name` takes to `taken`."""
    inner = getattr(kind, name)

    def outer(*values: Any, **named: Any) -> Any:
        began = time.thread_time()
        try:
            return inner(*values, **named)
        finally:
            taken[name] += (time.thread_time() - began) * 1000

    setattr(kind, name, outer)
    try:
        yield
    finally:
        setattr(kind, name, inner)


def _add_file(services: Environment, name: str, number: int) -> None:
    """Record a new release of the project `name`, of one file, as an upload does."""
    version = f"9999.{number}"
    digest = sha256_hex(f"{name} {version}".encode())
    new = adding.NewFile(
        filename=f"{name.replace('-', '_')}-{version}-py3-none-any.whl",
        filename_key=f"{name}-{version}--py3-none-any",
        digests=Digests(digest, digest[::-1], digest[:32], 4096),
        packagetype=PackageType.WHEEL,
        python_tag="py3",
        requires_python=">=3.9",
        core_metadata_sha256=digest[::-1],
    )
    metadata = {"metadata_version": "2.1", "name": name, "version": version}
    at = services.clock()
    with services.database.writing() as session:
        project = adding.find_project(session, ProjectName(name))
        if project is None:
            raise AssertionError(f"no project {name}")
        release = adding.find_or_create_release(
            session,
            COMMAND_LINE,
            project,
            version,
            box_rows.sort_key_of(version),
            metadata,
            at=at,
        )
        adding.add_file(
            session, COMMAND_LINE, project, release, new, at=at, name_is_spent=False
        )


def companions(folder: Path, names: Sequence[str], publishes: int) -> tuple[Took, Costs]:
    """Build a full hash tree of companions, of made-up manifests, and change it."""
    services = _services(folder)
    aside = folder / "companions"
    tree = _CountingTree(aside, services.settings.spool_dir, services.clock)
    full = HashTree(tree, COMPANIONS_ROOM)
    began, began_cpu = time.monotonic(), time.process_time()
    top = full.build(names, _made_up, shadows=False)
    took = Took(time.monotonic() - began, time.process_time() - began_cpu)
    costs = Costs()
    chance = random.Random(4)
    for number in range(publishes):
        name = chance.choice(names)
        tree.put_bytes.clear()
        entry = Entry(10**7 + number, sha256_hex(f"{name} {number}".encode()), 5000)
        with _cpu(costs, "companions"):
            top = full.edit(top, {name: entry})
        Records(tree).json("companions", hash_tree.root(top), number, services.clock())
        costs.size_bytes["companions"].append(tree.put_bytes["companions"])
    shutil.rmtree(aside)
    return took, costs


def _made_up(name: str) -> Entry:
    digest = sha256_hex(name.encode())
    return Entry(int(digest[:5], 16) + 10**6, digest, 2000 + int(digest[5:8], 16))


def violations(folder: Path, names: Sequence[str]) -> list[str]:
    """Return what is wrong with the metadata now, followed from the pointer on."""
    services = _services(folder)
    tree = services.tree
    found = []
    top = _shards(tree)
    if top.count != len(names):
        found.append(f"the tree tells of {top.count} projects, not {len(names)}")
    for name in random.Random(5).sample(list(names), min(_CHECKED, len(names))):
        entry = _entry(tree, top, name)
        page = tree.read(f"simple/{name}/index.json") or b""
        if entry is None or (entry.sha256, entry.size_bytes) != (sha256_hex(page), len(page)):
            found.append(f"{name}: the tree tells of another page: {entry}")
    if len(names) <= _REBUILT_UP_TO:
        entries = {name: page_of(tree, name) or hash_trees.VANISHED for name in names}
        again = hash_tree_edit.build(names, entries.__getitem__, SHARDS_ROOM).root
        if again != top:
            found.append("made anew of all pages, the hash tree is another")
    services.database.dispose()
    return found


def _shards(tree: Tree) -> Root:
    """Return the root of the hash tree, as the pointer names it."""
    shown = repomd.parse_json(tree.read(JSON) or b"")
    record = shown.record("shards")
    content = tree.read(record.href) if record else None
    if record is None or content is None or sha256_hex(content) != record.sha256:
        raise AssertionError("the pointer leads to no hash tree")
    return hash_tree.parse_root(content)


def _entry(tree: Tree, top: Root, name: str) -> Entry | None:
    """Return what the tree under `top` says of `name`, each step of the way verified."""
    if top.projects is not None:
        return top.projects.get(name)
    digits = hash_tree.digits(name, top.depth)
    children = top.children
    for level, digit in enumerate(digits, 1):
        entry = children[digit]
        path = hash_tree.node_path(SHARDS_ROOM, digits[:level])
        content = tree.read(path) or b""
        if entry is None or sha256_hex(content) != entry.sha256:
            return None
        if level == top.depth:
            return hash_tree.parse_leaf(content).get(name)
        children = hash_tree.parse_node(content)
    return None
