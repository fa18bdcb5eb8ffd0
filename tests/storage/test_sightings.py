"""Who sees whom: by what a user, an enquiry or a contact comes into sight and goes out of it again, at the same price."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from storage.caller import Caller, Role
from storage.database import Database
from storage.errors import InvalidInput
from storage.models import CareEnquiry, HomeVisit, ServiceUserContact, User
from storage.queries.references import Kind, by_id
from storage.references import References
from storage.repository import HomeVisits
from storage.sqlite.dialect import DIALECT
from tests.databases import path_of
from tests.inspection import connected, inspect
from tests.storage.homes import (
    ALICE,
    BOB,
    EVANS,
    EVERYTHING,
    FROST,
    HOMELESS,
    NOBODY,
    REID,
    ROWAN,
    SON,
    STRANGER,
    WILLOW,
    Clock,
    booking,
    keep,
    limited_to,
    visit,
    visit_id,
)

CAROL = "20000000000000000000000c"
NURSE = {"first_name": "Carol", "location_role": "NURSE"}
Change = Callable[[Database], Awaitable[None]]


async def sees(database: Database, caller: Caller, kind: Kind, id: str) -> bool:
    return id in await References(database, caller, "Europe/London").load_visible(kind, [id])


async def change(database: Database, model: Any, id: str, **values: Any) -> None:
    def work(session: Session) -> None:
        session.connection().execute(sa.update(model).where(model.id == id).values(**values))

    await database.write(work)


async def delete(database: Database, id: str) -> None:
    await database.write(lambda session: session.connection().execute(sa.delete(HomeVisit).where(HomeVisit.id == id)))  # type: ignore[arg-type]  # a column


async def nothing() -> None: ...


async def visited_elsewhere(database: Database) -> None:
    await change(database, CareEnquiry, EVANS, assigned_to=CAROL)
    await keep(database, visit(1, location=ROWAN, care_enquiry=EVANS))


# What brings Carol into the sight of Rowan, and whether she is seen at Willow as well.
USERS: dict[str, tuple[Callable[[Database], Awaitable[None]], bool]] = {
    "nothing": (lambda _: nothing(), False),
    "works there": (lambda database: change(database, User, CAROL, locations=[NOBODY, ROWAN]), False),
    "works at both": (lambda database: change(database, User, CAROL, locations=[WILLOW, ROWAN]), True),
    "is assigned an enquiry": (lambda database: change(database, CareEnquiry, FROST, assigned_to=CAROL), False),
    "is assigned a visit": (
        lambda database: keep(database, visit(1, location=ROWAN, care_enquiry=FROST, assigned_to=CAROL)),
        False,
    ),
    "is assigned an enquiry that is visited there": (visited_elsewhere, True),
}


@pytest.fixture(autouse=True)
async def _carol(database: Database) -> None:
    await keep(database, User(id=CAROL, **NURSE))


@pytest.mark.parametrize("reason", USERS)
@pytest.mark.parametrize("role", list(Role))
async def test_a_user_is_in_sight_by_their_locations_visits_and_enquiries(database: Database, reason: str, role: Role) -> None:
    bring, at_willow = USERS[reason]
    await bring(database)

    scopes = {"all": None, "Rowan": frozenset({ROWAN}), "Willow": frozenset({WILLOW}), "none": frozenset[str]()}
    seen = {name: await sees(database, Caller("c", frozenset({role}), scope), "user", CAROL) for name, scope in scopes.items()}

    assert seen == {"all": True, "Rowan": reason != "nothing", "Willow": at_willow, "none": False}


@pytest.mark.parametrize("reason", USERS)
async def test_exactly_who_is_in_sight_can_be_assigned(database: Database, reason: str) -> None:
    await keep(database, visit(9, location=ROWAN, care_enquiry=FROST))
    bring, _ = USERS[reason]
    await bring(database)
    visits = HomeVisits(database, limited_to(ROWAN), Clock())

    outcomes = [
        await refusal(visits.book(booking(care_enquiry=FROST, assigned_to=CAROL))),
        await refusal(visits.update(visit_id(9), {"assigned_to": CAROL})),
    ]
    unknown = await refusal(visits.update(visit_id(9), {"assigned_to": NOBODY}))

    assert unknown != ()
    # Booked, she is named by a visit in sight.
    assert outcomes == ([unknown, unknown] if reason == "nothing" else [(), ()])


async def refusal(change: Awaitable[HomeVisit]) -> tuple[Any, ...]:
    try:
        await change
    except InvalidInput as refused:
        return refused.problems
    return ()


async def test_whoever_a_visit_in_sight_names_can_be_seen_until_it_names_another(database: Database) -> None:
    visits, rowan = HomeVisits(database, EVERYTHING, Clock()), limited_to(ROWAN)
    await keep(database, visit(1, location=ROWAN, care_enquiry=FROST))

    await visits.update(visit_id(1), {"assigned_to": CAROL})
    named = await sees(database, rowan, "user", CAROL)
    await visits.update(visit_id(1), {"assigned_to": BOB})

    assert (named, await sees(database, rowan, "user", CAROL)) == (True, False)


# What is done with a visit of Evans, at Willow, which is to Rowan, attended by Stranger, and ours.
MOVES: dict[str, tuple[Change, bool, bool, bool]] = {
    "nothing": (lambda _: nothing(), True, True, True),
    "the visit moves to Willow": (
        lambda database: change(database, HomeVisit, visit_id(1), location=WILLOW),
        False,
        False,
        False,
    ),
    "the visit is deleted": (lambda database: delete(database, visit_id(1)), False, False, False),
    "another is assigned": (lambda database: change(database, HomeVisit, visit_id(1), assigned_to=ALICE), True, False, True),
    "another attends": (lambda database: change(database, HomeVisit, visit_id(1), service_user_contact=SON), True, True, False),
    "another enquiry": (lambda database: change(database, HomeVisit, visit_id(1), care_enquiry=HOMELESS), False, True, True),
    "the enquiry moves to Rowan": (lambda database: change(database, CareEnquiry, EVANS, location=ROWAN), True, True, True),
    "the enquiry moves away": (lambda database: change(database, CareEnquiry, EVANS, location=None), True, True, True),
    "the enquiry is assigned": (lambda database: change(database, CareEnquiry, EVANS, assigned_to=CAROL), True, True, True),
    "the contact becomes the enquiry's": (
        lambda database: change(database, ServiceUserContact, STRANGER, care_enquiry=EVANS),
        True,
        True,
        True,
    ),
}


@pytest.mark.parametrize("move", MOVES)
async def test_what_a_visit_shows_is_seen_for_as_long_as_it_does(database: Database, move: str) -> None:
    await keep(database, visit(1, location=ROWAN, care_enquiry=EVANS, assigned_to=CAROL, service_user_contact=STRANGER), visit(2))
    act, *expected = MOVES[move]
    await act(database)

    rowan = limited_to(ROWAN)
    seen = [
        await sees(database, rowan, kind, id)
        for kind, id in (("care_enquiry", EVANS), ("user", CAROL), ("service_user_contact", STRANGER))
    ]

    assert seen == expected
    assert inspect(path_of(database)).faults() == []


async def test_an_enquiry_that_moves_away_is_seen_with_whom_it_is_assigned_to_by_the_visits_it_had(database: Database) -> None:
    await keep(database, visit(1, location=WILLOW, care_enquiry=EVANS))
    willow = limited_to(WILLOW)

    await change(database, CareEnquiry, EVANS, location=ROWAN, assigned_to=CAROL)
    moved = [await sees(database, willow, "care_enquiry", EVANS), await sees(database, willow, "user", CAROL)]
    await change(database, CareEnquiry, EVANS, assigned_to=BOB)
    assigned_anew = [await sees(database, willow, "user", id) for id in (CAROL, BOB)]

    assert (moved, assigned_anew) == ([True, True], [False, True])


async def test_a_usual_booking_takes_no_row_of_its_own_to_be_seen_by(database: Database) -> None:
    await HomeVisits(database, limited_to(WILLOW), Clock()).book(booking(care_enquiry=REID))

    assert inspect(path_of(database)).query("SELECT * FROM sightings") == []
    assert await sees(database, limited_to(WILLOW), "user", ALICE)


def steps(database: Database, kind: Kind, id: str) -> int:
    """Return how many instructions SQLite's machine takes to find out whether a caller of Rowan sees a record."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    statement = by_id(DIALECT, kind, True)
    values = {"ids": f'["{id}"]', "scope": f'["{ROWAN}"]', "default_time_zone": "UTC"}
    with connected(path_of(database)) as connection:
        connection.execute("SELECT count(*) FROM home_visits").fetchone()
        connection.set_progress_handler(step, 1)
        assert connection.execute(statement.text, statement.arguments(values)).fetchall() == []
        connection.set_progress_handler(None, 1)
    return count


