"""The published tree as places: every document is also there at its own name.

A folder of the tree has the same address as path, so that those who copy or verify the
tree find each document where it lies, with just its bytes.  A *shadow* is one version of
a document under its sha256, in the folder ``v`` beside it.
"""

from __future__ import annotations

import re
from typing import ClassVar

from pyramid_pypi.storage.tree import SHADOWS
from pyramid_pypi.web.places import Resource

_SHADOW = re.compile(r"[0-9a-f]{64}(?:\.(?:html|json|xml|css))?(?:\.gz)?\Z")
_SHA256_DIGITS = 64


class TreeDocument(Resource):
    """A document of the tree at its own name."""

    def __init__(
        self, parent: TreeFolder | ShadowRoom, name: str, *, immutable: bool = False
    ) -> None:
        super().__init__(parent, name)
        self.project = parent.project
        self.tree_path = parent.folder + name
        self.is_immutable = immutable


class Shadow(TreeDocument):
    """One version of a document, under its hash."""

    def __init__(self, parent: ShadowRoom, name: str) -> None:
        super().__init__(parent, name, immutable=True)
        self.sha256 = name[:_SHA256_DIGITS]
        self.beside = parent.beside(name[_SHA256_DIGITS:])
        """Paths of the documents that may be this version as they stand."""


class TreeFolder(Resource):
    """A folder of the tree: documents at their names, their shadows in ``v``."""

    stable: ClassVar[tuple[str, ...]] = ()
    """Names of the documents that stand here."""
    document: ClassVar[type[TreeDocument]] = TreeDocument
    shadow: ClassVar[type[Shadow] | None] = None
    """What lies in ``v``; None where there is none."""

    @property
    def folder(self) -> str:
        """Return where in the tree this lies, with a slash at the end."""
        above = self.__parent__
        return f"{above.folder if isinstance(above, TreeFolder) else ''}{self.__name__}/"

    def __getitem__(self, segment: str) -> Resource:
        if segment in self.stable or segment.removesuffix(".gz") in self.stable:
            return self.document(self, segment)
        if segment == SHADOWS and self.shadow is not None:
            return ShadowRoom(self, self.shadow)
        return super().__getitem__(segment)


class ShadowRoom(Resource):
    """``v``: nothing is listed here."""

    def __init__(self, parent: TreeFolder, kind: type[Shadow]) -> None:
        super().__init__(parent, SHADOWS)
        self.project = parent.project
        self._parent = parent
        self._kind = kind

    @property
    def folder(self) -> str:
        """Return where in the tree this lies, with a slash at the end."""
        return f"{self._parent.folder}{SHADOWS}/"

    def beside(self, ending: str) -> tuple[str, ...]:
        """Return the paths of the documents beside this whose names end so."""
        names = (n for n in self._parent.stable if n.partition(".")[2] == ending[1:])
        return tuple(self._parent.folder + name for name in names)

    def __getitem__(self, segment: str) -> Shadow:
        if not _SHADOW.match(segment):
            raise KeyError(segment)
        return self._kind(self, segment)
