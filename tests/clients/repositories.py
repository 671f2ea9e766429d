"""Drives the programs that read createrepo's repositories: none of them is ours.

Each function takes the address of a repository, a URL or a folder, and fails unless the
program accepts all of it without a warning.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import createrepo_c
import requests
from lxml import etree

from tests.clients.running import clean_environment, run
from tests.conftest import unavailable

SYSTEM_PYTHON = "/usr/bin/python3"
DRIVERS = Path(__file__).parent
NS = {"r": "http://linux.duke.edu/metadata/repo"}
KINDS = ("primary", "filelists", "other")
TIMEOUT_S = 300

_COMPLAINT = re.compile(r"\b(warning|critical|traceback)\b|^\W*(error|failed|mirror)\b", re.I)


class Refused(Exception):
    """The program would not have the repository, and said why."""


def accepts_createrepo_c(base: str | Path, min_packages: int = 1) -> int:
    """Read `base` with createrepo_c of the package registry; return how many packages.

    Every record is measured again by createrepo_c itself; the three documents go through
    its strict reader, which asks for one order in all of them.
    """
    with fetched(base) as folder:
        pointer = createrepo_c.Repomd(str(folder / "repodata/repomd.xml"))
        warnings: list[Any] = list(pointer.warnings)
        for record in pointer.records:
            _measure(record, folder)
        count = _read_strictly(folder, warnings)
    assert warnings == []
    assert count >= min_packages, f"{count} packages"
    return count


def accepts_old_createrepo_c(base: str | Path) -> None:
    """Read `base` with the distribution's createrepo_c, by making SQLite twins of it."""
    program = _program("sqliterepo_c")
    with fetched(base) as folder:
        done = run([program, "--force", folder], folder / "home")
        assert done.code == 0, done.output
        assert not _complaints(done.output), done.output
        added = createrepo_c.Repomd(str(folder / "repodata/repomd.xml"))
        types = Counter(record.type for record in added.records)
    assert {f"{kind}_db" for kind in KINDS} <= set(types)
    assert set(types.values()) == {1}, types


