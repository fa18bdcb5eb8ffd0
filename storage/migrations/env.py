"""Runs the steps on the connection that `upgrade` was passed."""

from alembic import context

from storage.models import metadata

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
    statements=attributes["statements"],
)
context.run_migrations()
