"""Wipes of personal data after which files were not purged yet."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
serves_from = "0003"


def upgrade() -> None:
    op.create_table("unpurged_wipes", sa.Column("id", sa.String(24), nullable=False), sa.PrimaryKeyConstraint("id"))
    # Nobody can tell whether files were purged after the wipes of an older version.
    for table in ("home_visits", "care_enquiries", "service_user_contacts"):
        any_wiped = f"SELECT 1 FROM {table} WHERE anonymized IS NOT NULL"  # noqa: S608 - our own names
        nowhere = "NOT EXISTS (SELECT 1 FROM unpurged_wipes)"
        op.execute(sa.text(f"INSERT INTO unpurged_wipes (id) SELECT '{0:024}' WHERE {nowhere} AND EXISTS ({any_wiped})"))
