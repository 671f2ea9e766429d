"""Feeds for news readers: what is new, in the index and in one project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.view import view_config
from sqlalchemy.orm import Session

from pyramid_pypi.catalog import newest
from pyramid_pypi.catalog.newest import News
from pyramid_pypi.formats import rss
from pyramid_pypi.formats.rss import Channel, Item
from pyramid_pypi.values.instants import iso_instant
from pyramid_pypi.web import answers, negotiation
from pyramid_pypi.web.answers import Answer
from pyramid_pypi.web.places_feeds import NewProjects, NewReleases, NewReleasesOfProject
from pyramid_pypi.web.security import READ

_MOST = 40

_TYPE = f"{rss.MEDIA_TYPE}; charset=utf-8"


@view_config(context=NewReleases, request_method="GET", permission=READ)
def updates(context: NewReleases, request: Any) -> Answer:
    """Tell of the newest releases."""
    title = f"{request.registry.site.title}: newest releases"
    return _feed(request, context.path, "/", title, lambda s: newest.releases(s, _MOST))


@view_config(context=NewProjects, request_method="GET", permission=READ)
def packages(context: NewProjects, request: Any) -> Answer:
    """Tell of the newest projects."""
    title = f"{request.registry.site.title}: newest projects"
    return _feed(request, context.path, "/", title, lambda s: newest.projects(s, _MOST))


@view_config(context=NewReleasesOfProject, request_method="GET", permission=READ)
def releases(context: NewReleasesOfProject, request: Any) -> Answer:
    """Tell of the newest releases of one project."""
    name = context.project
    title = f"{request.registry.site.title}: releases of {name}"
    return _feed(
        request,
        context.path.format(name=name),
        _page(name),
        title,
        lambda session: newest.releases_of(session, name, _MOST),
    )


def _feed(
    request: Any, own: str, page: str, title: str, read: Callable[[Session], list[News]]
) -> Answer:
    """Return the feed at `own`; to a reader who has it at the present serial, a 304.

    The serial is taken first, so a feed may be newer than its tag, and never older.
    """
    etag = f'"{request.publisher.serial}"'
    headers = [("ETag", f"W/{etag}"), ("Cache-Control", "no-cache")]
    known = request.environ.get("HTTP_IF_NONE_MATCH")
    if known and negotiation.matches(known, etag):
        return Answer("304 Not Modified", [*headers, *answers.SAFE])
    index = request.registry.site.public_url.rstrip("/")
    channel = Channel(
        title=title,
        description=title,
        link=index + page,
        address=index + own,
        items=[_item(index, news) for news in read(request.reading)],
    )
    headers.append(("Content-Security-Policy", answers.DATA_POLICY))
    return answers.whole(rss.feed(channel), _TYPE, headers=headers)


def _item(index: str, news: News) -> Item:
    title = f"{news.project} {news.version}" if news.version else news.project
    return Item(
        title=title,
        link=index + _page(news.project),
        # The instant too: what was deleted and came back is news again.
        guid=f"{title} {iso_instant(news.at)}",
        description=news.summary,
        at=news.at,
    )


def _page(name: str) -> str:
    return f"/projects/{name}/"
