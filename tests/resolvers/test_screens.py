"""What a calendar, a dashboard and a booking form ask besides lists: counts, conflicts, and where visits come from."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from tests.asking import Ask
from tests.resolvers.changing import BOOKING
from tests.world import ANNA, BEN, PENDING, WILLOWS

COUNTS = """query ($groupBy: [HomeVisitGrouping!]!, $filter: HomeVisitFilter, $timeZone: TimeZone) {
  homeVisitCounts(groupBy: $groupBy, filter: $filter, timeZone: $timeZone) {
    count status day host visitType location { name } assignedTo { id firstName } } }"""
NOTHING = dict.fromkeys(("status", "day", "host", "visitType", "location", "assignedTo"))


async def counts(ask: Ask, *group_by: str, **variables: Any) -> Any:
    return (await ask.data(COUNTS, {"groupBy": group_by, **variables}))["homeVisitCounts"]


async def test_counts_name_what_they_are_grouped_by_and_nothing_else(ask: Ask) -> None:
    by_status = await counts(ask, "STATUS")
    by_user = await counts(ask, "ASSIGNED_TO", "LOCATION", filter={"location": [WILLOWS]})

    assert by_status == [NOTHING | {"status": status, "count": 8} for status in ("PENDING", "CANCELLED", "COMPLETED")]
    willows = {"name": "The Willows"}
    anna, ben = {"id": ANNA, "firstName": "Anna"}, {"id": BEN, "firstName": "Ben"}
    assert by_user == [
        NOTHING | {"assignedTo": anna, "location": willows, "count": 9},
        NOTHING | {"assignedTo": ben, "location": willows, "count": 3},
        NOTHING | {"assignedTo": None, "location": willows, "count": 3},
    ]


async def test_days_are_those_of_the_zone_asked_for_or_else_of_the_filter(ask: Ask) -> None:
    filter = {"ids": [PENDING], "timeZone": "Pacific/Auckland"}
    days = [
        (await counts(ask, "DAY", filter=filter, **zone))[0]["day"]
        for zone in ({}, {"timeZone": None}, {"timeZone": "America/Los_Angeles"}, {"timeZone": "UTC"})
    ]

    assert days == ["2024-11-04", "2024-11-04", "2024-11-03", "2024-11-03"]
    assert [one["day"] for one in await counts(ask, "DAY", filter={"ids": [PENDING]})] == ["2024-11-03"]


@pytest.mark.parametrize("group_by", [[], ["DAY", "DAY"], ["DAY", "STATUS", "HOST"]], ids=str)
async def test_none_three_or_one_twice_are_bad_input(ask: Ask, group_by: list[str]) -> None:
    response = await ask(COUNTS, {"groupBy": group_by})

    (error,) = response.errors
    assert (response.data, error["extensions"]["code"]) == (None, "BAD_USER_INPUT")
    assert error["message"].startswith("Visits are counted by one or two things at once: name each once in `groupBy`, which ")
    assert response.statements == 0


CONFLICTS = """query ($location: ID!, $dateTime: DateTime!, $host: VisitHost, $assignedTo: ID, $excluding: ID) {
  homeVisitConflicts(location: $location, dateTime: $dateTime, host: $host, assignedTo: $assignedTo, excluding: $excluding)
  { id dateTime location { id } } }"""


async def test_conflicts_are_told_before_a_booking_and_with_it(ask: Ask) -> None:
    document = "query ($id: ID!) { homeVisit(id: $id) { dateTime host } }"
    visit = (await ask.data(document, {"id": PENDING}))["homeVisit"]
    beside = {"location": WILLOWS, "dateTime": visit["dateTime"], "host": visit["host"]}

    before = await ask.data(CONFLICTS, beside | {"assignedTo": f" {ANNA} "})
    without = await ask.data(CONFLICTS, beside | {"excluding": f" {PENDING} "})
    nobodys = await ask.data(CONFLICTS, {"location": WILLOWS, "dateTime": visit["dateTime"]})
    booked = await book(ask, "conflicts { id location { name } }", dateTime=visit["dateTime"], host=visit["host"])

    assert PENDING in [one["id"] for one in before["homeVisitConflicts"]]
    assert PENDING not in [one["id"] for one in without["homeVisitConflicts"]]
    assert nobodys == {"homeVisitConflicts": []}
    assert {one["location"]["name"] for one in booked["conflicts"]} == {"The Willows"}
    assert [one["id"] for one in booked["conflicts"]] == [one["id"] for one in before["homeVisitConflicts"]]


async def book(ask: Ask, selection: str, variables: dict[str, Any] | None = None, **changes: Any) -> Any:
    document = (
        "mutation ($input: BookHomeVisitInput!, $yes: Boolean = true, $no: Boolean = false) { bookHomeVisit(input: $input) "
        f"{{ ... on BookHomeVisitSuccess {{ homeVisit {{ id }} {selection} }} ...F @include(if: $yes) ...G @skip(if: $no) }} }} "
        "fragment F on BookHomeVisitResult { __typename } fragment G on BookHomeVisitResult { __typename }"
        + (" fragment H on BookHomeVisitSuccess { homeVisit { id } conflicts { id } }" if "H" in selection else "")
    )
    return (await ask.data(document, {"input": BOOKING | changes, **(variables or {})}))["bookHomeVisit"]


@pytest.fixture
def conflict_reads() -> Iterator[list[str]]:
    """Collect what transactions are sent to read conflicts."""
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "UNION ALL" in statement:
            found.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    yield found
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    ("selection", "is_read"),
    [
        ("", False),
        ("conflicts { id }", True),
        ("others: conflicts { id }", True),
        ("... { conflicts { id } }", True),
        ("... @include(if: $no) { conflicts { id } }", False),
        ("...H", True),
        ("conflicts @include(if: false) { id }", False),
        ("conflicts @skip(if: $yes) { id }", False),
        ("conflicts @include(if: $yes) @skip(if: $no) { id }", True),
    ],
)
async def test_a_transaction_reads_conflicts_only_where_they_are_selected(
    ask: Ask, conflict_reads: list[str], selection: str, is_read: bool
) -> None:
    booked = await book(ask, selection)

    assert len(conflict_reads) == int(is_read)
    assert {"conflicts", "others"}.isdisjoint(booked) is not is_read


async def test_an_update_tells_what_the_visit_was_moved_beside(ask: Ask, conflict_reads: list[str]) -> None:
    document = """mutation ($input: UpdateHomeVisitInput!) { updateHomeVisit(input: $input) {
        ... on UpdateHomeVisitSuccess { homeVisit { dateTime } conflicts { id } } } }"""
    booked = await book(ask, "")

    updated = await ask.data(document, {"input": {"id": PENDING, "dateTime": BOOKING["dateTime"], "host": BOOKING["host"]}})

    assert updated["updateHomeVisit"]["conflicts"] == [{"id": booked["homeVisit"]["id"]}]
    assert len(conflict_reads) == 1


async def test_visits_are_kept_here(ask: Ask) -> None:
    assert await ask.data("{ source { kind lastSynced } }") == {"source": {"kind": "RECORD", "lastSynced": None}}
