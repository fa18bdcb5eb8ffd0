"""Runs the steps on the connection that `upgrade` was passed."""

from alembic import context
from alembic.operations import Operations
from alembic.operations.ops import CreateIndexOp

from storage.models import metadata

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
    statements=attributes["statements"],
)


@Operations.implementation_for(CreateIndexOp, replace=True)
def create_index(operations: Operations, step: CreateIndexOp) -> None:
    """Leave out an index that is built beside writers, once all steps are done."""
    if step.index_name not in attributes["built_later"]:
        index = step.to_index(operations.migration_context)
        operations.impl.create_index(index, if_not_exists=step.if_not_exists)


context.run_migrations()
