"""Feeds for people: RSS 2.0, as news readers take it.

Source: RSS 2.0 Specification (rssboard.org); its `atom:link` by the RSS Best Practices
Profile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from html import escape

from lxml import etree

from pyramid_pypi.formats.canonical import printable

MEDIA_TYPE = "application/rss+xml"

_ATOM = "http://www.w3.org/2005/Atom"


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of news; all but `guid` and `at` is text for people.

    `guid` tells it from every other, for ever; it is no address.
    """

    title: str
    link: str
    guid: str
    description: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Channel:
    """One feed: what it is about, the page it belongs to, and its own `address`.

    Addresses are absolute: readers show a feed far from where they found it.
    """

    title: str
    description: str
    link: str
    address: str
    items: Sequence[Item]


def feed(channel: Channel) -> bytes:
    """Return `channel` with its items, newest first as they come, as UTF-8 XML."""
    root = etree.Element("rss", nsmap={"atom": _ATOM}, version="2.0")
    top = etree.SubElement(root, "channel")
    _add(top, "title", channel.title)
    _add(top, "link", channel.link)
    _add(top, "description", escape(channel.description))
    own = {"href": channel.address, "rel": "self", "type": MEDIA_TYPE}
    etree.SubElement(top, f"{{{_ATOM}}}link", {k: printable(v) for k, v in own.items()})
    if channel.items:
        _add(top, "lastBuildDate", _date(channel.items[0].at))
    for item in channel.items:
        element = etree.SubElement(top, "item")
        _add(element, "title", item.title)
        _add(element, "link", item.link)
        _add(element, "guid", item.guid).set("isPermaLink", "false")
        # Readers take it for HTML, so what uploaders wrote is escaped twice in the end.
        _add(element, "description", escape(item.description))
        _add(element, "pubDate", _date(item.at))
    content: bytes = etree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _add(parent: etree._Element, name: str, text: str) -> etree._Element:
    element = etree.SubElement(parent, name)
    element.text = printable(text)
    return element


def _date(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC), usegmt=True)
