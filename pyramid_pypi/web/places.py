"""What every place of the site map is made of.

Places know their names and nothing else: no request, no database.  Those of published
documents only say where in the tree the document lies; whether it is there, the view
finds out by opening it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pyramid_pypi.values.names import ProjectName, is_normalized, is_valid, normalize


class Respelled(Exception):
    """A project is asked for under another spelling of its name: redirect."""

    def __init__(self, spelled: str, name: ProjectName) -> None:
        super().__init__(spelled)
        self.spelled = spelled
        self.name = name


def named(spelled: str) -> ProjectName:
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


def every_address() -> list[type[Resource]]:
    """Return each kind of place that has an address of its own."""
    found: list[type[Resource]] = []
    waiting: list[Any] = [Resource]
    while waiting:
        below = waiting.pop().__subclasses__()
        waiting.extend(below)
        found.extend(place for place in below if "path" in vars(place))
    return found
