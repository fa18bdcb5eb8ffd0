"""Folded names, by which people and locations are ordered and found; those that are there already are folded by the server."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
serves_from = "0003"

NAME = sa.String(collation="C").with_variant(sa.String(), "sqlite")
UNFOLDED = sa.text("search_folded IS NULL")


def upgrade() -> None:
    for table in ("users", "locations", "care_enquiries", "service_user_contacts"):
        # A server of before goes on to insert rows without them: these are folded later.
        if table != "service_user_contacts":
            op.add_column(table, sa.Column("name_folded", NAME, nullable=False, server_default="1"))
        op.add_column(table, sa.Column("search_folded", sa.String(), nullable=True))
        op.create_index(f"{table}_unfolded", table, ["id"], sqlite_where=UNFOLDED, postgresql_where=UNFOLDED)
    for table in ("users", "locations", "care_enquiries"):
        op.create_index(f"{table}_by_name", table, ["name_folded", "id"])
    op.create_index("care_enquiries_of_location", "care_enquiries", ["location", "id"])
    op.create_index("care_enquiries_of_location_by_name", "care_enquiries", ["location", "name_folded", "id"])
    op.create_index("service_user_contacts_of_care_enquiry", "service_user_contacts", ["care_enquiry", "id"])
    op.create_index("sightings_at_location", "sightings", ["location", "record"])
    # Others begin with the same column.
    op.drop_index("ix_care_enquiries_location", "care_enquiries")
    op.drop_index("ix_service_user_contacts_care_enquiry", "service_user_contacts")
    for statement in op.get_context().opts["statements"].get(revision, ()):
        op.execute(sa.text(statement))
