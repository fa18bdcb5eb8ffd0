"""The index by which a keyword is found in notes, each database's own; and that of contacts without visits that have none."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

HAS_CONTACT = sa.text("service_user_contact IS NOT NULL")


def upgrade() -> None:
    for statement in op.get_context().opts["statements"].get(revision, ()):
        op.execute(sa.text(statement))
    op.drop_index("home_visits_of_contact", "home_visits", if_exists=True)
    op.create_index(
        "home_visits_of_contact",
        "home_visits",
        ["service_user_contact", "date_time", "id"],
        sqlite_where=HAS_CONTACT,
        postgresql_where=HAS_CONTACT,
    )
