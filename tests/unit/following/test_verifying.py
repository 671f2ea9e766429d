"""A copy of a tree is verified by nothing but itself, and one flipped bit is found."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from pyramid_pypi.cli.main import main
from pyramid_pypi.following import sources
from pyramid_pypi.following.findings import Fault, Finding
from pyramid_pypi.following.pointing import Trusting
from pyramid_pypi.following.sources import FolderSource, HttpSource, Source, SourceUnreadable
from pyramid_pypi.following.verifying import Verifier, Wanted
from pyramid_pypi.formats import hash_tree, repomd
from pyramid_pypi.formats.hash_tree import Entry, digits, node_path
from pyramid_pypi.formats.manifest import shadow_path
from pyramid_pypi.values.digests import sha256_hex
from tests.simulators import BEHAVIOURS, StaticServer, serving
from tests.static_trees import Origin

ALL = Wanted(everything=True)
TOP = Wanted()


def found(
    source: Path | Source, busy: Origin, wanted: Wanted = ALL, trusting: Trusting | None = None
) -> list[Finding]:
    opened = FolderSource(source) if isinstance(source, Path) else source
    return list(Verifier(opened, wanted, trusting or Trusting(), busy.clock).findings())


def flip(file: Path, chance: random.Random) -> int:
    content = bytearray(file.read_bytes())
    position = chance.randrange(len(content))
    content[position] ^= 1 << chance.randrange(8)
    file.write_bytes(content)
    return position


def one_of_each_kind(tree: Path, chance: random.Random) -> list[str]:
    """A path of every kind that a tree has, such as the shadow of a page."""
    kinds: dict[str, list[str]] = {}
    for file in sorted(tree.rglob("*")):
        if file.is_file() and file.stat().st_size:
            path = file.relative_to(tree).as_posix()
            kind = re.sub(r"[0-9a-f]{64}", "HASH", path)
            kind = re.sub(r"packages/.*?([^.]+(\.metadata)?)$", r"packages/\1", kind)
            kind = re.sub(r"(small|large|bad)[-_]\w+|[0-9]+", "N", kind)
            kinds.setdefault(re.sub(r"/[0-9a-f]{2}\.json", "/XX.json", kind), []).append(path)
    assert len(kinds) > 50
    return [chance.choice(paths) for paths in kinds.values()]


@pytest.fixture
def server(copy: Path) -> Iterator[StaticServer]:
    with serving(copy) as running:
        yield running


def test_a_good_tree_has_no_findings(busy: Origin, copy: Path) -> None:
    assert found(busy.tree, busy) == []
    assert found(copy, busy) == []


def test_a_good_tree_has_none_over_http_either(busy: Origin, server: StaticServer) -> None:
    assert found(HttpSource(server.url), busy) == []
    assert server.connections == 1


def test_a_flipped_bit_is_found_wherever_it_is(busy: Origin, copy: Path) -> None:
    chance = random.Random(2026)
    missed = []
    for path in one_of_each_kind(copy, chance):
        whole = (copy / path).read_bytes()
        position = flip(copy / path, chance)
        findings = found(copy, busy)
        (copy / path).write_bytes(whole)
        if path not in {finding.path for finding in findings}:
            missed.append((path, position, findings))
        if path.startswith("tuf/1.root"):
            continue  # whom it named is unknown now
        assert {finding.path for finding in findings} <= {path}, findings
    assert missed == []


def test_a_lost_file_is_found(busy: Origin, copy: Path) -> None:
    chance = random.Random(7)
    for path in one_of_each_kind(copy, chance):
        if "/v/" in path or path.endswith((".gz", ".asc", ".key")) or "/c/" in path:
            continue  # those may be gone
        if re.match(r"tuf/\d+|repodata/[0-9a-f]{64}", path):
            continue
        (copy / path).rename(copy / "aside")
        findings = found(copy, busy)
        (copy / "aside").rename(copy / path)
        told = [(f.fault, f.path) for f in findings if f.path != "aside"]
        assert (Fault.MISSING, path) in told or path.startswith("tuf/"), (path, told)
        assert len(told) >= 1


def test_what_nothing_names_is_found(busy: Origin, copy: Path) -> None:
    for path in (
        "README",
        "simple/demo/index.html",
        "packages/aa/bb/x",
        ".hidden",
        "tuf/x.json",
    ):
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_bytes(b"{}")
    assert {(f.fault, f.path) for f in found(copy, busy)} == {
        (Fault.UNNAMED, "README"),
        (Fault.UNNAMED, "simple/demo/index.html"),
        (Fault.UNNAMED, "packages/aa/bb/x"),
        (Fault.UNNAMED, ".hidden"),
        (Fault.SIGNATURE, "tuf/x.json"),
    }


def test_a_wrong_node_is_found_in_depth_and_one_fetches(
    busy: Origin, copy: Path, server: StaticServer
) -> None:
    (where,) = {digits("large", 1)}
    leaf = node_path("repodata/t", where)
    flip(copy / leaf, random.Random(1))
    server.asked.clear()
    findings = found(HttpSource(server.url), busy, Wanted(names=["large"]))
    assert [(f.fault, f.path) for f in findings] == [(Fault.WRONG, leaf)]
    assert "its shadow is right" in findings[0].detail
    assert findings[0].since is not None
    of_tree = [p for p in server.asked if p.startswith("repodata/t/") or "shards" in p]
    # The record is read as a record, and as the root: then the leaf, at once.
    assert of_tree.index(leaf) <= 2
    # What is below it was looked at all the same.
    assert "simple/large/index.json" in server.asked
    assert any(p.startswith("packages/") for p in server.asked)


def test_below_a_lost_leaf_all_is_looked_at(busy: Origin, copy: Path) -> None:
    leaf = node_path("repodata/t", digits("large", 1))
    for path in (leaf, shadow_path(leaf, sha256_hex((copy / leaf).read_bytes()))):
        (copy / path).unlink()
    wheel = next(copy.glob("packages/*/*/*/large-2.0-py3-none-any.whl"))
    flip(wheel, random.Random(3))
    assert {(f.fault, f.path) for f in found(copy, busy)} == {
        (Fault.MISSING, leaf),
        (Fault.WRONG, wheel.relative_to(copy).as_posix()),
    }


def test_a_leaf_that_speaks_of_others_is_found(busy: Origin, copy: Path) -> None:
    entry = Entry(1, "0" * 64, 5)
    where = digits("small-1", 1)
    other = next(name for name in ("small-5", "small-6") if digits(name, 1) != where)
    projects = {"small-1": entry, other: entry}
    children: list[Entry | None] = [None] * 32
    leaf = hash_tree.leaf(projects)
    children[where[0]] = hash_tree.entry_of(leaf, 1)
    root = hash_tree.root(hash_tree.Root(40, 1, children=tuple(children)))
    record = {"serial": 1, "sha256": sha256_hex(root), "size": len(root), "type": "shards"}
    point_at(copy, record | {"href": f"repodata/{sha256_hex(root)}-shards.json"}, root)
    (copy / node_path("repodata/t", where)).write_bytes(leaf)
    shutil.rmtree(copy / "tuf")
    wanted = Wanted(names=["small-1"])
    findings = found(copy, busy, wanted, Trusting(unsigned=True))
    assert (Fault.MISPLACED, node_path("repodata/t", where)) in {
        (f.fault, f.path) for f in findings
    }


def point_at(copy: Path, record: dict[str, object], content: bytes) -> None:
    (copy / str(record["href"])).write_bytes(content)
    standing = json.loads((copy / "repodata/repomd.json").read_bytes())
    others = [one for one in standing["records"] if one["type"] != record["type"]]
    standing["records"] = [*others, record | {"time": standing["time"]}]
    made = repomd.parse_json(json.dumps(standing).encode())
    (copy / "repodata/repomd.json").write_bytes(repomd.json(made))
    (copy / "repodata/repomd.xml").write_bytes(repomd.xml(made))


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_whatever_a_mirror_does_is_a_finding(
    busy: Origin, server: StaticServer, behaviour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_WAITS_S", (0.01,))
    towards = r"^simple/large/(v/|index.json)|large-2.0-py3-none-any.whl$"
    server.behave(behaviour, towards)
    source = HttpSource(server.url, patience_s=0.3)
    findings = found(source, busy, Wanted(names=["large"]))
    faults = {(f.fault, f.path.split("/")[-1]) for f in findings}
    assert {path for _, path in faults} == {"index.json", "large-2.0-py3-none-any.whl"} or (
        # Where the page is lost, nothing tells of its files.
        {path for _, path in faults} == {"index.json"}
    ), faults
    assert {fault for fault, _ in faults} <= {Fault.MISSING, Fault.WRONG, Fault.UNREADABLE}


def test_nobody_answers(busy: Origin) -> None:
    with pytest.raises(SourceUnreadable):
        found(HttpSource("http://127.0.0.1:9"), busy)


def test_no_tree_at_all(busy: Origin, tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable):
        found(tmp_path, busy, trusting=Trusting(unsigned=True))


class TestTrust:
    """Rows M2 to M4 of the threats: frozen, rolled back, mixed, stripped, signed by others."""

    def test_frozen(self, busy: Origin, copy: Path) -> None:
        clock = busy.clock.now
        busy.clock.advance(days=4)
        try:
            findings = found(copy, busy, TOP)
        finally:
            busy.clock.now = clock
        assert [(f.fault, f.path) for f in findings] == [(Fault.EXPIRED, "tuf/timestamp.json")]
        assert findings[0].since is not None
        assert clock < findings[0].since < clock.replace(year=2027)

    def test_rolled_back(self, busy: Origin, copy: Path, tmp_path: Path) -> None:
        trusting = Trusting(state=tmp_path / "state")
        old = sorted((copy / "tuf").glob("*.snapshot.json"))[0]
        assert found(copy, busy, TOP, trusting) == []
        assert found(copy, busy, TOP, trusting) == []
        made = Path(shutil.copytree(busy.tree, tmp_path / "later"))
        stamp = (copy / "tuf/timestamp.json").read_bytes()
        busy.point()
        busy.add("small-1", "3.0")
        busy.point()
        assert found(busy.tree, busy, TOP, trusting) == []
        assert (made / "tuf/timestamp.json").read_bytes() == stamp
        findings = found(made, busy, TOP, trusting)
        assert [(f.fault, f.path) for f in findings] == [(Fault.ROLLBACK, "tuf/timestamp.json")]
        assert old.exists()

    def test_stripped(self, busy: Origin, copy: Path, tmp_path: Path) -> None:
        root = (copy / "tuf/1.root.json").read_bytes()
        shutil.rmtree(copy / "tuf")
        (finding,) = found(copy, busy, TOP)
        assert finding.fault is Fault.UNSIGNED
        assert found(copy, busy, TOP, Trusting(unsigned=True)) == []
        # Who knows the root is not told so by the mirror, whatever it says.
        (finding,) = found(copy, busy, TOP, Trusting(root=root, unsigned=True))
        assert finding.fault is Fault.SIGNATURE

    def test_signed_by_others(self, busy: Origin, copy: Path) -> None:
        root = json.loads((copy / "tuf/1.root.json").read_bytes())
        for key in root["signed"]["keys"].values():
            key["keyval"]["public"] = "00" * 32
        (finding,) = found(copy, busy, TOP, Trusting(root=json.dumps(root).encode()))
        assert finding.fault is Fault.SIGNATURE

    @pytest.mark.parametrize("more", [b" ", b"\n", b"{}"])
    def test_more_than_is_signed(self, busy: Origin, copy: Path, more: bytes) -> None:
        for path in ("repodata/repomd.json", "repodata/repomd.xml"):
            whole = (copy / path).read_bytes()
            for altered in (whole + more, more + whole):
                (copy / path).write_bytes(altered)
                findings = found(copy, busy, TOP)
                assert (Fault.WRONG, path) in {(f.fault, f.path) for f in findings}
            (copy / path).write_bytes(whole)

    def test_swapped_pages(self, busy: Origin, copy: Path) -> None:
        shutil.rmtree(copy / "simple/small-5")
        shutil.copytree(copy / "simple/small-6", copy / "simple/small-5")
        findings = found(copy, busy, Wanted(names=["small-5"]))
        assert (Fault.WRONG, "simple/small-5/index.json") in {
            (f.fault, f.path) for f in findings
        }


class TestVerb:
    def test_good(self, busy: Origin, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pyramid_pypi.cli.verifying.system_clock", busy.clock)
        done = CliRunner().invoke(main, ["--json", "verify", str(copy), "--all"])
        told = json.loads(done.stdout)
        assert (done.exit_code, told["findings"], told["root"]) == (0, [], "met")
        assert told["serial"] > 0
        assert "Get it another way" in done.stderr

    def test_bad(self, busy: Origin, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("pyramid_pypi.cli.verifying.system_clock", busy.clock)
        (copy / "simple/large/index.html").unlink()
        done = CliRunner().invoke(main, ["verify", str(copy), "--project", "Large"])
        assert done.exit_code == 3
        assert "missing" in done.stdout
        mended = CliRunner().invoke(
            main,
            ["verify", str(copy), "--project", "large", "--repair-from", str(busy.tree)],
        )
        assert mended.exit_code == 0
        assert "1 finding, 0 left" in mended.stderr
        assert (copy / "simple/large/index.html").exists()

    @pytest.mark.parametrize("source", ["http://127.0.0.1:9", "nowhere"])
    def test_no_source(self, source: str) -> None:
        done = CliRunner().invoke(main, ["verify", source])
        assert done.exit_code == 1
        assert "[source.unreadable]" in done.stderr
