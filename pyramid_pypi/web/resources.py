"""The whole site map.

Each class bears its address as a template, in the words of the OpenAPI file.
"""

from __future__ import annotations

from pyramid_pypi.web.places import InProject, ProjectRoom, Resource, named
from pyramid_pypi.web.places_feeds import Feeds
from pyramid_pypi.web.places_published import (
    FILENAME,
    JsonApi,
    PackageFolder,
    SimpleIndex,
    SimpleIndexOfUploader,
)
from pyramid_pypi.web.places_repodata import Repodata, Tuf
from pyramid_pypi.web.places_tree import Shadow, TreeDocument, TreeFolder

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
        if not FILENAME.match(segment):
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


class ProjectTreeDocument(TreeDocument):
    """``/projects/NAME/index.json`` and what stands beside it."""

    path = "/projects/{name}/{document}"


class ProjectManifest(ProjectTreeDocument):
    """``/projects/NAME/documents.json``: hashes of all that follows the simple pages."""


class ProjectShadow(Shadow):
    """``/projects/NAME/v/…``."""

    path = "/projects/{name}/v/{shadow}"


class ProjectPlace(ProjectRoom, TreeFolder):
    """``/projects/NAME/``: the page of a project, its JSON and its XML."""

    path = "/projects/{name}/"
    stable = ("index.html", "index.json", "index.xml", "documents.json")
    document = ProjectTreeDocument
    shadow = ProjectShadow
    rooms = {
        "files": ProjectFiles,
        "releases": ProjectReleases,
        "status": ProjectStatusPlace,
        "roles": ProjectRoles,
    }

    def __getitem__(self, segment: str) -> Resource:
        if segment == "documents.json":
            return ProjectManifest(self, segment)
        return super().__getitem__(segment)


class Projects(TreeFolder):
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
        if not FILENAME.match(segment):
            raise KeyError(segment)
        return StaticFile(self, segment)


class Robots(Resource):
    """``/robots.txt``."""

    path = "/robots.txt"


class RootDocument(TreeDocument):
    """``/index.html``: the home page at its own name."""

    path = "/index.html"


class Root(TreeFolder):
    """``/``: the home page; also takes uploads, as some tools are set up so."""

    path = "/"
    folder = ""
    stable = ("index.html",)
    document = RootDocument
    rooms = {
        "simple": SimpleIndex,
        "packages": PackageFolder,
        "pypi": JsonApi,
        "projects": Projects,
        "legacy": LegacyUpload,
        "+simple": SimpleIndexOfUploader,
        "changes": Changes,
        "rss": Feeds,
        "problems": Problems,
        "openapi.json": OpenApi,
        "static": StaticFiles,
        "robots.txt": Robots,
        "repodata": Repodata,
        "tuf": Tuf,
    }

    def __init__(self) -> None:
        super().__init__()
        # Rooms without a variable part are the same for every request.
        self._made: dict[str, Resource] = {
            name: room(self, name) for name, room in self.rooms.items()
        }

    def __getitem__(self, segment: str) -> Resource:
        made = self._made.get(segment)
        return made if made is not None else super().__getitem__(segment)
