"""Times of visits in whole seconds, and letters that take a visit out of the care seeker's calendar."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
serves_from = "0003"


def upgrade() -> None:
    op.add_column("outbox_messages", sa.Column("method", sa.String(32), nullable=False, server_default="REQUEST"))
    for statement in op.get_context().opts["statements"].get(revision, ()):
        op.execute(sa.text(statement))
