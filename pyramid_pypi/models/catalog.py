"""Projects, releases, files, and who has which role in a project."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pyramid_pypi.models.accounts import User
from pyramid_pypi.models.base import Base, Bytewise, Long


class ProjectStatus(enum.StrEnum):
    """Whether a project may be installed and uploaded to (PEP 792)."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    QUARANTINED = "quarantined"
    DEPRECATED = "deprecated"


class PackageType(enum.StrEnum):
    """What sort of file it is, in the words of the upload API."""

    WHEEL = "bdist_wheel"
    SDIST = "sdist"


class Role(enum.StrEnum):
    """A user's part in a project."""

    OWNER = "owner"
    MAINTAINER = "maintainer"


class Project(Base):
    """What a name belongs to."""

    __tablename__ = "project"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Bytewise, unique=True)  # normalized, PEP 503
    display_name: Mapped[str]  # as its first file spelled it
    confusable_name: Mapped[str] = mapped_column(unique=True)  # values.names.confusable
    serial: Mapped[int] = mapped_column(Long, default=0)  # of its newest change
    status: Mapped[ProjectStatus] = mapped_column(default=ProjectStatus.ACTIVE)
    status_reason: Mapped[str] = mapped_column(default="")
    size_bytes: Mapped[int] = mapped_column(Long, default=0)  # sum of its files
    created_at: Mapped[datetime]


class Release(Base):
    """One version of a project."""

    __tablename__ = "release"
    __table_args__ = (UniqueConstraint("project_id", "version"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    version: Mapped[str]  # normalized, PEP 440
    sort_key: Mapped[str] = mapped_column(Bytewise)  # values.versions.sort_key
    serial: Mapped[int] = mapped_column(Long, default=0)  # of its newest change
    created_at: Mapped[datetime]
    core_metadata: Mapped[dict[str, Any]]  # formats.core_metadata.to_json of its first file
    # Apart from the rest, because it is large and seldom wanted.
    description: Mapped[str | None] = mapped_column(Text)

    project: Mapped[Project] = relationship()


class File(Base):
    """One sdist or wheel of a release; its bytes lie under its sha256."""

    __tablename__ = "file"
    # SQLite would give the number of a deleted file to the next one, but what is rendered
    # of a file is remembered under its number (catalog.reading.SimpleReader).
    __table_args__ = (Index(None, "uploaded_at"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(
        ForeignKey("project.id", ondelete="CASCADE"), index=True
    )
    release_id: Mapped[int] = mapped_column(
        ForeignKey("release.id", ondelete="CASCADE"), index=True
    )
    filename: Mapped[str] = mapped_column(Bytewise, unique=True)
    filename_key: Mapped[str] = mapped_column(unique=True)  # one for all spellings of a file
    sha256: Mapped[str] = mapped_column(unique=True)
    blake2b_256: Mapped[str]
    md5: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(Long)
    packagetype: Mapped[PackageType]
    python_tag: Mapped[str]  # "py3", "cp312"; "source" for an sdist
    requires_python: Mapped[str | None]
    core_metadata_sha256: Mapped[str | None]  # of the `.metadata` sibling, wheels only
    yanked: Mapped[bool] = mapped_column(default=False)
    yanked_reason: Mapped[str] = mapped_column(default="")
    uploaded_at: Mapped[datetime]
    uploaded_by: Mapped[str]  # user name as it was then
    revision: Mapped[int] = mapped_column(default=0)  # raised when the row changes

    project: Mapped[Project] = relationship()
    release: Mapped[Release] = relationship()


class UsedFilename(Base):
    """A filename that was taken once: other bytes may never have it again (U4).

    The row survives the deletion of its file, release and project.
    """

    __tablename__ = "used_filename"

    filename: Mapped[str] = mapped_column(primary_key=True)
    filename_key: Mapped[str] = mapped_column(index=True)
    sha256: Mapped[str]
    used_at: Mapped[datetime]


class ProjectRole(Base):
    """A user's role in a project."""

    __tablename__ = "project_role"

    project_id: Mapped[int] = mapped_column(
        ForeignKey("project.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(
        ForeignKey("user.id", ondelete="CASCADE"), primary_key=True
    )
    role: Mapped[Role]

    project: Mapped[Project] = relationship()
    user: Mapped[User] = relationship()
