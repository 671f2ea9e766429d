"""A tree written at once: as one that grew change by change, but for what readers ask for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta

import pytest

from pyramid_pypi import bootstrap
from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.catalog import projects, reading
from pyramid_pypi.changes import journal
from pyramid_pypi.formats import manifest, repomd, segment_lists
from pyramid_pypi.models.catalog import ProjectStatus
from pyramid_pypi.models.journal import ChangeKind
from pyramid_pypi.publishing import beginning, bulk, segment_files
from pyramid_pypi.publishing.companion_tree import COMPANIONS_ROOM
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.publishing.repository import SHARDS_ROOM
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.values.names import ProjectName
from tests.conftest import NOON
from tests.factories import Workshop
from tests.unit.publishing.test_repository import entries, named_documents


def emptied(workshop: Workshop) -> Workshop:
    """The same index after its tree was lost, with all that tells of it."""
    folder = workshop.services.settings.data_dir
    shutil.rmtree(workshop.services.tree.root)
    for left in ("checkpoint.json", "published", "members.sqlite"):
        (folder / left).unlink(missing_ok=True)
    publisher = bootstrap.open_publisher(workshop.services)
    return Workshop(workshop.services, publisher, workshop.actor)


def changed_over_weeks(workshop: Workshop) -> Iterator[None]:
    for step in range(80):
        name = ProjectName(f"p{step % 5}")
        if step % 8 < 5:
            workshop.add(name, f"1.{step}")
        else:
            at = NOON + timedelta(hours=7 * step)
            with workshop.services.database.writing() as session:
                kind = ChangeKind.METADATA_CHANGED
                journal.append(session, kind, actor="ada", at=at, project=name)
            workshop.show(session)
        yield


def test_a_tree_written_at_once_is_the_one_that_grew(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step, _ in enumerate(changed_over_weeks(workshop)):
        if step % 3 == 0:
            workshop.publisher.repository.refresh()
    workshop.settle()
    grown = standing(workshop)
    # So that the journal is read in parts, and weeks are written before its end.
    monkeypatch.setattr(beginning, "_CHANGES_AT_A_TIME", 9)
    again = emptied(workshop)
    assert bulk.is_called_for(again.publisher)
    bulk.build(again.publisher)
    assert not bulk.is_called_for(again.publisher)
    assert standing(again) == grown
    written = (again.services.tree.root / "repodata/c").iterdir()
    assert {f"repodata/c/{path.name}" for path in written} <= grown.keys()


def standing(workshop: Workshop) -> dict[str, bytes]:
    """What stands in a tree; of the feed, what its record leads to."""
    tree = workshop.services.tree
    shown = repomd.parse_json(tree.read("repodata/repomd.json") or b"").record("changes")
    assert shown is not None
    content = tree.read(shown.href) or b""
    assert list(segment_files.faults(tree, content)) == []
    record = segment_lists.parse_record(content)
    feed = dict(segment_files.named(record, segment_files.periods_of(tree, record)))
    found = named_documents(tree.root)
    return {
        path: found[path]
        for path in found
        if path in feed or not path.startswith("repodata/c/")
    }


def test_companions_left_out_come_when_asked_for(workshop: Workshop) -> None:
    for number in range(6, 9):
        workshop.add(f"p{number}")
    again = emptied(workshop)
    bulk.build(again.publisher, companions=False)
    tree = again.services.tree
    assert entries(tree, "shards", SHARDS_ROOM).keys() == {"p6", "p7", "p8"}
    assert entries(tree, "companions", COMPANIONS_ROOM) == {}
    assert not tree.exists("projects/p7/index.html")
    again.publisher.checkpoint()
    assert not tree.exists("projects/p7/index.html")

    again.publisher.settle(ProjectName("p7"))
    assert tree.exists("projects/p7/index.html")
    again.publisher.repository.refresh()
    assert entries(tree, "companions", COMPANIONS_ROOM).keys() == {"p7"}

    again.add("p8", "2.0")
    again.settle()
    assert entries(tree, "companions", COMPANIONS_ROOM).keys() == {"p7", "p8"}


def test_a_first_version_has_its_shadow_once_it_is_superseded(workshop: Workshop) -> None:
    for number in range(33):
        workshop.add(f"p{number}")
    again = emptied(workshop)
    bulk.build(again.publisher, companions=False)
    tree = again.services.tree
    assert not (tree.root / "simple/p3/v").exists()
    path = "simple/p3/index.json"
    first = tree.read(path) or b""
    nodes = {place: tree.read(place) or b"" for place in tree_paths(again)}
    again.add("p3", "2.0")
    again.settle()
    assert tree.read(path) != first
    assert tree.read(manifest.shadow_path(path, sha256_hex(first))) == first
    superseded = [place for place in nodes if tree.read(place) != nodes[place]]
    assert superseded
    for place in superseded:
        shadow = manifest.shadow_path(place, sha256_hex(nodes[place]))
        assert tree.read(shadow) == nodes[place]


def tree_paths(workshop: Workshop) -> list[str]:
    root = workshop.services.tree.root
    return [
        path.relative_to(root).as_posix()
        for path in (root / SHARDS_ROOM).rglob("*.json")
        if path.parent.name != "v"
    ]


def test_what_a_crash_left_is_written_over(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("demo", "gone", "other"):
        workshop.add(name)
    again = emptied(workshop)
    with monkeypatch.context() as patched:
        patched.setattr(Publisher, "rebuild_lists", _full)
        with pytest.raises(OSError, match="full"):
            bulk.build(again.publisher)
    (workshop.services.settings.data_dir / "published").unlink()
    again.services.tree.put("simple/demo/index.json", b"torn")
    with again.services.database.writing() as session:
        projects.delete(session, COMMAND_LINE, ProjectName("gone"), at=NOON)
    assert bulk.is_called_for(again.publisher)
    bulk.build(again.publisher)
    assert entries(again.services.tree, "shards", SHARDS_ROOM).keys() == {"demo", "other"}
    assert not again.services.tree.exists("simple/gone/index.json")


def _full(_: Publisher) -> None:
    raise OSError("the disk is full")


def test_many_pages_are_read_as_each_is_alone(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PAGES_AT_A_TIME", 2)
    for number in range(5):
        for version in range(number % 3 + 1):
            workshop.add(f"p{number}", f"{version}.0", requires_python=">=3.9")
    with workshop.services.database.writing() as session:
        demo = ProjectName("p1")
        projects.set_status(session, COMMAND_LINE, demo, ProjectStatus.QUARANTINED, at=NOON)
    reader = reading.SimpleReader()
    with workshop.services.database.reading() as session:
        found = list(reading.every_page(session))
        assert [page.name for page in found] == reading.every_name(session)
        assert found == [reader.page(session, ProjectName(page.name)) for page in found]


def test_the_pointer_of_an_empty_index_is_written_at_once_too(workshop: Workshop) -> None:
    bulk.build(workshop.publisher)
    shown = repomd.parse_json(workshop.services.tree.read("repodata/repomd.json") or b"")
    assert shown.serial == 0
