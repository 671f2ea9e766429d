"""The repository: one pointer, exact, made of what changed, the same however it was made."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.catalog import files, projects
from pyramid_pypi.changes import journal
from pyramid_pypi.formats import hash_tree, hash_tree_edit, manifest, repomd
from pyramid_pypi.formats.hash_tree import Entry
from pyramid_pypi.formats.repomd import Repomd
from pyramid_pypi.models.catalog import File, ProjectStatus
from pyramid_pypi.publishing import fsck, sweeping
from pyramid_pypi.publishing.companion_tree import COMPANIONS_ROOM
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.publishing.repository import SHARDS_ROOM
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.upload.refusals import ProjectReadOnly
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.values.names import ProjectName
from tests.conftest import NOON
from tests.factories import Workshop

POINTER = "repodata/repomd.json"
DEMO = ProjectName("demo")


def pointer(tree: Tree) -> Repomd:
    content = tree.read(POINTER)
    assert content is not None
    return repomd.parse_json(content)


def entries(tree: Tree, kind: str, room: str) -> dict[str, Entry]:
    """The projects of a hash tree, by way of the pointer; every document read is proved."""
    record = pointer(tree).record(kind)
    assert record is not None
    content = tree.read(record.href)
    assert content is not None
    assert sha256_hex(content) == record.sha256

    def read(path: str, entry: Entry) -> bytes:
        found = tree.read(path)
        assert found is not None, path
        assert (sha256_hex(found), len(found)) == (entry.sha256, entry.size_bytes), path
        return found

    return dict(hash_tree_edit.entries_below(hash_tree.parse_root(content), room, read))


def assert_exact(workshop: Workshop, names: set[str]) -> None:
    """The pointer stands for just what is published of the projects `names`."""
    tree = workshop.services.tree
    assert pointer(tree).serial == workshop.publisher.serial
    pages = entries(tree, "shards", SHARDS_ROOM)
    companions = entries(tree, "companions", COMPANIONS_ROOM)
    assert pages.keys() == companions.keys() == names
    for name in names:
        page = tree.read(f"simple/{name}/index.json") or b""
        assert (pages[name].sha256, pages[name].size_bytes) == (sha256_hex(page), len(page))
        listed = tree.read(f"projects/{name}/documents.json") or b""
        assert companions[name].sha256 == sha256_hex(listed)
        for path, said in manifest.parse(listed).documents.items():
            content = tree.read(path) or b""
            assert said == manifest.listed(content), path
            assert tree.read(manifest.shadow_path(path, said.sha256)) == content
    for record in pointer(tree).records:
        assert tree.sha256(record.href) == record.sha256
        assert record.serial == workshop.publisher.serial


def named_documents(root: Path) -> dict[str, bytes]:
    """Everything that stands in a tree, but for release files, signatures and the past."""
    named = (root / POINTER).read_text()
    periods = " ".join(p.read_text() for p in root.glob("repodata/c/*-periods.json"))
    named += "".join(
        (root / record.href).read_text()
        for record in repomd.parse_json((root / POINTER).read_bytes()).records
        if record.type == "changes"
    )
    found = {}
    for path in root.rglob("*"):
        place = path.relative_to(root).as_posix()
        is_kept = place.startswith(("packages/", "tuf/")) or "/v/" in place
        is_kept |= bool(re.match(r"repodata/([0-9a-f]{64}[.]|repomd.xml.)", place))
        if path.is_dir() or is_kept:
            continue
        if re.match(r"repodata/[0-9a-f]{64}-", place) and place not in named:
            continue
        if place.startswith("repodata/c/"):
            digest = sha256_hex(path.read_bytes())
            if digest not in named and digest not in periods:
                continue
        found[place] = path.read_bytes()
    return found


def test_the_pointer_stands_for_just_what_is_published(workshop: Workshop) -> None:
    for name in ("demo", "other", "third"):
        workshop.add(name)
    workshop.settle()
    assert_exact(workshop, {"demo", "other", "third"})
    with workshop.services.database.writing() as session:
        projects.delete(session, COMMAND_LINE, ProjectName("other"), at=NOON)
    workshop.show(session)
    with workshop.services.database.writing() as session:
        projects.set_status(session, COMMAND_LINE, DEMO, ProjectStatus.QUARANTINED, at=NOON)
    workshop.show(session)
    workshop.add("third", "2.0")
    workshop.settle()
    assert_exact(workshop, {"demo", "third"})


def test_an_empty_index_has_a_pointer_too(workshop: Workshop) -> None:
    workshop.publisher.repository.refresh(whole=True)
    shown = pointer(workshop.services.tree)
    assert (shown.serial, shown.at.year) == (0, 1980)
    assert entries(workshop.services.tree, "shards", SHARDS_ROOM) == {}


def test_the_tree_grows_deeper_and_shallower(workshop: Workshop) -> None:
    names = [f"p{number}" for number in range(34)]
    for name in names[:32]:
        workshop.add(name)
    workshop.settle()
    assert not (workshop.services.tree.root / SHARDS_ROOM).exists()
    for name in names[32:]:
        workshop.add(name)
    workshop.settle()
    assert_exact(workshop, set(names))
    for name in names[30:]:
        with workshop.services.database.writing() as session:
            projects.delete(session, COMMAND_LINE, ProjectName(name), at=NOON)
        workshop.show(session)
    workshop.settle()
    assert_exact(workshop, set(names[:30]))
    left = (workshop.services.tree.root / SHARDS_ROOM).glob("*.json")
    assert list(left) == []


def test_xml_and_json_name_the_same(workshop: Workshop) -> None:
    workshop.add()
    workshop.settle()
    shown = pointer(workshop.services.tree)
    assert workshop.services.tree.read("repodata/repomd.xml") == repomd.xml(shown)
    types = [record.type for record in shown.records]
    assert types == [
        *("primary", "filelists", "other", "shards", "companions", "changes"),
        *("projects", "site", "mirrors"),
    ]


def test_what_the_pointer_names_stands_before_it(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, put = workshop.services.tree, workshop.services.tree.put
    sync, synced = tree.sync, list[bool]()

    def put_watched(path: str, content: bytes, **how: object) -> int:
        if path == POINTER:
            assert synced
            for record in repomd.parse_json(content).records:
                assert tree.sha256(record.href) == record.sha256
        return put(path, content, **how)  # type: ignore[arg-type]

    def sync_watched() -> None:
        synced.append(True)
        sync()

    monkeypatch.setattr(tree, "put", put_watched)
    monkeypatch.setattr(tree, "sync", sync_watched)
    for version in ("1.0", "2.0"):
        synced.clear()
        workshop.add(version=version)
        workshop.settle()
    assert pointer(tree).serial == workshop.publisher.serial


def test_pages_published_meanwhile_are_in_the_next_round(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The revision is exact: what comes while the round is written is not half in it."""
    workshop.add("demo")
    workshop.settle()
    sync, serial = workshop.services.tree.sync, workshop.publisher.serial

    def add_and_sync() -> None:
        monkeypatch.setattr(workshop.services.tree, "sync", sync)
        workshop.add("demo", "3.0")
        sync()

    workshop.add("demo", "2.0")
    monkeypatch.setattr(workshop.services.tree, "sync", add_and_sync)
    workshop.publisher.repository.refresh()
    shown = pointer(workshop.services.tree)
    assert serial < shown.serial < workshop.publisher.serial
    record = shown.record("shards")
    assert record is not None
    top = hash_tree.parse_root(workshop.services.tree.read(record.href) or b"")
    assert top.projects is not None
    assert top.projects["demo"].serial == shown.serial
    promised = manifest.shadow_path("simple/demo/index.json", top.projects["demo"].sha256)
    assert b"demo-2.0" in (workshop.services.tree.read(promised) or b"")
    workshop.settle()
    assert_exact(workshop, {"demo"})


