"""python-tuf's own client against a tree over HTTP: what it takes, and what it refuses."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.ngclient import Updater

from pyramid_pypi.publishing.ceremony import Ceremony
from pyramid_pypi.publishing.keys import Keyring
from pyramid_pypi.publishing.signing import Signer
from pyramid_pypi.storage.tree import Tree
from tests.conftest import ToldClock

POINTERS = ("repodata/repomd.xml", "repodata/repomd.json")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@dataclass
class Index:
    """A signed tree, served over HTTP, and who signs it."""

    tree: Tree
    signer: Signer
    ceremony: Ceremony
    clock: ToldClock
    url: str = ""
    serial: int = 0

    def publish(self) -> None:
        self.serial += 1
        shown = {
            "repodata/repomd.xml": b"<revision>%d</revision>" % self.serial,
            "repodata/repomd.json": b'{"serial":%d}' % self.serial,
        }
        signed = self.signer.sign(shown, self.serial)
        for path, content in (*signed.before, *shown.items(), *signed.after):
            self.tree.put(path, content)
        self.clock.advance(seconds=1)

    def rotate_online(self) -> None:
        self.ceremony.rotate_online(self.signer.sign_again)
        self.signer.sign_again()
        self.ceremony.tidy()


@dataclass
class Client:
    """A stock client with its memory; each look is a new process as it were."""

    index: Index
    memory: Path
    bootstrap: bytes
    fetched: list[str] = field(default_factory=list)

    def look(self, *, at: datetime | None = None) -> dict[str, tuple[bytes, int]]:
        """Content and serial of each pointer, verified."""
        for name in ("metadata", "targets"):
            (self.memory / name).mkdir(parents=True, exist_ok=True)
        with _time(at or self.index.clock()):
            updater = Updater(
                metadata_dir=str(self.memory / "metadata"),
                metadata_base_url=f"{self.index.url}/tuf/",
                target_dir=str(self.memory / "targets"),
                target_base_url=f"{self.index.url}/",
                bootstrap=self.bootstrap,
            )
            updater.refresh()
            found = {}
            for path in POINTERS:
                about = updater.get_targetinfo(path)
                assert about is not None
                content = Path(updater.download_target(about)).read_bytes()
                found[path] = (content, about.unrecognized_fields["custom"]["serial"])
            return found

    def serial(self) -> int:
        (serial,) = {serial for _, serial in self.look().values()}
        assert self.look()["repodata/repomd.json"][0] == b'{"serial":%d}' % serial
        return serial


def _time(at: datetime) -> Any:
    """The client's clock, as python-tuf's own tests set it."""
    told = mock.Mock(wraps=datetime)
    told.now.return_value = at
    return mock.patch("tuf.ngclient._internal.trusted_metadata_set.datetime.datetime", told)


@pytest.fixture
def index(tmp_path: Path, clock: ToldClock) -> Iterator[Index]:
    clock.now = datetime.now(UTC).replace(microsecond=0)
    (tmp_path / "spool").mkdir()
    (tmp_path / "tree").mkdir()
    tree = Tree(tmp_path / "tree", tmp_path / "spool", clock)
    signer = Signer(tree, tmp_path / "keys", clock, timestamp_expiry_s=3 * 86_400)
    signer.prepare()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tree.root)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    index = Index(tree, signer, Ceremony(Keyring(tmp_path / "keys"), clock), clock)
    index.url = f"http://127.0.0.1:{server.server_port}"
    index.publish()
    yield index
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(index: Index, tmp_path: Path) -> Client:
    return Client(index, tmp_path / "memory", root(index))


@pytest.fixture
def snapshot_of(index: Index, tmp_path: Path) -> Callable[[str], Path]:
    def copy(name: str) -> Path:
        return Path(shutil.copytree(index.tree.root, tmp_path / name))

    return copy


def root(index: Index, version: int = 1) -> bytes:
    found = index.tree.read(f"tuf/{version}.root.json")
    assert found is not None
    return found


def put_back(index: Index, saved: Path) -> None:
    shutil.rmtree(index.tree.root)
    shutil.copytree(saved, index.tree.root)


def test_good_rounds_are_taken(index: Index, client: Client) -> None:
    assert client.serial() == 1
    index.publish()
    index.publish()
    assert client.serial() == 3


def test_altered_pointers_are_refused(index: Index, client: Client) -> None:
    (path,) = (index.tree.root / "repodata").glob("*.repomd.xml")
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1", b"2"))
    with pytest.raises(LengthOrHashMismatchError):
        client.look()
    path.write_bytes(content + b" ")
    with pytest.raises((LengthOrHashMismatchError, DownloadError)):
        client.look()


def test_an_older_tree_is_refused(
    index: Index, client: Client, snapshot_of: Callable[[str], Path]
) -> None:
    saved = snapshot_of("saved")
    index.publish()
    assert client.serial() == 2
    put_back(index, saved)
    with pytest.raises(BadVersionNumberError):
        client.look()


def test_a_frozen_tree_is_refused(index: Index, client: Client) -> None:
    client.look(at=index.clock() + timedelta(days=3) - timedelta(seconds=2))
    with pytest.raises(ExpiredMetadataError, match="timestamp"):
        client.look(at=index.clock() + timedelta(days=3))
    index.clock.advance(days=2)
    assert index.signer.is_due()
    index.signer.sign_again()
    client.look(at=index.clock() + timedelta(days=2))


def test_rounds_cannot_be_mixed(
    index: Index, client: Client, snapshot_of: Callable[[str], Path]
) -> None:
    """Documents of an older round under the numbers and names of a newer one."""
    saved = snapshot_of("saved")
    index.publish()
    for name in ("snapshot", "repomd"):
        (old,) = (saved / "tuf").glob(f"*.{name}.json")
        new = max((index.tree.root / "tuf").glob(f"*.{name}.json"))
        content = new.read_bytes()
        new.write_bytes(old.read_bytes())
        with pytest.raises(RepositoryError):
            client.look()
        new.write_bytes(content)
    (old_xml,) = (saved / "repodata").glob("*.repomd.xml")
    for path in (index.tree.root / "repodata").glob("*.repomd.xml"):
        path.write_bytes(old_xml.read_bytes())
    with pytest.raises(LengthOrHashMismatchError):
        client.look()


def test_another_index_is_refused(index: Index, client: Client, tmp_path: Path) -> None:
    stranger = Signer(
        index.tree, tmp_path / "other", index.clock, timestamp_expiry_s=3 * 86_400
    )
    shutil.rmtree(index.tree.root / "tuf")
    stranger.prepare()
    index.signer = stranger
    index.publish()
    with pytest.raises(UnsignedMetadataError):
        client.look()


def test_roots_are_walked_from_the_first(index: Index, client: Client, tmp_path: Path) -> None:
    assert client.serial() == 1
    index.ceremony.rotate_root()
    index.ceremony.tidy()
    index.publish()
    index.ceremony.rotate_root()
    index.ceremony.tidy()
    index.publish()
    assert client.serial() == 3
    assert Client(index, tmp_path / "new", root(index, 1)).serial() == 3
    assert Client(index, tmp_path / "newer", root(index, 3)).serial() == 3


@pytest.mark.parametrize("change", ["rotate_online", "rotate_targets", "prolong"])
def test_ceremonies_are_followed(
    index: Index, client: Client, tmp_path: Path, change: str
) -> None:
    assert client.serial() == 1
    if change == "rotate_online":
        index.rotate_online()
    else:
        getattr(index.ceremony, change)()
        index.signer.sign_again()
    assert client.serial() == 1
    index.publish()
    assert client.serial() == 2
    assert Client(index, tmp_path / "new", root(index, 1)).serial() == 2


@pytest.mark.parametrize("change", ["rotate_online", "rotate_targets", "rotate_root"])
def test_no_client_fails_while_keys_change(index: Index, tmp_path: Path, change: str) -> None:
    """A stock client looks after every single write of the change."""
    put, looks = index.tree.put, 0

    def looked_at(path: str, content: bytes) -> None:
        nonlocal looks
        put(path, content)
        looks += 1
        client = Client(index, tmp_path / f"memory{looks}", root(index, 1))
        assert client.serial() == 1

    with mock.patch.object(Tree, "put", side_effect=looked_at):
        if change == "rotate_online":
            index.rotate_online()
        else:
            getattr(index.ceremony, change)()
            index.signer.sign_again()
    assert looks >= 6
    assert index.tree.exists("tuf/2.root.json")


def test_a_stolen_online_key_signs_no_more(
    index: Index, client: Client, tmp_path: Path, snapshot_of: Callable[[str], Path]
) -> None:
    stolen = shutil.copytree(tmp_path / "keys", tmp_path / "stolen")
    index.rotate_online()
    index.publish()
    assert client.serial() == 2
    thief = Signer(index.tree, stolen, index.clock, timestamp_expiry_s=3 * 86_400)
    for role in ("root", "targets"):
        (index.tree.root / f"tuf/2.{role}.json").rename(tmp_path / f"hidden.{role}")
    index.signer = thief
    index.publish()
    with pytest.raises(UnsignedMetadataError):
        client.look()


def test_numbers_rise_after_the_tree_was_lost(index: Index, client: Client) -> None:
    for _ in range(3):
        index.publish()
    assert client.serial() == 4
    shutil.rmtree(index.tree.root)
    index.tree.root.mkdir()
    index.signer = Signer(
        index.tree, index.signer._keyring.folder, index.clock, timestamp_expiry_s=86_400
    )
    index.signer.prepare()
    index.publish()
    assert client.serial() == 5
