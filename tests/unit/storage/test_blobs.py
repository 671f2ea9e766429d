from __future__ import annotations

import os
from pathlib import Path

import pytest

from pyramid_pypi.storage.blobs import Blobs
from pyramid_pypi.values.digests import file_path, sha256_hex

CONTENT = b"wheel"
SHA256 = sha256_hex(CONTENT)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    blobs = Blobs(tmp_path / "tree", tmp_path / "spool", tmp_path / "blobs.lock")
    blobs.prepare()
    return blobs


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
        os._exit(0)
    os.waitpid(child, 0)
    dead = blobs.spool / f"{child}-00"
    alive = blobs.spool / f"{os.getppid()}-00"
    for path in (dead, alive):
        path.write_bytes(b"half")
    blobs.prepare()

    assert not dead.exists()
    assert alive.exists()
