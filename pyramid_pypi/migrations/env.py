"""What Alembic runs: the steps, over the connection that the caller opened."""

from __future__ import annotations

from alembic import context

from pyramid_pypi.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
