"""What a hostile or a lame tree does to the signatures, and to the time of a reader."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import TargetFile

from pyramid_pypi.following import sources, trust
from pyramid_pypi.following.findings import Fault, Finding
from pyramid_pypi.following.pointing import Trusting
from pyramid_pypi.following.repairing import Repairer
from pyramid_pypi.following.sources import FolderSource, HttpSource
from pyramid_pypi.following.trust import TrustRefused
from pyramid_pypi.following.verifying import Verifier, Wanted
from pyramid_pypi.formats import hash_tree, hash_tree_edit, repomd
from pyramid_pypi.formats.hash_tree import Entry
from pyramid_pypi.values.digests import sha256_hex
from tests.conftest import ToldClock
from tests.simulators import serving
from tests.static_trees import Origin, origin
from tests.unit.following.test_verifying import ALL, TOP, flip, found, point_at


def test_a_fault_of_the_network_is_no_signature(
    busy: Origin, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_WAITS_S", (0.01,))
    with serving(copy) as server:
        server.behave("broken", r"^tuf/[0-9]+[.]snapshot[.]json")
        (finding,) = found(HttpSource(server.url), busy, TOP)
        assert finding.fault is Fault.UNREADABLE
        assert finding.path.endswith(".snapshot.json")
        assert "500" in finding.detail


def test_one_busy_answer_of_500_is_asked_again(
    busy: Origin, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_WAITS_S", (0.01,))
    assert {500, 502, 503, 504} <= sources._BUSY
    with serving(copy) as server:
        server.busy_for = 1
        assert found(HttpSource(server.url), busy, TOP) == []


@pytest.mark.parametrize("custom", [[1], "x", 5, {"serial": [1]}, {"serial": 1}, {}, None])
def test_odd_custom_is_no_traceback(busy: Origin, copy: Path, custom: Any) -> None:
    targets = {}
    for path in (trust.POINTER, trust.POINTER_XML):
        content = (copy / path).read_bytes()
        hashes = {"sha256": sha256_hex(content)}
        targets[path] = TargetFile(len(content), hashes, path, {"custom": custom})
    if isinstance(custom, dict) and custom:
        with pytest.raises(TrustRefused):
            trust._pointer(FolderSource(copy), targets, "met")
    else:
        assert trust._pointer(FolderSource(copy), targets, "met").repomd.serial > 0


def test_what_else_is_in_the_state_is_passed_over(
    busy: Origin, copy: Path, tmp_path: Path
) -> None:
    trusting = Trusting(state=tmp_path / "state")
    assert found(copy, busy, TOP, trusting) == []
    history = tmp_path / "state/root_history"
    for file in (
        tmp_path / "state/notes.json",
        tmp_path / "state/config.json",
        history / "x.root.json",
        history / "0.root.json",
        history / "7.root.json",
        history / "README",
    ):
        file.write_bytes(b"{}")
    assert found(copy, busy, TOP, trusting) == []
    signed = trust.signed_pointer(
        FolderSource(copy), at=busy.clock(), state=tmp_path / "state"
    ).signed
    roles = sorted(path.split(".")[-2].split("/")[-1] for path in signed)
    assert roles == ["repomd", "root", "snapshot", "targets", "timestamp"]


def test_history_is_read_with_all_only(busy: Origin, copy: Path) -> None:
    with serving(copy) as server:
        known = repomd.parse_json((copy / "repodata/repomd.json").read_bytes())
        (changes,) = (record.href for record in known.records if record.type == "changes")
        named = json.loads((copy / changes).read_bytes())["periods"][0]
        spans = json.loads((copy / named).read_bytes())
        assert spans["periods"]
        closed = {f"repodata/c/{one['from']}-{one['to']}.jsonl.gz" for one in spans["periods"]}
        assert found(HttpSource(server.url), busy, Wanted(names=["large"])) == []
        asked = [path for path in server.asked if path.startswith("repodata/c/")]
        assert any(path.endswith("-periods.json") for path in asked)
        assert any(path.endswith(".jsonl.gz") for path in asked)
        assert not any(path.endswith("-names.json.gz") for path in asked)
        # A closed hour of few changes may be the same file as one of its segments.
        segments = {f"repodata/c/{one[0]}-{one[1]}.jsonl.gz" for one in spans["segments"]}
        assert not (closed - segments).intersection(asked)
        server.asked.clear()
        assert found(HttpSource(server.url), busy, Wanted(history=True)) == []
        assert closed <= set(server.asked)


def test_companions_of_nobody_are_found(busy: Origin, copy: Path) -> None:
    record = repomd.parse_json((copy / "repodata/repomd.json").read_bytes()).record(
        "companions"
    )
    assert record is not None
    root = hash_tree.parse_root((copy / record.href).read_bytes())

    def read(path: str, _entry: Entry) -> bytes:
        return (copy / path).read_bytes()

    edited = hash_tree_edit.edit(root, {"ghost": Entry(1, "0" * 64, 5)}, "repodata/p", read)
    for path, content in edited.documents.items():
        assert content is not None
        (copy / path).write_bytes(content)
    made = hash_tree.root(edited.root)
    told = {"serial": record.serial, "sha256": sha256_hex(made), "size": len(made)}
    href = f"repodata/{sha256_hex(made)}-companions.json"
    point_at(copy, told | {"type": "companions", "href": href}, made)
    shutil.rmtree(copy / "tuf")
    for seal in copy.glob("repodata/repomd.xml.*"):
        seal.unlink()
    findings = found(copy, busy, ALL, Trusting(unsigned=True))
    assert (Fault.MISPLACED, "projects/ghost/documents.json") in {
        (f.fault, f.path) for f in findings
    }


class TestMending:
    """A folder that is mended does not go back, and is not read again and again."""

    @pytest.fixture
    def index(self, sqlite_template: Path, tmp_path: Path) -> Any:
        made = origin(tmp_path / "index", sqlite_template, ToldClock())
        made.add("demo")
        made.point()
        yield made
        made.close()

    @pytest.mark.parametrize("lost", [(), ("snapshot",), ("repomd",)])
    def test_an_older_state_is_not_installed(
        self, index: Origin, tmp_path: Path, lost: tuple[str, ...]
    ) -> None:
        old = Path(shutil.copytree(index.tree, tmp_path / "old"))
        index.add("demo", "2.0")
        index.point()
        here = Path(shutil.copytree(index.tree, tmp_path / "here"))
        (here / "tuf/timestamp.json").write_bytes(b"{}")
        for role in lost:
            newest = max((here / "tuf").glob(f"*.{role}.json"))
            newest.write_bytes(b"{}")
        pointer = (here / "repodata/repomd.json").read_bytes()
        left = mended(here, old, index, Trusting())
        assert "tuf/timestamp.json" in {f.path for f in left if not f.repaired}
        assert (here / "tuf/timestamp.json").read_bytes() == b"{}"
        assert (here / "repodata/repomd.json").read_bytes() == pointer
        assert {f.repaired for f in mended(here, index.tree, index, Trusting())} == {True}

    def test_nor_where_the_pointer_is_lost_too(self, index: Origin, tmp_path: Path) -> None:
        old = Path(shutil.copytree(index.tree, tmp_path / "old"))
        index.add("demo", "2.0")
        index.point()
        here = Path(shutil.copytree(index.tree, tmp_path / "here"))
        for path in ("tuf/timestamp.json", "repodata/repomd.json", "repodata/repomd.xml"):
            (here / path).write_bytes(b"{}")
        left = mended(here, old, index, Trusting())
        assert "tuf/timestamp.json" in {f.path for f in left if not f.repaired}
        assert (here / "tuf/timestamp.json").read_bytes() == b"{}"

    def test_nor_one_older_than_was_seen(self, index: Origin, tmp_path: Path) -> None:
        state = Trusting(state=tmp_path / "state")
        old = Path(shutil.copytree(index.tree, tmp_path / "old"))
        index.add("demo", "2.0")
        index.point()
        assert found(index.tree, index, TOP, state) == []
        here = Path(shutil.copytree(index.tree, tmp_path / "here"))
        for file in [*(here / "tuf").glob("[0-9]*.[sr]e*.json"), here / trust.TIMESTAMP]:
            file.unlink()
        (here / trust.POINTER).write_bytes(b"{}")
        mended(here, old, index, state)
        assert (here / trust.POINTER).read_bytes() == b"{}"
        assert not (here / trust.TIMESTAMP).exists()

    @pytest.mark.parametrize("path", ["simple/large/index.json", "repodata/t", "packages"])
    def test_one_flipped_byte_is_read_once(self, busy: Origin, copy: Path, path: str) -> None:
        file = copy / path
        if file.is_dir():
            file = min(one for one in file.rglob("*.*") if "/v/" not in str(one))
        flip(file, random.Random(4))
        plain = FolderSource(copy)
        list(Verifier(plain, ALL, Trusting(), busy.clock).findings())
        folder = FolderSource(copy)
        repairer = Repairer(folder, FolderSource(busy.tree), ALL, Trusting(), busy.clock)
        assert {finding.repaired for finding in repairer.findings()} == {True}
        assert folder.tally.bytes < 1.5 * plain.tally.bytes
        assert repairer.verifier.pointer is not None
        assert found(copy, busy) == []


def mended(copy: Path, other: Path, index: Origin, trusting: Trusting) -> list[Finding]:
    return list(
        Repairer(FolderSource(copy), FolderSource(other), ALL, trusting, index.clock).findings()
    )


def test_a_root_that_is_known_already_vouches_for_its_keys(
    busy: Origin, copy: Path, tmp_path: Path
) -> None:
    """Over HTTP it is not asked for again."""
    root = (copy / trust.FIRST_ROOT).read_bytes()
    with serving(copy) as server:
        for trusting in (Trusting(root=root), *[Trusting(state=tmp_path / "state")] * 2):
            source = HttpSource(server.url)
            assert list(Verifier(source, ALL, trusting, busy.clock).findings()) == []
