"""Tables behind the mapped classes, for statements that go without the unit of work."""

from __future__ import annotations

from sqlalchemy import Table

from pyramid_pypi.models.base import Base


def table_of(mapped: type[Base]) -> Table:
    """Return the table that `mapped` stands for."""
    table = mapped.__table__
    assert isinstance(table, Table)  # noqa: S101 - every model maps one plain table
    return table
