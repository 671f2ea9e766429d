"""What an upload is made of, before and after inspection, and the bounds it must keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from pyramid_pypi.formats.core_metadata import CoreMetadata
from pyramid_pypi.values.digests import Digests
from pyramid_pypi.values.names import ProjectName

MIB = 1024 * 1024

Form = Mapping[str, tuple[str, ...]]
"""The fields of the upload form as sent, in order, without the file part."""


MAX_FIELDS_BYTES = 16 * MIB
"""Of all fields of one form together; the longest description alone may have 11 MB."""

_FRAMING_BYTES = MIB  # boundaries and part headers, of thousands of fields


def most_form_bytes(max_file_bytes: int) -> int:
    """Return the size of the largest upload form that a file of `max_file_bytes` allows."""
    return max_file_bytes + MAX_FIELDS_BYTES + _FRAMING_BYTES


@dataclass(frozen=True, slots=True)
class Spooled:
    """The received file part, on disk; its size was bounded while it came in."""

    path: Path
    filename: str
    digests: Digests


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one uploaded file and on what it unpacks to."""

    max_file_bytes: int = 100 * MIB
    max_unpacked_bytes: int = 1024 * MIB
    max_ratio: int = 50
    """Unpacked bytes to packed ones, counted beyond `ratio_floor_bytes` only."""
    ratio_floor_bytes: int = 64 * MIB
    max_members: int = 20_000
    max_path_chars: int = 512
    max_document_bytes: int = 12 * MIB
    """Of one member that is read whole: METADATA, RECORD, PKG-INFO."""

    def unpacked_bytes(self, packed_bytes: int) -> int:
        """Return how much a file of `packed_bytes` may unpack to."""
        by_ratio = max(self.ratio_floor_bytes, self.max_ratio * packed_bytes)
        return min(self.max_unpacked_bytes, by_ratio)


@dataclass(frozen=True, slots=True)
class ArtifactName:
    """What the filename of a wheel or sdist says."""

    filename: str
    key: str
    packagetype: str
    python_tag: str
    name: ProjectName
    version: Version
    stem: str
    """The filename without its extension."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """A file that passed every check which needs no database."""

    filename: str
    filename_key: str
    """Equal for two spellings of one wheel (name, version, build, tags) or sdist."""
    digests: Digests
    packagetype: str
    """``bdist_wheel`` or ``sdist``."""
    python_tag: str
    """As in the filename, ``py2.py3`` or ``cp311``; ``source`` for an sdist."""
    name: ProjectName
    display_name: str
    version: Version
    metadata: CoreMetadata
    metadata_bytes: bytes | None
    """METADATA of a wheel, byte for byte; None for an sdist."""
