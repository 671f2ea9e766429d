"""Verifying readers during many publishes: page, ETag and file hashes always agree.

A writer uploads and yanks as fast as it is answered.  Readers over HTTP check that one
ETag means one body and one body one ETag, that a 304 is honest, that whatever was
acknowledged before they asked is on the page, and that files and their metadata have the
hashes the page states.  Readers of the tree itself, as nginx or rsync read it, check that
each document is whole and has its shadow.

    python -m tests.prove.readers [--publishes 500] [--readers 8]
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.prove import checking
from tests.prove.checking import links_in, served
from tests.prove.serving import Server
from tests.prove.uploading import SIMPLE_HTML, SIMPLE_JSON, Client, Parcel, Reply

_PROJECTS = [f"subject{number}" for number in range(4)]
_TREE_READERS = 2


class Promises:
    """What the writer was told is published: the floor of what readers must see."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[str, frozenset[str]] = dict.fromkeys(_PROJECTS, frozenset())
        self._yanked: frozenset[str] = frozenset()

    def published(self, parcel: Parcel) -> None:
        with self._lock:
            self._files[parcel.project] |= {parcel.filename}

    def yanked(self, parcel: Parcel) -> None:
        with self._lock:
            self._yanked |= {parcel.filename}

    def of(self, project: str) -> tuple[frozenset[str], frozenset[str]]:
        """Return the filenames on the page of `project`, and those yanked anywhere."""
        with self._lock:
            return self._files[project], self._yanked


