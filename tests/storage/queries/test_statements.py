"""What is sent to the database: how many statements a write takes, and that lists are read along an index."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from storage.database import Database
from storage.errors import HomeVisitNotPending, InvalidInput
from storage.models import ConfirmationStatus, HomeVisit, HomeVisitStatus
from storage.queries import listing
from storage.queries.conditions import HomeVisitFilter, conditions
from storage.queries.statements import Statement, compiled
from storage.repository import HomeVisits
from storage.sqlite.dialect import DIALECT
from tests.inspection import inspect
from tests.storage.homes import ALICE, BOB, DAUGHTER, EVANS, REID, VISIT_TIME, WILLOW, booking, visit_id

# BEGIN IMMEDIATE, and plans as SQLite's planner words them.
pytestmark = pytest.mark.sqlite

BEGIN = "BEGIN IMMEDIATE"
READ_VISIT = "SELECT home_visits"
UPDATE_VISIT = "UPDATE home_visits"
INSERT_EVENT = "INSERT INTO home_visit_events"


@pytest.fixture
def sent(database: Database) -> Iterator[list[str]]:
    """Collect the first words of what the writer is sent, with the table that they are about."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        words = statement.replace(",", " ").replace(".", " ").split()
        found.append(" ".join(words[: 3 if words[0] == "INSERT" else 2]))

    sa.event.listen(database._engine, "before_cursor_execute", note)
    yield found
    sa.event.remove(database._engine, "before_cursor_execute", note)


async def test_a_booking_with_a_key_takes_six_statements_and_one_for_its_mail(visits: HomeVisits, sent: list[str]) -> None:
    await visits.book(booking(care_enquiry=EVANS, assigned_to=BOB), idempotency_key="k")
    without_mail = sent.copy()
    sent.clear()

    await visits.book(booking(care_enquiry=REID, service_user_contact=DAUGHTER), idempotency_key="another")

    written = [BEGIN, "SELECT idempotency_keys", "SELECT care_enquiries", "INSERT INTO home_visits", INSERT_EVENT]
    assert without_mail == [*written, "INSERT INTO idempotency_keys"]
    assert sent == [*written, "INSERT INTO idempotency_keys", "INSERT INTO outbox_messages"]


async def test_a_retried_booking_takes_two_statements(visits: HomeVisits, sent: list[str]) -> None:
    await visits.book(booking(), idempotency_key="k")
    sent.clear()

    await visits.book(booking(), idempotency_key="k")

    assert sent == [BEGIN, "SELECT idempotency_keys"]


async def test_an_update_takes_four_statements_and_one_more_to_look_a_user_up(visits: HomeVisits, sent: list[str]) -> None:
    id = (await visits.book(booking(care_enquiry=EVANS))).id
    sent.clear()

    await visits.update(id, {"notes": "Ring twice."})
    plain = sent.copy()
    sent.clear()
    await visits.update(id, {"assigned_to": ALICE})

    assert plain == [BEGIN, READ_VISIT, UPDATE_VISIT, INSERT_EVENT]
    assert sent == [BEGIN, READ_VISIT, "SELECT care_enquiries", UPDATE_VISIT, INSERT_EVENT]


async def test_a_move_takes_four_more_to_replace_its_mail(visits: HomeVisits, sent: list[str]) -> None:
    id = (await visits.book(booking())).id
    sent.clear()

    await visits.update(id, {"date_time": VISIT_TIME + timedelta(days=1)})

    assert sorted(sent) == sorted(
        [
            BEGIN,
            READ_VISIT,
            "SELECT care_enquiries",
            UPDATE_VISIT,
            INSERT_EVENT,
            "UPDATE outbox_messages",
            "SELECT max(outbox_messages",
            "INSERT INTO outbox_messages",
        ]
    )


async def test_cancelling_takes_four_statements_and_one_to_withdraw_its_mail(visits: HomeVisits, sent: list[str]) -> None:
    without, with_mail = [(await visits.book(booking(care_enquiry=enquiry))).id for enquiry in (EVANS, REID)]
    sent.clear()

    await visits.cancel(without)
    plain = sent.copy()
    sent.clear()
    await visits.cancel(with_mail)

    assert sorted(plain) == sorted([BEGIN, READ_VISIT, UPDATE_VISIT, INSERT_EVENT])
    assert sorted(sent) == sorted([BEGIN, READ_VISIT, UPDATE_VISIT, INSERT_EVENT, "UPDATE outbox_messages"])


async def test_a_refusal_takes_no_more_than_it_needs(visits: HomeVisits, sent: list[str]) -> None:
    id = (await visits.book(booking())).id
    await visits.cancel(id)
    sent.clear()

    with pytest.raises(HomeVisitNotPending):
        await visits.cancel(id)
    with pytest.raises(InvalidInput):
        await visits.book(booking(care_enquiry="unknown"))

    assert sent == [BEGIN, READ_VISIT, BEGIN, "SELECT care_enquiries"]


