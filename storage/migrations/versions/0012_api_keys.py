"""Keys of the CareHQ-compatible API, and the nonces that their writes have used."""

import sqlalchemy as sa
from alembic import op

from storage.instants import Instant

revision = "0012"
down_revision = "0011"
serves_from = "0003"


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("account_id", sa.String(24), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("roles", sa.JSON(), nullable=False),
        sa.Column("locations", sa.JSON(), nullable=True),
        sa.Column("allows_signature_1", sa.Boolean(), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("last_used", Instant(), nullable=True),
        sa.Column("revoked", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "used_nonces",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("used", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("key", "nonce"),
    )
    op.create_index("ix_used_nonces_used", "used_nonces", ["used"])