class ETags:
    """Which body each ETag has meant, over all readers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bodies: dict[tuple[str, str], str] = {}
        self._etags: dict[tuple[str, str, str], str] = {}

    def check(self, path: str, kind: str, etag: str, body: bytes) -> Iterator[str]:
        """Yield what is wrong with `body` under `etag`; `kind` is type and encoding."""
        digest = hashlib.sha256(body).hexdigest()
        with self._lock:
            known_body = self._bodies.setdefault((path, etag), digest)
            known_etag = self._etags.setdefault((path, kind, digest), etag)
        if not etag or etag.startswith("W/"):
            yield f"{path}: no strong ETag but {etag!r}"
        if known_body != digest:
            yield f"{path}: two bodies under the ETag {etag}"
        if known_etag != etag:
            yield f"{path}: one body ({kind}) under {etag} and {known_etag}"


class Reader(threading.Thread):
    """Reads over HTTP until told to stop."""

    def __init__(self, server: Server, number: int, promises: Promises, etags: ETags) -> None:
        super().__init__()
        self.violations: list[str] = []
        self.reads = self.unchanged = self.files = 0
        self.finished = threading.Event()
        self._server = server
        self._chance = random.Random(number)
        self._promises = promises
        self._etags = etags
        self._kept: dict[tuple[str, str, str], Reply] = {}

    def run(self) -> None:
        with self._server.client() as client:
            while not self.finished.is_set():
                try:
                    self.violations += self._read(client)
                except Exception as error:
                    self.violations.append(f"a reader failed: {error!r}")
                    return

    def _read(self, client: Client) -> Iterator[str]:
        project = self._chance.choice(_PROJECTS)
        accept = self._chance.choice((SIMPLE_HTML, SIMPLE_JSON))
        encoding = self._chance.choice(("identity", "gzip"))
        path = f"/simple/{project}/"
        expected, yanked = self._promises.of(project)
        kept = self._kept.get((path, accept, encoding))
        headers = {"Accept": accept, "Accept_Encoding": encoding}
        if kept is not None and self._chance.random() < 0.5:
            headers["If_None_Match"] = kept.headers["ETag"]
        reply = client.get(path, **headers)
        self.reads += 1
        if reply.status == 304 and kept is not None:
            self.unchanged += 1
            if reply.body or reply.headers["ETag"] != kept.headers["ETag"]:
                yield f"{path}: a 304 with another ETag or a body"
            reply = kept
        if reply.status == 404 and not expected:
            return
        if reply.status != 200:
            yield f"{path}: {reply.status} {reply.text[:200]}"
            return
        self._kept[path, accept, encoding] = reply
        yield from self._verify(client, path, reply, expected, yanked)

    def _verify(
        self,
        client: Client,
        path: str,
        reply: Reply,
        expected: frozenset[str],
        yanked: frozenset[str],
    ) -> Iterator[str]:
        encoding = reply.headers.get("Content-Encoding", "identity")
        content_type = reply.headers["Content-Type"]
        kind = f"{content_type} {encoding}"
        yield from self._etags.check(path, kind, reply.headers.get("ETag", ""), reply.body)
        body = gzip.decompress(reply.body) if encoding == "gzip" else reply.body
        links = links_in(body, content_type, path)
        if not expected <= set(links):
            yield f"{path}: {len(expected - set(links))} acknowledged files are not listed"
        if content_type.startswith(SIMPLE_JSON):
            shown = {f["filename"] for f in json.loads(body)["files"] if f.get("yanked")}
            if not yanked & set(links) <= shown:
                yield f"{path}: an acknowledged yank is not shown"
        for filename in self._chance.sample(sorted(links), min(2, len(links))):
            place, sha256 = links[filename]
            self.files += 1
            yield from served(client, place, sha256)


class TreeReader(threading.Thread):
    """Reads the files of the tree, as a front server or rsync does."""

    def __init__(self, tree: Path, number: int) -> None:
        super().__init__()
        self.violations: list[str] = []
        self.reads = 0
        self.finished = threading.Event()
        self._tree = tree
        self._chance = random.Random(1000 + number)

    def run(self) -> None:
        while not self.finished.is_set():
            try:
                self.violations += self._read()
            except Exception as error:
                self.violations.append(f"a reader of the tree failed: {error!r}")
                return
            time.sleep(0.001)

    def _read(self) -> Iterator[str]:
        folder = self._tree / "simple" / self._chance.choice(_PROJECTS)
        extension = self._chance.choice((".json", ".html", ".json.gz", ".html.gz"))
        try:
            body = (folder / f"index{extension}").read_bytes()
        except FileNotFoundError:
            return
        self.reads += 1
        content = gzip.decompress(body) if extension.endswith(".gz") else body
        content_type = SIMPLE_JSON if ".json" in extension else SIMPLE_HTML
        links = links_in(content, content_type, f"/simple/{folder.name}/")
        digest = hashlib.sha256(content).hexdigest()
        try:
            shadow = (folder / "v" / f"{digest}{extension}").read_bytes()
        except FileNotFoundError:
            yield f"{folder.name}/index{extension} has no shadow {digest}"
        else:
            if shadow != body:
                yield f"{folder.name}/index{extension} differs from its shadow"
        if links:
            path, sha256 = links[self._chance.choice(sorted(links))]
            stored = (self._tree / path.lstrip("/")).read_bytes()
            if hashlib.sha256(stored).hexdigest() != sha256:
                yield f"{path}: the stored bytes have another hash"


def write(server: Server, publishes: int, promises: Promises) -> list[str]:
    """Publish so often, two uploads to a yank; return what was not answered 200."""
    chance = random.Random(4711)
    uploaded: list[Parcel] = []
    violations = []
    with server.client() as client:
        for turn in range(publishes):
            if turn % 3 == 2 and uploaded:
                parcel = uploaded.pop(chance.randrange(len(uploaded)))
                reply = client.yank(parcel, f"reason {turn}")
                told = promises.yanked
            else:
                parcel = Parcel.new(chance.choice(_PROJECTS), f"{turn}.0")
                reply = client.upload(parcel)
                uploaded.append(parcel)
                told = promises.published
            if reply.status not in (200, 204):
                violations.append(f"publish {turn}: {reply.status} {reply.text[:200]}")
            else:
                told(parcel)
    return violations


def run(server: Server, *, publishes: int, readers: int) -> tuple[list[str], str]:
    """Read while `server`, which is empty, publishes; return violations and figures."""
    promises, etags = Promises(), ETags()
    by_http: list[Reader] = [
        Reader(server, number, promises, etags) for number in range(readers)
    ]
    by_tree = [TreeReader(server.folder / "tree", number) for number in range(_TREE_READERS)]
    for thread in (*by_http, *by_tree):
        thread.start()
    began = time.monotonic()
    violations = write(server, publishes, promises)
    seconds = time.monotonic() - began
    every: list[Reader | TreeReader] = [*by_http, *by_tree]
    for reader in every:
        reader.finished.set()
    for reader in every:
        reader.join()
        violations += reader.violations
    reads, unchanged = (
        sum(getattr(r, name) for r in by_http) for name in ("reads", "unchanged")
    )
    files = sum(reader.files for reader in by_http)
    tree_reads = sum(reader.reads for reader in by_tree)
    if not (reads and unchanged and files and tree_reads):
        violations.append("the readers hardly read; nothing was proved")
    figures = (
        f"{publishes} publishes in {seconds:.1f} s; {readers} readers: {reads} pages, "
        f"{unchanged} of them 304, {files} files; {tree_reads} documents of the tree"
    )
    return violations, figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--publishes", type=int, default=500)
    parser.add_argument("--readers", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="readers-") as name:
        folder = Path(name)
        with Server(folder / "index", folder / "serve.log") as server:
            violations, figures = run(
                server, publishes=options.publishes, readers=options.readers
            )
            violations += server.fsck()
    checking.end(violations, figures)


if __name__ == "__main__":
    main()
