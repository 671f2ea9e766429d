"""Tables, and the engines that reach them; no rules.

Importing this package maps every table, so that `Base.metadata` is complete.
"""

from __future__ import annotations

from pyramid_pypi.models import accounts, catalog, journal
from pyramid_pypi.models.base import Base

__all__ = ["Base", "accounts", "catalog", "journal"]
