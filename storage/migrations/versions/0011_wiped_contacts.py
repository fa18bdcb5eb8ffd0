"""When a contact's details were wiped here: no import brings them back."""

import sqlalchemy as sa
from alembic import op

from storage.instants import Instant

revision = "0011"
down_revision = "0010"
serves_from = "0003"


def upgrade() -> None:
    op.add_column("service_user_contacts", sa.Column("anonymized", Instant(), nullable=True))
