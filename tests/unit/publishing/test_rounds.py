"""Rounds of the repository beside others who commit, and rounds that fail at their end."""

from __future__ import annotations

import bz2
import errno
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.catalog import projects
from pyramid_pypi.formats import repomd
from pyramid_pypi.formats.repomd import Repomd
from pyramid_pypi.models.catalog import ProjectStatus
from pyramid_pypi.publishing import repository, sweeping, whole
from pyramid_pypi.publishing.companion_tree import CompanionTree
from pyramid_pypi.publishing.keys import KeysUnusable
from pyramid_pypi.publishing.pointer import Pointer
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.publishing.whole import Whole
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.values.names import ProjectName
from tests.conftest import NOON
from tests.factories import Workshop
from tests.unit.publishing.test_repository import DEMO, assert_exact


def test_changes_that_are_committed_and_not_yet_published_are_waited_for(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "_AT_A_TIME", 3)
    names = [f"p{number}" for number in range(6)]
    for name in names:
        workshop.add(name)
    workshop.settle()
    with workshop.services.database.writing() as session:
        for name in names:
            projects.set_status(
                session, COMMAND_LINE, ProjectName(name), ProjectStatus.ARCHIVED, at=NOON
            )
    workshop.publisher.repository.refresh()
    workshop.settle()
    assert_exact(workshop, set(names))


