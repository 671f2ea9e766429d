from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from pyramid_pypi.storage import durable
from pyramid_pypi.storage.blobs import Blobs
from pyramid_pypi.values.digests import sha256_hex

CONTENT = b"wheel"
SHA256 = sha256_hex(CONTENT)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    blobs = Blobs(tmp_path / "tree", tmp_path / "spool", tmp_path / "blobs.lock")
    blobs.prepare()
    return blobs


def keep(blobs: Blobs, filename: str) -> None:
    spooled = blobs.new_spool_path()
    spooled.write_bytes(CONTENT)
    blobs.keep(spooled, SHA256, filename, b"Name: a\n")


def test_a_blob_is_doubted_until_it_is_confirmed(blobs: Blobs) -> None:
    keep(blobs, "a.whl")
    assert list(blobs.doubted()) == [SHA256]

    blobs.confirm(SHA256, "a.whl")
    blobs.confirm(SHA256, "a.whl")
    assert not blobs.doubted()


def test_a_doubt_outlives_the_process(blobs: Blobs, tmp_path: Path) -> None:
    keep(blobs, "a.whl")
    again = Blobs(tmp_path / "tree", tmp_path / "spool", tmp_path / "blobs.lock")
    again.prepare()

    assert list(again.doubted()) == [SHA256]


def test_names_of_one_content_are_doubted_each_for_itself(blobs: Blobs) -> None:
    keep(blobs, "a.whl")
    keep(blobs, "b.whl")
    blobs.confirm(SHA256, "a.whl")

    assert [len(marks) for marks in blobs.doubted().values()] == [1]


def test_the_longest_filename_can_be_doubted(blobs: Blobs) -> None:
    blobs.doubt(SHA256, "a" * 226 + ".whl")

    assert list(blobs.doubted()) == [SHA256]


def test_only_the_named_files_are_kept(blobs: Blobs) -> None:
    keep(blobs, "a.whl")
    keep(blobs, "b.whl")
    blobs.keep_only(SHA256, ["a.whl"])
    assert {filename for _, filename, _ in blobs.walk()} == {"a.whl"}

    blobs.keep_only(SHA256, [])
    blobs.keep_only(SHA256, [])
    assert list((blobs.root / "packages").glob("??/??/*")) == []


def test_names_above_are_flushed_once_by_each_process(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may have made the folders, and died before it flushed them."""
    synced: list[Path] = []
    monkeypatch.setattr(durable, "sync_folder", synced.append)

    def depths() -> list[int]:
        return [len(path.relative_to(blobs.root).parts) for path in synced]

    keep(blobs, "a.whl")
    assert depths() == [4, 3, 2, 1, 0]
    synced.clear()
    keep(blobs, "b.whl")
    assert depths() == [4, 3]
    synced.clear()
    keep(Blobs(blobs.root, blobs.spool, tmp_path / "blobs.lock"), "c.whl")
    assert depths() == [4, 3, 2, 1, 0]


def test_who_does_not_wait_is_told_that_uploads_are_under_way(blobs: Blobs) -> None:
    with blobs.keeping(), pytest.raises(BlockingIOError), blobs.sweeping(wait=False):
        pass
    with blobs.sweeping(wait=False):
        pass


def test_the_last_room_is_left_to_the_database(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    little = SimpleNamespace(f_bavail=7 * 1024, f_frsize=1024)
    monkeypatch.setattr(os, "statvfs", lambda _: little)

    with pytest.raises(OSError, match="No space left"):
        keep(blobs, "a.whl")
    assert not blobs.doubted()
    assert list(blobs.walk()) == []
