"""A walk of a reader that believes nothing but hashes: from the pointer to documents.

It knows the published formats as a stranger would, and imports nothing of the package, so
that what it proves does not lean on what is proved.  The reader's rule: the stable path;
on a mismatch the version under its hash; when that is gone too, the pointer again.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import unquote, urljoin

REPO = "{http://linux.duke.edu/metadata/repo}"
_ROOMS = {"shards": "repodata/t", "companions": "repodata/p"}
_WHOLE = ("primary", "filelists", "other", "projects", "mirrors")


def _named(entry: list[Any]) -> tuple[str, int]:
    """Return sha256 in hex and size of what an entry of a hash tree names."""
    _, digest, size_bytes = entry
    return base64.urlsafe_b64decode(digest + "=").hex(), size_bytes


class Lost(Exception):
    """A document that the pointer leads to is neither at its path nor under its hash."""


class Wrong(Exception):
    """Documents that belong together contradict each other."""


class Place(Protocol):
    """Where a tree is read."""

    def get(self, path: str) -> bytes | None:
        """Return what is at `path` now, None if there is nothing."""


@dataclass(frozen=True)
class Pointer:
    """What a pointer says: its serial; path, sha256 and size of each record."""

    serial: int
    records: Mapping[str, tuple[str, str, int]]


@dataclass
class Tally:
    """What readers of one place have done so far."""

    walks: int = 0
    reads: int = 0  # documents that were verified
    bytes: int = 0
    shadows: int = 0  # of the reads, those under their hash
    absent: int = 0  # projects that a tree does not have, proved by its leaf
    refetches: int = 0  # of the pointer, because a document was gone
    serial: int = 0  # of the newest pointer
    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in what another reader of the same place has done."""
        for name in ("walks", "reads", "bytes", "shadows", "absent", "refetches"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.serial = max(self.serial, other.serial)
        self.kinds.update(other.kinds)
        self.failures += other.failures


def json_pointer(place: Place) -> Pointer:
    """Return what ``repomd.json`` says at `place`."""
    return _of_json(_at(place, "repodata/repomd.json"))


def xml_pointer(place: Place) -> Pointer:
    """Return what ``repomd.xml`` says at `place`, read as createrepo's readers do."""
    top = ET.fromstring(_at(place, "repodata/repomd.xml"))
    records = map(_of_xml, top.iterfind(f"{REPO}data"))
    return Pointer(int(top.findtext(f"{REPO}revision") or "-1"), dict(records))


def signed_pointer(place: Place) -> Pointer:
    """Return what the pointer says to which TUF's roles lead at `place`, by their hashes."""
    roles = _at(place, "tuf/timestamp.json")
    for role, of_version in (("snapshot", ".json"), ("repomd", ".json")):
        told = json.loads(roles)["signed"]["meta"][f"{role}{of_version}"]
        path = f"tuf/{told['version']}.{role}.json"
        roles = _at(place, path)
        if told.get("length", len(roles)) != len(roles):
            raise Wrong(f"{path}: the length differs")
        digest = hashlib.sha256(roles).hexdigest()
        if told.get("hashes", {}).get("sha256", digest) != digest:
            raise Wrong(f"{path}: the hash differs")
    target = json.loads(roles)["signed"]["targets"]["repodata/repomd.json"]
    path = f"repodata/{target['hashes']['sha256']}.repomd.json"
    content = _at(place, path)
    if not is_right(content, target["hashes"]["sha256"], target["length"]):
        raise Wrong(f"{path}: other bytes than its name says")
    return _of_json(content)


POINTERS = (json_pointer, xml_pointer, signed_pointer)


def is_right(content: bytes | None, sha256: str, size_bytes: int | None) -> bool:
    """Tell whether `content` is the document of that hash and, if it is known, that size."""
    return (
        content is not None
        and size_bytes in (None, len(content))
        and hashlib.sha256(content).hexdigest() == sha256
    )


def shadow_of(path: str, sha256: str) -> str:
    """Return where the version `sha256` of the document at `path` also lies."""
    folder, _, name = path.rpartition("/")
    ending = name.partition(".")[1] + name.partition(".")[2]
    return f"{folder if '/' in folder else 'repodata'}/v/{sha256}{ending}"


class Walk:
    """Reads under one pointer; each document is verified before anything in it is used.

    Each method raises `Lost` for a document that the reader's rule does not find.
    """

    def __init__(
        self, place: Place, pointer: Pointer, chance: random.Random, tally: Tally
    ) -> None:
        self._place = place
        self._pointer = pointer
        self._chance = chance
        self._tally = tally
        self._read: dict[tuple[str, str], bytes] = {}

    def some(self, projects: Iterable[str]) -> None:
        """Read `projects`, as many that changed last, and some of all else."""
        changed = self.changes()
        for name in {*projects, *changed}:
            self.project(name, every=False)
        self.record(self._chance.choice(_WHOLE))
        self.site(every=False)

    def everything(self) -> None:
        """Read all that the pointer leads to."""
        for kind in self._pointer.records:
            self.record(kind)
        self.changes(every=True)
        self.site(every=True)
        for name in sorted({*self.names("shards"), *self.names("companions")}):
            self.project(name, every=True)

    def record(self, kind: str) -> bytes:
        """Read the record `kind`; one that is compressed is unpacked to its end."""
        href, sha256, size_bytes = self._pointer.records[kind]
        content = self._right(kind, href, sha256, size_bytes, kept=False)
        if href.endswith(".gz"):
            gzip.decompress(content)
        return content

    def names(self, kind: str) -> list[str]:
        """Return every project of the tree `kind`."""
        top = json.loads(self.record(kind))
        found = list(top.get("projects", ()))
        waiting = [(f"{d:02x}", entry) for d, entry in enumerate(top.get("children", ()))]
        while waiting:
            way, entry = waiting.pop()
            if entry is None:
                continue
            read = json.loads(self._right("node", f"{_ROOMS[kind]}/{way}.json", *_named(entry)))
            found += read.get("projects", ())
            below = enumerate(read.get("children", ()))
            waiting += [(f"{way}/{digit:02x}", child) for digit, child in below]
        if len(found) != top["count"]:
            raise Wrong(f"{kind}: {len(found)} projects, not {top['count']}")
        return found

    def project(self, name: str, *, every: bool) -> None:
        """Read the pages of the project `name`, some of its files and companions, or all."""
        entry = self._entry("shards", name)
        if entry is None:
            self._tally.absent += 1
        else:
            self._pages(name, entry, every=every)
        entry = self._entry("companions", name)
        if entry is not None:
            path = f"projects/{name}/documents.json"
            manifest = json.loads(self._right("manifest", path, *_named(entry)))
            if manifest["serial"] != entry[0]:
                raise Wrong(f"{path}: serial {manifest['serial']}, not {entry[0]}")
            self._listed("companion", manifest, 9**9 if every else 3)

    def site(self, *, every: bool) -> None:
        """Read documents of the whole site."""
        self._listed("site", json.loads(self.record("site")), 9**9 if every else 1)

    def changes(self, *, every: bool = False) -> list[str]:
        """Read the newest segment, or all; return the projects that it tells of."""
        told = json.loads(self.record("changes"))
        if told["serial"] != self._pointer.serial:
            raise Wrong(f"changes up to {told['serial']}, not {self._pointer.serial}")
        segments = told["segments"]
        if told["periods"]:
            periods = json.loads(self._right("segment", *told["periods"]))
            older = [[p["from"], p["to"], *p["events"]] for p in periods["periods"]]
            older += periods["segments"]
            segments = older + segments
        chosen = segments if every else [*segments[-1:], *self._sample(segments, 1)]
        names: dict[str, None] = {}
        for first, last, sha256, size_bytes in reversed(chosen):
            path = f"repodata/c/{first}-{last}.jsonl.gz"
            packed = self._right("segment", path, sha256, size_bytes)
            events = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
            serials = [event["serial"] for event in events]
            if (serials[0], serials[-1]) != (first, last) or serials != sorted(set(serials)):
                raise Wrong(f"{path} tells of other changes")
            names |= {event["project"]: None for event in events if event.get("project")}
        return list(names)

    def _pages(self, name: str, entry: list[Any], *, every: bool) -> None:
        path = f"simple/{name}/index.json"
        page = json.loads(self._right("page", path, *_named(entry)))
        if page["meta"]["_last-serial"] != entry[0]:
            raise Wrong(f"{path}: serial {page['meta']['_last-serial']}, not {entry[0]}")
        html = page["_html"]
        self._right("page", f"simple/{name}/index.html", html["sha256"], html["size"])
        for file in page["files"] if every else self._sample(page["files"], 1):
            url = unquote(urljoin(f"/simple/{name}/", file["url"])).removeprefix("/")
            self._right("file", url, file["hashes"]["sha256"], file["size"])
            if "core-metadata" in file:
                self._right("file", f"{url}.metadata", file["core-metadata"]["sha256"], None)

    def _listed(self, kind: str, manifest: Mapping[str, Any], most: int) -> None:
        documents = manifest["documents"]
        for path in self._sample(sorted(documents), most):
            self._right(kind, path, *documents[path])

    def _entry(self, kind: str, name: str) -> list[Any] | None:
        """Return what the tree `kind` says of the project `name`: serial, sha256, size."""
        read = json.loads(self._right(kind, *self._pointer.records[kind]))
        head = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        way = _ROOMS[kind]
        for level in range(read["depth"]):
            digit = head >> (59 - 5 * level) & 31
            entry = read["children"][digit]
            if entry is None:
                return None
            way = f"{way}/{digit:02x}"
            read = json.loads(self._right("node", f"{way}.json", *_named(entry)))
        found: list[Any] | None = read["projects"].get(name)
        return found

    def _right(
        self, kind: str, path: str, sha256: str, size_bytes: int | None, *, kept: bool = True
    ) -> bytes:
        """Return the document by the reader's rule; once more in a walk it is no read."""
        known = self._read.get((path, sha256))
        if known is not None:
            return known
        content = self._place.get(path)
        if not is_right(content, sha256, size_bytes):
            shadow = self._place.get(shadow_of(path, sha256)) if kind != "file" else None
            if not is_right(shadow, sha256, size_bytes):
                beside = "missing" if shadow is None else "another too"
                there = "missing" if content is None else "another"
                raise Lost(f"{kind} {path} is {there}, its shadow {beside}")
            content = shadow
            self._tally.shadows += 1
        assert content is not None
        self._tally.reads += 1
        self._tally.bytes += len(content)
        self._tally.kinds[kind] += 1
        if kept:
            self._read[path, sha256] = content
        return content

    def _sample(self, several: list[Any], most: int) -> list[Any]:
        return self._chance.sample(several, min(most, len(several)))


def _at(place: Place, path: str) -> bytes:
    content = place.get(path)
    if content is None:
        raise Lost(f"{path} is missing")
    return content


def _of_json(content: bytes) -> Pointer:
    told = json.loads(content)
    if told["revision"] != str(told["serial"]):
        raise Wrong(f"revision {told['revision']} with serial {told['serial']}")
    records = {r["type"]: (r["href"], r["sha256"], r["size"]) for r in told["records"]}
    return Pointer(told["serial"], records)


def _of_xml(element: ET.Element) -> tuple[str, tuple[str, str, int]]:
    place, checksum = element.find(f"{REPO}location"), element.find(f"{REPO}checksum")
    if place is None or checksum is None or checksum.get("type") != "sha256":
        raise Wrong("repomd.xml names a record without path or sha256")
    size_bytes = int(element.findtext(f"{REPO}size") or "-1")
    named = (place.get("href") or "", checksum.text or "", size_bytes)
    return element.get("type") or "", named
