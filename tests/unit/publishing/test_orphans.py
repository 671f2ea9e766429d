"""Bytes without a row are cleared away, and no others."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import pytest

from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.catalog import files
from pyramid_pypi.publishing import orphans
from pyramid_pypi.upload.values import Inspected
from pyramid_pypi.values.names import ProjectName
from tests.conftest import NOON, ToldClock
from tests.factories import Workshop, record, wheel_of


def test_bytes_of_an_upload_that_came_to_nothing_are_cleared(workshop: Workshop) -> None:
    kept = workshop.add()
    lost = wheel_of("lost", content=b"lost")
    workshop.store(lost, b"lost")
    assert orphans.clear(workshop.services)
    blobs = workshop.services.blobs
    assert not blobs.holds(lost.digests.sha256, lost.filename)
    assert blobs.holds(kept.digests.sha256, kept.filename)
    assert blobs.doubted() == {}


def test_bytes_of_an_upload_under_way_are_left_alone(workshop: Workshop) -> None:
    file = wheel_of(content=b"coming")
    with workshop.services.blobs.keeping():
        workshop.store(file, b"coming")
        assert not orphans.clear(workshop.services)
        with workshop.services.database.writing() as session:
            record(session, COMMAND_LINE, file)
    assert orphans.clear(workshop.services)
    assert workshop.services.blobs.holds(file.digests.sha256, file.filename)


def test_what_is_deleted_while_others_are_cleared_leaves_no_bytes(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its mark was there already, and is not taken away for a row that is gone."""
    kept = [workshop.add(name) for name in ("one", "two")]
    blobs = workshop.services.blobs
    for file in kept:
        blobs.doubt(file.digests.sha256, file.filename)
    first, last = blobs.doubted()
    (gone,) = [file for file in kept if file.digests.sha256 == last]
    keep_only = blobs.keep_only

    def delete_meanwhile(sha256: str, filenames: Collection[str]) -> None:
        keep_only(sha256, filenames)
        if sha256 == first:
            with workshop.services.database.writing() as session:
                files.delete(
                    session, COMMAND_LINE, ProjectName(gone.name), gone.filename, at=NOON
                )
            blobs.doubt(last, gone.filename)

    monkeypatch.setattr(blobs, "keep_only", delete_meanwhile)
    assert orphans.clear(workshop.services)
    assert not blobs.holds(last, gone.filename)


def test_the_same_bytes_under_another_name_stay_under_that_alone(workshop: Workshop) -> None:
    first, second = (wheel_of(build=build, content=b"one") for build in ("1", "2"))
    for file in (first, second):
        workshop.store(file, b"one")
    with workshop.services.database.writing() as session:
        record(session, COMMAND_LINE, second)
    assert orphans.clear(workshop.services)
    blobs = workshop.services.blobs
    assert not blobs.holds(first.digests.sha256, first.filename)
    assert blobs.holds(second.digests.sha256, second.filename)


def delete(workshop: Workshop, file: Inspected, at: datetime = NOON) -> None:
    with workshop.services.database.writing() as session:
        files.delete(session, COMMAND_LINE, ProjectName("demo"), file.filename, at=at)
    workshop.show(session)


def test_bytes_of_a_deleted_file_stay_for_readers_of_older_pointers(
    workshop: Workshop, clock: ToldClock
) -> None:
    """Until a mirror that began before the deletion has copied them."""
    file, blobs = workshop.add(), workshop.services.blobs
    delete(workshop, file)
    clock.advance(minutes=59)
    assert orphans.clear(workshop.services)
    assert blobs.holds(file.digests.sha256, file.filename)
    clock.advance(minutes=1)
    assert orphans.clear(workshop.services)
    assert not blobs.holds(file.digests.sha256, file.filename)
    assert blobs.doubted() == {}


def test_bytes_deleted_again_stay_as_long_again(workshop: Workshop, clock: ToldClock) -> None:
    file, blobs = workshop.add(content=b"again"), workshop.services.blobs
    delete(workshop, file)
    clock.advance(minutes=40)
    workshop.add(content=b"again")
    delete(workshop, file, clock())
    clock.advance(minutes=40)
    assert orphans.clear(workshop.services)
    assert blobs.holds(file.digests.sha256, file.filename)


def test_bytes_uploaded_again_outlive_the_mark_of_their_deletion(
    workshop: Workshop, clock: ToldClock
) -> None:
    file, blobs = workshop.add(content=b"again"), workshop.services.blobs
    delete(workshop, file)
    workshop.add(content=b"again")
    clock.advance(hours=1)
    assert orphans.clear(workshop.services)
    assert blobs.holds(file.digests.sha256, file.filename)
    assert blobs.doubted() == {}


def test_without_room_for_an_upload_deleted_bytes_go_at_once(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, blobs = workshop.add(), workshop.services.blobs
    monkeypatch.setattr(blobs, "has_room", lambda size_bytes: False)
    delete(workshop, file)
    assert not blobs.holds(file.digests.sha256, file.filename)
