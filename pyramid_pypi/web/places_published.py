"""Published documents as places: simple pages, release files and the older JSON API."""

from __future__ import annotations

import re
from typing import ClassVar

from pyramid_pypi.storage.tree import SHADOWS
from pyramid_pypi.web.places import InProject, ProjectRoom, Resource, named
from pyramid_pypi.web.places_tree import Shadow, TreeDocument, TreeFolder

FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,511}\Z")

_RECORD = re.compile(r"([0-9a-f]{64})-(?:primary|filelists|other)\.xml\.gz")
_SEGMENT_NO_ONE_HAS = re.compile(r"[\x00-\x1f\x7f/\\]")
_HEX = tuple(re.compile(rf"[0-9a-f]{{{digits}}}\Z") for digits in (2, 2, 60))


# --- release files --------------------------------------------------------------------


class ReleaseFile(Resource):
    """``/packages/aa/bb/REST/FILENAME`` and its ``.metadata``: bytes that never change."""

    path = "/packages/{aa}/{bb}/{rest}/{filename}"

    def __init__(self, parent: PackageFolder, filename: str, digits: tuple[str, ...]) -> None:
        super().__init__(parent, filename)
        self.project = parent.project
        self.sha256 = "".join(digits)
        self.tree_path = "/".join(("packages", *digits, filename))


class PackageFolder(Resource):
    """A part of the way to a release file; nothing is listed here."""

    file: ClassVar[type[ReleaseFile]] = ReleaseFile

    def __init__(self, parent: Resource, name: str, digits: tuple[str, ...] = ()) -> None:
        super().__init__(parent, name)
        self.project = parent.project
        self._digits = digits

    def __getitem__(self, segment: str) -> Resource:
        depth = len(self._digits)
        if depth == len(_HEX):
            if not FILENAME.match(segment):
                raise KeyError(segment)
            return self.file(self, segment, self._digits)
        if not _HEX[depth].match(segment):
            raise KeyError(segment)
        return type(self)(self, segment, (*self._digits, segment))


# --- simple pages ---------------------------------------------------------------------


class ReleaseFileOfProject(ReleaseFile):
    """``/simple/NAME/packages/…``: the same file, for those who take NAME for a repository."""

    path = "/simple/{name}/packages/{aa}/{bb}/{rest}/{filename}"


class PackageFolderOfProject(PackageFolder):
    """A part of the way there."""

    file = ReleaseFileOfProject


class ProjectPointer(InProject):
    """``/simple/NAME/repodata/repomd.xml`` and ``.json``: made when asked for."""

    path = "/simple/{name}/repodata/{pointer}"


class ProjectRepodata(InProject):
    """``/simple/NAME/repodata/``: no page of its own.

    The records that its pointer names are versions of the project's createrepo documents.
    """

    rooms = {"repomd.xml": ProjectPointer, "repomd.json": ProjectPointer}

    def __getitem__(self, segment: str) -> Resource:
        record = _RECORD.fullmatch(segment)
        if record is None or self.__parent__ is None:
            return super().__getitem__(segment)
        return self.__parent__[SHADOWS][f"{record[1]}.xml.gz"]


class SimpleDocument(TreeDocument):
    """``/simple/NAME/index.json`` and what stands beside it."""

    path = "/simple/{name}/{document}"


class SimpleShadow(Shadow):
    """``/simple/NAME/v/…``."""

    path = "/simple/{name}/v/{shadow}"


class SimpleListDocument(TreeDocument):
    """``/simple/index.html`` and ``/simple/index.json``."""

    path = "/simple/{list}"


class SimpleProject(ProjectRoom, TreeFolder):
    """``/simple/NAME/``: the files of one project, for installers."""

    path = "/simple/{name}/"
    rooms = {"repodata": ProjectRepodata, "packages": PackageFolderOfProject}
    stable = (
        "index.html",
        "index.json",
        "primary.xml.gz",
        "filelists.xml.gz",
        "other.xml.gz",
    )
    document = SimpleDocument
    shadow = SimpleShadow


class SimpleIndex(TreeFolder):
    """``/simple/``: all projects, for installers."""

    path = "/simple/"
    stable = ("index.html", "index.json")
    document = SimpleListDocument

    def __getitem__(self, segment: str) -> Resource:
        if segment in self.stable or segment.removesuffix(".gz") in self.stable:
            return super().__getitem__(segment)
        return SimpleProject(self, named(segment))


class SimpleProjectOfUploader(ProjectRoom):
    """``/legacy/+simple/NAME/`` and ``/+simple/NAME/``: where hatch looks before it sends."""

    path = "/legacy/+simple/{name}/"


class SimpleIndexOfUploader(Resource):
    """``/legacy/+simple/``: no page of its own."""

    def __getitem__(self, segment: str) -> SimpleProjectOfUploader:
        return SimpleProjectOfUploader(self, named(segment))


# --- PyPI's older JSON API ------------------------------------------------------------


class JsonDocument(InProject):
    """``/pypi/NAME/json`` and ``/pypi/NAME/VERSION/json``: PyPI's older JSON API."""

    path = "/pypi/{name}/json"

    def __init__(self, parent: ProjectRoom | InProject, name: str) -> None:
        super().__init__(parent, name)
        self.tree_path = f"pypi/{self.project}/json"


class JsonReleaseDocument(JsonDocument):
    """``/pypi/NAME/VERSION/json``."""

    path = "/pypi/{name}/{version}/json"

    def __init__(self, parent: ProjectRoom | InProject, name: str) -> None:
        super().__init__(parent, name)
        self.tree_path = f"pypi/{self.project}/{self.above}/json"


class JsonShadow(Shadow):
    """``/pypi/NAME/v/…``."""

    path = "/pypi/{name}/v/{shadow}"


class JsonReleaseShadow(Shadow):
    """``/pypi/NAME/VERSION/v/…``."""

    path = "/pypi/{name}/{version}/v/{shadow}"


class JsonRelease(InProject, TreeFolder):
    """``/pypi/NAME/VERSION``: no page of its own."""

    stable = ("json",)
    shadow = JsonReleaseShadow

    def __getitem__(self, segment: str) -> Resource:
        if segment == "json":
            return JsonReleaseDocument(self, segment)
        return super().__getitem__(segment)


class JsonProject(ProjectRoom, TreeFolder):
    """``/pypi/NAME``: no page of its own."""

    stable = ("json",)
    shadow = JsonShadow

    def __getitem__(self, segment: str) -> Resource:
        if segment == "json":
            return JsonDocument(self, segment)
        if segment == SHADOWS:  # which is no version
            return super().__getitem__(segment)
        if len(segment) > 256 or segment.startswith(".") or _SEGMENT_NO_ONE_HAS.search(segment):
            raise KeyError(segment)
        return JsonRelease(self, segment)


class JsonApi(TreeFolder):
    """``/pypi/``: no page of its own."""

    def __getitem__(self, segment: str) -> JsonProject:
        return JsonProject(self, named(segment))
