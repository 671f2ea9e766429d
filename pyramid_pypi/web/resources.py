"""The whole site map.

Places know their names and nothing else: no request, no database.  Those of published
documents only say where in the tree the document lies; whether it is there, the view
finds out by opening it.

Each class bears its address as a template, in the words of the OpenAPI file.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from pyramid_pypi.values.names import ProjectName, is_normalized, is_valid, normalize

_SEGMENT_NO_ONE_HAS = re.compile(r"[\x00-\x1f\x7f/\\]")
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,511}\Z")
_HEX = tuple(re.compile(rf"[0-9a-f]{{{digits}}}\Z") for digits in (2, 2, 60))


class Respelled(Exception):
    """A project is asked for under another spelling of its name: redirect."""

    def __init__(self, spelled: str, name: ProjectName) -> None:
        super().__init__(spelled)
        self.spelled = spelled
        self.name = name


def _named(spelled: str) -> ProjectName:
    """Return `spelled` when it is a normalized name.

    Raises:
        Respelled: it is another spelling of a valid name.
        KeyError: it is no name; traversal ends, and the answer is 404.
    """
    if is_normalized(spelled):
        return ProjectName(spelled)
    if is_valid(spelled):
        raise Respelled(spelled, normalize(spelled))
    raise KeyError(spelled)


class Resource:
    """A place: its name, its parent, its address."""

    path: ClassVar[str] = ""
    rooms: ClassVar[dict[str, type[Any]]] = {}
    """Places below that have fixed names."""

    project: ProjectName | None = None
    """The project concerned, for which a token may or may not reach."""

    def __init__(self, parent: Resource | None = None, name: str = "") -> None:
        self.__parent__ = parent
        self.__name__ = name

    def __getitem__(self, segment: str) -> Resource:
        place: Resource = self.rooms[segment](self, segment)
        return place


class ProjectRoom(Resource):
    """The place of a project, on one of its faces."""

    project: ProjectName

    def __init__(self, parent: Resource, name: ProjectName) -> None:
        super().__init__(parent, name)
        self.project = name


class InProject(Resource):
    """A place somewhere below a project's."""

    project: ProjectName

    def __init__(self, parent: ProjectRoom | InProject, name: str) -> None:
        super().__init__(parent, name)
        self.project = parent.project
        self.above = parent.__name__


# --- published documents --------------------------------------------------------------


class SimpleProject(ProjectRoom):
    """``/simple/NAME/``: the files of one project, for installers."""

    path = "/simple/{name}/"


class SimpleIndex(Resource):
    """``/simple/``: all projects, for installers."""

    path = "/simple/"

    def __getitem__(self, segment: str) -> SimpleProject:
        return SimpleProject(self, _named(segment))


class SimpleProjectOfUploader(SimpleProject):
    """``/legacy/+simple/NAME/`` and ``/+simple/NAME/``: where hatch looks before it sends."""

    path = "/legacy/+simple/{name}/"


class SimpleIndexOfUploader(Resource):
    """``/legacy/+simple/``: no page of its own."""

    def __getitem__(self, segment: str) -> SimpleProjectOfUploader:
        return SimpleProjectOfUploader(self, _named(segment))


class ReleaseFile(Resource):
    """``/packages/aa/bb/REST/FILENAME`` and its ``.metadata``: bytes that never change."""

    path = "/packages/{aa}/{bb}/{rest}/{filename}"

    def __init__(self, parent: Resource, filename: str, digits: tuple[str, ...]) -> None:
        super().__init__(parent, filename)
        self.sha256 = "".join(digits)
        self.tree_path = "/".join(("packages", *digits, filename))


class PackageFolder(Resource):
    """A part of the way to a release file; nothing is listed here."""

    def __init__(
        self, parent: Resource | None, name: str, digits: tuple[str, ...] = ()
    ) -> None:
        super().__init__(parent, name)
        self._digits = digits

    def __getitem__(self, segment: str) -> Resource:
        depth = len(self._digits)
        if depth == len(_HEX):
            if not _FILENAME.match(segment):
                raise KeyError(segment)
            return ReleaseFile(self, segment, self._digits)
        if not _HEX[depth].match(segment):
            raise KeyError(segment)
        return PackageFolder(self, segment, (*self._digits, segment))


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


class JsonRelease(InProject):
    """``/pypi/NAME/VERSION``: no page of its own."""

    rooms = {"json": JsonReleaseDocument}


class JsonProject(ProjectRoom):
    """``/pypi/NAME``: no page of its own."""

    def __getitem__(self, segment: str) -> Resource:
        if segment == "json":
            return JsonDocument(self, segment)
        if len(segment) > 256 or segment.startswith(".") or _SEGMENT_NO_ONE_HAS.search(segment):
            raise KeyError(segment)
        return JsonRelease(self, segment)


