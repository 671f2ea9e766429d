"""Published documents: the tree's own bytes, with the headers that clients need.

No database, session, template or policy stands between a request and its document.  One
`stat` proves that what is kept in memory is what stands in the tree.
"""

from __future__ import annotations

from typing import Any

from pyramid.view import view_config

from pyramid_pypi.errors import NoSuchProject, NoSuchRelease
from pyramid_pypi.web import answers, negotiation
from pyramid_pypi.web.answers import Answer
from pyramid_pypi.web.negotiation import Menu, Representation
from pyramid_pypi.web.places import ProjectRoom
from pyramid_pypi.web.places_published import (
    JsonDocument,
    JsonReleaseDocument,
    SimpleIndex,
    SimpleProject,
    SimpleProjectOfUploader,
)
from pyramid_pypi.web.recent import Ready
from pyramid_pypi.web.refusals import PageMissing
from pyramid_pypi.web.resources import ProjectPlace, Projects, Root
from pyramid_pypi.web.security import READ


@view_config(context=Root, request_method="GET", permission=READ)
def home(context: Root, request: Any) -> Answer:
    """Show how to use this index, and its newest files."""
    request.publisher.fresh_lists()
    return _found(request, "index", negotiation.HOME) or _absent(PageMissing())


@view_config(context=SimpleIndex, request_method="GET", permission=READ)
def simple_index(context: SimpleIndex, request: Any) -> Answer:
    """List all projects (PEP 503, PEP 691)."""
    if not request.environ["PATH_INFO"].endswith("/"):
        return _with_slash(request)
    request.publisher.fresh_lists()
    # devpi-server reads a 304 to its list as "only what is cached here is left".
    agent = request.environ.get("HTTP_USER_AGENT", "")
    conditional = not agent.startswith("devpi-server")
    found = _found(request, "simple/index", negotiation.SIMPLE, conditional=conditional)
    return found or _absent(PageMissing())


@view_config(context=SimpleProject, request_method="GET", permission=READ)
@view_config(context=SimpleProjectOfUploader, request_method="GET", permission=READ)
def simple_project(context: ProjectRoom, request: Any) -> Answer:
    """Show the files of one project (PEP 503, PEP 691, PEP 700)."""
    if not request.environ["PATH_INFO"].endswith("/"):
        return _with_slash(request)
    found = _found(request, f"simple/{context.__name__}/index", negotiation.SIMPLE)
    return found or _absent(NoSuchProject(context.__name__))


@view_config(context=JsonDocument, request_method="GET", permission=READ)
@view_config(context=JsonReleaseDocument, request_method="GET", permission=READ)
def json_document(context: JsonDocument, request: Any) -> Answer:
    """Show a project, or one of its releases, as PyPI's older JSON API does."""
    request.publisher.settle(context.project)
    missing = NoSuchRelease if isinstance(context, JsonReleaseDocument) else NoSuchProject
    found = document(request, context.tree_path, negotiation.JSON_API)
    return found or _absent(missing(str(context.project)))


@view_config(context=Projects, request_method="GET", permission=READ)
def projects(context: Projects, request: Any) -> Answer:
    """Send to the list of all projects, which is one for people and installers."""
    return answers.redirect(302, "/simple/", request.query_string)


@view_config(context=ProjectPlace, request_method="GET", permission=READ)
def project(context: ProjectPlace, request: Any) -> Answer:
    """Show a project to people (HTML) and programs (JSON, XML)."""
    if not request.environ["PATH_INFO"].endswith("/"):
        return _with_slash(request)
    request.publisher.settle(context.project)
    found = _found(request, f"projects/{context.__name__}/index", negotiation.PROJECT)
    return found or _absent(NoSuchProject(context.__name__))


def _with_slash(request: Any) -> Answer:
    return answers.redirect(301, request.path_info + "/", request.query_string)


def _absent(refusal: Exception) -> Answer:
    raise refusal


def _found(request: Any, stem: str, menu: Menu, *, conditional: bool = True) -> Answer | None:
    """Return the document ``STEM.html``, ``.json`` or ``.xml`` as the client wants it."""
    environ = request.environ
    chosen = menu.choose(environ.get("HTTP_ACCEPT"), environ.get("QUERY_STRING", ""))
    return document(request, f"{stem}.{chosen.extension}", chosen, conditional=conditional)


def document(
    request: Any, name: str, chosen: Representation, *, conditional: bool = True
) -> Answer | None:
    """Return the document at the tree path `name`, or a 304; None if there is none."""
    environ = request.environ
    ready: Ready | None = request.registry.documents.find(
        name,
        chosen,
        compressed=negotiation.takes_gzip(environ.get("HTTP_ACCEPT_ENCODING")),
    )
    if ready is None:
        return None
    return ready.to(environ.get("HTTP_IF_NONE_MATCH")) if conditional else ready.answer
