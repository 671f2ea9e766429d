"""Rules on the paths inside an archive, zip or tar alike."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from itertools import pairwise

from pyramid_pypi.formats.core_metadata import CoreMetadata
from pyramid_pypi.formats.metadata_checks import shown
from pyramid_pypi.upload.refusals import (
    DuplicateMember,
    LicenseFileMissing,
    MemberName,
    TooManyMembers,
)
from pyramid_pypi.upload.values import Limits

# A path is unsafe if it is absolute or has a drive, holds a backslash or a control
# character, or has a part that is empty, "." or "..".
_UNSAFE = re.compile(
    r"/|[A-Za-z]:|.*[\\\x00-\x1f\x7f-\x9f]|(?:.*/)?(?:\.{0,2})(?:/|\Z)", re.DOTALL
)


def check_path(path: str, limits: Limits) -> None:
    """Refuse a member's `path` that is unsafe to unpack on any system.

    A directory's path may end in one slash.

    Raises:
        MemberName: it is.
    """
    bare = path.removesuffix("/")
    if len(path) > limits.max_path_chars:
        raise MemberName(f"{shown(path)} has more than {limits.max_path_chars} characters.")
    if not bare or _UNSAFE.match(bare):
        raise MemberName(f"{shown(path)}.")


def check_count(count: int, limits: Limits) -> None:
    """Refuse an archive of more members than we look at.

    Raises:
        TooManyMembers: it is.
    """
    if count > limits.max_members:
        raise TooManyMembers(f"more than {limits.max_members}.")


def check_tree(paths: Iterable[str]) -> None:
    """Refuse `paths` of which one is there twice, or is a file where others go through.

    Directories' paths end in a slash.

    Raises:
        DuplicateMember: there is such a path.
    """
    # With NUL for the slash, which no path holds, what lies in a directory sorts right
    # behind it; a set of all parents could be far larger than the archive.
    in_order = sorted(
        (path.removesuffix("/").replace("/", "\0"), path.endswith("/")) for path in paths
    )
    for (path, is_directory), (following, _) in pairwise(in_order):
        if path == following or (not is_directory and following.startswith(path + "\0")):
            raise DuplicateMember(f"{shown(path.replace(chr(0), '/'))}.")


def check_license_files(metadata: CoreMetadata, paths: Collection[str], *, under: str) -> None:
    """Refuse an archive without a license file its metadata names (PEP 639).

    Raises:
        LicenseFileMissing: no member of `paths` is that file in the directory `under`.
    """
    # Before 2.4 the field was an invention of build backends, relative to anything.
    if metadata.metadata_version not in ("2.4", "2.5"):
        return
    for path in metadata.license_files:
        if f"{under}/{path}" not in paths:
            raise LicenseFileMissing(f"{shown(path)} is not in {shown(under)}.")