@pytest.mark.parametrize("step", range(1, 22, 2))
def test_a_round_cut_short_is_made_good_by_the_next(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    for number in range(34):
        workshop.add(f"p{number}")
    workshop.settle()
    workshop.add("p1", "2.0")
    workshop.publisher.settle_all()
    put, steps = workshop.services.tree.put, iter(range(1, step + 1))

    class Killed(BaseException):
        pass

    def put_until_killed(*args: object, **kwargs: object) -> int:
        if next(steps, None) is None:
            raise Killed
        return put(*args, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(workshop.services.tree, "put", put_until_killed)
        with suppress(Killed):
            workshop.publisher.repository.refresh(whole=True)
    shown = pointer(workshop.services.tree)
    for record in shown.records:
        assert workshop.services.tree.sha256(record.href) == record.sha256
    restarted = Workshop(
        workshop.services, Publisher(workshop.services, workshop.publisher.site), COMMAND_LINE
    )
    restarted.settle()
    assert_exact(restarted, {f"p{number}" for number in range(34)})


def test_a_torn_node_is_found_and_made_anew(workshop: Workshop) -> None:
    names = {f"p{number}" for number in range(40)}
    for name in names:
        workshop.add(name)
    workshop.settle()
    tree = workshop.services.tree
    path = hash_tree.node_path(SHARDS_ROOM, hash_tree.digits("p7", 1))
    torn = tree.read(path) or b""
    for place in (path, manifest.shadow_path(path, sha256_hex(torn))):
        (tree.root / place).write_bytes(b"torn")
    workshop.add("p7", "2.0")
    workshop.settle()
    assert_exact(workshop, names)


def test_a_project_written_without_a_change_is_looked_at_again(workshop: Workshop) -> None:
    workshop.add("demo")
    workshop.settle()
    tree = workshop.services.tree
    tree.put("simple/demo/index.json", b"torn")
    workshop.publisher.repository.mark([DEMO])
    workshop.settle()
    assert entries(tree, "shards", SHARDS_ROOM)["demo"].size_bytes == 4
    workshop.publisher.rebuild([DEMO])
    workshop.settle()
    assert_exact(workshop, {"demo"})


def test_a_reader_brings_the_pointer_up_at_most_once_a_second(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    workshop.add("demo")
    workshop.publisher.fresh_pointer()
    first = pointer(workshop.services.tree).serial
    assert first == workshop.publisher.serial
    workshop.add("demo", "2.0")
    workshop.publisher.fresh_pointer()
    assert pointer(workshop.services.tree).serial == first
    now += 1.5
    workshop.publisher.fresh_pointer()
    assert pointer(workshop.services.tree).serial == workshop.publisher.serial


# --- the same bytes, whoever makes them ---------------------------------------------


def changed_at_random(workshop: Workshop, seed: int) -> Iterator[None]:
    """Do one thing after the other to a few projects."""
    chance = random.Random(seed)
    for step in range(40):
        at = NOON + timedelta(minutes=20 * step)
        name = f"p{chance.randrange(6)}"
        kind = chance.choice(["add", "add", "add", "yank", "status", "delete"])
        with workshop.services.database.writing() as session:
            known = projects.find(session, ProjectName(name))
            if kind == "yank" and known:
                query = select(File.filename).where(File.project_id == known.id)
                for filename in session.scalars(query.order_by(File.filename).limit(1)):
                    files.yank(
                        session, COMMAND_LINE, ProjectName(name), filename, f"n {step}", at=at
                    )
            elif kind == "status" and known:
                status = chance.choice(list(ProjectStatus))
                projects.set_status(session, COMMAND_LINE, ProjectName(name), status, at=at)
            elif kind == "delete" and known and step % 5 == 0:
                projects.delete(session, COMMAND_LINE, ProjectName(name), at=at)
        if journal.committed_serial(session):
            workshop.show(session)
        if kind == "add":
            with suppress(ProjectReadOnly):
                workshop.add(name, f"{step}.0")
        yield


def test_a_rebuild_elsewhere_gives_the_same_bytes(workshop: Workshop, tmp_path: Path) -> None:
    chance = random.Random(7)
    for _ in changed_at_random(workshop, 7):
        if chance.random() < 0.4:
            workshop.publisher.repository.refresh(whole=chance.random() < 0.3)
        if chance.random() < 0.4:
            workshop.publisher.settle_all()
    workshop.settle()
    made = named_documents(workshop.services.tree.root)
    settings = workshop.services.settings
    elsewhere = tmp_path / "another" / "place"
    done = subprocess.run(
        [sys.executable, "-m", "pyramid_pypi.cli", "publish", "--rebuild"],
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("PYRAMID_PYPI_")},
            "TZ": "Pacific/Kiritimati",
            "LC_ALL": "C",
            "PYTHONHASHSEED": "77",
            "PYRAMID_PYPI_DATA_DIR": str(elsewhere),
            "PYRAMID_PYPI_DATABASE_URL": settings.database,
            "PYRAMID_PYPI_SITE_PUBLIC_URL": settings.site_public_url,
            "PYRAMID_PYPI_SITE_TITLE": settings.site_title,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rebuilt = named_documents(elsewhere / "tree")
    assert rebuilt.keys() == made.keys()
    assert [path for path in made if made[path] != rebuilt[path]] == []
    assert len(made) > 100


# --- what was superseded ------------------------------------------------------------


def test_what_is_superseded_is_kept_for_a_while(workshop: Workshop) -> None:
    workshop.add("demo")
    workshop.settle()
    tree = workshop.services.tree
    old = pointer(tree)
    for version in ("2.0", "3.0"):
        workshop.services.clock.advance(hours=1)  # type: ignore[attr-defined]
        workshop.add("demo", version)
        workshop.settle()
    workshop.services.clock.now = datetime.now(UTC) + timedelta(hours=1)  # type: ignore[attr-defined]
    workshop.add("demo", "4.0")
    workshop.settle()
    assert all(tree.sha256(record.href) == record.sha256 for record in old.records)
    workshop.services.clock.now += timedelta(days=9)  # type: ignore[attr-defined]
    assert sweeping.sweep(workshop.services) > 20
    gone = [record.type for record in old.records if tree.sha256(record.href) is None]
    assert set(gone) == {record.type for record in old.records} - {"mirrors"}
    assert_exact(workshop, {"demo"})
    assert not list((tree.root / "repodata/v").glob(f"{'0' * 64}*"))


# --- fsck ---------------------------------------------------------------------------


def faults_of(workshop: Workshop, *, repair: bool = False) -> set[tuple[str, str, bool]]:
    found = fsck.findings(workshop.publisher, repair=repair)
    return {(finding.fault.value, finding.subject, finding.repaired) for finding in found}


def test_fsck_finds_a_pointer_that_lags(workshop: Workshop) -> None:
    workshop.add("demo")
    assert faults_of(workshop) >= {("pointer-behind", POINTER, False)}
    assert faults_of(workshop, repair=True) >= {("pointer-behind", POINTER, True)}
    assert faults_of(workshop) == set()


@pytest.mark.parametrize(
    "torn", ["repodata/t/*.json", "repodata/p/*.json", "repodata/*-primary.xml.gz", "tuf/t*"]
)
def test_fsck_makes_torn_metadata_anew(workshop: Workshop, torn: str) -> None:
    for number in range(33):
        workshop.add(f"p{number}")
    workshop.settle()
    assert faults_of(workshop) == set()
    path = next(iter(sorted(workshop.services.tree.root.glob(torn))))
    path.write_bytes(b"torn")
    found = faults_of(workshop)
    assert {fault for fault, _, _ in found} == {"pointer-wrong"}
    assert all(repaired for _, _, repaired in faults_of(workshop, repair=True))
    assert faults_of(workshop) == set()


def test_fsck_finds_a_project_that_the_trees_tell_otherwise(workshop: Workshop) -> None:
    workshop.add("demo")
    workshop.settle()
    record = pointer(workshop.services.tree).record("shards")
    assert record is not None
    top = hash_tree.parse_root(workshop.services.tree.read(record.href) or b"")
    other = hash_tree_edit.edit(
        top, {"ghost": Entry(1, "0" * 64, 1)}, SHARDS_ROOM, lambda *_: b""
    )
    content = hash_tree.root(other.root)
    told = [
        replace(known, sha256=sha256_hex(content), size_bytes=len(content))
        if known.type == "shards"
        else known
        for known in pointer(workshop.services.tree).records
    ]
    (workshop.services.tree.root / record.href).write_bytes(content)
    workshop.services.tree.put(
        POINTER, repomd.json(replace(pointer(workshop.services.tree), records=tuple(told)))
    )
    assert ("pointer-wrong", "simple/ghost/index.json", False) in faults_of(workshop)
    faults_of(workshop, repair=True)
    assert faults_of(workshop) == set()
