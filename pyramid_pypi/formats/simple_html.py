"""The Simple API as HTML, frozen at version 1.4.

Source: PyPA specification "Simple repository API"; PEP 503, 629, 714, 792.
"""

from __future__ import annotations

from html import escape

from pyramid_pypi.formats.canonical import printable
from pyramid_pypi.formats.simple import API_VERSION, SimpleList, SimplePage, attribute

_HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="pypi:repository-version" content="{version}">
{metas}<title>{title}</title>
</head>
<body>
<h1>{title}</h1>
"""
_TAIL = """\
</body>
</html>
<!--SERIAL {serial}-->
"""


def page(simple_page: SimplePage) -> bytes:
    """Return the page of one project, for ``/simple/NAME/``."""
    metas = f'<meta name="pypi:project-status" content="{attribute(simple_page.status)}">\n'
    if simple_page.status_reason:
        reason = attribute(simple_page.status_reason)
        metas += f'<meta name="pypi:project-status-reason" content="{reason}">\n'
    lines = [file.html_fragment for file in simple_page.listed_files]
    return b"".join(
        (
            _head(f"Links for {simple_page.name}", metas),
            *lines,
            _tail(simple_page.serial),
        )
    )


def project_list(simple_list: SimpleList) -> bytes:
    """Return the list of all projects, for ``/simple/``."""
    # A normalized name has letters, digits and hyphens only: nothing to escape.
    lines = [f'<a href="{name}/">{name}</a><br>\n' for name, _ in simple_list.projects]
    return b"".join(
        (_head("Simple index", ""), "".join(lines).encode(), _tail(simple_list.serial))
    )


def _head(title: str, metas: str) -> bytes:
    text = escape(printable(title))
    return _HEAD.format(version=API_VERSION, metas=metas, title=text).encode()


def _tail(serial: int) -> bytes:
    return _TAIL.format(serial=serial).encode()
