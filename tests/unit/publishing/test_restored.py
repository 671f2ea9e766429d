"""A database put back beside a newer tree, and a folder copied without its times."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from pyramid_pypi import bootstrap
from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.catalog import projects
from pyramid_pypi.changes import journal
from pyramid_pypi.formats.simple import serial_of
from pyramid_pypi.publishing import faults, fsck
from pyramid_pypi.values.names import ProjectName
from tests.conftest import NOON
from tests.factories import Workshop

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

DEMO = ProjectName("demo")


def copy_database(source: Path, target: Path) -> None:
    with sqlite3.connect(source) as old, sqlite3.connect(target) as new:
        old.backup(new)
    old.close()
    new.close()


@pytest.fixture
def put_back(workshop: Workshop, tmp_path: Path) -> Callable[[], int]:
    """An index that has gone on since its backup; call to put that back, and be told
    the serial that the tree shows."""
    database = workshop.services.settings.data_dir / "index.sqlite"
    for name in ("demo", "same", "deleted"):
        workshop.add(name)
    workshop.settle()
    workshop.publisher.checkpoint()
    copy_database(database, tmp_path / "backup")
    workshop.add(version="2.0")
    workshop.add("late")
    with workshop.services.database.writing() as session:
        projects.delete(session, COMMAND_LINE, ProjectName("deleted"), at=NOON)
    workshop.show(session)
    workshop.settle()

    def put() -> int:
        shown = workshop.publisher.serial
        workshop.services.database.dispose()
        copy_database(tmp_path / "backup", database)
        return shown

    return put


def serial(workshop: Workshop, name: str) -> int:
    content = workshop.services.tree.read(f"simple/{name}/index.json")
    assert content is not None
    return serial_of(content) or 0


def test_the_tree_follows_and_no_serial_goes_back(
    workshop: Workshop, put_back: Callable[[], int]
) -> None:
    unchanged = serial(workshop, "same")
    shown = put_back()
    assert workshop.publisher.publish_gap() == workshop.publisher.serial > shown
    workshop.settle()
    tree = workshop.services.tree
    assert set(tree.names("simple")) == {"demo", "same", "deleted"}
    assert set(tree.names("pypi/demo")) == {"1.0"}
    assert serial(workshop, "demo") > shown
    assert serial(workshop, "deleted") > shown
    assert serial(workshop, "same") == unchanged
    with workshop.services.database.reading() as session:
        told = journal.since(session, shown, 10)
    assert [change.project for change in told] == [None, "deleted", "demo", "late"]
    # The restored file of the deleted project is lost, and nothing else is amiss.
    amiss = {(f.fault, f.subject) for f in fsck.findings(workshop.publisher)}
    assert amiss <= {
        (fault, subject)
        for fault, subject in amiss
        if fault in (faults.Fault.FILE_MISSING, faults.Fault.METADATA_WRONG)
        or subject.startswith("packages/")
    }


def test_what_is_uploaded_next_is_published(
    workshop: Workshop, put_back: Callable[[], int]
) -> None:
    shown = put_back()
    restarted = bootstrap.open_publisher(workshop.services)
    assert restarted.begin()
    restarted.resume()
    Workshop(workshop.services, restarted, COMMAND_LINE).add("fresh")
    assert serial(workshop, "fresh") > shown


def test_to_reconcile_again_changes_nothing(
    workshop: Workshop, put_back: Callable[[], int]
) -> None:
    put_back()
    newest = workshop.publisher.reconcile()
    assert workshop.publisher.reconcile() == newest
    assert workshop.publisher.publish_gap() == newest


def test_a_copied_folder_tells_no_serial_by_the_time_of_the_copying(
    workshop: Workshop,
) -> None:
    """As `cp -r` leaves it."""
    workshop.add()
    workshop.publisher.checkpoint()
    published = workshop.services.settings.data_dir / "published"
    shutil.copyfile(published, published.with_name("copy"))
    os.replace(published.with_name("copy"), published)
    before = workshop.publisher.state.checkpoint().serial
    assert workshop.publisher.serial == before
    workshop.add("fresh")
    assert serial(workshop, "fresh") == workshop.publisher.serial < before + 10


def test_a_time_that_looks_like_a_serial_is_outrun(workshop: Workshop) -> None:
    """As on a file system whose times are whole seconds."""
    workshop.add()
    os.utime(workshop.services.settings.data_dir / "published", (1_800_000_000,) * 2)
    assert workshop.publisher.publish_gap() > 1_800_000_000
    workshop.add("fresh")
    assert serial(workshop, "fresh") == workshop.publisher.serial
