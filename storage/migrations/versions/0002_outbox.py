"""The outbox: confirmation emails that are due, and what became of them."""

import sqlalchemy as sa
from alembic import op

from storage.instants import Instant

revision = "0002"
down_revision = "0001"

WAITING = sa.text("status = 'QUEUED'")
OPEN = sa.text("status IN ('QUEUED', 'FAILED')")


def upgrade() -> None:
    op.create_table(
        "outbox_messages",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("home_visit", sa.String(24), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("date_time", Instant(), nullable=False),
        sa.Column("previous", Instant(), nullable=True),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("due", Instant(), nullable=False),
        sa.Column("give_up", Instant(), nullable=False),
        sa.Column("ended", Instant(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("leased_until", Instant(), nullable=True),
        sa.Column("reasons", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["home_visit"], ["home_visits.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("home_visit", "sequence"),
    )
    op.create_index(
        "outbox_messages_open_of_visit",
        "outbox_messages",
        ["home_visit"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.create_index("outbox_messages_waiting", "outbox_messages", ["due"], sqlite_where=WAITING, postgresql_where=WAITING)
