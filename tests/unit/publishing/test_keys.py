"""Keys, the charter they sign, and the ceremonies that change them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, Root

from pyramid_pypi.publishing import charter as charters
from pyramid_pypi.publishing import standing
from pyramid_pypi.publishing.ceremony import Ceremony
from pyramid_pypi.publishing.keys import Keyring, KeysAway, KeysUnusable, Role
from pyramid_pypi.storage import durable
from pyramid_pypi.storage.tree import Tree
from tests.conftest import ToldClock


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "index" / "keys")


@pytest.fixture
def ceremony(ring: Keyring, clock: ToldClock) -> Ceremony:
    return Ceremony(ring, clock)


@pytest.fixture
def tree(tmp_path: Path, clock: ToldClock) -> Tree:
    (tmp_path / "spool").mkdir()
    return Tree(tmp_path / "tree", tmp_path / "spool", clock)


def charter(ring: Keyring) -> charters.Charter:
    found = charters.load(ring.folder / "signed")
    assert found is not None
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class TestKeyring:
    def test_a_key_lies_in_a_file_for_its_owner_alone(self, ring: Keyring) -> None:
        online, root = ring.make(Role.ONLINE), ring.make(Role.ROOT)

        path = ring.place(online.public_key.keyid)
        other = ring.place(root.public_key.keyid)
        assert path is not None
        assert other is not None
        assert (path.parent, other.parent) == (ring.folder, ring.folder / "offline")
        for place, mode in ((path, 0o600), (path.parent, 0o700), (other.parent, 0o700)):
            assert stat.S_IMODE(place.stat().st_mode) == mode
        assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----\n")
        assert ring.exposed() == []

    def test_what_is_read_back_signs_the_same(self, ring: Keyring) -> None:
        made = ring.make(Role.ONLINE)
        (again,) = ring.online()
        assert again.public_key == made.public_key
        assert again.sign(b"x") == made.sign(b"x")

    def test_offline_keys_are_not_read_for_the_online_one(self, ring: Keyring) -> None:
        ring.make(Role.ONLINE)
        ring.make(Role.ROOT)
        (ring.folder / "offline" / "root-torn.pem").write_bytes(b"torn")
        assert len(ring.online()) == 1

    @pytest.mark.parametrize(
        "content",
        [b"", b"\xff\x00", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"],
    )
    def test_a_file_that_is_no_key(self, ring: Keyring, content: bytes) -> None:
        ring.folder.mkdir(parents=True)
        (ring.folder / "online-1.pem").write_bytes(content)
        with pytest.raises(KeysUnusable, match=r"online-1\.pem"):
            ring.online()

    def test_a_key_of_another_kind(self, ring: Keyring) -> None:
        ring.folder.mkdir(parents=True)
        (ring.folder / "k.pem").write_bytes(CryptoSigner.generate_ecdsa().private_bytes)
        with pytest.raises(KeysUnusable, match="ed25519"):
            ring.online()

    def test_what_others_can_read_is_told(self, ring: Keyring) -> None:
        ring.make(Role.ROOT)
        (path,) = (ring.folder / "offline").iterdir()
        path.chmod(0o640)
        assert ring.exposed() == [path]

    def test_neither_repr_nor_refusal_tells_a_secret(self, ring: Keyring) -> None:
        secret = ring.make(Role.ONLINE).private_bytes.decode()
        told = repr(ring) + repr(list(ring.present()))
        assert not any(line in told for line in secret.splitlines())
        (path,) = ring.folder.glob("*.pem")
        path.write_text(secret.replace("BEGIN PRIVATE", "BEGIN PRIVAT"))
        with pytest.raises(KeysUnusable) as caught:
            ring.online()
        assert secret.splitlines()[1] not in repr(caught.value)
        assert caught.value.__cause__ is None

    def test_no_key_lies_in_the_tree(self, tmp_path: Path) -> None:
        tree = tmp_path / "tree"
        tree.mkdir()
        (tmp_path / "linked").symlink_to(tree)
        for folder in (tree / "keys", tmp_path / "linked" / "keys"):
            with pytest.raises(KeysUnusable, match="published tree"):
                Keyring(folder).refuse_within(tree)
        with pytest.raises(KeysUnusable, match="published tree"):
            Keyring(tmp_path / "keys", [tree]).refuse_within(tree)
        Keyring(tmp_path / "keys").refuse_within(tree)


class TestBeginning:
    def test_three_root_keys_two_targets_keys_and_one_online(
        self, ceremony: Ceremony, ring: Keyring, clock: ToldClock
    ) -> None:
        ceremony.begin()

        now = charter(ring)
        assert [len(now.key_ids(r)) for r in ("root", "targets", "timestamp")] == [3, 2, 1]
        assert [now.threshold(r) for r in ("root", "targets", "repomd")] == [2, 2, 1]
        assert now.key_ids("timestamp") == now.key_ids("snapshot") == now.key_ids("repomd")
        names = sorted(path.partition("-")[0] for path in files(ring.folder))
        assert names == [
            *["offline/root"] * 3,
            *["offline/targets"] * 2,
            "online",
            "signed/1.root.json",
            "signed/1.targets.json",
        ]
        assert (now.root.signed.expires - clock()).days == 365
        delegation = now.targets.signed.delegations
        assert delegation is not None
        assert delegation.roles is not None
        assert delegation.roles["repomd"].paths == ["repodata/repomd.*"]

    def test_offline_keys_may_be_made_elsewhere(
        self, ring: Keyring, clock: ToldClock, tmp_path: Path
    ) -> None:
        stick = tmp_path / "stick"
        stick.mkdir()
        Ceremony(Keyring(ring.folder, [stick]), clock).begin()

        assert len(list(stick.glob("*.pem"))) == 5
        assert not (ring.folder / "offline").exists()
        assert len(ring.online()) == 1

    def test_cut_off_at_any_write_it_is_done_again(
        self, ring: Keyring, clock: ToldClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever write, rename or sync fails, the next beginning ends well."""
        for count in range(1, 60):
            with monkeypatch.context() as patch:
                failing = _failing_at(patch, count)
                try:
                    Ceremony(ring, clock).begin()
                except OSError:
                    failing()
            if charters.load(ring.folder / "signed") is None:
                Ceremony(ring, clock).begin()
            now = charter(ring)
            assert len(ring.within_reach(now.key_ids("root"))) == 3
            assert len(ring.within_reach(now.online_key_ids)) == 1
            assert len(list(ring.present())) == 6
            for path in [*ring.folder.rglob("*.*"), *ring.folder.glob("*/*.*")]:
                if path.is_file():
                    path.unlink()
            (ring.folder / "signed").rmdir()
            (ring.folder / "offline").rmdir()
            if not failing.reached:
                return
        pytest.fail("it never came to an end")

    def test_keys_without_their_charter_are_not_replaced(
        self, ring: Keyring, ceremony: Ceremony
    ) -> None:
        ring.make(Role.ONLINE)
        before = files(ring.folder)
        with pytest.raises(KeysUnusable, match="holds keys already"):
            ceremony.begin()
        assert files(ring.folder) == before


