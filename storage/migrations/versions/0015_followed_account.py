"""The CareHQ account that is followed, and how far; and what is asked of it to be changed."""

import sqlalchemy as sa
from alembic import op

from storage.instants import Instant

revision = "0015"
down_revision = "0014"
serves_from = "0003"


def upgrade() -> None:
    op.create_table(
        "carehq_account",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=True),
        sa.Column("held_until", Instant(), nullable=True),
        sa.Column("last_synced", Instant(), nullable=True),
        sa.Column("compared", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "carehq_walks",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("watermark", Instant(), nullable=True),
        sa.Column("began", Instant(), nullable=True),
        sa.Column("since", Instant(), nullable=True),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("item_count", sa.Integer(), nullable=True),
        sa.Column("has_shrunk", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("kind"),
    )
    op.create_table(
        "carehq_intents",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=True),
        sa.Column("fingerprint", sa.String(), nullable=True),
        sa.Column("care_enquiry", sa.String(), nullable=True),
        sa.Column("home_visit", sa.String(), nullable=True),
        sa.Column("started", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_carehq_intents_started", "carehq_intents", ["started"])
    op.create_index("carehq_intents_of_key", "carehq_intents", ["subject", "key"], unique=True)
