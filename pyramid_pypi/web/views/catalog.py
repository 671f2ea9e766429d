"""REST of a project: its files, releases, status and roles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from pyramid.view import view_config

from pyramid_pypi.accounts.permissions import Permission
from pyramid_pypi.catalog import files, listing, projects, releases
from pyramid_pypi.formats.project import ProjectFile
from pyramid_pypi.models.catalog import ProjectStatus, Role
from pyramid_pypi.values.instants import iso_instant
from pyramid_pypi.web import answers, bodies
from pyramid_pypi.web.answers import Answer
from pyramid_pypi.web.places import InProject, ProjectRoom
from pyramid_pypi.web.resources import (
    FileYank,
    ProjectFiles,
    ProjectPlace,
    ProjectRelease,
    ProjectRolePlace,
    ProjectRoles,
    ProjectStatusPlace,
    ReleaseYank,
)
from pyramid_pypi.web.resources import ProjectFile as ProjectFilePlace
from pyramid_pypi.web.security import READ

_Reason = Annotated[str, msgspec.Meta(max_length=1000)]


class YankBody(msgspec.Struct, forbid_unknown_fields=True):
    """Why a file or a release is yanked."""

    reason: _Reason = ""


class StatusBody(msgspec.Struct, forbid_unknown_fields=True):
    """The status a project is to have (PEP 792)."""

    status: ProjectStatus
    reason: _Reason = ""


class RoleBody(msgspec.Struct, forbid_unknown_fields=True):
    """The role a user is to have."""

    role: Role


# --- the project ----------------------------------------------------------------------


@view_config(
    context=ProjectPlace, request_method="DELETE", permission=Permission.PROJECT_DELETE
)
def delete_project(context: ProjectPlace, request: Any) -> Answer:
    """Delete the project, its releases and files; its filenames stay taken."""
    return _change(context, request, projects.delete)


@view_config(context=ProjectStatusPlace, request_method="GET", permission=READ)
def get_status(context: ProjectStatusPlace, request: Any) -> Answer:
    """Show the status of the project."""
    return _status(context, request)


@view_config(
    context=ProjectStatusPlace, request_method="PUT", permission=Permission.PROJECT_STATUS
)
def put_status(context: ProjectStatusPlace, request: Any) -> Answer:
    """Set the status of the project."""
    body = bodies.read(request, StatusBody)
    _change(context, request, projects.set_status, body.status, body.reason)
    # What this session saw before the change, it would see again.
    request.reading.rollback()
    return _status(context, request)


# --- files ----------------------------------------------------------------------------


@view_config(context=ProjectFiles, request_method="GET", permission=READ)
def get_files(context: ProjectFiles, request: Any) -> Answer:
    """List the files of the project, oldest version first."""
    found = listing.files_of(request.reading, context.project)
    return answers.document({"name": context.project, "files": [_file(file) for file in found]})


@view_config(context=ProjectFilePlace, request_method="GET", permission=READ)
def get_file(context: ProjectFilePlace, request: Any) -> Answer:
    """Show one file of the project."""
    found = listing.file_of(request.reading, context.project, context.__name__)
    return answers.document(_file(found))


@view_config(
    context=ProjectFilePlace, request_method="DELETE", permission=Permission.PROJECT_DELETE
)
def delete_file(context: ProjectFilePlace, request: Any) -> Answer:
    """Delete one file; its name stays taken."""
    return _change(context, request, files.delete, context.__name__)


@view_config(context=FileYank, request_method="PUT", permission=Permission.PROJECT_YANK)
def put_file_yank(context: FileYank, request: Any) -> Answer:
    """Yank one file: hide it from resolvers that have a choice (PEP 592)."""
    body = bodies.read(request, YankBody)
    return _change(context, request, files.yank, context.above, body.reason)


@view_config(context=FileYank, request_method="DELETE", permission=Permission.PROJECT_YANK)
def delete_file_yank(context: FileYank, request: Any) -> Answer:
    """Take back the yank of one file."""
    return _change(context, request, files.unyank, context.above)


# --- releases -------------------------------------------------------------------------


@view_config(
    context=ProjectRelease, request_method="DELETE", permission=Permission.PROJECT_DELETE
)
def delete_release(context: ProjectRelease, request: Any) -> Answer:
    """Delete a release with its files; their names stay taken."""
    return _change(context, request, releases.delete, context.__name__)


@view_config(context=ReleaseYank, request_method="PUT", permission=Permission.PROJECT_YANK)
def put_release_yank(context: ReleaseYank, request: Any) -> Answer:
    """Yank every file of a release (PEP 592)."""
    body = bodies.read(request, YankBody)
    return _change(context, request, releases.yank, context.above, body.reason)


@view_config(context=ReleaseYank, request_method="DELETE", permission=Permission.PROJECT_YANK)
def delete_release_yank(context: ReleaseYank, request: Any) -> Answer:
    """Take back the yank of every file of a release."""
    return _change(context, request, releases.unyank, context.above)


# --- roles ----------------------------------------------------------------------------


@view_config(context=ProjectRoles, request_method="GET", permission=READ)
def get_roles(context: ProjectRoles, request: Any) -> Answer:
    """List who has which role in the project."""
    project = projects.get(request.reading, context.project)
    roles = [
        {"user": row.user.name, "role": row.role.value}
        for row in projects.roles(request.reading, project)
    ]
    return answers.document({"name": context.project, "roles": roles})


@view_config(
    context=ProjectRolePlace, request_method="PUT", permission=Permission.PROJECT_ROLES
)
def put_role(context: ProjectRolePlace, request: Any) -> Answer:
    """Give a user a role, in place of any other."""
    body = bodies.read(request, RoleBody)
    return _change(context, request, projects.set_role, context.__name__, body.role)


@view_config(
    context=ProjectRolePlace, request_method="DELETE", permission=Permission.PROJECT_ROLES
)
def delete_role(context: ProjectRolePlace, request: Any) -> Answer:
    """Take from a user any role in the project."""
    return _change(context, request, projects.remove_role, context.__name__)


# --- values as JSON -------------------------------------------------------------------


def _status(context: ProjectStatusPlace, request: Any) -> Answer:
    project = projects.get(request.reading, context.project)
    told = {"name": project.name, "status": project.status.value}
    if project.status_reason:
        told["reason"] = project.status_reason
    return answers.document(told)


def _file(file: ProjectFile) -> dict[str, Any]:
    told: dict[str, Any] = {
        "filename": file.filename,
        "version": file.version,
        "type": file.packagetype,
        "size": file.size_bytes,
        "hashes": {
            "sha256": file.sha256,
            "blake2b_256": file.blake2b_256,
            "md5": file.md5,
        },
        "path": f"/{file.url_path}",
        "upload-time": iso_instant(file.uploaded_at),
        "uploaded-by": file.uploaded_by,
        "yanked": (file.yanked_reason or True) if file.yanked else False,
    }
    if file.requires_python is not None:
        told["requires-python"] = file.requires_python
    return told


def _change(
    context: ProjectRoom | InProject, request: Any, act: Callable[..., object], *words: object
) -> Answer:
    """Let `act` do to the context's project what its name says, and answer 204."""
    request.write(
        lambda session: act(session, request.actor, context.project, *words, at=request.now)
    )
    return Answer("204 No Content", [("Cache-Control", "no-store"), *answers.SAFE])
