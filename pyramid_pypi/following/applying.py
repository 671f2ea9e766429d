"""From the page of a project and the changes since, the page of now, without fetching it.

Whoever does this believes nobody: whether the page came out right is told by the hash
tree.  So where an event does not say enough, nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from pyramid_pypi.formats import simple_html, simple_json, simple_parse
from pyramid_pypi.formats.events import Event
from pyramid_pypi.formats.simple import QUARANTINED, SimpleFile, SimplePage
from pyramid_pypi.formats.simple_parse import PageUnreadable
from pyramid_pypi.values.versions import sort_key

_ACTIVE = "active"
_MOVE_SERIAL_ONLY = frozenset(
    {"release-created", "release-deleted", "role-added", "role-removed"}
)


class Unclear(Exception):
    """The events do not tell what the page shows now; it has to be fetched."""


def written(page: SimplePage) -> tuple[bytes, bytes]:
    """Return `page` as HTML and as JSON, as the index writes it."""
    html = simple_html.page(page)
    return html, simple_json.page(page, html)


def known_page(content: bytes) -> SimplePage:
    """Return the page that stands as `content`.

    Raises:
        Unclear: it has something that this reader would not write.
    """
    try:
        page = simple_parse.parse(content)
    except PageUnreadable as error:
        raise Unclear(error.detail) from error
    if written(page)[1] != content:
        raise Unclear("the page is written in another way")
    return page


def applied(page: SimplePage | None, events: Iterable[Event]) -> SimplePage | None:
    """Return the page after `events` of its project, in order; None for a project gone.

    Raises:
        Unclear: they do not tell.
    """
    for event in events:
        page = _after(page, event)
    return page


def _after(page: SimplePage | None, event: Event) -> SimplePage | None:
    if event.kind == "project-created" and event.project:
        return SimplePage(event.project, event.serial, _ACTIVE, "", (), ())
    if event.kind == "project-deleted":
        return None
    if page is None:
        raise Unclear("a change of a project that is not there")
    page = replace(page, serial=event.serial)
    if event.kind in _MOVE_SERIAL_ONLY:
        return page
    if event.kind == "project-status":
        return _with_status(page, event.details)
    change = _OF_FILES.get(event.kind)
    # A page in quarantine does not show what is changed.
    if change is None or page.status == QUARANTINED or not event.filename:
        raise Unclear(event.kind)
    return change(page, event)


def _with_status(page: SimplePage, details: Mapping[str, Any]) -> SimplePage:
    status, reason = details.get("new"), details.get("reason", "")
    if not isinstance(status, str) or not isinstance(reason, str):
        raise Unclear("a status that is not told")
    if QUARANTINED in {page.status, status} and page.status != status:
        raise Unclear("a quarantine begins or ends")
    return replace(page, status=status, status_reason=reason)


def _with_file(page: SimplePage, event: Event) -> SimplePage:
    details, filename = event.details, event.filename or ""
    try:
        file = SimpleFile(
            filename=filename,
            sha256=_typed(details["sha256"], str),
            size_bytes=_typed(details["size"], int),
            uploaded_at=event.at,
            requires_python=_typed(details.get("requires_python"), str | None),
            yanked=False,
            yanked_reason="",
            core_metadata_sha256=_typed(details.get("core_metadata_sha256"), str | None),
        )
    except KeyError as error:
        raise Unclear(f"a file without {error}") from error
    if any(other.filename == filename for other in page.files):
        raise Unclear("a file that is there already")
    return _in_order(page, (*page.files, file), {filename: event.version})


def _without_file(page: SimplePage, event: Event) -> SimplePage:
    left = tuple(file for file in page.files if file.filename != event.filename)
    if len(left) == len(page.files):
        raise Unclear("a file that is not there")
    return _in_order(page, left, {})


def _yanked(page: SimplePage, event: Event) -> SimplePage:
    reason = _typed(event.details.get("reason", ""), str)
    return _with_yank(page, event, yanked=True, reason=reason)


def _unyanked(page: SimplePage, event: Event) -> SimplePage:
    return _with_yank(page, event, yanked=False, reason="")


def _with_yank(page: SimplePage, event: Event, *, yanked: bool, reason: str) -> SimplePage:
    files = [
        replace(file, yanked=yanked, yanked_reason=reason)
        if file.filename == event.filename
        else file
        for file in page.files
    ]
    if tuple(files) == page.files:
        raise Unclear("a yank that changes nothing")
    return replace(page, files=tuple(files))


_OF_FILES = {
    "file-added": _with_file,
    "file-deleted": _without_file,
    "file-yanked": _yanked,
    "file-unyanked": _unyanked,
}


def _in_order(
    page: SimplePage, files: Iterable[SimpleFile], told: Mapping[str, str | None]
) -> SimplePage:
    """Return `page` with `files` in the order of their versions and names."""
    versions = {file.filename: told.get(file.filename) or _version(file) for file in files}
    try:
        keys = {version: sort_key(Version(version)) for version in set(versions.values())}
    except InvalidVersion as error:
        raise Unclear(str(error)) from error
    ordered = sorted(files, key=lambda file: (keys[versions[file.filename]], file.filename))
    in_order = dict.fromkeys(versions[file.filename] for file in ordered)
    return replace(page, files=tuple(ordered), versions=tuple(in_order))


def _version(file: SimpleFile) -> str:
    """Return the version that a filename tells."""
    try:
        if file.filename.endswith(".whl"):
            return str(parse_wheel_filename(file.filename)[1])
        return str(parse_sdist_filename(file.filename)[1])
    except (InvalidWheelFilename, InvalidSdistFilename) as error:
        raise Unclear(str(error)) from error


def _typed(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind):
        raise Unclear(f"{value!r:.80} where it cannot be")
    return value
