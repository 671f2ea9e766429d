"""Trees made to hurt whoever verifies them: each lie is a finding, in bounded time and room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyramid_pypi.formats import hash_tree, repomd
from pyramid_pypi.formats.compression import gzip_bytes
from pyramid_pypi.formats.hash_tree import Entry, Root, digits
from pyramid_pypi.formats.manifest import shadow_path
from pyramid_pypi.values.digests import sha256_hex

MOST_S = 120.0
MOST_KB = 700_000
POINTER = "repodata/repomd.json"


def point(tree: Path, kind: str, content: bytes, ending: str, **said: Any) -> None:
    """Have the pointer of `tree`, unsigned, name `content` as the record `kind`."""
    sha256 = sha256_hex(content)
    href = f"repodata/{sha256}-{kind}.{ending}"
    (tree / href).write_bytes(content)
    shown = json.loads((tree / POINTER).read_bytes())
    for record in shown["records"]:
        if record["type"] == kind:
            record.update({"href": href, "sha256": sha256, "size": len(content)} | said)
    (tree / POINTER).write_text(json.dumps(shown))
    known = repomd.parse_json((tree / POINTER).read_bytes())
    (tree / POINTER).write_bytes(repomd.json(known))
    (tree / "repodata/repomd.xml").write_bytes(repomd.xml(known))


def put(tree: Path, path: str, content: bytes) -> Entry:
    """Put a document and its shadow in place; return the entry for it."""
    entry = hash_tree.entry_of(content, 1)
    for place in (path, shadow_path(path, entry.sha256)):
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        (tree / place).write_bytes(content)
    return entry


def bomb(tree: Path) -> None:
    zeros = gzip_bytes(bytes(256 * 2**20)) * 16
    point(tree, "primary", zeros, "xml.gz", open_size=4 * 2**30, open_sha256="0" * 64)


def declared_bomb(tree: Path) -> None:
    zeros = gzip_bytes(bytes(64 * 2**20))
    point(tree, "filelists", zeros, "xml.gz", open_size=10**13, open_sha256="0" * 64)


def names_bomb(tree: Path) -> None:
    """The list of names is asked when leaves are lost."""
    zeros = gzip_bytes(bytes(256 * 2**20)) * 16
    point(tree, "projects", zeros, "json.gz", open_size=4 * 2**30, open_sha256="0" * 64)
    for path in (tree / "repodata/t").rglob("*.json"):
        path.unlink()


def declared_size(tree: Path) -> None:
    shown = json.loads((tree / POINTER).read_bytes())
    for record in shown["records"]:
        record["size"] = 10**10
    (tree / POINTER).write_text(json.dumps(shown))


def ring(tree: Path) -> None:
    """Every child of every node is the same node: a thousand million projects to look at."""
    below = hash_tree.leaf({"a": Entry(1, "0" * 64, 5)})
    entry = hash_tree.entry_of(below, 1)
    contents = {entry.sha256: below}
    for _ in range(5):
        node = hash_tree.node((entry,) * 32)
        entry = hash_tree.entry_of(node, 1)
        contents[entry.sha256] = node
    root = Root(32**6, 5, children=(entry,) * 32)
    point(tree, "shards", hash_tree.root(root), "json")
    for level in range(1, 6):
        folder = tree / "repodata/t" / "/".join(["00"] * (level - 1)) / "v"
        folder.mkdir(parents=True, exist_ok=True)
        for sha256, content in contents.items():
            (folder / f"{sha256}.json").write_bytes(content)


def large_leaf(tree: Path) -> None:
    leaf = hash_tree.leaf({f"p{n}": Entry(1, "0" * 64, 5) for n in range(300_000)})
    entry = put(tree, "repodata/t/00.json", leaf)
    children = (entry, *[None] * 31)
    point(tree, "shards", hash_tree.root(Root(1000, 1, children=children)), "json")


def name_twice(tree: Path) -> None:
    root = hash_tree.root(Root(1, 0, projects={"demo": Entry(1, "0" * 64, 5)}))
    twice = root.replace(b'{"demo":', b'{"demo":[1,"' + b"1" * 64 + b'",5],"demo":')
    point(tree, "shards", twice, "json")


def number(text: bytes) -> Callable[[Path], None]:
    def lie(tree: Path) -> None:
        root = hash_tree.root(Root(1, 0, projects={"demo": Entry(1, "0" * 64, 5)}))
        point(tree, "shards", root.replace(b",5]", b"," + text + b"]"), "json")

    return lie


def wrong_count(tree: Path) -> None:
    name = "demo"
    leaf = hash_tree.leaf({name: Entry(1, "0" * 64, 5)})
    (where,) = digits(name, 1)
    entry = put(tree, f"repodata/t/{where:02x}.json", leaf)
    children = [None] * 32
    children[where] = entry  # type: ignore[call-overload]
    point(tree, "shards", hash_tree.root(Root(1000, 1, children=tuple(children))), "json")


def nested(tree: Path) -> None:
    point(tree, "shards", b'{"projects":' + b"[" * 10**6, "json")
    point(tree, "changes", b'{"serial":' + b"[" * 10**6, "json")
    point(tree, "site", b'{"documents":' + b"[" * 10**6, "json")


def away(tree: Path) -> None:
    site = {"documents": {"../../etc/passwd": ["0" * 64, 5]}, "serial": 1}
    point(tree, "site", json.dumps(site).encode(), "json")


def away_from_the_pointer(tree: Path) -> None:
    shown = (tree / POINTER).read_text()
    (tree / POINTER).write_text(shown.replace('"href":"repodata/', '"href":"../../', 1))


def links(tree: Path) -> None:
    for path in [*tree.glob("simple/*/index.json")][:3]:
        path.unlink()
        path.symlink_to("/etc/passwd")
    (tree / "repodata/loop").symlink_to(tree / "repodata")
    (tree / "simple/zero").symlink_to("/dev/zero")
    os.mkfifo(tree / "simple/pipe")


def large_manifest(tree: Path) -> None:
    listed = {f"static/a{n}": ["0" * 64, 5] for n in range(700_000)}
    site = json.dumps({"documents": listed, "serial": 1}).encode()
    point(tree, "site", site, "json")


def segments_bomb(tree: Path) -> None:
    packed = gzip_bytes(bytes(256 * 2**20)) * 8
    sha256 = sha256_hex(packed)
    (tree / "repodata/c/1-5.jsonl.gz").write_bytes(packed)
    at = "2026-03-01T12:00:00.000000Z"
    record = {
        "serial": 5,
        "time": at,
        "open": {"from": 1, "latest": at},
        "periods": None,
        "segments": [[1, 5, sha256, len(packed)]],
    }
    point(tree, "changes", json.dumps(record).encode(), "json")


LIES: dict[str, Callable[[Path], None]] = {
    "a record that unpacks to 4 GB": bomb,
    "10 TB are said to be in it": declared_bomb,
    "names that unpack to 4 GB": names_bomb,
    "documents of 10 GB": declared_size,
    "nodes without end": ring,
    "a leaf of 24 MB": large_leaf,
    "a name that is told twice": name_twice,
    "1e400": number(b"1e400"),
    "a number of 300 digits": number(b"9" * 300),
    "a negative number": number(b"-5"),
    "a wrong count": wrong_count,
    "brackets without end": nested,
    "a manifest that leads away": away,
    "a record that leads away": away_from_the_pointer,
    "links, pipes and devices": links,
    "a manifest of 55 MB": large_manifest,
    "changes that unpack to 2 GB": segments_bomb,
}


def verified(tree: Path) -> tuple[int, list[dict[str, Any]], int, float]:
    """Run ``verify --all``; return status, findings, peak memory in kB, and seconds."""
    program = str(Path(sys.executable).with_name("pyramid-pypi"))
    began = time.monotonic()
    command = [program, "verify", str(tree), "--all", "--unsigned", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        told = process.stdout.read()
        complaint = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert b"Traceback" not in complaint, complaint[-3000:]
    findings = json.loads(told)["findings"] if told else []
    return process.returncode, findings, usage.ru_maxrss, time.monotonic() - began


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_a_finding(copy: Path, lie: str) -> None:
    for path in [*(copy / "tuf").iterdir(), *copy.glob("repodata/repomd.xml.*")]:
        path.unlink()
    LIES[lie](copy)
    outside = set(copy.parent.iterdir())
    status, findings, peak_kb, took_s = verified(copy)
    assert status == 3
    assert findings
    assert peak_kb < MOST_KB
    assert took_s < MOST_S
    assert set(copy.parent.iterdir()) == outside
