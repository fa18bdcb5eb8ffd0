"""Runs the steps on the database that `migrate` was given."""

import sqlalchemy as sa
from alembic import context

from storage.models import metadata
from storage.sqlite.readers import EVERY_CONNECTION

engine = sa.create_engine(
    sa.URL.create("sqlite", database=str(context.config.attributes["path"])),
    poolclass=sa.pool.NullPool,
    isolation_level="AUTOCOMMIT",
)
with engine.connect() as connection:
    for pragma in ("journal_mode = WAL", *EVERY_CONNECTION):
        connection.exec_driver_sql(f"PRAGMA {pragma}")
    # Two servers that start at once: the second waits here, then finds nothing to do.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
        context.run_migrations()
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
engine.dispose()
