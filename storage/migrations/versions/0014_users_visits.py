"""The index of a user's visits has their locations: which of them a caller sees is told by it alone."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
serves_from = "0003"


def upgrade() -> None:
    op.create_index("home_visits_of_user_at", "home_visits", ["assigned_to", "date_time", "id", "location"])
    for statement in op.get_context().opts["statements"].get(revision, ()):
        op.execute(sa.text(statement))
