"""The first publishing of a large index: all pages at once, in an empty tree.

Change by change it would write each page as often as it changed.  Here each is written
once, read with many others, in the order of names.  What a crash leaves is written over:
until the end nothing tells that anything stands, and then all is flushed at once.

A first version has no shadow of its own; it gets one when it is superseded
(`storage.tree`), as no reader has to tell it from another before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from pyramid_pypi.catalog import reading
from pyramid_pypi.changes import journal
from pyramid_pypi.formats.compression import gzip_bytes
from pyramid_pypi.formats.hash_tree import Entry
from pyramid_pypi.formats.simple import SimplePage
from pyramid_pypi.publishing import documents, pointer
from pyramid_pypi.publishing.publisher import Publisher
from pyramid_pypi.publishing.state import Checkpoint
from pyramid_pypi.publishing.turns import Turn
from pyramid_pypi.publishing.writer import COMPRESS_FROM_BYTES
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.values.names import ProjectName

log = logging.getLogger(__name__)


class Pages(Mapping[str, Entry]):
    """The entries of all pages by name, packed: there may be a million."""

    def __init__(self) -> None:
        self._packed: dict[str, bytes] = {}

    def add(self, name: str, serial: int, content: bytes) -> None:
        """Note that the page of the project `name` is `content`, as of `serial`."""
        numbers = serial.to_bytes(8, "big") + len(content).to_bytes(8, "big")
        self._packed[name] = numbers + bytes.fromhex(sha256_hex(content))

    def __getitem__(self, name: str) -> Entry:
        packed = self._packed[name]
        serial, size_bytes = (int.from_bytes(packed[at : at + 8], "big") for at in (0, 8))
        return Entry(serial, packed[16:].hex(), size_bytes)

    def __iter__(self) -> Iterator[str]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


def is_called_for(publisher: Publisher) -> bool:
    """Tell whether nothing was ever published whole in the tree of `publisher`."""
    fresh = publisher.state.checkpoint() == Checkpoint() and not publisher.serial
    return fresh and not publisher.environment.tree.exists(pointer.JSON)


def build(publisher: Publisher, *, companions: bool = True) -> None:
    """Publish the whole index in the empty tree of `publisher`.

    Without `companions` project pages, JSON, XML and READMEs are left to be written when
    a reader asks for them, or a project changes.

    Raises:
        sqlalchemy.exc.DBAPIError: the database is away.
        OSError: a document cannot be written; begin anew.
    """
    environment = publisher.environment
    publisher.begin()
    with Turn(environment.settings.data_dir / "publish.lock").taken():
        serial, pages = write_pages(publisher)
        publisher.state.set_published(serial)
    log.info("pages: %d", len(pages))
    publisher.rebuild_lists()
    publisher.settle_all()
    log.info("lists")
    publisher.repository.begin(serial, pages, companions=companions)
    log.info("pointer")
    environment.tree.sync()
    publisher.state.set_checkpoint(
        Checkpoint(
            serial=serial,
            lists=serial,
            revision=documents.REVISION,
            site=repr(publisher.site),
            failed=tuple(sorted(publisher.failures)),
        )
    )


def write_pages(publisher: Publisher) -> tuple[int, Pages]:
    """Write the simple pages of all projects; return their serial, and their entries."""
    environment = publisher.environment
    tree, pages = environment.tree, Pages()
    with environment.database.reading() as session:
        serial = journal.newest(session)
        for page in reading.every_page(session):
            with publisher.failures.isolated(ProjectName(page.name)):
                pages.add(page.name, page.serial, _write(tree, page))
    for left_over in set(tree.holding("simple", "index.json")).difference(pages):
        tree.remove_documents(f"simple/{left_over}")
    return serial, pages


def _write(tree: Tree, page: SimplePage) -> bytes:
    """Write the page in all its forms; return that which the hash tree names."""
    content = b""
    for path, content in documents.simple_documents(page):
        mtime = tree.put(path, content)
        if len(content) >= COMPRESS_FROM_BYTES:
            tree.put(f"{path}.gz", gzip_bytes(content), mtime=mtime)
    return content
