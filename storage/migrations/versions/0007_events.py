"""Events with an ID of their own, and a number in their sequence that may come after the commit.

What was the number so far is the order of insertion from now on.
"""

import sqlalchemy as sa
from alembic import op

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

revision = "0007"
down_revision = "0006"
serves_from = "0003"


def upgrade() -> None:
    # An import that was killed left the database without them.
    op.drop_index("home_visit_events_of_location", "home_visit_events", if_exists=True)
    op.drop_index("home_visit_events_of_visit", "home_visit_events", if_exists=True)
    op.execute(sa.text("ALTER TABLE home_visit_events RENAME COLUMN sequence TO number"))
    op.add_column("home_visit_events", sa.Column("id", sa.String(24), nullable=True))
    op.add_column("home_visit_events", sa.Column("sequence", BIG, nullable=True))
    for statement in op.get_context().opts["statements"].get(revision, ()):
        op.execute(sa.text(statement))
