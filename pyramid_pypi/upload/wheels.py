"""Inspection of a wheel: what it must hold, and that RECORD tells the truth.

Source: Python packaging user guide, "Binary distribution format" (PEP 427, 491, 639).
"""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import io
import re
from collections.abc import Mapping
from typing import BinaryIO

from pyramid_pypi.formats.core_metadata import CoreMetadata, parse
from pyramid_pypi.formats.metadata_checks import MetadataInvalid, parse_version, shown
from pyramid_pypi.upload.inflating import member_pieces, read_member
from pyramid_pypi.upload.members import check_license_files
from pyramid_pypi.upload.refusals import (
    DistInfoMismatch,
    EntryPointInvalid,
    NotAWheel,
    RecordMismatch,
)
from pyramid_pypi.upload.values import ArtifactName, Limits
from pyramid_pypi.upload.zips import Member, read_directory
from pyramid_pypi.values.names import normalize

_SIGNATURES = ("RECORD.jws", "RECORD.p7s")
_HASHES = frozenset(("sha256", "sha384", "sha512"))
_MAX_WHEEL_BYTES = 64 * 1024
_MAX_ENTRY_POINTS_BYTES = 1024 * 1024
_MAX_RECORD_BYTES = 8 * 1024 * 1024
_WHEEL_VERSION = re.compile(rb"^Wheel-Version:[ \t]*(.*?)[ \t]*\r?$", re.MULTILINE | re.I)
_READABLE_VERSION = re.compile(rb"1\.[0-9]+\Z")
# An installer makes files of these names in the directory of scripts.
_SCRIPT_NAME = re.compile(r"(?!\.{1,2}\Z)[^/\\:\x00-\x1f\x7f]+\Z")


def inspect_wheel(
    file: BinaryIO, size_bytes: int, artifact: ArtifactName, limits: Limits
) -> tuple[CoreMetadata, bytes]:
    """Return the metadata of the wheel `file`, and its METADATA byte for byte.

    Raises:
        Refusal: it is not a wheel that every installer unpacks alike, or not this one.
    """
    file.seek(0)
    if file.read(2) != b"PK":
        raise NotAWheel("It is not a zip archive.")
    members = read_directory(file, size_bytes, limits)
    dist_info = _dist_info(members, artifact)
    for document in ("METADATA", "WHEEL", "RECORD"):
        if f"{dist_info}/{document}" not in members:
            raise NotAWheel(f"It has no {document} in {shown(dist_info)}.")
    _check_wheel_version(file, members[f"{dist_info}/WHEEL"])
    content = read_member(file, members[f"{dist_info}/METADATA"], limits.max_document_bytes)
    metadata = parse(content)
    check_license_files(metadata, members, under=f"{dist_info}/licenses")
    if f"{dist_info}/entry_points.txt" in members:
        _check_entry_points(file, members[f"{dist_info}/entry_points.txt"])
    _check_record(file, members, dist_info)
    return metadata, content


def _dist_info(members: Mapping[str, Member], artifact: ArtifactName) -> str:
    """Return the name of the only ``.dist-info`` directory, that of `artifact`."""
    tops = {path.partition("/")[0] for path in members}
    found = sorted(top for top in tops if top.lower().endswith(".dist-info"))
    if len(found) != 1:
        raise NotAWheel(f"It has {len(found)} .dist-info directories.")
    name, _, version = found[0].removesuffix(".dist-info").rpartition("-")
    try:
        fits = normalize(name) == artifact.name and parse_version(version) == artifact.version
    except MetadataInvalid:
        fits = False
    if not fits:
        raise DistInfoMismatch(f"{shown(found[0])} is not of {artifact.filename}.")
    return found[0]


def _check_wheel_version(file: BinaryIO, member: Member) -> None:
    # Installers must refuse another major version.
    stated = _WHEEL_VERSION.findall(read_member(file, member, _MAX_WHEEL_BYTES))
    if len(stated) != 1 or not _READABLE_VERSION.match(stated[0]):
        raise NotAWheel("WHEEL does not say Wheel-Version 1.")


def _check_entry_points(file: BinaryIO, member: Member) -> None:
    parser = configparser.ConfigParser(delimiters=("=",), strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(read_member(file, member, _MAX_ENTRY_POINTS_BYTES).decode("utf-8"))
    except (configparser.Error, UnicodeDecodeError):
        raise EntryPointInvalid("entry_points.txt cannot be read.") from None
    for group in ("console_scripts", "gui_scripts"):
        if not parser.has_section(group):
            continue
        for name in parser.options(group):
            if not _SCRIPT_NAME.match(name):
                raise EntryPointInvalid(f"{shown(name)} is no name for a script.")


def _check_record(file: BinaryIO, members: Mapping[str, Member], dist_info: str) -> None:
    """Refuse a wheel whose RECORD does not list each file with its size and hash."""
    record = f"{dist_info}/RECORD"
    rows = _rows(read_member(file, members[record], _MAX_RECORD_BYTES), len(members))
    unlisted = {record, *(f"{dist_info}/{name}" for name in _SIGNATURES)}
    files = {path for path, member in members.items() if not member.is_directory}
    missing = files - rows.keys() - unlisted
    if missing:
        raise RecordMismatch(f"it does not list {shown(min(missing))}.")
    extra = [path for path in rows if path not in members and f"{path}/" not in members]
    if extra:
        raise RecordMismatch(f"it lists {shown(min(extra))}, which the wheel has not.")
    for path in members:
        if path in files and path not in unlisted:
            _check_row(file, members[path], *rows[path])


def _rows(content: bytes, member_count: int) -> dict[str, tuple[str, str]]:
    """Return the hash and size of each path in RECORD."""
    rows: dict[str, tuple[str, str]] = {}
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
        for number, row in enumerate(lines):
            if number > 2 * member_count:
                raise RecordMismatch("it has more lines than the wheel has members.")
            if not row:
                continue
            path, digest, size = row
            if path in rows:
                raise RecordMismatch(f"it lists {shown(path)} twice.")
            rows[path] = (digest, size)
    except (csv.Error, ValueError):
        raise RecordMismatch("it is not CSV of three columns in UTF-8.") from None
    return rows


def _check_row(file: BinaryIO, member: Member, stated: str, size: str) -> None:
    algorithm, _, digest = stated.partition("=")
    if algorithm not in _HASHES:
        raise RecordMismatch(f"it has no sha256 (or better) of {shown(member.path)}.")
    if size != str(member.size_bytes):
        raise RecordMismatch(f"it states another size of {shown(member.path)}.")
    taken = hashlib.new(algorithm)
    for piece in member_pieces(file, member):
        taken.update(piece)
    if base64.urlsafe_b64encode(taken.digest()).rstrip(b"=").decode() != digest.rstrip("="):
        raise RecordMismatch(f"it states another hash of {shown(member.path)}.")