class _Failing:
    """Makes the write number `count` fail."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.reached = False

    def __call__(self) -> None:
        assert self.reached, "it failed by itself"

    def tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.reached = True
            raise OSError("cut off")


def _failing_at(patch: pytest.MonkeyPatch, count: int) -> _Failing:
    failing = _Failing(count)
    write, sync, replace = durable.write_durably, durable.sync_folder, os.replace

    def failing_write(path: Path, content: bytes, *, mode: int = 0o644) -> None:
        failing.tick()
        write(path, content, mode=mode)

    def failing_sync(path: Path) -> None:
        failing.tick()
        sync(path)

    def failing_replace(source: Path, target: Path) -> None:
        failing.tick()
        replace(source, target)

    patch.setattr(durable, "write_durably", failing_write)
    patch.setattr(durable, "sync_folder", failing_sync)
    patch.setattr("pyramid_pypi.publishing.ceremony.os.replace", failing_replace)
    return failing


class TestChanging:
    @pytest.fixture(autouse=True)
    def _begun(self, ceremony: Ceremony) -> None:
        ceremony.begin()

    def test_the_online_key_is_replaced_in_root_and_targets(
        self, ceremony: Ceremony, ring: Keyring
    ) -> None:
        old = charter(ring)
        called: list[int] = []
        ceremony.rotate_online(lambda: called.append(len(ring.online())))

        new = charter(ring)
        assert called == [2]  # both keys are there for the round between
        assert not new.online_key_ids & old.online_key_ids
        assert (new.root.signed.version, new.targets.signed.version) == (2, 2)
        assert old.key_ids("root") == new.key_ids("root")
        (path,) = ceremony.tidy()
        assert path.name.startswith("online-")
        assert {s.public_key.keyid for s in ring.online()} == new.online_key_ids

    def test_a_lost_online_key_is_replaced_too(self, ceremony: Ceremony, ring: Keyring) -> None:
        for path in ring.folder.glob("*.pem"):
            path.unlink()
        ceremony.rotate_online(lambda: pytest.fail("nobody can sign"))
        assert len(ring.within_reach(charter(ring).online_key_ids)) == 1

    def test_a_new_root_is_good_by_the_old_and_by_itself(
        self, ceremony: Ceremony, ring: Keyring
    ) -> None:
        old = charter(ring).root
        ceremony.rotate_root()

        new = charter(ring).root
        for judge in (old.signed, new.signed):
            judge.verify_delegate(Root.type, new.signed_bytes, new.signatures)
        assert not set(new.signed.roles["root"].keyids) & set(old.signed.roles["root"].keyids)
        assert len(ceremony.tidy()) == 3
        ceremony.prolong()
        third = charter(ring).root
        with pytest.raises(UnsignedMetadataError):
            old.signed.verify_delegate(Root.type, third.signed_bytes, third.signatures)

    def test_new_targets_keys_and_old_ones_sign_once_more(
        self, ceremony: Ceremony, ring: Keyring
    ) -> None:
        old = charter(ring)
        ceremony.rotate_targets()

        new = charter(ring)
        assert not set(new.key_ids("targets")) & set(old.key_ids("targets"))
        for root in (old.root.signed, new.root.signed):
            root.verify_delegate("targets", new.targets.signed_bytes, new.targets.signatures)

    def test_lost_targets_keys_are_replaced_even_if_cut_off(
        self, ceremony: Ceremony, ring: Keyring
    ) -> None:
        for path in (ring.folder / "offline").glob("targets-*"):
            path.unlink()
        ceremony.rotate_targets()
        new = charter(ring)
        # As if it had been cut off before the root that names the new keys.
        (ring.folder / "signed" / "2.root.json").unlink()
        assert charter(ring).targets.signed.version == 1
        ceremony.rotate_targets()
        assert charter(ring).root.signed.version == 2
        assert charter(ring).key_ids("targets") != new.key_ids("targets")

    def test_two_of_three_root_keys_will_do(self, ceremony: Ceremony, ring: Keyring) -> None:
        first, second, _ = sorted((ring.folder / "offline").glob("root-*"))
        first.unlink()
        ceremony.rotate_root()
        assert charter(ring).root.signed.version == 2
        second.unlink()

    def test_one_of_three_will_not(self, ceremony: Ceremony, ring: Keyring) -> None:
        for path in sorted((ring.folder / "offline").glob("root-*"))[:2]:
            path.unlink()
        before = files(ring.folder)
        for change in (
            ceremony.rotate_root,
            ceremony.rotate_targets,
            lambda: ceremony.rotate_online(lambda: None),
        ):
            with pytest.raises(
                KeysAway, match="root takes 2 of its 3 keys, and 1 can be found"
            ):
                change()
        assert files(ring.folder) == before

    def test_prolonged_by_whoever_is_here(
        self, ceremony: Ceremony, ring: Keyring, clock: ToldClock, tmp_path: Path
    ) -> None:
        clock.advance(days=300)
        assert ceremony.prolong() == ["targets", "root"]
        assert (charter(ring).root.signed.expires - clock()).days == 365
        away = tmp_path / "away"
        away.mkdir()
        for path in (ring.folder / "offline").glob("root-*"):
            path.rename(away / path.name)
        assert ceremony.prolong() == ["targets"]
        assert (charter(ring).root.signed.version, charter(ring).targets.signed.version) == (
            2,
            3,
        )
        both = Keyring(ring.folder, [ring.folder / "offline", away])
        assert Ceremony(both, clock).prolong() == ["targets", "root"]
        for path in (ring.folder / "offline").glob("*"):
            path.unlink()
        with pytest.raises(KeysAway):
            ceremony.prolong()

    def test_keys_of_strangers_change_nothing(
        self, ceremony: Ceremony, ring: Keyring, tmp_path: Path
    ) -> None:
        for path in (ring.folder / "offline").glob("root-*"):
            path.unlink()
        for _ in range(3):
            ring.make(Role.ROOT)
        with pytest.raises(KeysAway, match="0 can be found"):
            ceremony.rotate_root()


class TestCharter:
    @pytest.fixture
    def signed(self, ceremony: Ceremony, ring: Keyring) -> Path:
        ceremony.begin()
        ceremony.prolong()
        return ring.folder / "signed"

    def test_nothing_is_there(self, tmp_path: Path) -> None:
        assert charters.load(tmp_path / "signed") is None

    @pytest.mark.parametrize("name", ["1.root.json", "1.targets.json"])
    def test_a_part_of_it(self, signed: Path, name: str) -> None:
        (signed / "2.targets.json").unlink()
        (signed / name).unlink()
        with pytest.raises(KeysUnusable):
            charters.load(signed)

    @pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"signed":{}}'])
    def test_garbage(self, signed: Path, content: bytes) -> None:
        (signed / "2.root.json").write_bytes(content)
        with pytest.raises(KeysUnusable, match=r"2\.root\.json"):
            charters.load(signed)

    def test_forged_targets_are_passed_over(self, signed: Path) -> None:
        forged = Metadata(charters.first_targets(charters.load(signed).root.signed.expires))  # type: ignore[union-attr]
        forged.signed.version = 3
        forged.sign(CryptoSigner.generate_ed25519())
        charters.store(signed, forged)
        found = charters.load(signed)
        assert found is not None
        assert found.targets.signed.version == 2


class TestStanding:
    @pytest.fixture
    def look(self, tree: Tree, ring: Keyring, clock: ToldClock) -> Iterator[standing.Standing]:
        return iter(lambda: standing.look(tree, ring, clock()), None)

    def test_a_new_index(
        self, look: Iterator[standing.Standing], ceremony: Ceremony, ring: Keyring
    ) -> None:
        before = next(look)
        assert (before.keys, before.due) == ((), ())
        ceremony.begin()
        found = next(look)
        assert [key.role for key in found.keys] == ["root"] * 3 + ["targets"] * 2 + ["online"]
        assert all(key.secret for key in found.keys)
        assert found.due == ()
        assert found.advice == (
            f"5 offline keys lie in {ring.folder / 'offline'}: "
            "move them to other media, and keep a copy",
        )

    def test_thirty_days_before_the_end(
        self, look: Iterator[standing.Standing], ceremony: Ceremony, clock: ToldClock
    ) -> None:
        ceremony.begin()
        clock.advance(days=334)
        assert next(look).due == ()
        clock.advance(days=2)
        assert [s.split(":")[0] for s in next(look).due] == [
            "root expires on 2027-03-01",
            "targets expires on 2027-03-01",
        ]
        ceremony.prolong()
        assert next(look).due == ()

    def test_what_is_missing_or_seen_by_others(
        self, look: Iterator[standing.Standing], ceremony: Ceremony, ring: Keyring, tree: Tree
    ) -> None:
        ceremony.begin()
        (online,) = ring.folder.glob("*.pem")
        online.unlink()
        (ring.folder / "offline").chmod(0o755)
        tree.put("repodata/repomd.xml", b"<x/>")
        found = next(look)
        assert [sentence.split(":")[0] for sentence in found.due] == [
            "the online key is missing",
            "the pointers are not signed",
            f"others can read {ring.folder / 'offline'}",
        ]
        assert found.keys[-1].secret is None
