"""The OpenPGP signature of ``repomd.xml``, read by gpg and by librepo."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyramid_pypi.publishing import openpgp
from pyramid_pypi.publishing.keys import KeysUnusable
from pyramid_pypi.storage.tree import Tree
from tests.conftest import ToldClock, unavailable

TITLE = "Index of Zoë"
REPOMD = (
    b'<repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>7</revision></repomd>\n'
)
_PYTHON = "/usr/bin/python3"  # Debian's, for which it has bindings of librepo
_LIBREPO = """
import sys, librepo
handle, result = librepo.Handle(), librepo.Result()
handle.repotype = librepo.LR_YUMREPO
handle.urls = [sys.argv[1]]
handle.destdir = sys.argv[2]
handle.gnupghomedir = sys.argv[3]
handle.yumdlist = []
handle.gpgcheck = True
handle.perform(result)
print(result.yum_repomd["revision"])
"""


@pytest.fixture
def tree(tmp_path: Path, clock: ToldClock) -> Tree:
    (tmp_path / "spool").mkdir()
    (tmp_path / "tree").mkdir()
    return Tree(tmp_path / "tree", tmp_path / "spool", clock)


@pytest.fixture
def signer(tree: Tree, tmp_path: Path) -> openpgp.OpenPgp:
    if not openpgp.is_available():
        unavailable("the extra openpgp is not installed")
    signer = openpgp.prepare(tree, tmp_path / "keys", TITLE)
    assert signer is not None
    return signer


@pytest.fixture
def keyring(tree: Tree, signer: openpgp.OpenPgp) -> Iterator[Path]:
    """A GnuPG folder that knows the index's public key."""
    if not shutil.which("gpg"):
        unavailable("gpg is not installed")
    # Its path bounds that of the agent's socket, so it is a short one.
    with tempfile.TemporaryDirectory(prefix="gpg-") as folder:
        gpg(Path(folder), "--import", str(tree.root / openpgp.PUBLIC_PATH))
        yield Path(folder)
        subprocess.run(
            ["gpgconf", "--homedir", folder, "--kill", "all"], check=True, timeout=60
        )


