"""What the single fields of core metadata may say."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

from packaging.licenses import canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from pyramid_pypi.errors import Refusal
from pyramid_pypi.values.names import is_valid

METADATA_VERSIONS = frozenset(
    ("1.0", "1.1", "1.2", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5"),
)
MAX_DESCRIPTION_CHARS = 11_000_000
MAX_VERSION_CHARS = 256
MAX_SUMMARY_CHARS = 512
# Checking a requirement takes about a microsecond a character.
MAX_REQUIREMENTS_CHARS = 256 * 1024
MAX_EXPRESSION_CHARS = 4_000
_SHOWN_CHARS = 120
_LONG_NUMBER = re.compile(r"[0-9]{201}")


class MetadataInvalid(Refusal):
    """The core metadata of the file (METADATA or PKG-INFO) breaks the specification.

    The detail names the field and says why.  Correct it where your build backend takes
    it from, build the file again, and check it with `twine check --strict`.
    """

    code = "metadata.invalid"
    title = "Invalid core metadata"


def parse_version(text: str) -> Version:
    """Return `text` as a version of PEP 440, short enough to sort and show.

    Raises:
        MetadataInvalid: it is not one, or its numbers are longer than we keep.
    """
    if len(text) > MAX_VERSION_CHARS or _LONG_NUMBER.search(text):
        refuse("version", "it has more than 256 characters, or a number of over 200 digits")
    try:
        return Version(text)
    except InvalidVersion:
        refuse("version", f"{shown(text)} is not a version of PEP 440")


def shown(text: str) -> str:
    """Return foreign `text` in ASCII quotes, short enough for a message."""
    return ascii(text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "...")


def refuse(field: str, problem: str) -> NoReturn:
    """Raise the refusal that says `problem` of the header `field`."""
    raise MetadataInvalid(f"Invalid value for {field}. Error: {problem}.")


def _check_metadata_version(text: str) -> None:
    if text not in METADATA_VERSIONS:
        refuse("metadata-version", f"{shown(text)} is not a metadata version up to 2.5")


def _check_name(text: str) -> None:
    if not is_valid(text):
        refuse(
            "name",
            f"{shown(text)} must be at most 128 ASCII letters, digits, '.', '-' and '_', "
            "and begin and end with a letter or digit",
        )


def _check_version(text: str) -> None:
    parse_version(text)


def _check_summary(text: str) -> None:
    if len(text) > MAX_SUMMARY_CHARS:
        refuse("summary", f"it has more than {MAX_SUMMARY_CHARS} characters")


def _check_description(text: str) -> None:
    if len(text) > MAX_DESCRIPTION_CHARS:
        refuse("description", f"it has more than {MAX_DESCRIPTION_CHARS} characters")


def _check_description_content_type(text: str) -> None:
    _short("description-content-type", text)
    kind, *parameters = (part.strip() for part in text.split(";"))
    if kind.lower() not in ("text/plain", "text/x-rst", "text/markdown"):
        refuse(
            "description-content-type",
            f"{shown(text)} must be text/plain, text/x-rst or text/markdown",
        )
    for parameter in parameters:
        key, _, value = (part.strip().strip('"') for part in parameter.partition("="))
        if key.lower() == "charset" and value.lower() != "utf-8":
            refuse("description-content-type", "the charset must be UTF-8")
        if key.lower() == "variant" and value not in ("GFM", "CommonMark"):
            refuse("description-content-type", "the variant must be GFM or CommonMark")


def _check_requires_python(text: str) -> None:
    _short("requires-python", text)
    try:
        SpecifierSet(text)
    except ValueError:
        refuse("requires-python", f"{shown(text)} is not a version specifier of PEP 440")


def _check_requires_dist(texts: tuple[str, ...]) -> None:
    if sum(map(len, texts)) > MAX_REQUIREMENTS_CHARS:
        refuse("requires-dist", f"together more than {MAX_REQUIREMENTS_CHARS} characters")
    for text in texts:
        _short("requires-dist", text)
        try:
            requirement = Requirement(text)
        # Markers nest without bound, and int() refuses 4,301 digits with a ValueError.
        except (ValueError, RecursionError):
            refuse("requires-dist", f"{shown(text)} is not a requirement of PEP 508")
        if requirement.url:
            refuse("requires-dist", f"can't have direct dependency: {shown(text)}")


def _check_license_expression(text: str) -> None:
    _short("license-expression", text)
    try:
        canonicalize_license_expression(text)
    except (ValueError, RecursionError, MemoryError):
        refuse("license-expression", f"{shown(text)} is not an SPDX license expression")


def _check_provides_extra(texts: tuple[str, ...]) -> None:
    for text in texts:
        if not is_valid(text):
            refuse("provides-extra", f"{shown(text)} is not the name of an extra")


def _check_dynamic(texts: tuple[str, ...]) -> None:
    for text in texts:
        if text.lower() in ("name", "version", "metadata-version"):
            refuse("dynamic", f"{shown(text)} cannot be dynamic")


def _short(field: str, text: str) -> None:
    if len(text) > MAX_EXPRESSION_CHARS or _LONG_NUMBER.search(text):
        refuse(field, f"it has more than {MAX_EXPRESSION_CHARS} characters, or a number of 200")


CHECKS: dict[str, Callable[[Any], None]] = {
    "metadata_version": _check_metadata_version,
    "name": _check_name,
    "version": _check_version,
    "summary": _check_summary,
    "description": _check_description,
    "description_content_type": _check_description_content_type,
    "requires_python": _check_requires_python,
    "requires_dist": _check_requires_dist,
    "license_expression": _check_license_expression,
    "provides_extra": _check_provides_extra,
    "dynamic": _check_dynamic,
}
"""By attribute of `CoreMetadata`: what raises `MetadataInvalid` for a value that is given."""
