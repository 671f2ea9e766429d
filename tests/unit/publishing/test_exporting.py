"""An export is good by its pointer at every moment, and becomes just what was published."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyramid_pypi.following.findings import Fault, Finding
from pyramid_pypi.following.pointing import Trusting
from pyramid_pypi.following.sources import FolderSource
from pyramid_pypi.following.verifying import Verifier, Wanted
from pyramid_pypi.formats import repomd
from pyramid_pypi.models.catalog import ProjectStatus
from pyramid_pypi.publishing import export_pointer, sweeping
from pyramid_pypi.publishing.export_ledger import Ledger
from pyramid_pypi.publishing.export_placing import Placer
from pyramid_pypi.publishing.export_pointer import JSON, TIMESTAMP, XML, ExportIncomplete
from pyramid_pypi.publishing.exporting import Exporter, ExportRunning, ExportUnusable, Run
from pyramid_pypi.storage import durable
from tests.conftest import ToldClock
from tests.static_trees import Origin, busy_tree, origin

LAG_S = 300.0
KEEP_S = 3600.0
UNNAMED = {"bad_one", "small_2", "large"}  # what `busy_tree` deletes and hides


@pytest.fixture
def index(tmp_path: Path, sqlite_template: Path, clock: ToldClock) -> Iterator[Origin]:
    made = origin(tmp_path / "index", sqlite_template, clock)
    for number in range(34):
        made.add(f"demo-{number}")
    made.point()
    yield made
    made.close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "export"


def exporter(index: Origin, target: Path, **how: bool) -> Exporter:
    return Exporter(
        index.tree,
        target,
        index.clock,
        lag_s=LAG_S,
        keep_s=KEEP_S,
        sleep=lambda _: None,
        **how,
    )


def settle(index: Origin, target: Path, **how: bool) -> Run:
    """Export, wait, and export again."""
    exporter(index, target, **how).run()
    index.clock.advance(seconds=LAG_S)
    return exporter(index, target, **how).run()


def serial_of(tree: Path) -> int:
    return repomd.parse_json((tree / JSON).read_bytes()).serial


def faults(index: Origin, tree: Path) -> list[Finding]:
    wanted = Wanted(everything=True)
    found = list(Verifier(FolderSource(tree), wanted, Trusting(), index.clock).findings())
    ahead = {finding.path for finding in found if is_ahead(finding)}
    return [
        finding
        for finding in found
        if finding.path not in ahead and finding.path.removesuffix(".gz") not in ahead
    ]


def is_ahead(finding: Finding) -> bool:
    """Tell whether a document is placed already, and the pointer that names it is not."""
    served = finding.fault is Fault.WRONG and "its shadow is right" in finding.detail
    return finding.fault is Fault.UNNAMED or (served and "/v/" not in finding.path)


def files(tree: Path) -> dict[str, bytes]:
    return {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in tree.rglob("*")
        if path.is_file()
    }


def stable(tree: Path) -> dict[str, bytes]:
    """Everything but what lies under its hash, and signed rounds of before."""
    numbered = {path.name for path in (tree / "tuf").glob("*.*.json")}
    hashed = {path.name for path in (tree / "repodata").iterdir() if path.name[8:9] != "."}
    return {
        path: content
        for path, content in files(tree).items()
        if "/v/" not in path
        and not path.startswith("repodata/c/")
        and path.rpartition("/")[2] not in numbered
        and (path.rpartition("/")[2] not in hashed or path in {JSON, XML, f"{XML}.asc"})
    }


class TestLag:
    def test_documents_come_first_and_the_pointer_when_its_time_has_come(
        self, index: Origin, target: Path
    ) -> None:
        serial = serial_of(index.tree)
        first = exporter(index, target).run()
        assert (first.placed, first.installed, first.due_in_s) == (serial, None, LAG_S)
        assert not (target / JSON).exists()
        assert not (target / TIMESTAMP).exists()
        assert (target / "simple/demo-1/index.json").exists()
        index.clock.advance(seconds=LAG_S - 1)
        assert exporter(index, target).run().installed is None
        index.clock.advance(seconds=1)
        last = exporter(index, target).run()
        assert (last.installed, last.placed, last.files) == (serial, None, 0)
        assert faults(index, target) == []

    def test_rounds_queue_up(self, index: Origin, target: Path) -> None:
        settle(index, target)
        serials = []
        for number in range(4):
            index.add("demo-1", f"2.{number}")
            index.point(whole=False)
            index.clock.now = index.clock.now.replace(second=0)
            assert exporter(index, target).run().placed == serial_of(index.tree)
            serials.append(serial_of(index.tree))
            assert faults(index, target) == []
        # Two minutes a round: the first two are due after the last one's third minute.
        index.clock.advance(seconds=LAG_S - 240)
        assert exporter(index, target).run().installed == serials[1]
        index.clock.advance(seconds=LAG_S)
        assert exporter(index, target).run().installed == serials[-1]
        assert faults(index, target) == []

    def test_no_lag_at_all(self, index: Origin, target: Path) -> None:
        run = Exporter(index.tree, target, index.clock, lag_s=0, keep_s=KEEP_S).run()
        assert run.installed == run.placed == serial_of(index.tree)
        assert run.due_in_s is None
        assert faults(index, target) == []

    def test_a_clock_set_back_delays_no_longer_than_a_lag(
        self, index: Origin, target: Path
    ) -> None:
        exporter(index, target).run()
        index.clock.advance(days=-30)
        assert exporter(index, target).run().due_in_s == LAG_S

    def test_a_new_signature_alone_is_exported(self, index: Origin, target: Path) -> None:
        settle(index, target)
        before = (target / TIMESTAMP).read_bytes()
        index.clock.advance(days=2)
        index.point(whole=False)
        run = settle(index, target)
        assert run.projects == 0
        assert (target / TIMESTAMP).read_bytes() != before
        assert faults(index, target) == []


class TestContent:
    def test_an_export_has_what_is_published(
        self, tmp_path: Path, sqlite_template: Path, clock: ToldClock, target: Path
    ) -> None:
        busy = busy_tree(tmp_path / "index", sqlite_template, clock)
        settle(busy, target)
        assert faults(busy, target) == []
        published, exported = stable(busy.tree), stable(target)
        # Files in quarantine, and deleted ones that stay for a while: no page names them.
        unnamed = published.keys() - exported.keys()
        assert all(path.startswith("packages/") for path in unnamed)
        assert {p.rpartition("/")[2].split("-")[0] for p in unnamed} <= UNNAMED
        assert exported == {p: c for p, c in published.items() if p not in unnamed}
        busy.close()

    @pytest.mark.parametrize("copy", [False, True])
    def test_links_or_copies(self, index: Origin, target: Path, copy: bool) -> None:
        settle(index, target, copy=copy)
        assert faults(index, target) == []
        for path in ("simple/demo-1/index.json", "index.html"):
            live, exported = index.tree / path, target / path
            assert live.samefile(exported) is not copy
            assert live.stat().st_mtime_ns == exported.stat().st_mtime_ns
        assert settle(index, target, copy=copy).files == 0

    def test_copies_where_no_link_can_be(
        self, index: Origin, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        link, live = os.link, str(index.tree)

        def refusing(source: str, to: str, **how: bool) -> None:
            if str(source).startswith(live):
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
            link(source, to, **how)

        monkeypatch.setattr(os, "link", refusing)
        settle(index, target)
        assert faults(index, target) == []
        assert not (index.tree / JSON).samefile(target / JSON)

    def test_an_index_that_does_not_sign(self, index: Origin, target: Path) -> None:
        shutil.rmtree(index.tree / "tuf")
        (index.tree / f"{XML}.asc").unlink(missing_ok=True)
        settle(index, target)
        wanted, trusting = Wanted(everything=True), Trusting(unsigned=True)
        found = Verifier(FolderSource(target), wanted, trusting, index.clock).findings()
        assert [finding for finding in found if finding.fault is not Fault.SIGNATURE] == []
        assert (target / JSON).read_bytes() == (index.tree / JSON).read_bytes()

    def test_only_what_changed_is_looked_at(self, index: Origin, target: Path) -> None:
        settle(index, target)
        index.add("demo-7", "3.0")
        index.point(whole=False)
        run = exporter(index, target).run()
        assert run.projects == 1
        assert run.files < 60
        index.clock.advance(seconds=LAG_S)
        exporter(index, target).run()
        assert faults(index, target) == []

    def test_changes_of_every_kind(self, index: Origin, target: Path) -> None:
        settle(index, target)
        gone = index.add("demo-3", "4.0")
        index.point()
        settle(index, target)
        index.delete("demo-2")
        index.delete_file("demo-3", gone)
        index.set_status("demo-4", ProjectStatus.QUARANTINED, "malware?")
        index.yank("demo-5", "1.0")
        index.point()
        settle(index, target)
        assert faults(index, target) == []
        blobs = {path for path in files(index.tree) | files(target) if path[:9] == "packages/"}
        assert stable(target).keys() - blobs == stable(index.tree).keys() - blobs

    @pytest.mark.parametrize("count", [[31, 2], [33, -3], [3, -3]])
    def test_a_tree_of_another_depth(
        self,
        tmp_path: Path,
        sqlite_template: Path,
        clock: ToldClock,
        target: Path,
        count: list[int],
    ) -> None:
        index = origin(tmp_path / "index", sqlite_template, clock)
        for number in range(count[0]):
            index.add(f"demo-{number}")
        index.point()
        settle(index, target)
        for number in range(abs(count[1])):
            if count[1] > 0:
                index.add(f"more-{number}")
            else:
                index.delete(f"demo-{number}")
        index.point()
        settle(index, target)
        assert faults(index, target) == []
        index.close()

    def test_twins_that_are_still_to_be_made(self, index: Origin, target: Path) -> None:
        """A large page has its twin a moment after the pointer may name it."""
        for version in range(300):
            index.add("demo-9", f"1.0.{version}")
        index.workshop.publisher.repository.refresh()
        assert not (index.tree / "simple/demo-9/index.json.gz").exists()
        settle(index, target)
        index.point()
        for form in ("html", "json"):
            twin = f"simple/demo-9/index.{form}.gz"
            assert (target / twin).read_bytes() == (index.tree / twin).read_bytes()


class TestLeaving:
    def test_what_is_named_no_more_goes_in_its_time(self, index: Origin, target: Path) -> None:
        settle(index, target)
        before = files(target)
        index.delete("demo-2")
        index.add("demo-3", "2.0")
        index.point()
        settle(index, target)
        # The pages of a deleted project go with the pointer that names them.
        assert not (target / "simple/demo-2/index.html").exists()
        assert "simple/demo-2/index.html" in before
        kept = {path for path in before if "/v/" in path or path.startswith("packages/")}
        assert kept <= files(target).keys()
        index.clock.advance(seconds=KEEP_S + 1)
        run = exporter(index, target).run()
        assert run.removed > 0
        assert faults(index, target) == []
        left = files(target).keys()
        assert not [path for path in left if "/demo_2-" in path or "/demo-2/" in path]
        assert not (target / "simple/demo-2").exists()
        assert [path for path in left if path.startswith("simple/demo-3/v/")]
        current = {p for p in files(index.tree) if p.startswith("simple/demo-3/v/")}
        assert len([p for p in left if p.startswith("simple/demo-3/v/")]) < len(current)

    def test_what_comes_back_stays(self, index: Origin, target: Path) -> None:
        settle(index, target)
        index.set_status("demo-4", ProjectStatus.QUARANTINED, "malware?")
        index.point()
        settle(index, target)
        index.set_status("demo-4", ProjectStatus.ACTIVE)
        index.point()
        settle(index, target)
        index.clock.advance(seconds=2 * KEEP_S)
        exporter(index, target).run()
        assert faults(index, target) == []
        assert [path for path in files(target) if "/demo_4-" in path]

    def test_the_index_may_sweep_its_own(self, index: Origin, target: Path) -> None:
        settle(index, target)
        index.add("demo-3", "2.0")
        index.point()
        index.clock.advance(days=3)
        sweeping.sweep(index.workshop.services)
        assert [path for path in files(target) if path.startswith("simple/demo-3/v/")]
        settle(index, target)
        index.point()
        settle(index, target)
        assert faults(index, target) == []


class TestInterrupted:
    def test_killed_at_any_step_the_next_run_goes_on(
        self, index: Origin, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every step in turn is the last of its run; the index moves on meanwhile."""
        settle(index, target)
        show = Placer._show
        cut = 0
        while True:
            cut += 1
            index.add("demo-1", f"2.{cut}", sdist=True)
            index.add(f"new-{cut}")
            index.delete(f"new-{cut - 1}") if cut > 1 else None
            index.point(whole=cut % 3 == 0)
            left = [cut * 3]

            def stopping(placer: Placer, *given: object, left: list[int] = left) -> None:
                left[0] -= 1
                if left[0] < 0:
                    raise KeyboardInterrupt
                show(placer, *given)  # type: ignore[arg-type]

            monkeypatch.setattr(Placer, "_show", stopping)
            try:
                exporter(index, target).run()
            except KeyboardInterrupt:
                assert faults(index, target) == []
            else:
                break
            finally:
                monkeypatch.setattr(Placer, "_show", show)
        assert cut > 8
        settle(index, target)
        assert faults(index, target) == []
        # What the killed runs had placed and nobody names any more leaves too.
        index.clock.advance(seconds=KEEP_S + 1)
        exporter(index, target).run()
        index.clock.advance(seconds=KEEP_S + 1)
        exporter(index, target).run()
        again = target.with_name("again")
        settle(index, again)
        assert files(target).keys() == files(again).keys()

    def test_killed_between_two_pointers(
        self, index: Origin, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settle(index, target)
        index.add("demo-1", "2.0")
        index.point()
        exporter(index, target).run()
        index.clock.advance(seconds=LAG_S)
        installed = Ledger.installed
        monkeypatch.setattr(Ledger, "installed", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            exporter(index, target).run()
        monkeypatch.setattr(Ledger, "installed", installed)
        assert exporter(index, target).run().installed == serial_of(index.tree)
        assert faults(index, target) == []

    @pytest.mark.parametrize("harm", ["lost", "torn"])
    def test_without_its_ledger_it_looks_at_everything(
        self, index: Origin, target: Path, harm: str
    ) -> None:
        settle(index, target)
        index.delete("demo-2")
        index.point()
        state = target.with_name(".export.export")
        if harm == "lost":
            shutil.rmtree(state)
        else:
            (state / "ledger.sqlite").write_bytes(b"torn" * 1000)
        settle(index, target)
        assert faults(index, target) == []
        assert not (target / "simple/demo-2/index.html").exists()
        index.clock.advance(seconds=KEEP_S + 1)
        exporter(index, target).run()
        assert not [path for path in files(target) if "/demo_2-" in path or "/demo-2/" in path]

    def test_what_the_export_has_lost_comes_back(self, index: Origin, target: Path) -> None:
        settle(index, target)
        shutil.rmtree(target / "repodata/t")
        shutil.rmtree(target / "packages")
        index.add("demo-1", "2.0")
        index.point()
        settle(index, target)
        assert faults(index, target) == []

    def test_full_looks_at_everything(self, index: Origin, target: Path) -> None:
        settle(index, target)
        (target / "simple/demo-1/index.html").unlink()
        assert exporter(index, target).run().placed is None
        assert exporter(index, target).run(full=True).placed == serial_of(index.tree)
        assert (target / "simple/demo-1/index.html").exists()


class TestRace:
    def test_a_file_deleted_under_the_pointer_waits_for_the_next(
        self, index: Origin, target: Path
    ) -> None:
        settle(index, target)
        gone = index.add("demo-3", "4.0")
        index.point()
        index.delete_file("demo-3", gone)
        for path in (index.tree / "packages").rglob(f"{gone}*"):
            path.unlink()  # as the index does in its time, or sooner on a full disk
        waited = []

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            index.point(whole=False)

        run = Exporter(
            index.tree, target, index.clock, lag_s=LAG_S, keep_s=KEEP_S, sleep=sleep
        ).run()
        assert waited
        assert run.placed == serial_of(index.tree)
        index.clock.advance(seconds=LAG_S)
        exporter(index, target).run()
        assert faults(index, target) == []

    def test_pages_that_moved_on_are_taken_from_their_shadows(
        self, index: Origin, target: Path
    ) -> None:
        pointed = serial_of(index.tree)
        index.add("demo-3", "4.0")  # published, but no pointer names it yet
        run = settle(index, target)
        assert run.installed == pointed == serial_of(target)
        page = (target / "simple/demo-3/index.json").read_bytes()
        assert page != (index.tree / "simple/demo-3/index.json").read_bytes()
        assert faults(index, target) == []

    def test_a_tree_that_is_not_complete_is_not_exported(
        self, index: Origin, target: Path
    ) -> None:
        settle(index, target)
        before = (target / JSON).read_bytes()
        index.add("demo-3", "4.0")
        index.point()
        shutil.rmtree(index.tree / "simple/demo-3")
        with pytest.raises(ExportIncomplete, match="simple/demo-3"):
            settle(index, target)
        index.clock.advance(seconds=LAG_S)
        assert (target / JSON).read_bytes() == before
        assert faults(index, target) == []

    def test_pointers_are_of_one_round(self, index: Origin, target: Path) -> None:
        """A round is at work: the old set is taken whole, or the new one."""
        tree = index.workshop.services.tree
        old = export_pointer.captured(tree)
        kept = {path: (index.tree / path).read_bytes() for path, _ in old.pointers}
        index.add("demo-3", "4.0")
        index.point()
        new = export_pointer.captured(tree)
        assert old.stamp != new.stamp
        order = [path for path, _ in new.pointers if kept[path] != dict(new.pointers)[path]]
        assert order[-1] == TIMESTAMP
        for done in range(len(order) + 1):
            shown = dict(old.pointers) | {p: dict(new.pointers)[p] for p in order[:done]}
            for path, content in shown.items():
                (index.tree / path).unlink()
                (index.tree / path).write_bytes(content)
            waited: list[float] = []

            def sleep(seconds: float, waited: list[float] = waited) -> None:
                waited.append(seconds)

            if done == len(order):
                assert export_pointer.captured(tree, sleep) == new
                assert not waited
            else:
                with pytest.raises(ExportIncomplete, match="cut short"):
                    export_pointer.captured(tree, sleep)
                assert waited


class TestRefusals:
    def test_one_run_at_a_time(self, index: Origin, target: Path) -> None:
        held = exporter(index, target)
        with (
            durable.locked(target.with_name(".export.export") / "lock"),
            pytest.raises(ExportRunning),
        ):
            held.run()

    def test_no_other_folder_is_touched(self, index: Origin, target: Path) -> None:
        target.mkdir()
        (target / "thesis.txt").write_text("twelve years of work")
        with pytest.raises(ExportUnusable, match="not empty"):
            exporter(index, target)
        assert os.listdir(target) == ["thesis.txt"]

    @pytest.mark.parametrize("place", ["", "inside", ".."])
    def test_tree_and_export_are_apart(self, index: Origin, place: str) -> None:
        with pytest.raises(ExportUnusable, match="not apart"):
            exporter(index, index.tree / place)

    def test_no_tree(self, tmp_path: Path, clock: ToldClock, target: Path) -> None:
        with pytest.raises(ExportIncomplete, match="no published tree"):
            Exporter(tmp_path / "none", target, clock, lag_s=0, keep_s=0)
        (tmp_path / "none").mkdir()
        with pytest.raises(ExportIncomplete, match="there is no repodata"):
            Exporter(tmp_path / "none", target, clock, lag_s=0, keep_s=0).run()


def test_the_tree_never_writes_in_place(index: Origin, target: Path) -> None:
    """Links are sound because a version, once shown, keeps its bytes for ever."""
    settle(index, target)
    by_inode = {
        (index.tree / path).stat().st_ino: content
        for path, content in files(target).items()
        if (index.tree / path).exists()
    }
    linked = {target / p: c for p, c in files(target).items()}
    held = [os.open(path, os.O_RDONLY) for path in linked]
    for number in range(10):
        index.add(f"demo-{number}", "9.0")
    index.delete("demo-1")
    index.point()
    index.workshop.publisher.rebuild_all()
    index.point()
    for descriptor, content in zip(held, linked.values(), strict=True):
        with open(descriptor, "rb") as opened:
            assert opened.read() == content
    assert by_inode
