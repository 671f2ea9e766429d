"""Checks of the upload form and of the filename, in the order uploaders expect."""

from __future__ import annotations

import re

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_version, parse_wheel_filename
from packaging.version import Version

from pyramid_pypi.formats.core_metadata import CoreMetadata
from pyramid_pypi.formats.metadata_checks import (
    MAX_EXPRESSION_CHARS,
    MAX_REQUIREMENTS_CHARS,
    METADATA_VERSIONS,
    MetadataInvalid,
    parse_version,
    shown,
)
from pyramid_pypi.upload.refusals import (
    DigestMismatch,
    FilenameInvalid,
    FormInvalid,
    MetadataMismatch,
    TypeUnsupported,
    UploadTooLarge,
)
from pyramid_pypi.upload.values import ArtifactName, Form, Limits, Spooled
from pyramid_pypi.values.digests import Digests
from pyramid_pypi.values.names import is_valid, normalize

# Room for siblings (``.metadata``) and temporary names within the 255 of file systems.
MAX_FILENAME_CHARS = 230
_SDIST_ENDINGS = (".tar.gz", ".zip")
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]*\Z")
_RETIRED_TYPES = frozenset(
    ("bdist_dmg", "bdist_dumb", "bdist_egg", "bdist_msi", "bdist_rpm", "bdist_wininst"),
)


def form_value(form: Form, field: str) -> str:
    """Return the only value of `field`, without surrounding space; "" if absent.

    Raises:
        FormInvalid: it is given more than once.
    """
    values = form.get(field, ())
    if len(values) > 1:
        raise FormInvalid(f"Invalid value for {field}. Error: it is given more than once.")
    return values[0].strip() if values else ""


def check_protocol(form: Form) -> None:
    """Refuse an upload protocol other than version 1."""
    if form_value(form, "protocol_version") not in ("", "1"):
        raise FormInvalid("Invalid value for protocol_version. Error: only 1 is known.")


def check_size(spooled: Spooled, limits: Limits) -> None:
    """Refuse a file larger than the index takes."""
    if spooled.digests.size_bytes > limits.max_file_bytes:
        raise UploadTooLarge(f"Limit for this index is {limits.max_file_bytes} bytes.")


def check_digests(form: Form, digests: Digests) -> None:
    """Refuse a file that is not the one whose digests `form` states."""
    taken = {
        "sha256_digest": digests.sha256,
        "blake2_256_digest": digests.blake2b_256,
        "md5_digest": digests.md5,
    }
    for field, digest in taken.items():
        stated = form_value(form, field)
        if stated and stated.lower() != digest:
            raise DigestMismatch(f"Invalid value for {field}. Error: the file has {digest}.")


def read_filename(filename: str, form: Form) -> ArtifactName:
    """Return what `filename` says, which `filetype` of `form` must agree with.

    Raises:
        FilenameInvalid: it is no name of a wheel or sdist.
        TypeUnsupported: it is a retired type of distribution.
        FormInvalid: `filetype` names another type.
    """
    filetype = form_value(form, "filetype")
    if filetype in _RETIRED_TYPES:
        raise TypeUnsupported(f"Invalid value for filetype. Error: {filetype} is retired.")
    if len(filename) > MAX_FILENAME_CHARS or not _FILENAME.match(filename):
        raise FilenameInvalid(
            f"{shown(filename)} must be at most {MAX_FILENAME_CHARS} ASCII letters, digits "
            "and '._+!-', and begin with a letter or digit."
        )
    if filename.endswith(".whl"):
        artifact = _wheel_name(filename)
    elif filename.endswith(_SDIST_ENDINGS):
        artifact = _sdist_name(filename, form)
    else:
        raise TypeUnsupported(f"{shown(filename)} ends in neither .whl nor .tar.gz nor .zip.")
    if filetype not in ("", artifact.packagetype):
        raise FormInvalid(
            f"Invalid value for filetype. Error: {shown(filename)} is {artifact.packagetype}."
        )
    return artifact


def check_artifact(artifact: ArtifactName, metadata: CoreMetadata) -> None:
    """Refuse a filename that contradicts the `metadata` inside the file."""
    if normalize(metadata.name) != artifact.name:
        raise MetadataMismatch(
            f"Invalid value for name. Error: the filename says {artifact.name}, "
            f"the file is of {shown(metadata.name)}."
        )
    if parse_version(metadata.version) != artifact.version:
        raise MetadataMismatch(
            f"Invalid value for version. Error: the filename says {artifact.version}, "
            f"the file is of {shown(metadata.version)}."
        )


