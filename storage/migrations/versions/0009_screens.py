"""Indexes of the visits that somebody has to see to: pending and assigned to nobody, or not confirmed although that was due."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
serves_from = "0003"

UNASSIGNED = sa.text("cancelled IS NULL AND completed IS NULL AND assigned_to IS NULL")
UNCONFIRMED = sa.text("confirmation = 'FAILED'")


def upgrade() -> None:
    columns = ["assigned_to", "date_time", "id"]
    op.create_index("home_visits_unassigned", "home_visits", columns, sqlite_where=UNASSIGNED, postgresql_where=UNASSIGNED)
    columns = ["date_time", "id"]
    op.create_index("home_visits_unconfirmed", "home_visits", columns, sqlite_where=UNCONFIRMED, postgresql_where=UNCONFIRMED)
    for statement in op.get_context().opts["statements"].get(revision, ()):
        op.execute(sa.text(statement))