def accepts_librepo(base: str | Path, gpg_key: Path | None = None) -> dict[str, Any]:
    """Download all of `base` with librepo, signature too if `gpg_key` is given.

    Returns the `revision` and the `records` by type, as librepo read them.

    Raises:
        Refused: librepo refused it.
    """
    _importable("librepo")
    with tempfile.TemporaryDirectory(prefix="librepo-") as destination:
        words = [destination, _url(base), *([gpg_key] if gpg_key else [])]
        told: dict[str, Any] = _system("system_librepo.py", words)
        if "refused" in told:
            raise Refused(told["refused"])
        assert set(told["fetched"]) == set(told["records"]), told
        for kind, record in told["records"].items():
            assert record["checksum_type"] == "sha256", kind
            for key in ("location_href", "checksum", "timestamp", "size"):
                assert record[key], f"{kind}: no {key}"
            content = Path(told["fetched"][kind]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == record["checksum"], kind
    return told


def accepts_libsolv(
    base: str | Path, expect: Collection[str] = (), resolve: str | None = None
) -> Mapping[str, str]:
    """Load `base` into libsolv, which must know the projects that `expect` names.

    Returns what an installation of `resolve` comes to, a name with or without a bound,
    such as ``webapp < 2``: the version of each package, by name.

    Raises:
        Refused: the installation has no solution.
    """
    _importable("solv")
    with fetched(base) as folder:
        told = _system("system_libsolv.py", [folder, *([resolve] if resolve else [])])
        tree = etree.parse(str(folder / "repodata/repomd.xml"))
    assert told["revision"] == tree.findtext("r:revision", namespaces=NS)
    assert told["records"] == {
        record.get("type"): [
            location.get("href"),
            f"sha256:{record.findtext('r:checksum', namespaces=NS)}",
        ]
        for record in tree.iterfind("r:data", NS)
        for location in record.iterfind("r:location", NS)
    }
    for name, evr, arch, location, checksum, size_bytes in told["packages"]:
        assert all((name, evr, arch, location, size_bytes)), (name, evr, arch, location)
        assert checksum.startswith("sha256:"), (name, evr)
    assert set(expect) <= {package[0] for package in told["packages"]}
    if told.get("problems"):
        raise Refused("; ".join(told["problems"]))
    chosen: Mapping[str, str] = told.get("chosen", {})
    return chosen


def libsolv_order(pairs: Sequence[tuple[str, str]]) -> list[int]:
    """Return how libsolv orders each pair of ``EPOCH:VERSION-RELEASE``: -1, 0 or 1."""
    _importable("solv")
    order: list[int] = _system("system_libsolv.py", ["--compare"], json.dumps(pairs))
    return order


def accepts_dnf(base: str | Path, name: str, *, sync: bool = True) -> int:
    """List `base` with dnf, and find the project `name`; return how many packages.

    With `sync` every release file is mirrored too, by ``dnf reposync``, which checks each
    against its size and sha256; `base` is then best a URL, or files are only linked.

    Raises:
        Refused: dnf refused the repository, or one of its files.
    """
    dnf = _program("dnf")
    if sync and "reposync" not in subprocess.check_output([dnf, "--help"], text=True):
        unavailable("dnf has no reposync")
    with tempfile.TemporaryDirectory(prefix="dnf-") as scratch:
        call = partial(_dnf, [dnf, *_dnf_options(_url(base), Path(scratch))], Path(scratch))
        query = ["-q", "repoquery", "--all", "--show-duplicates", "--qf", "%{name} %{location}"]
        listed = call(query).splitlines()
        assert any(line.startswith(f"{name} ") for line in listed), f"{name} is not listed"
        if sync:
            target = Path(scratch) / "mirror"
            for sort in ([], ["--source"]):
                call(["reposync", *sort, "--download-metadata", f"--download-path={target}"])
            mirror = target / "index"
            found = [path.relative_to(mirror) for path in mirror.rglob("*") if path.is_file()]
            mirrored = {str(path) for path in found if "repodata" not in path.parts}
            assert mirrored == {line.partition(" ")[2] for line in listed}
    return len(listed)


@contextmanager
def fetched(base: str | Path) -> Iterator[Path]:
    """Copy the pointer of `base` and all it names to a folder, for readers of files."""
    with tempfile.TemporaryDirectory(prefix="repository-") as scratch:
        folder = Path(scratch)
        read = _reader(base)
        pointer = _keep(folder, "repodata/repomd.xml", read)
        for location in etree.fromstring(pointer).iterfind("r:data/r:location", NS):
            _keep(folder, str(location.get("href")), read)
        yield folder


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve `folder` by HTTP on this machine for the length of a block; yield its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _measure(record: Any, folder: Path) -> None:
    again = createrepo_c.RepomdRecord(record.type, str(folder / record.location_href))
    again.fill(createrepo_c.checksum_type(record.checksum_type))
    assert again.checksum == record.checksum, record.type
    assert again.size == record.size, record.type
    if record.checksum_open:
        assert again.checksum_open == record.checksum_open, record.type
        assert again.size_open == record.size_open, record.type


def _read_strictly(folder: Path, warnings: list[Any]) -> int:
    def warn(*words: Any) -> bool:
        warnings.append(words)
        return True

    reader = createrepo_c.RepositoryReader.from_path(str(folder))
    seen = set()
    for package in reader.iter_packages(warningcb=warn):
        for field in ("name", "arch", "version", "epoch", "release", "location_href"):
            assert getattr(package, field), f"{package.pkgId}: no {field}"
        assert package.checksum_type == "sha256"
        assert package.size_package > 0
        assert package.time_file > 0
        assert len(package.changelogs) == 1
        assert package.pkgId not in seen
        seen.add(package.pkgId)
    return len(seen)


def _reader(base: str | Path) -> Callable[[str], bytes]:
    if not isinstance(base, str) or "://" not in base:
        return lambda path: (Path(base) / path).read_bytes()

    def get(path: str) -> bytes:
        answer = requests.get(
            f"{base.rstrip('/')}/{path}",
            headers={"Accept-Encoding": "identity"},
            timeout=TIMEOUT_S,
        )
        answer.raise_for_status()
        content: bytes = answer.content
        return content

    return get


def _keep(folder: Path, path: str, read: Callable[[str], bytes]) -> bytes:
    target = folder / path
    assert target.resolve().is_relative_to(folder.resolve()), path
    target.parent.mkdir(parents=True, exist_ok=True)
    content = read(path)
    target.write_bytes(content)
    return content


def _url(base: str | Path) -> str:
    return str(base) if "://" in str(base) else Path(base).resolve().as_uri()


def _dnf_options(url: str, scratch: Path) -> list[str]:
    (scratch / "log").mkdir()
    return [
        *(
            f"--setopt={option}"
            for option in (
                f"cachedir={scratch / 'cache'}",
                f"logdir={scratch / 'log'}",
                f"persistdir={scratch / 'state'}",
                f"reposdir={scratch / 'none'}",
                "index.gpgcheck=0",
                "index.retries=1",
            )
        ),
        f"--installroot={scratch / 'root'}",
        "--releasever=1",
        "--forcearch=x86_64",
        f"--repofrompath=index,{url}",
        "--repo=index",
    ]


def _dnf(command: Sequence[object], scratch: Path, words: Sequence[str]) -> str:
    done = run([*command, *words], scratch / "home")
    if done.code:
        raise Refused(done.output)
    assert not _complaints(done.output), done.output
    return done.output


def _complaints(output: str) -> list[str]:
    return [line for line in output.splitlines() if _COMPLAINT.search(line)]


def _system(driver: str, words: Sequence[object], given: str = "") -> Any:
    """Run one of our drivers by the system's Python, which has libraries ours has not."""
    with tempfile.TemporaryDirectory(prefix="system-") as home:
        done = subprocess.run(
            [SYSTEM_PYTHON, "-I", "-W", "error", DRIVERS / driver, *map(str, words)],
            env=clean_environment(Path(home)),
            input=given,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@cache
def _finds(module: str) -> bool:
    command = [SYSTEM_PYTHON, "-I", "-c", f"import {module}"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _importable(module: str) -> None:
    if not _finds(module):
        unavailable(f"the system's Python has no {module}")


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        unavailable(f"{name} is not installed")
    return found
