"""The whole site map.

Each class bears its address as a template, in the words of the OpenAPI file.
"""

from __future__ import annotations

import re

from pyramid_pypi.web.places import InProject, ProjectRoom, Resource, named

_SEGMENT_NO_ONE_HAS = re.compile(r"[\x00-\x1f\x7f/\\]")
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,511}\Z")
_HEX = tuple(re.compile(rf"[0-9a-f]{{{digits}}}\Z") for digits in (2, 2, 60))


# --- published documents --------------------------------------------------------------


class SimpleProject(ProjectRoom):
    """``/simple/NAME/``: the files of one project, for installers."""

    path = "/simple/{name}/"


class SimpleIndex(Resource):
    """``/simple/``: all projects, for installers."""

    path = "/simple/"

    def __getitem__(self, segment: str) -> SimpleProject:
        return SimpleProject(self, named(segment))


class SimpleProjectOfUploader(SimpleProject):
    """``/legacy/+simple/NAME/`` and ``/+simple/NAME/``: where hatch looks before it sends."""

    path = "/legacy/+simple/{name}/"


class SimpleIndexOfUploader(Resource):
    """``/legacy/+simple/``: no page of its own."""

    def __getitem__(self, segment: str) -> SimpleProjectOfUploader:
        return SimpleProjectOfUploader(self, named(segment))


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
        return JsonProject(self, named(segment))


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
        return ProjectPlace(self, named(segment))


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
