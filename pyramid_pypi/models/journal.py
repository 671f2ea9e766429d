"""The journal of the index."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from pyramid_pypi.models.base import Base, Long


class ChangeKind(enum.StrEnum):
    """What happened.  Kinds of later features are reserved, so that feeds stay readable."""

    PROJECT_CREATED = "project-created"
    PROJECT_DELETED = "project-deleted"
    PROJECT_STATUS = "project-status"
    RELEASE_CREATED = "release-created"
    RELEASE_DELETED = "release-deleted"
    FILE_ADDED = "file-added"
    FILE_DELETED = "file-deleted"
    FILE_YANKED = "file-yanked"
    FILE_UNYANKED = "file-unyanked"
    ROLE_ADDED = "role-added"
    ROLE_REMOVED = "role-removed"
    METADATA_CHANGED = "metadata-changed"
    HOSTING_MODE = "hosting-mode"
    MIRROR_CHANGED = "mirror-changed"
    CAMPAIGN_CHANGED = "campaign-changed"


class Change(Base):
    """One event, numbered in commit order.  Rows are only ever added."""

    __tablename__ = "change"

    serial: Mapped[int] = mapped_column(Long, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    kind: Mapped[ChangeKind]
    # Names, not foreign keys: the journal outlives what it tells of.
    project: Mapped[str | None]
    version: Mapped[str | None]
    filename: Mapped[str | None]
    actor: Mapped[str]
    details: Mapped[dict[str, Any]]