def test_what_is_marked_is_looked_at_until_a_pointer_is_shown(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise KeysUnusable("the online key is away")

    workshop.add("demo")
    workshop.settle()
    workshop.services.tree.put("simple/demo/index.json", b"torn")
    workshop.publisher.repository.mark([DEMO])
    workshop.settle()
    workshop.publisher.rebuild([DEMO])
    with monkeypatch.context() as patched:
        patched.setattr(Pointer, "show", refuse)
        with pytest.raises(KeysUnusable):
            workshop.publisher.repository.refresh()
    workshop.settle()
    assert_exact(workshop, {"demo"})


# --- what goes wrong holds up nothing else ------------------------------------------


def second(workshop: Workshop, **changed: object) -> Workshop:
    """Another process at the same folder, with settings `changed`."""
    settings = replace(workshop.services.settings, **changed)  # type: ignore[arg-type]
    services = replace(workshop.services, settings=settings)
    return Workshop(services, Publisher(services, workshop.publisher.site), COMMAND_LINE)


def shown(workshop: Workshop) -> Repomd:
    return repomd.parse_json(workshop.services.tree.read("repodata/repomd.json") or b"")


def test_pages_go_on_when_the_whole_cannot_be_written(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.add()
    workshop.settle()

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.EACCES, "the cache belongs to another")

    monkeypatch.setattr(Whole, "records", fail)
    workshop.add(version="2.0")
    with pytest.raises(OSError, match="belongs to another"):
        workshop.publisher.repository.refresh(whole=True)
    assert shown(workshop).serial == workshop.publisher.serial
    monkeypatch.setattr(CompanionTree, "follow", fail)
    workshop.add(version="3.0")
    with pytest.raises(OSError, match="belongs to another"):
        workshop.publisher.repository.refresh(whole=True)
    assert shown(workshop).serial == workshop.publisher.serial


def test_a_reader_gets_what_stands_when_nobody_can_sign(workshop: Workshop) -> None:
    workshop.add()
    workshop.settle()
    serial = shown(workshop).serial
    keys = workshop.services.settings.keys_dir
    keys.rename(keys.with_name("away"))
    other = second(workshop)
    other.add(version="2.0")
    other.publisher.fresh_pointer()
    assert shown(workshop).serial == serial
    with pytest.raises(KeysUnusable):
        other.publisher.repository.refresh()


def test_a_reader_waits_for_the_first_pointer_of_a_small_index_only(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.add()
    monkeypatch.setattr(repository, "_SOON_MADE", 1)
    workshop.publisher.fresh_pointer()
    assert not workshop.services.tree.exists("repodata/repomd.json")
    monkeypatch.setattr(repository, "_SOON_MADE", 100)
    workshop.publisher.fresh_pointer()
    assert shown(workshop).record("primary")


def test_signatures_that_nobody_makes_any_more_are_removed(workshop: Workshop) -> None:
    workshop.add()
    workshop.settle()
    tree = workshop.services.tree
    assert tree.exists("tuf/timestamp.json")
    unsigned = second(workshop, signing_enabled=False)
    unsigned.add(version="2.0")
    unsigned.settle()
    assert not tree.exists("tuf/timestamp.json")
    assert not tree.exists("repodata/repomd.xml.asc")
    workshop.add(version="3.0")
    workshop.settle()
    assert tree.exists("tuf/timestamp.json")


def test_keys_put_back_from_before_a_ceremony_are_refused(
    workshop: Workshop, tmp_path: Path
) -> None:
    workshop.add()
    workshop.settle()
    keys = workshop.services.settings.keys_dir
    shutil.copytree(keys, tmp_path / "backup")
    tree_tuf = workshop.services.tree.root / "tuf"
    (tree_tuf / "2.targets.json").write_bytes((tree_tuf / "1.targets.json").read_bytes())
    other = second(workshop)
    other.add(version="2.0")
    with pytest.raises(KeysUnusable, match="targets 2"):
        other.publisher.repository.refresh()


def test_what_the_pointer_names_is_never_swept(workshop: Workshop) -> None:
    """However short the time for which superseded versions are kept."""
    workshop.add()
    workshop.settle()
    hasty = second(workshop, publish_keep_s=0)
    named = shown(workshop)
    page = workshop.services.tree.sha256("simple/demo/index.json")
    workshop.add(version="2.0")  # published, and the pointer does not tell of it yet
    hasty.services.clock.now = NOON + timedelta(days=400)  # type: ignore[attr-defined]
    os.utime(workshop.services.tree.root / "repodata/repomd.json")
    sweeping.sweep(hasty.services)
    assert workshop.services.tree.sha256(f"simple/demo/v/{page}.json") == page
    for record in named.records:
        assert workshop.services.tree.sha256(record.href) == record.sha256


def test_a_record_that_comes_back_is_superseded_anew(workshop: Workshop) -> None:
    clock = workshop.services.clock
    workshop.settle()
    empty = shown(workshop).record("primary")
    assert empty is not None
    for day in range(3):
        clock.advance(days=1)  # type: ignore[attr-defined]
        workshop.add(f"p{day}")
        workshop.settle()
        with workshop.services.database.writing() as session:
            projects.delete(session, COMMAND_LINE, ProjectName(f"p{day}"), at=clock())
        workshop.show(session)
        clock.advance(days=1)  # type: ignore[attr-defined]
        workshop.settle()
    clock.advance(days=9)  # type: ignore[attr-defined]
    workshop.add("last")
    workshop.settle()
    sweeping.sweep(workshop.services)
    assert workshop.services.tree.sha256(empty.href) == empty.sha256


def test_every_process_lets_large_records_rest(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "_BYTES_PER_S", 1)
    workshop.add()
    workshop.settle()
    before = shown(workshop).record("projects")
    for version in ("2.0", "3.0"):
        other = second(workshop)
        other.add(version=version)
        other.publisher.repository.refresh()
    assert shown(workshop).record("projects") == before
    workshop.services.clock.advance(days=1)  # type: ignore[attr-defined]
    second(workshop).publisher.repository.refresh()
    assert shown(workshop).record("projects") != before


def test_sqlite_twins_follow_their_documents(workshop: Workshop) -> None:
    workshop.add()
    workshop.settle()
    assert shown(workshop).record("primary_db") is None
    twinned = second(workshop, repodata_sqlite=True)
    seen = set()
    for version in ("2.0", "3.0"):
        twinned.add(version=version)
        twinned.settle()
        for kind in ("primary", "filelists", "other"):
            document, twin = shown(workshop).record(kind), shown(workshop).record(f"{kind}_db")
            assert document
            assert twin
            assert (twin.database_version, twin.serial) == (10, document.serial)
            packed = workshop.services.tree.read(twin.href) or b""
            assert sha256_hex(packed) == twin.sha256
            with closing(sqlite3.connect(":memory:")) as database:
                database.deserialize(bz2.decompress(packed))
                (told,) = database.execute("SELECT checksum FROM db_info").fetchone()
                (count,) = database.execute("SELECT count(*) FROM packages").fetchone()
            assert (told, count) == (document.sha256, int(float(version)))
            seen.add(twin.sha256)
    before = shown(workshop)
    second(workshop, repodata_sqlite=True).settle()
    assert shown(workshop) == before
    assert len(seen) == 6
    second(workshop).settle()
    assert shown(workshop).record("primary_db") is None
