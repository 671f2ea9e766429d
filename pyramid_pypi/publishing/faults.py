"""What may disagree in what is stored, and how it is told."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Fault(enum.StrEnum):
    """What sort of disagreement it is."""

    FILE_MISSING = "file-missing"
    FILE_CORRUPT = "file-corrupt"
    FILE_ORPHAN = "file-orphan"
    METADATA_WRONG = "metadata-wrong"
    DOCUMENT_WRONG = "document-wrong"
    DOCUMENT_ORPHAN = "document-orphan"
    FILENAME_UNREGISTERED = "filename-unregistered"
    SPOOL_LEFTOVER = "spool-leftover"
    PROJECT_BROKEN = "project-broken"
    POINTER_BEHIND = "pointer-behind"
    POINTER_WRONG = "pointer-wrong"
    TREE_BEHIND = "tree-behind"
    TREE_AHEAD = "tree-ahead"


@dataclass(frozen=True, slots=True)
class Finding:
    """One disagreement, and whether it has been mended."""

    fault: Fault
    subject: str
    detail: str = ""
    repaired: bool = False