@pytest.mark.sqlite  # steps are those of its machine
@pytest.mark.parametrize(
    ("kind", "id"), [("user", CAROL), ("care_enquiry", HOMELESS), ("service_user_contact", STRANGER), ("location", WILLOW)]
)
async def test_to_find_out_that_somebody_is_out_of_sight_takes_as_long_whatever_they_have_elsewhere(
    database: Database, kind: Kind, id: str
) -> None:
    enquiries = [CareEnquiry(id=f"3f{number:022x}", location=WILLOW, assigned_to=CAROL) for number in range(500)]
    before = steps(database, kind, id)
    await keep(database, *enquiries)
    common: dict[str, Any] = {"assigned_to": CAROL, "service_user_contact": STRANGER, "location": WILLOW}
    await keep(database, *(visit(number, care_enquiry=enquiry.id, **common) for number, enquiry in enumerate(enquiries)))
    await keep(database, *(visit(1000 + number, care_enquiry=HOMELESS, **common) for number in range(500)))

    after = steps(database, kind, id)

    assert not await sees(database, limited_to(ROWAN), kind, id)
    # An index that holds something is entered, and one more row of it looked at.
    assert after - before < 40


@pytest.mark.sqlite  # as is the plan
@pytest.mark.parametrize("kind", ["user", "care_enquiry", "service_user_contact"])
def test_what_is_out_of_sight_is_looked_up_along_indexes(database: Database, kind: Kind) -> None:
    statement = by_id(DIALECT, kind, True)

    plan = inspect(path_of(database)).plan(statement.text, len(statement.names))

    assert [line for line in plan.splitlines() if line.startswith("SCAN") and "VIRTUAL TABLE" not in line] == []
    assert "sightings USING COVERING INDEX sqlite_autoindex_sightings_1 (record=? AND location=?)" in plan
