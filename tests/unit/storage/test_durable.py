from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from pyramid_pypi.storage import durable


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "token"
    durable.write_durably(path, b"old", mode=0o600)
    durable.write_durably(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["token"]


def test_what_cannot_be_written_leaves_what_stood(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        durable.write_durably(tmp_path / "taken", b"x")
    assert os.listdir(tmp_path) == ["taken"]


def test_a_lock_is_held_alone_or_shared(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    def is_free(*, shared: bool) -> bool:
        try:
            with durable.locked(path, shared=shared, wait_s=0):
                return True
        except BlockingIOError:
            return False

    with durable.locked(path, shared=True):
        assert is_free(shared=True)
        assert not is_free(shared=False)
    with durable.locked(path):
        assert not is_free(shared=True)
    assert is_free(shared=False)


def test_a_file_system_is_flushed(tmp_path: Path) -> None:
    durable.sync_filesystem(tmp_path)
    with pytest.raises(FileNotFoundError):
        durable.sync_filesystem(tmp_path / "none")