def check_form(form: Form, metadata: CoreMetadata) -> None:
    """Refuse a form that says otherwise than the `metadata` of the file.

    What the form leaves out is taken from the file all the same.
    """
    stated = form_value(form, "metadata_version")
    # Only known, not equal: flit always states one fixed version.
    if stated and stated not in METADATA_VERSIONS:
        raise FormInvalid("Invalid value for metadata_version. Error: it is not known.")
    stated = form_value(form, "name")
    if stated and normalize(stated) != normalize(metadata.name):
        raise MetadataMismatch(
            f"Invalid value for name. Error: the file is of {shown(metadata.name)}."
        )
    stated = form_value(form, "version")
    if stated and not _same_version(stated, parse_version(metadata.version)):
        raise MetadataMismatch(
            f"Invalid value for version. Error: the file is of {shown(metadata.version)}."
        )


def check_form_requirements(form: Form, metadata: CoreMetadata) -> None:
    """Refuse a form whose requirements, if it states any, are not those of the wheel."""
    stated = frozenset(text.strip() for text in form.get("requires_dist", ()))
    found = frozenset(metadata.requires_dist)
    if not stated or stated == found:
        return
    if not found or _requirements(stated) != _requirements(found):
        raise MetadataMismatch(
            "Invalid value for requires_dist. Error: the file has other requirements."
        )


def _wheel_name(filename: str) -> ArtifactName:
    stem = filename.removesuffix(".whl")
    parts = stem.split("-")
    try:
        # Bounds the digits before packaging turns them into numbers.
        parse_version(parts[1] if len(parts) > 1 else "")
        name, version, build, _ = parse_wheel_filename(filename)
    except (InvalidWheelFilename, MetadataInvalid) as error:
        raise FilenameInvalid(f"{shown(filename)}: {shown(str(error))}.") from None
    if not is_valid(name):
        raise FilenameInvalid(f"{shown(filename)} has an invalid project name.")
    number = "".join(map(str, build))
    # Each set of tags by itself: their product can have tens of thousands.
    tags = "-".join(".".join(sorted(set(part.lower().split(".")))) for part in parts[-3:])
    return ArtifactName(
        filename=filename,
        key=f"{name}-{canonicalize_version(version)}-{number}-{tags}.whl",
        packagetype="bdist_wheel",
        python_tag=parts[-3],
        name=normalize(name),
        version=version,
        stem=stem,
    )


def _sdist_name(filename: str, form: Form) -> ArtifactName:
    """Split the name at the hyphen where PEP 625 has its only one.

    Older sdists have hyphens in the name, and some in the version: there the form's
    name, which is checked against the file later, decides.
    """
    ending = next(ending for ending in _SDIST_ENDINGS if filename.endswith(ending))
    stem = filename.removesuffix(ending)
    name, version = _split_stem(stem, form_value(form, "name"))
    if not is_valid(name) or version is None:
        raise FilenameInvalid(f"{shown(filename)} is not NAME-VERSION with a valid version.")
    normal = normalize(name)
    return ArtifactName(
        filename=filename,
        key=f"{normal}-{canonicalize_version(version)}.sdist",
        packagetype="sdist",
        python_tag="source",
        name=normal,
        version=version,
        stem=stem,
    )


def _split_stem(stem: str, stated_name: str) -> tuple[str, Version | None]:
    name, _, version = stem.rpartition("-")
    if stated_name and normalize(name) != normalize(stated_name):
        start = len(stated_name)
        if stem[start : start + 1] == "-" and normalize(stem[:start]) == normalize(stated_name):
            name, version = stem[:start], stem[start + 1 :]
    try:
        return name, parse_version(version)
    except MetadataInvalid:
        return name, None


def _same_version(stated: str, version: Version) -> bool:
    try:
        return parse_version(stated) == version
    except MetadataInvalid:
        return False


def _requirements(texts: frozenset[str]) -> frozenset[str]:
    # As much as metadata may state; a form of other texts can have a hundred times that.
    if sum(map(len, texts)) > MAX_REQUIREMENTS_CHARS:
        return frozenset()
    if any(len(text) > MAX_EXPRESSION_CHARS for text in texts):
        return frozenset()
    try:
        return frozenset(str(Requirement(text)) for text in texts)
    except (ValueError, RecursionError):
        return frozenset()