class JsonApi(Resource):
    """``/pypi/``: no page of its own."""

    def __getitem__(self, segment: str) -> JsonProject:
        return JsonProject(self, _named(segment))


# --- projects, for people and for REST ------------------------------------------------


class FileYank(InProject):
    """``/projects/NAME/files/FILENAME/yank``: is there while the file is yanked."""

    path = "/projects/{name}/files/{filename}/yank"


class ProjectFile(InProject):
    """``/projects/NAME/files/FILENAME``."""

    path = "/projects/{name}/files/{filename}"
    rooms = {"yank": FileYank}


class ProjectFiles(InProject):
    """``/projects/NAME/files``."""

    path = "/projects/{name}/files"

    def __getitem__(self, segment: str) -> ProjectFile:
        if not _FILENAME.match(segment):
            raise KeyError(segment)
        return ProjectFile(self, segment)


class ReleaseYank(InProject):
    """``/projects/NAME/releases/VERSION/yank``."""

    path = "/projects/{name}/releases/{version}/yank"


class ProjectRelease(InProject):
    """``/projects/NAME/releases/VERSION``."""

    path = "/projects/{name}/releases/{version}"
    rooms = {"yank": ReleaseYank}


class ProjectReleases(InProject):
    """``/projects/NAME/releases``: no page of its own."""

    def __getitem__(self, segment: str) -> ProjectRelease:
        if len(segment) > 256:
            raise KeyError(segment)
        return ProjectRelease(self, segment)


class ProjectStatusPlace(InProject):
    """``/projects/NAME/status`` (PEP 792)."""

    path = "/projects/{name}/status"


class ProjectRolePlace(InProject):
    """``/projects/NAME/roles/USER``."""

    path = "/projects/{name}/roles/{user}"


class ProjectRoles(InProject):
    """``/projects/NAME/roles``."""

    path = "/projects/{name}/roles"

    def __getitem__(self, segment: str) -> ProjectRolePlace:
        if len(segment) > 64:
            raise KeyError(segment)
        return ProjectRolePlace(self, segment)


class ProjectPlace(ProjectRoom):
    """``/projects/NAME/``: the page of a project, its JSON and its XML."""

    path = "/projects/{name}/"
    rooms = {
        "files": ProjectFiles,
        "releases": ProjectReleases,
        "status": ProjectStatusPlace,
        "roles": ProjectRoles,
    }


class Projects(Resource):
    """``/projects/``."""

    path = "/projects/"

    def __getitem__(self, segment: str) -> ProjectPlace:
        return ProjectPlace(self, _named(segment))


# --- the rest -------------------------------------------------------------------------


class LegacyUpload(Resource):
    """``/legacy/``: where twine, uv, poetry, flit, hatch and pdm send files."""

    path = "/legacy/"
    rooms = {"+simple": SimpleIndexOfUploader}


class Changes(Resource):
    """``/changes``: the journal."""

    path = "/changes"


class Problem(Resource):
    """``/problems/CODE``: one refusal, explained."""

    path = "/problems/{code}"


class Problems(Resource):
    """``/problems/``: every refusal."""

    path = "/problems/"

    def __getitem__(self, segment: str) -> Problem:
        return Problem(self, segment)


class OpenApi(Resource):
    """``/openapi.json``: the contract of all this."""

    path = "/openapi.json"


class StaticFile(Resource):
    """``/static/NAME``: what pages are made up with."""

    path = "/static/{name}"


class StaticFiles(Resource):
    """``/static/``: no page of its own."""

    def __getitem__(self, segment: str) -> StaticFile:
        if not _FILENAME.match(segment):
            raise KeyError(segment)
        return StaticFile(self, segment)


class Robots(Resource):
    """``/robots.txt``."""

    path = "/robots.txt"


class Root(Resource):
    """``/``: the home page; also takes uploads, as some tools are set up so."""

    path = "/"
    rooms = {
        "simple": SimpleIndex,
        "packages": PackageFolder,
        "pypi": JsonApi,
        "projects": Projects,
        "legacy": LegacyUpload,
        "+simple": SimpleIndexOfUploader,
        "changes": Changes,
        "problems": Problems,
        "openapi.json": OpenApi,
        "static": StaticFiles,
        "robots.txt": Robots,
    }

    def __init__(self) -> None:
        super().__init__()
        # Rooms without a variable part are the same for every request.
        self._made: dict[str, Resource] = {
            name: room(self, name) for name, room in self.rooms.items()
        }

    def __getitem__(self, segment: str) -> Resource:
        return self._made[segment]


def every_resource() -> list[type[Resource]]:
    """Return each class of the map that has an address of its own."""
    found: list[type[Resource]] = []
    waiting: list[Any] = [Resource]
    while waiting:
        below = waiting.pop().__subclasses__()
        waiting.extend(below)
        found.extend(place for place in below if "path" in vars(place))
    return found
