from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from pyramid_pypi.storage import durable
from pyramid_pypi.storage.blobs import Blobs
from pyramid_pypi.values.digests import file_path, sha256_hex

CONTENT = b"wheel"
SHA256 = sha256_hex(CONTENT)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    blobs = Blobs(tmp_path / "tree", tmp_path / "spool", tmp_path / "blobs.lock")
    blobs.prepare()
    return blobs


def another(blobs: Blobs) -> Blobs:
    """Return the store as another process has it."""
    return Blobs(blobs.root, blobs.spool, blobs.root.with_name("blobs.lock"))


def spooled(blobs: Blobs, content: bytes = CONTENT) -> Path:
    path = blobs.new_spool_path()
    path.write_bytes(content)
    return path


def test_a_file_lies_under_its_digest_with_its_metadata_beside(blobs: Blobs) -> None:
    blobs.keep(spooled(blobs), SHA256, "a-1-py3-none-any.whl", b"Name: a\n")

    path = blobs.root / file_path(SHA256, "a-1-py3-none-any.whl")
    assert path.read_bytes() == CONTENT
    assert path.with_name(path.name + ".metadata").read_bytes() == b"Name: a\n"
    assert list(blobs.spool.iterdir()) == []


def test_keeping_again_mends_what_stands(blobs: Blobs) -> None:
    blobs.keep(spooled(blobs), SHA256, "a-1.tar.gz", None)
    path = blobs.root / file_path(SHA256, "a-1.tar.gz")
    path.write_bytes(b"torn")
    blobs.keep(spooled(blobs), SHA256, "a-1.tar.gz", None)

    assert path.read_bytes() == CONTENT
    assert list(blobs.spool.iterdir()) == []


def test_a_lost_sibling_comes_back(blobs: Blobs) -> None:
    blobs.keep(spooled(blobs), SHA256, "a.whl", b"M")
    sibling = blobs.root / file_path(SHA256, "a.whl.metadata")
    sibling.unlink()
    blobs.keep(spooled(blobs), SHA256, "a.whl", b"M")

    assert sibling.read_bytes() == b"M"


def test_removal_takes_sibling_and_empty_folders(blobs: Blobs) -> None:
    blobs.keep(spooled(blobs), SHA256, "a.whl", b"M")
    blobs.remove(SHA256, "a.whl")
    blobs.remove(SHA256, "a.whl")

    assert list((blobs.root / "packages").glob("??/??/*")) == []


def test_walking_tells_every_file(blobs: Blobs) -> None:
    blobs.keep(spooled(blobs), SHA256, "a.whl", b"M")
    (blobs.root / "packages" / "stray").write_text("not ours")

    assert {(sha256, name) for sha256, name, _ in blobs.walk()} == {(SHA256, "a.whl")}
    assert len(list(blobs.walk())) == 2


def test_preparing_clears_what_a_dead_process_left_in_the_spool(blobs: Blobs) -> None:
    child = os.fork()
    if child == 0:
        another(blobs).new_spool_path().write_bytes(b"half")
        os._exit(0)
    os.waitpid(child, 0)
    (dead,) = blobs.spool.iterdir()
    alive = spooled(blobs)
    another(blobs).prepare()

    assert not dead.exists()
    assert alive.exists()


def test_a_process_number_says_nothing_of_who_lives(blobs: Blobs) -> None:
    """In another container our own number is somebody else."""
    theirs = another(blobs)
    coming = spooled(theirs)
    (blobs.spool / f"{os.getpid()}-00").write_bytes(b"half")
    (blobs.spool / f"{os.getppid()}-00").write_bytes(b"half")
    blobs.prepare()

    assert list(blobs.spool.iterdir()) == [coming]


def test_a_word_dies_with_its_process(blobs: Blobs) -> None:
    theirs = another(blobs)
    spooled(theirs)
    locks = blobs.spool.with_name("spool.locks")
    assert len(list(locks.iterdir())) == 1
    del theirs
    gc.collect()
    blobs.prepare()

    assert list(blobs.spool.iterdir()) == list(locks.iterdir()) == []


def test_no_unflushed_bytes_replace_what_a_row_may_name(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two identical uploads the first may have been acknowledged before the second moves."""
    done: list[tuple[str, str]] = []
    sync, replace = durable.sync_file, os.replace

    def noted_sync(path: Path) -> None:
        done.append(("sync", path.name))
        sync(path)

    def noted_replace(source: Path, target: Path) -> None:
        done.append(("replace", source.name))
        replace(source, target)

    monkeypatch.setattr(durable, "sync_file", noted_sync)
    monkeypatch.setattr(os, "replace", noted_replace)
    blobs.keep(spooled(blobs), SHA256, "a.whl", b"M")
    assert done == [("sync", "a.whl"), ("sync", "a.whl.metadata")]
    done.clear()
    again = spooled(blobs)
    blobs.keep(again, SHA256, "a.whl", b"M", flush=False)
    assert [kind for kind, _ in done] == ["sync", "replace"] * 2
    assert done[2:] == [("sync", again.name), ("replace", again.name)]
