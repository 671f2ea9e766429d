"""Places of the feeds for news readers."""

from __future__ import annotations

from pyramid_pypi.web.places import InProject, ProjectRoom, Resource, named


class NewReleases(Resource):
    """``/rss/updates.xml``: the newest releases of all projects."""

    path = "/rss/updates.xml"


class NewProjects(Resource):
    """``/rss/packages.xml``: the newest projects."""

    path = "/rss/packages.xml"


class NewReleasesOfProject(InProject):
    """``/rss/project/NAME/releases.xml``: the newest releases of one project."""

    path = "/rss/project/{name}/releases.xml"


class FeedsOfProject(ProjectRoom):
    """``/rss/project/NAME``: no page of its own."""

    rooms = {"releases.xml": NewReleasesOfProject}


class FeedsOfProjects(Resource):
    """``/rss/project/``: no page of its own."""

    def __getitem__(self, segment: str) -> FeedsOfProject:
        return FeedsOfProject(self, named(segment))


class Feeds(Resource):
    """``/rss/``: no page of its own; the addresses below are those of PyPI."""

    rooms = {
        "updates.xml": NewReleases,
        "packages.xml": NewProjects,
        "project": FeedsOfProjects,
    }
