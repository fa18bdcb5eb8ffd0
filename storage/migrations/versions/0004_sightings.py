"""Where users work, and what is seen at a location because of a visit alone."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
serves_from = "0003"


def upgrade() -> None:
    op.add_column("users", sa.Column("locations", sa.JSON(), nullable=True))
    op.add_column("users", sa.Column("location_role", sa.String(32), nullable=True))
    # A server of before goes on to insert users without it.
    op.add_column("users", sa.Column("suspended", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("care_enquiries_of_user", "care_enquiries", ["assigned_to", "location"])
    op.create_table(
        "sightings",
        sa.Column("record", sa.String(24), nullable=False),
        sa.Column("location", sa.String(24), nullable=False),
        sa.Column("home_visit", sa.String(24), nullable=False),
        sa.ForeignKeyConstraint(["home_visit"], ["home_visits.id"]),
        sa.PrimaryKeyConstraint("record", "location", "home_visit"),
    )
    op.create_index("ix_sightings_home_visit", "sightings", ["home_visit"])
    for statement in op.get_context().opts["statements"].get(revision, ()):
        op.execute(sa.text(statement))
