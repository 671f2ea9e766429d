"""Puts the documents of one project, or of all, into the tree, with their twins."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pyramid_pypi.formats import manifest
from pyramid_pypi.formats.compression import TWIN_FROM_BYTES, gzip_bytes
from pyramid_pypi.formats.manifest import Manifest, ManifestUnreadable, shadow_path
from pyramid_pypi.formats.pages import HomeDocument, Site
from pyramid_pypi.formats.project import ProjectDocument
from pyramid_pypi.formats.simple import SimpleList, SimplePage
from pyramid_pypi.publishing import documents
from pyramid_pypi.storage.tree import Tree
from pyramid_pypi.values.digests import sha256_hex
from pyramid_pypi.values.names import ProjectName

COMPRESS_FROM_BYTES = TWIN_FROM_BYTES
"""Smaller documents have no twin: they fit one packet as they are."""

COMPRESS_AT_ONCE_BYTES = 64 * 1024
"""Larger documents are compressed a moment later, once for many changes in a row."""


class DocumentWriter:
    """Writes documents; its callers take turns at each kind of them.

    With `only_changed`, documents that stand already are left alone, with their times.
    """

    def __init__(self, tree: Tree, site: Site) -> None:
        self._tree = tree
        self._site = site
        self.uncompressed: set[str] = set()

    def simple(self, page: SimplePage, *, only_changed: bool = False) -> None:
        """Write what installers read of a project."""
        self._put_all(documents.simple_documents(page), twin=True, only_changed=only_changed)

    def companions(
        self,
        document: ProjectDocument,
        versions: Collection[str],
        *,
        only_changed: bool = False,
    ) -> None:
        """Write what people and tools read of a project, and remove releases now gone.

        Last the manifest, which tells of the documents of all its releases.
        """
        name = document.name
        before = self.manifest(ProjectName(name))
        told = before.documents if before else {}
        wanted = {release.version for release in document.listed_releases}
        for version in set(self._tree.names(f"pypi/{name}")) - wanted:
            self._tree.remove_documents(f"pypi/{name}/{version}")
        kept = {documents.release_path(name, version) for version in wanted} & told.keys()
        made = documents.companions_and_manifest(
            document, versions, self._site, {path: told[path] for path in kept}
        )
        self._put_all(made, only_changed=only_changed)

    def lists(self, listed: SimpleList, home: HomeDocument) -> None:
        """Write the lists, the home page and what pages refer to, where they have changed."""
        self.static()
        made = documents.list_documents(listed, home, self._site)
        self._put_all(made, twin=True, only_changed=True)

    def static(self) -> None:
        """Write the files that pages refer to, where they have changed."""
        self._put_all(documents.static_documents(), twin=True, only_changed=True)

    def forget_simple(self, name: ProjectName) -> None:
        """Remove the simple pages of a project that is gone."""
        self._tree.remove_documents(f"simple/{name}")

    def forget_companions(self, name: ProjectName) -> None:
        """Remove everything else of a project that is gone."""
        for room in ("projects", "pypi"):
            self._tree.remove_documents(f"{room}/{name}")
        for path in documents.package_paths(name):
            self._tree.remove(path)

    def twin(self, path: str, content: bytes, compressed: bytes) -> None:
        """Put the `compressed` form of the document `content` beside it at `path`."""
        mtime = self._tree.mtime(path)
        shadow = _shadow(f"{path}.gz", content)
        self._tree.put(f"{path}.gz", compressed, shadow=shadow, mtime=mtime)

    def lacks_twin(self, path: str) -> bool:
        """Tell whether the document at `path` should have a compressed twin and has none."""
        large = self._tree.size_bytes(path) >= COMPRESS_FROM_BYTES
        return large and not self._tree.exists(f"{path}.gz")

    def lags(self, name: ProjectName, serial: int | None) -> bool:
        """Tell whether the companions of `name` show another state than `serial`.

        A project that is gone has no serial, and should have no companions.
        """
        return self.companions_serial(name) != serial

    def companions_serial(self, name: ProjectName) -> int | None:
        """Return the serial that the companions of `name` show, None without any."""
        shown = self.manifest(name)
        return shown.serial if shown else None

    def manifest(self, name: ProjectName) -> Manifest | None:
        """Return the manifest of the companions of `name`, None without a whole one."""
        content = self._tree.read(documents.manifest_path(name))
        try:
            return manifest.parse(content) if content else None
        except ManifestUnreadable:
            return None

    def times(self, name: ProjectName) -> tuple[int, int]:
        """Return when simple pages and companions of `name` were written, -1 for never.

        In seconds, by the document of each that is written last.
        """
        _, page = documents.simple_paths(name)
        return self._time(page), self._time(documents.manifest_path(name))

    def _time(self, path: str) -> int:
        try:
            return self._tree.mtime(path)
        except (FileNotFoundError, NotADirectoryError):
            return -1

    def _put_all(
        self,
        made: Iterable[tuple[str, bytes]],
        *,
        twin: bool = False,
        only_changed: bool = False,
    ) -> None:
        for path, content in made:
            if not (only_changed and self._stands(path, content, twin=twin)):
                self._put(path, content, twin=twin)

    def _stands(self, path: str, content: bytes, *, twin: bool) -> bool:
        """Tell whether `path` shows `content`, and its twin the same or nothing torn."""
        if not self._tree.holds(path, content):
            return False
        if twin and len(content) >= COMPRESS_FROM_BYTES:
            return self._tree.holds(f"{path}.gz", gzip_bytes(content))
        return not self._tree.exists(f"{path}.gz")

    def _put(self, path: str, content: bytes, *, twin: bool) -> None:
        at_once = twin and COMPRESS_FROM_BYTES <= len(content) <= COMPRESS_AT_ONCE_BYTES
        if twin and not at_once:
            # A front server sends whatever twin it finds: none is better than an old one.
            self._tree.remove(f"{path}.gz")
            if len(content) > COMPRESS_AT_ONCE_BYTES:
                self.uncompressed.add(path)
        mtime = self._tree.put(path, content, shadow=_shadow(path, content))
        if at_once:
            twin_path = f"{path}.gz"
            shadow = _shadow(twin_path, content)
            self._tree.put(twin_path, gzip_bytes(content), shadow=shadow, mtime=mtime)


def _shadow(path: str, content: bytes) -> str | None:
    """Return where the version `content` of `path` also lies; a twin's is its document's."""
    return shadow_path(path, sha256_hex(content)) if documents.is_shadowed(path) else None
