"""Repository metadata as places: ``/repodata/`` and ``/tuf/``."""

from __future__ import annotations

import re

from pyramid_pypi.formats.hash_tree import DEEPEST, FAN_OUT
from pyramid_pypi.storage.tree import SHADOWS
from pyramid_pypi.web.places import Resource
from pyramid_pypi.web.places_tree import Shadow, TreeDocument, TreeFolder

_TWIN = r"(?:\.gz)?\Z"
_POINTER = re.compile(rf"repomd\.(?:xml|json){_TWIN}")
_SIGNATURE = re.compile(rf"repomd\.xml\.(?:asc|key){_TWIN}")
_HASH_NAMED = re.compile(
    r"[0-9a-f]{64}(?:\.repomd|-[a-z][a-z0-9_]{0,39})(?:\.[a-z0-9]{1,16}){1,3}\Z"
)
_DIGIT = re.compile(r"[01][0-9a-f]\Z")
_SEGMENT = re.compile(
    r"[0-9]{1,20}-[0-9]{1,20}(?:\.jsonl\.gz|-names\.json\.gz)\Z"
    rf"|[0-9a-f]{{64}}-periods\.json{_TWIN}"
)
_ROLE = re.compile(rf"[0-9]{{1,20}}\.([a-z][a-z0-9_-]{{0,63}})\.json{_TWIN}")
# Their numbers are counted; those of the others are times, which never come twice.
_OFFLINE_ROLES = frozenset({"root", "targets"})
_TIMESTAMP = re.compile(rf"timestamp\.json{_TWIN}")


class RepodataDocument(TreeDocument):
    """``/repodata/SHA256-TYPE.…``, ``repomd.xml.asc`` and their like."""

    path = "/repodata/{record}"


class RepodataPointer(RepodataDocument):
    """``/repodata/repomd.xml`` and ``.json``: what stands now."""


class TreeNode(TreeDocument):
    """``/repodata/t/AA/BB/CC.json`` and ``p/…``: a node or leaf of a hash tree."""

    path = "/repodata/{tree}/{node}"


class TreeNodeShadow(Shadow):
    """``/repodata/t/…/v/…``."""

    path = "/repodata/{tree}/v/{shadow}"


class TreeNodes(TreeFolder):
    """``/repodata/t/`` and the folders below: nothing is listed here."""

    stable = tuple(f"{digit:02x}.json" for digit in range(FAN_OUT))
    document = TreeNode
    shadow = TreeNodeShadow

    def __init__(self, parent: Resource, name: str, levels_below: int = DEEPEST) -> None:
        super().__init__(parent, name)
        self._levels_below = levels_below

    def __getitem__(self, segment: str) -> Resource:
        if self._levels_below > 1 and _DIGIT.match(segment):
            return TreeNodes(self, segment, self._levels_below - 1)
        return super().__getitem__(segment)


class ChangeSegment(TreeDocument):
    """``/repodata/c/FROM-TO.jsonl.gz``: some changes, which never change."""

    path = "/repodata/c/{segment}"


class ChangeSegments(TreeFolder):
    """``/repodata/c/``: nothing is listed here."""

    def __getitem__(self, segment: str) -> Resource:
        if not _SEGMENT.match(segment):
            raise KeyError(segment)
        return ChangeSegment(self, segment, immutable=True)


class SiteShadow(Shadow):
    """``/repodata/v/…``: of documents of the whole site."""

    path = "/repodata/v/{shadow}"


class Proof(Resource):
    """``/repodata/proof``: the way from the pointer to many projects, in one answer."""

    path = "/repodata/proof"


class Repodata(TreeFolder):
    """``/repodata/``: nothing is listed here."""

    rooms = {"t": TreeNodes, "p": TreeNodes, "c": ChangeSegments, "proof": Proof}
    shadow = SiteShadow

    def __getitem__(self, segment: str) -> Resource:
        if segment in self.rooms or segment == SHADOWS:
            return super().__getitem__(segment)
        if _POINTER.match(segment):
            return RepodataPointer(self, segment)
        if _SIGNATURE.match(segment):
            return RepodataDocument(self, segment)
        if _HASH_NAMED.match(segment):
            return RepodataDocument(self, segment, immutable=True)
        raise KeyError(segment)


class TufDocument(TreeDocument):
    """``/tuf/N.ROLE.json``: a version of a role of The Update Framework."""

    path = "/tuf/{role}"


class TufTimestamp(TufDocument):
    """``/tuf/timestamp.json``: the role that says which versions are the newest."""


class Tuf(TreeFolder):
    """``/tuf/``: nothing is listed here."""

    def __getitem__(self, segment: str) -> Resource:
        if _TIMESTAMP.match(segment):
            return TufTimestamp(self, segment)
        role = _ROLE.match(segment)
        if role is None:
            raise KeyError(segment)
        return TufDocument(self, segment, immutable=role[1] not in _OFFLINE_ROLES)
