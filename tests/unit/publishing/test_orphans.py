"""Bytes without a row are cleared away, and no others."""

from __future__ import annotations

from pyramid_pypi.accounts.permissions import COMMAND_LINE
from pyramid_pypi.publishing import orphans
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