# How lists are read

BY_TIME = (("date_time", False),)
NEWEST_CHANGES = (("modified", True),)
DAYS: HomeVisitFilter = {"start_date": date(2024, 11, 1), "end_date": date(2024, 11, 30), "time_zone": "Europe/London"}


def plan(path: Path, statement: Statement) -> str:
    return inspect(path).plan(statement.text, len(statement.names))


@pytest.mark.parametrize(
    ("filter", "locations", "order", "index"),
    [
        ({}, None, BY_TIME, "home_visits_by_time"),
        (DAYS, None, BY_TIME, "home_visits_by_time"),
        ({}, None, (("created", True),), "home_visits_by_created"),
        ({"modified_after": datetime(2024, 11, 1, tzinfo=UTC)}, None, (("modified", False),), "home_visits_by_modified"),
        ({}, None, NEWEST_CHANGES, "home_visits_by_modified"),
        ({"location": [WILLOW]}, None, BY_TIME, "home_visits_of_location"),
        ({"location": [WILLOW], **DAYS}, None, BY_TIME, "home_visits_of_location"),
        ({}, [WILLOW], BY_TIME, "home_visits_of_location"),
        ({"location": [WILLOW], "status": [HomeVisitStatus.PENDING]}, None, BY_TIME, "home_visits_pending_of_location"),
        ({"assigned_to": [ALICE], **DAYS}, None, BY_TIME, "home_visits_of_user_at"),
        ({"assigned": False, "status": [HomeVisitStatus.PENDING]}, None, BY_TIME, "home_visits_unassigned"),
        ({"assigned": False, "status": [HomeVisitStatus.PENDING], **DAYS}, None, BY_TIME, "home_visits_unassigned"),
        ({"assigned": False, **DAYS}, None, BY_TIME, "home_visits_of_user_at"),
        ({"assigned": False, "location": [WILLOW]}, None, BY_TIME, "home_visits_of_location"),
        ({"confirmation": [ConfirmationStatus.FAILED]}, None, BY_TIME, "home_visits_unconfirmed"),
        ({"confirmation": [ConfirmationStatus.FAILED], "location": [WILLOW]}, None, BY_TIME, "home_visits_of_location"),
        ({"created_after": datetime(2024, 11, 1, tzinfo=UTC)}, None, (("created", False),), "home_visits_by_created"),
        ({"date_time_from": datetime(2024, 11, 1, tzinfo=UTC)}, [WILLOW], BY_TIME, "home_visits_of_location"),
        ({"care_enquiry": [REID]}, None, BY_TIME, "home_visits_of_care_enquiry"),
        ({"service_user_contact": [DAUGHTER]}, None, BY_TIME, "home_visits_of_contact"),
    ],
    ids=str,
)
@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("cursor", [False, True], ids=["first page", "further page"])
def test_a_screen_is_read_along_its_index_and_never_sorted_whole(
    path: Path, filter: Any, locations: list[str] | None, order: Any, index: str, backward: bool, cursor: bool
) -> None:
    sought = conditions(filter, locations, DIALECT)
    shape = listing.Shape(
        sought.shape, listing.order_of(order).keys, backward, after=cursor and not backward, before=cursor and backward
    )

    planned = plan(path, listing.page(DIALECT, shape).statement)

    assert index in planned.split()
    # At most visits of the same instant are sorted: newest first, and those by ID ascending.
    assert "TEMP B-TREE FOR ORDER BY" not in planned
    if cursor:
        assert planned.startswith("SEARCH home_visits")


def test_a_visit_is_found_by_its_id_whatever_the_callers_locations(path: Path) -> None:
    for locations in (None, [WILLOW], [WILLOW, "9" * 24]):
        sought = conditions({"ids": ["5" * 24]}, locations, DIALECT)

        assert plan(path, listing.one(DIALECT, sought.shape, None).statement).startswith(
            "SEARCH home_visits USING INDEX sqlite_autoindex_home_visits_1 (id=?)"
        )


def test_a_shape_is_compiled_once() -> None:
    one = listing.Shape(conditions({"ids": [REID, EVANS]}, [WILLOW], DIALECT).shape, (("id", False),))
    other = listing.Shape(conditions({"ids": [*map(visit_id, range(200))]}, ["8" * 24], DIALECT).shape, (("id", False),))

    assert listing.page(DIALECT, one) is listing.page(DIALECT, other)


def test_a_value_compiled_into_a_statement_is_refused() -> None:
    with pytest.raises(TypeError, match=r"values compiled into a statement: \{'id_1': 'x'\}"):
        compiled(DIALECT, sa.select(HomeVisit.__table__.c.id).where(HomeVisit.__table__.c.id == "x"))  # type: ignore[attr-defined]