def gpg(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["gpg", "--homedir", str(folder), "--batch", "--no-autostart", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


class TestKey:
    def test_it_is_made_once(self, signer: openpgp.OpenPgp, tree: Tree, tmp_path: Path) -> None:
        secret = tmp_path / "keys" / "openpgp.pgp"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        before = secret.read_bytes(), tree.read(openpgp.PUBLIC_PATH)
        again = openpgp.prepare(tree, tmp_path / "keys", "Another title")
        assert again is not None
        assert again.fingerprint == signer.fingerprint
        assert (secret.read_bytes(), tree.read(openpgp.PUBLIC_PATH)) == before

    def test_the_public_key_comes_back_into_a_lost_tree(
        self, signer: openpgp.OpenPgp, tree: Tree, tmp_path: Path
    ) -> None:
        tree.remove(openpgp.PUBLIC_PATH)
        openpgp.prepare(tree, tmp_path / "keys", TITLE)
        assert tree.read(openpgp.PUBLIC_PATH) == signer.certificate()

    def test_no_secret_is_told(
        self, signer: openpgp.OpenPgp, tree: Tree, tmp_path: Path
    ) -> None:
        secret = (tmp_path / "keys" / "openpgp.pgp").read_text()
        assert "PRIVATE KEY" in secret
        shown = (tree.read(openpgp.PUBLIC_PATH) or b"").decode()
        assert shown.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")
        told = repr(signer) + str(signer) + str(vars(signer))
        assert "PRIVATE KEY" not in shown + told

    @pytest.mark.parametrize("kind", ["empty", "junk", "public", "torn"])
    def test_a_file_that_is_no_secret(
        self, signer: openpgp.OpenPgp, tree: Tree, tmp_path: Path, kind: str
    ) -> None:
        secret = tmp_path / "keys" / "openpgp.pgp"
        whole = secret.read_bytes()
        contents = {"empty": b"", "junk": b"junk", "torn": whole[: len(whole) // 2]}
        secret.write_bytes(contents.get(kind, signer.certificate()))
        with pytest.raises(KeysUnusable, match=r"openpgp\.pgp") as caught:
            openpgp.prepare(tree, tmp_path / "keys", TITLE)
        assert "\n" not in str(caught.value)

    def test_a_lost_secret_is_not_replaced(
        self, signer: openpgp.OpenPgp, tree: Tree, tmp_path: Path
    ) -> None:
        (tmp_path / "keys" / "openpgp.pgp").unlink()
        with pytest.raises(KeysUnusable, match=r"repomd\.xml\.key"):
            openpgp.prepare(tree, tmp_path / "keys", TITLE)

    def test_without_the_extra_there_is_none(
        self, tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(openpgp, "pysequoia", None)
        assert openpgp.prepare(tree, tmp_path / "keys", TITLE) is None
        assert not (tmp_path / "keys").exists()
        assert not tree.exists(openpgp.PUBLIC_PATH)


class TestGpg:
    def test_takes_the_good_and_no_other(
        self, signer: openpgp.OpenPgp, keyring: Path, tmp_path: Path
    ) -> None:
        document, signature = tmp_path / "repomd.xml", tmp_path / "repomd.xml.asc"
        document.write_bytes(REPOMD)
        signature.write_bytes(signer.sign(REPOMD))
        good = gpg(keyring, "--verify", str(signature), str(document))
        assert good.returncode == 0, good.stderr
        assert f'Good signature from "{TITLE}"' in good.stderr
        document.write_bytes(REPOMD.replace(b"7", b"8"))
        bad = gpg(keyring, "--verify", str(signature), str(document))
        assert bad.returncode == 1
        assert "BAD signature" in bad.stderr


class TestLibrepo:
    @pytest.fixture
    def served(self, signer: openpgp.OpenPgp, tree: Tree) -> Tree:
        tree.put("repodata/repomd.xml", REPOMD)
        tree.put(openpgp.SIGNATURE_PATH, signer.sign(REPOMD))
        return tree

    @staticmethod
    def read(tree: Tree, keyring: Path, folder: Path) -> subprocess.CompletedProcess[str]:
        if not os.access(_PYTHON, os.X_OK):
            unavailable(f"no {_PYTHON}")
        folder.mkdir()
        command = [_PYTHON, "-c", _LIBREPO, tree.root.as_uri(), str(folder), str(keyring)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        if "No module named 'librepo'" in done.stderr:
            unavailable("python3-librepo is not installed")
        return done

    def test_good(self, served: Tree, keyring: Path, tmp_path: Path) -> None:
        done = self.read(served, keyring, tmp_path / "copy")
        assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr

    def test_altered(self, served: Tree, keyring: Path, tmp_path: Path) -> None:
        served.put("repodata/repomd.xml", REPOMD.replace(b"7", b"8"))
        done = self.read(served, keyring, tmp_path / "copy")
        assert done.returncode != 0
        assert "GPG" in done.stderr

    def test_missing(self, served: Tree, keyring: Path, tmp_path: Path) -> None:
        served.remove(openpgp.SIGNATURE_PATH)
        done = self.read(served, keyring, tmp_path / "copy")
        assert done.returncode != 0
        assert "GPG" in done.stderr

    def test_by_another(
        self, served: Tree, keyring: Path, tmp_path: Path, clock: ToldClock
    ) -> None:
        (tmp_path / "other").mkdir()
        other = Tree(tmp_path / "other", tmp_path / "spool", clock)
        stranger = openpgp.prepare(other, tmp_path / "other-keys", TITLE)
        assert stranger is not None
        served.put(openpgp.SIGNATURE_PATH, stranger.sign(REPOMD))
        assert self.read(served, keyring, tmp_path / "copy").returncode != 0
