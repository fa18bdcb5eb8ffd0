"""Visits, what they refer to, their events, and the keys that make bookings safe to repeat."""

import sqlalchemy as sa
from alembic import op

from storage.instants import Instant

revision = "0001"
down_revision = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PENDING = sa.text("cancelled IS NULL AND completed IS NULL")


def upgrade() -> None:
    op.create_table(
        "locations",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("phone", sa.String(), nullable=True),
        sa.Column("time_zone", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("first_name", sa.String(), nullable=True),
        sa.Column("last_name", sa.String(), nullable=True),
        sa.Column("email", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "care_enquiries",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("first_name", sa.String(), nullable=True),
        sa.Column("last_name", sa.String(), nullable=True),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("phone", sa.String(), nullable=True),
        sa.Column("assigned_to", sa.String(24), nullable=True),
        sa.Column("location", sa.String(24), nullable=True),
        sa.Column("anonymized", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["assigned_to"], ["users.id"]),
        sa.ForeignKeyConstraint(["location"], ["locations.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_care_enquiries_location", "care_enquiries", ["location"])

    op.create_table(
        "service_user_contacts",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("first_name", sa.String(), nullable=True),
        sa.Column("last_name", sa.String(), nullable=True),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("phone", sa.String(), nullable=True),
        sa.Column("care_enquiry", sa.String(24), nullable=True),
        sa.ForeignKeyConstraint(["care_enquiry"], ["care_enquiries.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_service_user_contacts_care_enquiry", "service_user_contacts", ["care_enquiry"])

    op.create_table(
        "home_visits",
        sa.Column("number", BIG, nullable=False),
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("care_enquiry", sa.String(24), nullable=False),
        sa.Column("location", sa.String(24), nullable=False),
        sa.Column("date_time", Instant(), nullable=False),
        sa.Column("visit_type", sa.String(32), nullable=False),
        sa.Column("host", sa.String(32), nullable=False),
        sa.Column("notes", sa.String(), nullable=False),
        sa.Column("assigned_to", sa.String(24), nullable=True),
        sa.Column("service_user_contact", sa.String(24), nullable=True),
        sa.Column("created", Instant(), nullable=False),
        sa.Column("modified", Instant(), nullable=False),
        sa.Column("cancelled", Instant(), nullable=True),
        sa.Column("completed", Instant(), nullable=True),
        sa.Column("anonymized", Instant(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("confirmation", sa.String(32), nullable=False),
        sa.Column("notes_folded", sa.String(), nullable=False),
        sa.CheckConstraint("cancelled IS NULL OR completed IS NULL", name="not_both"),
        sa.ForeignKeyConstraint(["assigned_to"], ["users.id"]),
        sa.ForeignKeyConstraint(["care_enquiry"], ["care_enquiries.id"]),
        sa.ForeignKeyConstraint(["location"], ["locations.id"]),
        sa.ForeignKeyConstraint(["service_user_contact"], ["service_user_contacts.id"]),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("home_visits_by_created", "home_visits", ["created", "id"])
    op.create_index("home_visits_by_modified", "home_visits", ["modified", "id"])
    op.create_index("home_visits_by_time", "home_visits", ["date_time", "id"])
    op.create_index("home_visits_of_care_enquiry", "home_visits", ["care_enquiry", "date_time", "id"])
    op.create_index("home_visits_of_contact", "home_visits", ["service_user_contact", "date_time", "id"])
    op.create_index("home_visits_of_location", "home_visits", ["location", "date_time", "id"])
    op.create_index("home_visits_of_user", "home_visits", ["assigned_to", "date_time", "id"])
    op.create_index(
        "home_visits_pending_of_location",
        "home_visits",
        ["location", "date_time", "id"],
        sqlite_where=PENDING,
        postgresql_where=PENDING,
    )

    op.create_table(
        "home_visit_events",
        sa.Column("sequence", BIG, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("home_visit", sa.String(24), nullable=False),
        sa.Column("care_enquiry", sa.String(24), nullable=False),
        sa.Column("location", sa.String(24), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["home_visit"], ["home_visits.id"]),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_index("home_visit_events_of_location", "home_visit_events", ["location", "sequence"])
    op.create_index("home_visit_events_of_visit", "home_visit_events", ["home_visit", "sequence"])

    op.create_table(
        "idempotency_keys",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("home_visit", sa.String(24), nullable=False),
        sa.Column("created", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["home_visit"], ["home_visits.id"]),
        sa.PrimaryKeyConstraint("subject", "key"),
    )
    op.create_index("ix_idempotency_keys_created", "idempotency_keys", ["created"])
