"""The hash tree: from one small root every document of a project can be verified.

Projects are spread over leaves by the leading bits of the sha256 of their normalized
names, five bits a level, so that names of any kind fill them evenly.  A leaf names the
document of each of its projects, a node its 32 children, the root its own: each by
newest serial, sha256 and size.  The depth follows from the number of projects.  To change
one project is to write one leaf and the nodes above it.

All three are canonical JSON, so equal projects give the same root on any machine.  An
entry is ``[serial, sha256, size]``, the digest in urlsafe base64 without padding, as in the
RECORD of a wheel: nearly all of a node is digests, and in hex they would take half as
much again.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import msgspec

from pyramid_pypi.errors import Refusal
from pyramid_pypi.formats.canonical import json_document
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.values.names import is_normalized

BITS = 5
FAN_OUT = 2**BITS
DEEPEST = 6
"""More levels than this would mean more projects than there are people."""

Digits = tuple[int, ...]
"""Where a node or leaf hangs: the way down from the root, a number from 0 to 31 a level."""


class TreeUnreadable(Refusal):
    """A node or leaf of the hash tree is not what it should be; it is not trusted."""

    code = "tree.unreadable"
    title = "The hash tree cannot be read"


class Entry(NamedTuple):
    """What a parent says of the document below it."""

    serial: int  # of the newest change in it or below it
    sha256: str
    size_bytes: int


Children = tuple[Entry | None, ...]
"""The 32 children of a node, None where no project's name leads."""


@dataclass(frozen=True, slots=True)
class Root:
    """The top of the tree; at depth 0, with few projects, it is the leaf itself."""

    count: int
    depth: int
    children: Children = ()
    projects: Mapping[str, Entry] | None = None


# 43 digits are 258 bits: the last one of a digest ends in two zeros.
_Digest = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]\Z")]
_Whole = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
_Entry = tuple[_Whole, _Digest, _Whole]


class _Leaf(msgspec.Struct, forbid_unknown_fields=True):
    projects: dict[str, _Entry]


class _Node(msgspec.Struct, forbid_unknown_fields=True):
    children: Annotated[
        list[_Entry | None], msgspec.Meta(min_length=FAN_OUT, max_length=FAN_OUT)
    ]


class _Root(msgspec.Struct, forbid_unknown_fields=True):
    bits: int
    count: _Whole
    depth: Annotated[int, msgspec.Meta(ge=0, le=DEEPEST)]
    children: (
        Annotated[list[_Entry | None], msgspec.Meta(min_length=FAN_OUT, max_length=FAN_OUT)]
        | None
    ) = None
    projects: dict[str, _Entry] | None = None


_leaf_decoder = msgspec.json.Decoder(_Leaf)
_node_decoder = msgspec.json.Decoder(_Node)
_root_decoder = msgspec.json.Decoder(_Root)


def depth_for(count: int) -> int:
    """Return how many levels of nodes stand between root and leaves for `count` projects.

    The least that leaves about 32 projects to a leaf: 0 up to 32 projects, 1 up to 1,024,
    2 up to 32,768, 3 up to a million.
    """
    depth = 0
    while count > FAN_OUT ** (depth + 1):
        depth += 1
    return depth


def digits(name: str, depth: int) -> Digits:
    """Return the way from the root to the leaf of the project with normalized `name`."""
    head = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    return tuple(head >> (64 - BITS * (level + 1)) & (FAN_OUT - 1) for level in range(depth))


def node_path(room: str, where: Digits) -> str:
    """Return where in the tree of documents the node or leaf at `where` lies.

    `room` is the folder of this hash tree, such as ``repodata/t``.  The root has no path
    of its own: it is a record of the repository.
    """
    return f"{room}/{'/'.join(f'{digit:02x}' for digit in where)}.json"


def entry_of(content: bytes, serial: int) -> Entry:
    """Return the entry for the document `content` whose newest change is `serial`."""
    return Entry(serial, sha256_hex(content), len(content))


def leaf(projects: Mapping[str, Entry]) -> bytes:
    """Return the leaf that names the documents of `projects`, by normalized name."""
    return json_document({"projects": _told_projects(projects)})


def node(children: Sequence[Entry | None]) -> bytes:
    """Return the node over 32 `children`."""
    return json_document({"children": _told_children(children)})


def root(top: Root) -> bytes:
    """Return the root as a document."""
    head = {"bits": BITS, "count": top.count, "depth": top.depth}
    if top.depth:
        return json_document(head | {"children": _told_children(top.children)})
    return json_document(head | {"projects": _told_projects(top.projects or {})})


def parse_leaf(content: bytes) -> dict[str, Entry]:
    """Return the projects that a leaf names.

    Raises:
        TreeUnreadable: it is no leaf.
    """
    try:
        return _projects(_leaf_decoder.decode(content).projects)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TreeUnreadable(f"no leaf: {error}") from error


def parse_node(content: bytes) -> Children:
    """Return the children that a node names.

    Raises:
        TreeUnreadable: it is no node.
    """
    try:
        return _children(_node_decoder.decode(content).children)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TreeUnreadable(f"no node: {error}") from error


def parse_root(content: bytes) -> Root:
    """Return the root that `content` is.

    Raises:
        TreeUnreadable: it is no root, or its depth is not that of its number of projects.
    """
    try:
        read = _root_decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TreeUnreadable(f"no root: {error}") from error
    if read.bits != BITS or read.depth != depth_for(read.count):
        raise TreeUnreadable(f"{read.count} projects at depth {read.depth}")
    if (read.children is None) == (read.projects is None) or bool(read.depth) != bool(
        read.children
    ):
        raise TreeUnreadable("a root has children, or projects at depth 0")
    if read.children is not None:
        return Root(read.count, read.depth, children=_children(read.children))
    projects = _projects(read.projects or {})
    if len(projects) != read.count:
        raise TreeUnreadable(f"{len(projects)} projects, not {read.count}")
    return Root(read.count, 0, projects=projects)


def _projects(read: Mapping[str, _Entry]) -> dict[str, Entry]:
    for name in read:
        if not is_normalized(name):
            raise TreeUnreadable(f"{name!r} is no normalized name")
    return {name: _entry(entry) for name, entry in read.items()}


def _children(read: Sequence[_Entry | None]) -> Children:
    return tuple(_entry(entry) if entry else None for entry in read)


def _entry(read: _Entry) -> Entry:
    serial, digest, size_bytes = read
    return Entry(serial, urlsafe_b64decode(digest + "=").hex(), size_bytes)


def _told_projects(projects: Mapping[str, Entry]) -> dict[str, _Entry]:
    return {name: _told(entry) for name, entry in projects.items()}


def _told_children(children: Sequence[Entry | None]) -> list[_Entry | None]:
    return [_told(entry) if entry else None for entry in children]


def _told(entry: Entry) -> _Entry:
    serial, sha256, size_bytes = entry
    digest = urlsafe_b64encode(bytes.fromhex(sha256)).decode("ascii").rstrip("=")
    return serial, digest, size_bytes
