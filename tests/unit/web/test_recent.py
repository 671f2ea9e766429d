from __future__ import annotations

import os
import threading
from pathlib import Path

from pyramid_pypi.web.answers import Answer
from pyramid_pypi.web.recent import Ready, Recent, state_of


class Reader:
    """Prepares files as the views do, and counts how often it had to."""

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self, path: str, _stat: os.stat_result) -> Ready | None:
        self.reads += 1
        try:
            with open(path, "rb") as file:
                answer = Answer("200 OK", [], file.read())
                return Ready(state_of(os.fstat(file.fileno())), '"x"', answer, answer)
        except FileNotFoundError:
            return None


def body(recent: Recent, path: Path, reader: Reader) -> bytes | None:
    ready = recent.get(str(path), str(path), reader)
    return ready.answer.body if ready else None


def test_read_once_while_it_stands(tmp_path: Path) -> None:
    path, recent, reader = tmp_path / "a", Recent(10_000), Reader()
    path.write_bytes(b"one")

    assert [body(recent, path, reader) for _ in range(3)] == [b"one"] * 3
    assert reader.reads == 1


def test_a_replaced_file_is_read_again(tmp_path: Path) -> None:
    """Even of the same size and time: the inode differs."""
    path, recent, reader = tmp_path / "a", Recent(10_000), Reader()
    path.write_bytes(b"one")
    os.utime(path, (1, 1))
    assert body(recent, path, reader) == b"one"
    other = tmp_path / "b"
    other.write_bytes(b"two")
    os.utime(other, (1, 1))
    other.replace(path)

    assert body(recent, path, reader) == b"two"
    path.unlink()
    assert body(recent, path, reader) is None


def test_memory_is_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    recent, reader = Recent(20_000), Reader()
    paths = [tmp_path / str(number) for number in range(10)]
    for path in paths:
        path.write_bytes(bytes(2_000))
        body(recent, path, reader)
        body(recent, paths[0], reader)  # used all the time: it stays
    kept = [path for path in paths if str(path) in recent._kept]

    assert recent._used_bytes <= 20_000
    assert kept == [paths[0], *paths[-3:]]
    huge = tmp_path / "huge"
    huge.write_bytes(bytes(10_000))
    assert len(body(recent, huge, reader) or b"") == 10_000
    assert str(huge) not in recent._kept


def test_many_threads(tmp_path: Path) -> None:
    recent, reader = Recent(30_000), Reader()
    paths = [tmp_path / str(number) for number in range(30)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 1000)
    wrong: list[object] = []

    def read() -> None:
        for _ in range(30):
            for number, path in enumerate(paths):
                found = body(recent, path, reader)
                if found != bytes([number]) * 1000:
                    wrong.append(found)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert recent._used_bytes == 3048 * len(recent._kept) <= 30_000
