"""Signing rounds: numbers, order, when to sign again, and what the signer refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyramid_pypi.publishing import charter as charters
from pyramid_pypi.publishing.ceremony import Ceremony
from pyramid_pypi.publishing.keys import Keyring, KeysUnusable
from pyramid_pypi.publishing.signing import Signer, shown_by
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.digests import sha256_hex
from tests.conftest import NOON, ToldClock

EPOCH_S = int(NOON.timestamp())
DAY_S = 86_400


@pytest.fixture
def tree(tmp_path: Path, clock: ToldClock) -> Tree:
    (tmp_path / "spool").mkdir()
    (tmp_path / "tree").mkdir()
    return Tree(tmp_path / "tree", tmp_path / "spool", clock)


@pytest.fixture
def keys_dir(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def new_signer(tree: Tree, keys_dir: Path, clock: ToldClock) -> Callable[[], Signer]:
    return lambda: Signer(tree, keys_dir, clock, timestamp_expiry_s=3 * DAY_S)


@pytest.fixture
def signer(new_signer: Callable[[], Signer]) -> Signer:
    signer = new_signer()
    signer.prepare()
    return signer


@pytest.fixture
def ceremony(keys_dir: Path, clock: ToldClock) -> Ceremony:
    return Ceremony(Keyring(keys_dir), clock)


def pointers(serial: int) -> dict[str, bytes]:
    return {
        "repodata/repomd.xml": b"<revision>%d</revision>" % serial,
        "repodata/repomd.json": b'{"serial":%d}' % serial,
    }


def publish(tree: Tree, signer: Signer, serial: int) -> None:
    shown = pointers(serial)
    signed = signer.sign(shown, serial)
    for path, content in (*signed.before, *shown.items(), *signed.after):
        tree.put(path, content)


def body(tree: Tree, path: str) -> dict[str, Any]:
    content = tree.read(path)
    assert content is not None, path
    found: dict[str, Any] = json.loads(content)["signed"]
    return found


def shown_roots(tree: Tree) -> list[int]:
    return [v for v, role in charters.numbers(tree.root / "tuf") if role == "root"]


class TestFirstStart:
    def test_shows_root_and_targets(self, signer: Signer, tree: Tree, keys_dir: Path) -> None:
        assert sorted(path.name for path in (tree.root / "tuf").iterdir()) == [
            "1.root.json",
            "1.targets.json",
        ]
        assert tree.read("tuf/1.root.json") == (keys_dir / "signed/1.root.json").read_bytes()
        assert signer.is_due()

    def test_no_secret_is_in_the_tree(self, signer: Signer, tree: Tree, keys_dir: Path) -> None:
        publish(tree, signer, 1)
        secrets = [path.read_bytes().splitlines()[1] for path in keys_dir.rglob("*.pem")]
        assert len(secrets) == 6
        shown = b"".join(p.read_bytes() for p in tree.root.rglob("*") if p.is_file())
        assert not any(secret in shown for secret in secrets)

    def test_a_second_start_changes_nothing(
        self, signer: Signer, tree: Tree, keys_dir: Path, new_signer: Callable[[], Signer]
    ) -> None:
        publish(tree, signer, 1)
        places = [p for top in (tree.root, keys_dir) for p in top.rglob("*") if p.is_file()]
        before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in places}
        again = new_signer()
        again.prepare()
        assert not again.is_due()
        assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in places} == before

    def test_a_lost_tree_gets_the_same_charter(
        self, signer: Signer, tree: Tree, new_signer: Callable[[], Signer]
    ) -> None:
        root = tree.read("tuf/1.root.json")
        shutil.rmtree(tree.root / "tuf")
        new_signer().prepare()
        assert tree.read("tuf/1.root.json") == root


class TestRounds:
    def test_documents_in_their_order(self, signer: Signer) -> None:
        signed = signer.sign(pointers(7), 7)

        xml, js = (sha256_hex(content) for content in pointers(7).values())
        assert [path for path, _ in signed.before] == [
            f"repodata/{xml}.repomd.xml",
            f"repodata/{js}.repomd.json",
            f"tuf/{EPOCH_S}.repomd.json",
            f"tuf/{EPOCH_S}.snapshot.json",
        ]
        assert [path for path, _ in signed.after] == ["tuf/timestamp.json"]

    def test_the_targets_tell_the_serial(self, signer: Signer, tree: Tree) -> None:
        publish(tree, signer, 7)
        targets = body(tree, f"tuf/{EPOCH_S}.repomd.json")["targets"]
        assert {path: target["custom"] for path, target in targets.items()} == {
            "repodata/repomd.xml": {"serial": 7},
            "repodata/repomd.json": {"serial": 7},
        }
        content = pointers(7)["repodata/repomd.xml"]
        assert targets["repodata/repomd.xml"]["hashes"] == {"sha256": sha256_hex(content)}
        assert targets["repodata/repomd.xml"]["length"] == len(content)

    def test_equal_input_gives_equal_bytes(
        self, signer: Signer, new_signer: Callable[[], Signer]
    ) -> None:
        assert signer.sign(pointers(1), 1) == new_signer().sign(pointers(1), 1)

    def test_expiries(self, signer: Signer, tree: Tree, clock: ToldClock) -> None:
        publish(tree, signer, 1)
        assert [
            body(tree, path)["expires"]
            for path in (
                "tuf/timestamp.json",
                f"tuf/{EPOCH_S}.snapshot.json",
                f"tuf/{EPOCH_S}.repomd.json",
            )
        ] == ["2026-03-04T12:00:00Z", "2026-03-08T12:00:00Z", "2026-03-31T12:00:00Z"]

    def test_no_document_ends_before_timestamp(
        self, tree: Tree, keys_dir: Path, clock: ToldClock
    ) -> None:
        signer = Signer(tree, keys_dir, clock, timestamp_expiry_s=60 * DAY_S)
        signer.prepare()
        publish(tree, signer, 1)
        names = ("timestamp.json", f"{EPOCH_S}.snapshot.json", f"{EPOCH_S}.repomd.json")
        assert {body(tree, f"tuf/{n}")["expires"] for n in names} == {"2026-04-30T12:00:00Z"}


class TestNumbers:
    def test_they_follow_the_clock(self, signer: Signer, tree: Tree, clock: ToldClock) -> None:
        publish(tree, signer, 1)
        clock.advance(seconds=10)
        publish(tree, signer, 2)
        assert body(tree, "tuf/timestamp.json")["version"] == EPOCH_S + 10

    def test_they_rise_within_a_second_and_when_the_clock_is_set_back(
        self, signer: Signer, tree: Tree, clock: ToldClock
    ) -> None:
        publish(tree, signer, 1)
        publish(tree, signer, 2)
        clock.advance(days=-400)
        publish(tree, signer, 3)
        assert body(tree, "tuf/timestamp.json")["version"] == EPOCH_S + 2

    @pytest.mark.parametrize("lost", ["tuf", "tuf/timestamp.json"])
    def test_they_rise_when_the_tree_was_lost(
        self,
        signer: Signer,
        tree: Tree,
        clock: ToldClock,
        new_signer: Callable[[], Signer],
        lost: str,
    ) -> None:
        publish(tree, signer, 1)
        path = tree.root / lost
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        clock.advance(seconds=1)
        again = new_signer()
        again.prepare()
        publish(tree, again, 2)
        assert body(tree, "tuf/timestamp.json")["version"] == EPOCH_S + 1

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"[]",
            b"\xff",
            b"[" * 100_000,
            b'{"signed":{"version":"7"}}',
            b'{"signed":{"version":true,"meta":{"snapshot.json":{"version":1}},'
            b'"expires":"2026-03-04T12:00:00Z"}}',
            b'{"signed":{"version":1e400,"meta":{"snapshot.json":{"version":1}},'
            b'"expires":"2026-03-04T12:00:00Z"}}',
        ],
    )
    def test_an_unreadable_timestamp_counts_as_none(
        self, signer: Signer, tree: Tree, content: bytes
    ) -> None:
        tree.put("tuf/timestamp.json", content)
        assert shown_by(tree) is None
        assert signer.is_due()
        publish(tree, signer, 1)
        assert body(tree, "tuf/timestamp.json")["version"] == EPOCH_S

    def test_two_processes_take_turns(
        self, signer: Signer, tree: Tree, new_signer: Callable[[], Signer]
    ) -> None:
        publish(tree, signer, 1)
        publish(tree, new_signer(), 2)
        publish(tree, signer, 3)
        assert body(tree, "tuf/timestamp.json")["version"] == EPOCH_S + 2


class TestSigningAgain:
    def test_when_half_of_the_time_has_passed(
        self, signer: Signer, tree: Tree, clock: ToldClock
    ) -> None:
        publish(tree, signer, 1)
        clock.advance(seconds=1.5 * DAY_S - 1)
        assert not signer.is_due()
        clock.advance(seconds=1)
        assert signer.is_due()
        assert signer.sign_again()
        assert not signer.is_due()
        custom = body(tree, f"tuf/{EPOCH_S + 129_600}.repomd.json")["targets"]
        assert custom["repodata/repomd.xml"]["custom"] == {"serial": 1}

    def test_whatever_was_signed_before(
        self, signer: Signer, tree: Tree, clock: ToldClock
    ) -> None:
        beside = {"repodata/repomd.xml.asc": b"signature"}
        signed = signer.sign(pointers(1) | beside, 1)
        shown = (*pointers(1).items(), *beside.items())
        for path, content in (*signed.before, *shown, *signed.after):
            tree.put(path, content)
        clock.advance(days=2)
        signer.sign_again()
        targets = body(tree, f"tuf/{EPOCH_S + 2 * DAY_S}.repomd.json")["targets"]
        assert sorted(targets) == sorted([*pointers(1), *beside])

    def test_a_torn_round_leads_nowhere_else(self, signer: Signer, tree: Tree) -> None:
        publish(tree, signer, 1)
        named: dict[str, dict[str, str]] = {
            "repodata/repomd.x/../../../keys/online.pem": {},
            "repodata/repomd.xml": {},
        }
        path = f"tuf/{EPOCH_S}.repomd.json"
        tree.put(path, json.dumps({"signed": {"targets": named}}).encode())
        with pytest.raises(KeysUnusable, match="serial"):
            signer.sign_again()
        tree.put(path, b"torn")
        assert signer.sign_again()

    def test_when_the_life_was_made_shorter(
        self, signer: Signer, tree: Tree, keys_dir: Path, clock: ToldClock
    ) -> None:
        publish(tree, signer, 1)
        assert Signer(tree, keys_dir, clock, timestamp_expiry_s=DAY_S).is_due()

    def test_nothing_is_there_to_sign(self, signer: Signer, tree: Tree) -> None:
        assert not signer.sign_again()
        assert shown_by(tree) is None

    def test_pointers_that_do_not_tell_their_serial(self, signer: Signer, tree: Tree) -> None:
        tree.put("repodata/repomd.json", b"{}")
        with pytest.raises(KeysUnusable, match="serial"):
            signer.sign_again()


class TestBesideACeremony:
    def test_the_running_signer_takes_the_new_key_up(
        self, signer: Signer, tree: Tree, ceremony: Ceremony, keys_dir: Path, clock: ToldClock
    ) -> None:
        publish(tree, signer, 1)
        beside = Signer(tree, keys_dir, clock, timestamp_expiry_s=3 * DAY_S)
        ceremony.rotate_online(beside.sign_again)
        assert signer.is_due()
        beside.sign_again()
        ceremony.tidy()
        publish(tree, signer, 2)

        charter = charters.load(keys_dir / "signed")
        assert charter is not None
        content = json.loads((tree.root / "tuf/timestamp.json").read_bytes())
        assert {s["keyid"] for s in content["signatures"]} == charter.online_key_ids
        assert shown_roots(tree) == [1, 2]
        assert not signer.is_due()

    def test_a_ceremony_that_was_cut_off_is_shown_by_the_next_round(
        self, signer: Signer, tree: Tree, ceremony: Ceremony
    ) -> None:
        publish(tree, signer, 1)
        ceremony.rotate_online(lambda: None)
        ceremony.rotate_root()
        signed = signer.sign(pointers(2), 2)
        # Roots come after the timestamp that is good by each of them, the oldest first.
        assert [path for path, _ in signed.after] == [
            "tuf/timestamp.json",
            "tuf/2.root.json",
            "tuf/3.root.json",
        ]
        assert len(json.loads(signed.after[0][1])["signatures"]) == 2
        assert tree.exists("tuf/2.targets.json")

    def test_offline_keys_may_go_away(
        self, signer: Signer, tree: Tree, keys_dir: Path, new_signer: Callable[[], Signer]
    ) -> None:
        publish(tree, signer, 1)
        shutil.rmtree(keys_dir / "offline")
        publish(tree, signer, 2)
        again = new_signer()
        again.prepare()
        publish(tree, again, 3)
        assert body(tree, "tuf/timestamp.json")["version"] == EPOCH_S + 2


class TestRefused:
    def test_a_tree_with_a_root_and_no_keys(
        self, signer: Signer, keys_dir: Path, new_signer: Callable[[], Signer]
    ) -> None:
        shutil.rmtree(keys_dir)
        with pytest.raises(KeysUnusable, match="the tree has a root"):
            new_signer().prepare()
        assert not keys_dir.exists()

    def test_a_missing_online_key(
        self, signer: Signer, keys_dir: Path, new_signer: Callable[[], Signer]
    ) -> None:
        for path in keys_dir.glob("*.pem"):
            path.unlink()
        with pytest.raises(KeysUnusable, match="the online key"):
            new_signer().prepare()
        with pytest.raises(KeysUnusable, match="the online key"):
            signer.sign(pointers(1), 1)
        assert not list(keys_dir.glob("*.pem"))

    def test_keys_of_another_index(
        self, signer: Signer, keys_dir: Path, tree: Tree, clock: ToldClock, tmp_path: Path
    ) -> None:
        other = tmp_path / "other"
        Ceremony(Keyring(other), clock).begin()
        with pytest.raises(KeysUnusable, match="is not that of the key folder"):
            Signer(tree, other, clock, timestamp_expiry_s=DAY_S).prepare()

    def test_keys_older_than_the_tree(
        self,
        signer: Signer,
        keys_dir: Path,
        ceremony: Ceremony,
        tree: Tree,
        tmp_path: Path,
        new_signer: Callable[[], Signer],
    ) -> None:
        shutil.copytree(keys_dir, tmp_path / "backup")
        ceremony.rotate_root()
        signer.sign_again()
        assert shown_roots(tree) == [1, 2]
        shutil.rmtree(keys_dir)
        shutil.copytree(tmp_path / "backup", keys_dir)
        with pytest.raises(KeysUnusable, match="the tree has root 2, the key folder 1"):
            new_signer().prepare()

    def test_keys_in_the_tree(self, tree: Tree, clock: ToldClock) -> None:
        with pytest.raises(KeysUnusable, match="published tree"):
            Signer(tree, tree.root / "keys", clock, timestamp_expiry_s=DAY_S).prepare()
        assert not (tree.root / "keys").exists()
