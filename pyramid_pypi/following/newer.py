"""Documents that are ahead of the pointer, as in an export, whose pointer comes later.

Nothing that is signed vouches for them yet.  They are taken for what they seem only if
they tell a serial after the pointer's, or stand with one that does.
"""

from __future__ import annotations

from contextlib import suppress

from pyramid_pypi.following.findings import Fault, Finding
from pyramid_pypi.following.sources import Source, read
from pyramid_pypi.following.trust import Pointer
from pyramid_pypi.formats import hash_tree, manifest, simple_parse
from pyramid_pypi.formats.hash_tree import TreeUnreadable
from pyramid_pypi.formats.manifest import ManifestUnreadable
from pyramid_pypi.formats.simple import serial_of
from pyramid_pypi.formats.simple_parse import PageUnreadable

ROOMS = ("packages/", "projects/", "pypi/", "repodata/", "simple/")
"""Where documents may lie that the pointer to come will name."""

_MAX_BYTES = 64 * 1024 * 1024


def is_ahead(source: Source, finding: Finding, pointer: Pointer | None) -> bool:
    """Tell whether what was found is a document of after `pointer`, not a wrong one."""
    is_twin = finding.fault is Fault.TWIN
    if pointer is None or not (is_twin or finding.superseded):
        return False
    path = finding.path.removesuffix(".gz") if is_twin else finding.path
    content = read(source, path, _MAX_BYTES)
    if content is None:
        return False
    if path == "index.html":
        # It tells no serial that could be read; it is written with the list.
        content = read(source, "simple/index.json", _MAX_BYTES) or b""
    serial = pointer.repomd.serial
    if path.startswith(("repodata/t/", "repodata/p/")):
        return _newest(content) > serial
    if path.startswith("simple/") and path.endswith("/index.json") and path.count("/") == 2:
        return _is_page(content) and (serial_of(content) or 0) > serial
    shown = serial_of(content)
    return _is_told(source, path, content, serial) if shown is None else shown > serial


def _newest(content: bytes) -> int:
    """Return the newest serial that a node or leaf tells, -1 if it is none."""
    for parse in (hash_tree.parse_leaf, hash_tree.parse_node):
        with suppress(TreeUnreadable):
            read = parse(content)
            entries = read.values() if isinstance(read, dict) else read
            return max((entry.serial for entry in entries if entry), default=-1)
    return -1


def _is_page(content: bytes) -> bool:
    try:
        simple_parse.parse(content)
    except PageUnreadable:
        return False
    return True


def _is_told(source: Source, path: str, content: bytes, serial: int) -> bool:
    """Tell whether a manifest of after `serial` names `content`, or is it."""
    name = path.partition("/")[2].partition("/")[0]
    manifest_path = f"projects/{name}/documents.json"
    told = read(source, manifest_path, _MAX_BYTES)
    try:
        known = manifest.parse(told or b"")
    except ManifestUnreadable:
        return False
    is_named = known.documents.get(path) == manifest.listed(content)
    return known.serial > serial and (is_named or path == manifest_path)
