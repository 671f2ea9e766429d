"""Base of the tables: instants in UTC, text that sorts by byte, names for constraints."""

from __future__ import annotations

import enum
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Enum,
    Integer,
    MetaData,
    String,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

# PostgreSQL sorts text by the rules of a language unless told otherwise; documents are
# ordered by byte, as SQLite does, or two builds would differ.
Bytewise = String().with_variant(String(collation="C"), "postgresql")

Document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

# Sums of file sizes and serials outgrow 32 bits; SQLite's INTEGER holds 64 in any case,
# and only that word makes a primary key the row's own number.
Long = BigInteger().with_variant(Integer(), "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware and in UTC in Python, refused when naive."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return `value` in UTC, as it is stored."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError(f"naive datetime {value!r}: the index stores UTC instants only")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the stored instant, aware."""
        if value is None:
            return None
        # SQLite keeps no zone.
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of every table; names its constraints so that migrations can too."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {
        datetime: UtcDateTime(),
        dict[str, Any]: Document,
        list[str]: Document,
        # The value ("pypi-only"), not the member's name, and text with a CHECK rather
        # than a server type: the same schema on SQLite and PostgreSQL.
        enum.Enum: Enum(
            enum.Enum,
            native_enum=False,
            create_constraint=True,
            length=32,
            values_callable=lambda members: [m.value for m in members],
        ),
    }
