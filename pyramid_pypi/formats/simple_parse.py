"""The JSON page of a project read back into values, by readers who do not trust it.

Source: PyPA specification "Simple repository API"; PEP 691, 700, 714, 792; and the keys of
this index, which begin with an underscore.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

import msgspec

from pyramid_pypi.errors import Refusal
from pyramid_pypi.formats.simple import ROOT, SimpleFile, SimplePage
from pyramid_pypi.values.instants import instant_of
from pyramid_pypi.values.names import is_normalized

MAX_BYTES = 256 * 1024 * 1024
"""A page that is larger is not read: half a million files have their place below it."""

_FILENAME = re.compile(r"[^/\\\x00-\x1f\x7f]{1,255}\Z")


class PageUnreadable(Refusal):
    """The JSON page of a project is not what it should be; it is not trusted."""

    code = "page.unreadable"
    title = "The page of a project cannot be read"


@dataclass(frozen=True, slots=True)
class Twin:
    """What a page says of its twin in another form: its sha256 and size."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Read:
    """A page as it was read; `html` is None where it does not name its HTML twin."""

    page: SimplePage
    html: Twin | None


_Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Whole = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class _Hashes(msgspec.Struct):
    sha256: _Sha256


class _File(msgspec.Struct, rename="kebab"):
    filename: str
    hashes: _Hashes
    size: _Whole
    upload_time: str
    url: str
    yanked: bool | str
    requires_python: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    core_metadata: _Hashes | None = None


class _Meta(msgspec.Struct):
    serial: _Whole = msgspec.field(name="_last-serial")
    version: str = msgspec.field(name="api-version")


class _Status(msgspec.Struct):
    status: str
    reason: str = ""


class _Html(msgspec.Struct):
    sha256: _Sha256
    size: _Whole


class _Page(msgspec.Struct, rename="kebab"):
    files: list[_File]
    meta: _Meta
    name: str
    project_status: _Status
    versions: list[str]
    html: _Html | None = msgspec.field(default=None, name="_html")


class _Listed(msgspec.Struct):
    name: str


class _List(msgspec.Struct):
    projects: list[_Listed]


_decoder = msgspec.json.Decoder(_Page)
_list_decoder = msgspec.json.Decoder(_List)


def parse(content: bytes) -> SimplePage:
    """Return the page that `simple_json.page` made `content` of; see `read`.

    Raises:
        PageUnreadable: it is no such page.
    """
    return read(content).page


def read(content: bytes) -> Read:
    """Return the page that `content` is, and what it says of its HTML twin.

    Keys that it does not know are passed over, so that a later index may say more; who
    means to write the page anew compares the bytes.

    Raises:
        PageUnreadable: it is no page, or one of files that lie elsewhere.
    """
    if len(content) > MAX_BYTES:
        raise PageUnreadable(f"it has more than {MAX_BYTES} bytes")
    try:
        read_page = _decoder.decode(content)
        page = _page(read_page)
    # msgspec's own errors are ValueErrors; deep nesting and bad UTF-8 are not all.
    except (ValueError, RecursionError) as error:
        raise PageUnreadable(str(error)) from error
    html = read_page.html
    return Read(page, Twin(html.sha256, html.size) if html else None)


def names_of(content: bytes) -> list[str]:
    """Return the projects that `content`, the list of all, names.

    Raises:
        PageUnreadable: it is no such list.
    """
    try:
        names = [listed.name for listed in _list_decoder.decode(content).projects]
    except (ValueError, RecursionError) as error:
        raise PageUnreadable(str(error)) from error
    if not all(map(is_normalized, names)):
        raise PageUnreadable("a name that is not normalized")
    return names


def _page(read_page: _Page) -> SimplePage:
    if not is_normalized(read_page.name):
        raise ValueError(f"{read_page.name[:80]!r} is no normalized name")
    return SimplePage(
        name=read_page.name,
        serial=read_page.meta.serial,
        status=read_page.project_status.status,
        status_reason=read_page.project_status.reason,
        versions=tuple(read_page.versions),
        files=tuple(_file(file) for file in read_page.files),
    )


def _file(read_file: _File) -> SimpleFile:
    if not _FILENAME.match(read_file.filename) or read_file.filename in {".", ".."}:
        raise ValueError(f"{read_file.filename[:80]!r} is no filename")
    yanked = read_file.yanked
    file = SimpleFile(
        filename=read_file.filename,
        sha256=read_file.hashes.sha256,
        size_bytes=read_file.size,
        uploaded_at=instant_of(read_file.upload_time),
        requires_python=read_file.requires_python,
        yanked=yanked is not False,
        yanked_reason=yanked if isinstance(yanked, str) else "",
        core_metadata_sha256=read_file.core_metadata.sha256
        if read_file.core_metadata
        else None,
    )
    if read_file.url != ROOT + file.url_path:
        raise ValueError(f"{read_file.filename[:80]!r} lies elsewhere")
    return file
