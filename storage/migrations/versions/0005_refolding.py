"""Notes are to be folded anew where there are any: how far that has come."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
serves_from = "0003"


def upgrade() -> None:
    op.create_table(
        "notes_refolding",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    # An empty database has no notes that an older version folded.
    any_notes = "SELECT 1 FROM home_visits WHERE notes_folded <> ''"
    op.execute(sa.text(f"INSERT INTO notes_refolding (id, number) SELECT 1, 0 WHERE EXISTS ({any_notes})"))
