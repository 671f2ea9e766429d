"""What no page may hold, found by a parser rather than by searching the text."""

from __future__ import annotations

from typing import Any

from lxml import html

INACTIVE = frozenset(
    [
        "html",
        "head",
        "body",
        "title",
        "meta",
        "link",
        "header",
        "nav",
        "main",
        "footer",
        "section",
        "aside",
        "div",
        "span",
        "p",
        "a",
        "pre",
        "code",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "details",
        "summary",
        "time",
        "strong",
        "em",
        "b",
        "i",
        "del",
        "sub",
        "sup",
        "br",
        "hr",
        "blockquote",
        "abbr",
        "acronym",
        "cite",
        "caption",
        "col",
        "colgroup",
        "kbd",
        "tt",
        "var",
        "figure",
        "figcaption",
        "input",
    ]
)
ATTRIBUTES = frozenset(
    [
        "href",
        "rel",
        "id",
        "class",
        "title",
        "lang",
        "charset",
        "name",
        "content",
        "type",
        "datetime",
        "tabindex",
        "role",
        "scope",
        "align",
        "start",
        "colspan",
        "rowspan",
        "checked",
        "disabled",
        "aria-label",
        "aria-labelledby",
    ]
)


def parsed(content: str | bytes) -> Any:
    text = content.decode() if isinstance(content, bytes) else content
    return (
        html.document_fromstring(f"<!DOCTYPE html><div>{text}</div>") if text.strip() else None
    )


def assert_harmless(content: str | bytes) -> None:
    """Fail if `content` holds an element, attribute or address that could act or load."""
    tree = parsed(content)
    for element in tree.iter() if tree is not None else ():
        if not isinstance(element.tag, str):
            continue
        assert element.tag in INACTIVE, element.tag
        assert set(element.attrib) <= ATTRIBUTES, element.attrib
        assert "http-equiv" not in element.attrib
        scheme, colon, _ = element.get("href", "").partition(":")
        assert not colon or scheme in ("http", "https", "mailto"), element.get("href")
