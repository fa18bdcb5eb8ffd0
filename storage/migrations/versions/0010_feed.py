"""Indexes by which a filtered list of events is found in its order, and what does not match is passed."""

from alembic import op

revision = "0010"
down_revision = "0009"
serves_from = "0003"


def upgrade() -> None:
    op.create_index("home_visit_events_at_location", "home_visit_events", ["location", "sequence", "type", "actor", "at"])
    op.create_index("home_visit_events_of_actor", "home_visit_events", ["actor", "sequence", "type", "at"])
    op.create_index("home_visit_events_of_type", "home_visit_events", ["type", "sequence", "at"])
    op.create_index("home_visit_events_by_time", "home_visit_events", ["at", "sequence"])
    # Another begins with the same columns. An import that was killed left the database without it.
    op.drop_index("home_visit_events_of_location", "home_visit_events", if_exists=True)
