"""Distributions to measure with: small, valid, made up, and the same on every machine."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import random
import shutil
import tarfile
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path

BIG_PROJECT = "bigproject"
BIG_PROJECT_FILES = 2000
HEAVY_PROJECT = "heavywheel"
HEAVY_BYTES = 10_000_000
CLOSURE_ROOT = "closure-root"
CLOSURE_SIZE = 24

_SYLLABLES = textwrap.wrap("babedofugahijokaleminopurasetivowaxeyozu", 2)
_EPOCH = (2026, 1, 1, 0, 0, 0)
_DESCRIPTION_WORDS = 260  # makes a wheel of some 2.5 kB


def project_names(count: int) -> list[str]:
    """Return `count` made-up names, in the order in which projects are added."""
    source = random.Random(20260101)
    names: dict[str, None] = {}
    while len(names) < count:
        word = "".join(source.choices(_SYLLABLES, k=source.randint(2, 4)))
        names[f"{word}-{source.choice(_SYLLABLES)}{source.randrange(1000)}"] = None
    return list(names)


def wheel(
    name: str, version: str, requires: tuple[str, ...] = (), padding_bytes: int = 0
) -> tuple[str, bytes]:
    """Return the filename and the bytes of a wheel of `name`, a normalized name."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    members = {
        f"{module}/__init__.py": f'"""{name}"""\n__version__ = "{version}"\n'.encode(),
        f"{info}/METADATA": metadata(name, version, requires),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: benchmark\n"
        b"Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if padding_bytes:
        members[f"{module}/padding.bin"] = random.Random(1).randbytes(padding_bytes)
    record = "".join(f"{path},{_record_hash(body)}\n" for path, body in members.items())
    members[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, body in members.items():
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), body, zipfile.ZIP_DEFLATED)
    return f"{module}-{version}-py3-none-any.whl", out.getvalue()


def sdist(name: str, version: str) -> tuple[str, bytes]:
    """Return the filename and the bytes of an sdist of `name`, a normalized name."""
    module = name.replace("-", "_")
    root = f"{module}-{version}"
    members = {
        f"{root}/PKG-INFO": metadata(name, version),
        f"{root}/pyproject.toml": b'[build-system]\nrequires = ["setuptools"]\n',
        f"{root}/{module}/__init__.py": f'"""{name}"""\n'.encode(),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, body in members.items():
            member = tarfile.TarInfo(path)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return f"{root}.tar.gz", gzip.compress(packed.getvalue(), mtime=0)


def metadata(name: str, version: str, requires: tuple[str, ...] = ()) -> bytes:
    """Return core metadata with a description, and `requires` as Requires-Dist."""
    source = random.Random(f"{name} {version}")
    words = (
        "".join(source.choices(_SYLLABLES, k=source.randint(1, 4)))
        for _ in range(_DESCRIPTION_WORDS)
    )
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        f"Summary: What {name} is good for",
        "Author-email: Somebody <somebody@example.org>",
        "License: MIT",
        "Requires-Python: >=3.8",
        "Classifier: Programming Language :: Python :: 3",
        "Description-Content-Type: text/markdown",
        *(f"Requires-Dist: {requirement}" for requirement in requires),
        "",
        f"# {name}",
        "",
        " ".join(words),
        "",
    ]
    return "\n".join(lines).encode()


def build(root: Path, projects: int) -> Path:
    """Return the folder ``root/PROJECTS`` with a corpus of that many projects.

    Each project has two wheels and an sdist; beside them stand a project of 2,000 wheels,
    one with a wheel of 10 MB, and 24 that depend on each other.  Files are made once, and
    linked from the folder of the largest corpus made so far.
    """
    folder = root / str(projects)
    if folder.exists():
        return folder
    kept = root / "files"
    building = root / f"{projects}.{os.getpid()}.new"
    kept.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    for name in project_names(projects):
        _link(kept / name, building / name, _usual_files(name))
    _link(kept / BIG_PROJECT, building / BIG_PROJECT, _big_files())
    _link(
        kept / HEAVY_PROJECT,
        building / HEAVY_PROJECT,
        iter([wheel(HEAVY_PROJECT, "1.0", padding_bytes=HEAVY_BYTES)]),
    )
    for name, requires in _closure():
        _link(kept / name, building / name, iter([wheel(name, "1.0", requires)]))
    building.rename(folder)
    return folder


def _usual_files(name: str) -> Iterator[tuple[str, bytes]]:
    yield wheel(name, "1.0")
    yield wheel(name, "1.1")
    yield sdist(name, "1.1")


def _big_files() -> Iterator[tuple[str, bytes]]:
    for number in range(BIG_PROJECT_FILES):
        yield wheel(BIG_PROJECT, f"{number // 100}.{number % 100}")


def _closure() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield names with their requirements: a root, 4 below it, and 19 below these."""
    names = [CLOSURE_ROOT, *(f"closure-part{n:02}" for n in range(1, CLOSURE_SIZE))]
    for number, name in enumerate(names):
        below = names[4 * number + 1 : 4 * number + 5]
        yield name, tuple(f"{part} >=1.0" for part in below)


def _link(kept: Path, target: Path, files: Iterator[tuple[str, bytes]]) -> None:
    if not kept.exists():
        building = kept.with_name(f"{kept.name}.{os.getpid()}.new")
        building.mkdir()
        for filename, body in files:
            (building / filename).write_bytes(body)
        building.rename(kept)
    target.mkdir()
    for path in kept.iterdir():
        os.link(path, target / path.name)


def _record_hash(body: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()
    return f"sha256={digest},{len(body)}"
