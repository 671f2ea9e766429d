"""Inspection of an sdist: one directory, PKG-INFO in it, plain files only.

Source: PEP 625, 643 and 721.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import BinaryIO

from pyramid_pypi.formats.core_metadata import CoreMetadata, parse
from pyramid_pypi.formats.metadata_checks import MetadataInvalid, parse_version, shown
from pyramid_pypi.upload.inflating import GzipStream, member_pieces, read_member
from pyramid_pypi.upload.members import check_license_files, check_tree
from pyramid_pypi.upload.refusals import DuplicateMember, NotAnSdist
from pyramid_pypi.upload.tars import tar_members
from pyramid_pypi.upload.values import ArtifactName, Limits
from pyramid_pypi.upload.zips import read_directory
from pyramid_pypi.values.names import normalize


def inspect_sdist(
    file: BinaryIO, size_bytes: int, artifact: ArtifactName, limits: Limits
) -> CoreMetadata:
    """Return the metadata of the sdist `file`, a gzipped tar or a zip by its filename.

    Raises:
        Refusal: it is not an sdist that every installer unpacks alike, or not this one.
    """
    file.seek(0)
    magic = file.read(2)
    file.seek(0)
    if artifact.filename.endswith(".zip"):
        if magic != b"PK":
            raise NotAnSdist("It is not a zip archive.")
        return _inspect_zip(file, size_bytes, artifact, limits)
    if magic != b"\x1f\x8b":
        raise NotAnSdist("It is not gzipped.")
    return _inspect_tar(file, size_bytes, artifact, limits)


def _inspect_tar(
    file: BinaryIO, size_bytes: int, artifact: ArtifactName, limits: Limits
) -> CoreMetadata:
    stream = GzipStream(file, size_bytes, limits)
    files: list[str] = []
    directories: set[str] = set()
    roots: set[str] = set()
    found: bytes | None = None
    for path, content in tar_members(stream, limits, is_wanted=_is_pkg_info):
        root = path.partition("/")[0]
        if root not in roots:
            roots.add(root)
            _check_root(roots, artifact)
        if path.endswith("/"):
            directories.add(path)  # tar may state a directory twice
        else:
            files.append(path)
        if content is not None:
            if found is not None:
                raise DuplicateMember(f"{shown(path)}.")
            found = content
    check_tree([*files, *directories])
    return _metadata(found, roots, files)


def _inspect_zip(
    file: BinaryIO, size_bytes: int, artifact: ArtifactName, limits: Limits
) -> CoreMetadata:
    members = read_directory(file, size_bytes, limits)
    roots = {path.partition("/")[0] for path in members}
    _check_root(roots, artifact)
    found: bytes | None = None
    for path, member in members.items():
        if _is_pkg_info(path):
            found = read_member(file, member, limits.max_document_bytes)
            continue
        for _ in member_pieces(file, member):
            pass
    return _metadata(found, roots, members)


def _is_pkg_info(path: str) -> bool:
    return path.endswith("/PKG-INFO") and path.count("/") == 1


def _check_root(roots: set[str], artifact: ArtifactName) -> None:
    """Refuse an sdist whose top is not one directory named after project and version."""
    if len(roots) != 1:
        raise NotAnSdist(f"It has {len(roots)} entries at its top, not one directory.")
    (root,) = roots
    if root == artifact.stem:
        return
    name, _, version = root.rpartition("-")
    try:
        fits = normalize(name) == artifact.name and parse_version(version) == artifact.version
    except MetadataInvalid:
        fits = False
    if not fits:
        raise NotAnSdist(f"Its directory is {shown(root)}, not {artifact.stem}.")


def _metadata(content: bytes | None, roots: set[str], paths: Iterable[str]) -> CoreMetadata:
    if content is None:
        raise NotAnSdist("It has no PKG-INFO in its directory.")
    metadata = parse(content)
    (root,) = roots
    check_license_files(metadata, frozenset(paths), under=root)
    return metadata
