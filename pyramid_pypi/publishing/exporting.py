"""A copy of the published tree for rsync, whose pointer lags behind its documents.

A copier that walks a tree while it changes takes some files of now and some of later.  It
does no harm as long as the pointer it took names nothing that it did not: so in the export
every document is in its place for `lag_s` before the pointer that names it, longer than a
copier takes.  Nothing is asked of the copier.

A run never waits.  It installs the pointer whose time has come, removes what has not been
named for `keep_s`, and places the documents of the pointer of now.  It can be killed at any
moment: the export is good by its pointer, and the next run goes on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pyramid_pypi.errors import Kind, Refusal
from pyramid_pypi.publishing.export_ledger import Ledger
from pyramid_pypi.publishing.export_placing import NotThere, Placer
from pyramid_pypi.publishing.export_pointer import (
    JSON,
    ExportIncomplete,
    PointerSet,
    captured,
)
from pyramid_pypi.publishing.export_round import BaseLost, ExportRound
from pyramid_pypi.storage import durable
from pyramid_pypi.storage.spool import Spool
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.instants import Clock

_TRIES = 8
_MOMENT_S = 1.0  # as long as the live pointer may lag behind a deleted file


class ExportUnusable(Refusal):
    """The folder for the export cannot be one.

    Name a folder of its own, empty or an export already, outside of the published tree, and
    on the same file system as the folder it lies in.  Its ledger lies beside it, in a
    folder of the same name with a dot before it and ``.export`` behind.
    """

    code = "export.unusable"
    title = "The folder cannot hold an export"


class ExportRunning(Refusal):
    """Another export into the same folder is at work; it will do what is to be done."""

    code = "export.running"
    title = "Another export into the folder is running"
    kind = Kind.CONFLICT


@dataclass(frozen=True)
class Run:
    """What one run did: serials installed and placed (None for neither), and how much."""

    installed: int | None
    placed: int | None
    projects: int
    files: int
    removed: int
    due_in_s: float | None
    """Seconds until a pointer that waits may be installed, None if none waits."""


class Exporter:
    """Exports the tree at `live` to the folder `target`."""

    def __init__(
        self,
        live: Path,
        target: Path,
        clock: Clock,
        *,
        lag_s: float,
        keep_s: float,
        copy: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._target = target.absolute()
        if not self._target.name:
            raise ExportUnusable("the top of the file system")
        self._state = self._target.with_name(f".{self._target.name}.export")
        self._prepare(live)
        self._clock = clock
        self._lag_s = lag_s
        self._keep_s = keep_s
        self._copy = copy or os.stat(live).st_dev != os.stat(target).st_dev
        self._sleep = sleep
        self._spool = Spool(self._state / "spool")
        self._live = Tree(live, self._state / "spool", clock)  # read only
        self._export = Tree(self._target, self._state / "spool", clock)

    def run(self, *, full: bool = False) -> Run:
        """Do what is to be done now; with `full`, look at every document there is.

        Raises:
            ExportRunning: another run is at work.
            ExportIncomplete: the live tree lacks what its pointer names.
            OSError: a file cannot be placed; the pointer stays as it was.
        """
        with self._turn(), closing(Ledger(self._state / "ledger.sqlite")) as ledger:
            self._spool.prepare()
            ledger.begin(self._now())
            installed = self._install(ledger)
            removed = self._expire(ledger)
            placer = Placer(self._live.root, self._export, self._spool, copy=self._copy)
            placed, projects = self._place(ledger, placer, full=full)
            installed = self._install(ledger) or installed
            since = ledger.waiting_since()
            due_in_s = None if since is None else max(0.0, since + self._lag_s - self._now())
            return Run(installed, placed, projects, placer.placed, removed, due_in_s)

    def _prepare(self, live: Path) -> None:
        live, target = live.resolve(), self._target.resolve()
        if not live.is_dir():
            raise ExportIncomplete(f"there is no published tree {live}")
        if live == target or live in target.parents or target in live.parents:
            raise ExportUnusable(f"{target} and the published tree {live} are not apart")
        is_export = self._state.is_dir() or (target / JSON).exists()
        if target.exists() and not is_export and any(target.iterdir()):
            raise ExportUnusable(f"{target} is not empty, and no export")
        target.mkdir(parents=True, exist_ok=True)
        self._state.mkdir(exist_ok=True)
        if os.stat(target).st_dev != os.stat(self._state).st_dev:
            raise ExportUnusable(f"{target} is a file system of its own; take a folder in it")

    def _place(self, ledger: Ledger, placer: Placer, *, full: bool) -> tuple[int | None, int]:
        """Place the documents of the pointer of now; return its serial, if it is new."""
        pointers = captured(self._live, self._sleep)
        for _ in range(_TRIES):
            before = ledger.newest()
            if before is not None and before.stamp == pointers.stamp and not full:
                return None, 0
            step = ExportRound(self._export, placer, ledger, None if full else before, pointers)
            try:
                step.place()
            except BaseLost:
                full = True
            except NotThere as error:
                pointers = self._next(pointers, error)
            else:
                self._export.sync()
                ledger.complete(pointers, self._now())
                return pointers.repomd.serial, step.projects
            ledger.begin(self._now())
        raise ExportIncomplete("the tree changes faster than it can be exported")

    def _next(self, pointers: PointerSet, error: NotThere) -> PointerSet:
        """Return the pointer that has followed; what is gone was deleted under the last."""
        for _ in range(_TRIES):
            following = captured(self._live, self._sleep)
            if following.stamp != pointers.stamp:
                return following
            self._sleep(_MOMENT_S)
        raise ExportIncomplete(error.path) from error

    def _install(self, ledger: Ledger) -> int | None:
        """Replace the pointers by those whose time has come; return their serial."""
        due = ledger.due(self._now() - self._lag_s)
        if due is None:
            return None
        for path, content in ledger.pointers(due.number):
            if not self._export.holds(path, content):
                self._export.put(path, content)
        for path in ledger.outdated(due.number):
            self._remove(path)
        ledger.installed(due.number, self._now())
        return due.repomd.serial

    def _expire(self, ledger: Ledger) -> int:
        paths = ledger.expired(self._now() - self._keep_s)
        for path in paths:
            self._remove(path)
        ledger.forget(paths)
        return len(paths)

    def _remove(self, path: str) -> None:
        self._export.remove(path)
        with suppress(OSError):  # not empty, or gone already
            for folder in (self._target / path).parents:
                if folder == self._target:
                    break
                folder.rmdir()

    def _now(self) -> float:
        return self._clock().timestamp()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        try:
            with durable.locked(self._state / "lock", wait_s=0):
                yield
        except BlockingIOError as error:
            raise ExportRunning(str(self._target)) from error
