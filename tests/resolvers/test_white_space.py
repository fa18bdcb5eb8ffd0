"""IDs, cursors, dates, zones and keys as they are pasted: white space around them says nothing, wherever they come in."""

from typing import Any

import pytest

from tests import world
from tests.asking import Ask

AROUND = ["{} ", "\t{}\n", "\u00a0{}\u2003"]
VISITS = """query ($filter: HomeVisitFilter, $after: String) {
  homeVisits(filter: $filter, after: $after, first: 2, orderBy: [{ field: DATE_TIME }]) { nodes { id } pageInfo { endCursor } }
}"""
BOOK = """mutation ($input: BookHomeVisitInput!) { bookHomeVisit(input: $input) {
  ... on BookHomeVisitSuccess { homeVisit { id careEnquiry { id } assignedTo { id } serviceUserContact { id } dateTime } }
  ... on UserError { message }
} }"""
BOOKING = {
    "careEnquiry": world.FOR_WILLOWS,
    "assignedTo": world.ANNA,
    "serviceUserContact": world.DAUGHTER,
    "dateTime": "2031-05-01T09:00:00Z",
    "host": "NURSE",
    "visitType": "VIRTUAL",
    "idempotencyKey": "key",
}
UPDATE = """mutation ($input: UpdateHomeVisitInput!) { updateHomeVisit(input: $input) {
  ... on UpdateHomeVisitSuccess { homeVisit { id assignedTo { id } } }
} }"""
CANCEL = "mutation ($input: CancelHomeVisitInput!) { cancelHomeVisit(input: $input) { __typename } }"
COMPLETE = "mutation ($input: CompleteHomeVisitInput!) { completeHomeVisit(input: $input) { __typename } }"


def pasted(values: dict[str, Any], form: str) -> dict[str, Any]:
    """Return the values with white space around each but those of enums."""
    words = {"NURSE", "VIRTUAL"}
    return {
        name: form.format(value) if isinstance(value, str) and value not in words else value for name, value in values.items()
    }


@pytest.mark.parametrize("form", AROUND)
@pytest.mark.parametrize(
    ("field", "id"),
    [
        ("homeVisit", world.PENDING),
        ("careEnquiry", world.FOR_WILLOWS),
        ("location", world.WILLOWS),
        ("user", world.ANNA),
        ("node", world.PENDING),
        ("node", world.DAUGHTER),
    ],
)
async def test_an_object_is_found_by_its_id(ask: Ask, field: str, id: str, form: str) -> None:
    data = await ask.data(f"query ($id: ID!) {{ {field}(id: $id) {{ id }} }}", {"id": form.format(id)})

    assert data == {field: {"id": id}}


@pytest.mark.parametrize("form", AROUND)
@pytest.mark.parametrize(
    "filter",
    [
        {"ids": [world.PENDING]},
        {"ids": [world.PENDING, world.CANCELLED]},
        {"location": [world.WILLOWS, world.BEECHES]},
        {"careEnquiry": [world.FOR_WILLOWS]},
        {"assignedTo": [world.ANNA]},
        {"startDate": "2024-11-05", "timeZone": "Europe/London"},
        {"modifiedAfter": "2024-01-01T00:00:00Z"},
    ],
)
async def test_a_filter_means_the_same(ask: Ask, filter: dict[str, Any], form: str) -> None:
    as_typed = await ask.data(VISITS, {"filter": filter})
    spaced = {
        name: [form.format(text) for text in value] if isinstance(value, list) else form.format(value)
        for name, value in filter.items()
    }

    assert await ask.data(VISITS, {"filter": spaced}) == as_typed
    assert as_typed["homeVisits"]["nodes"]


@pytest.mark.parametrize("form", AROUND)
async def test_a_cursor_leads_on(ask: Ask, form: str) -> None:
    cursor = (await ask.data(VISITS))["homeVisits"]["pageInfo"]["endCursor"]

    assert await ask.data(VISITS, {"after": form.format(cursor)}) == await ask.data(VISITS, {"after": cursor})


@pytest.mark.parametrize("form", AROUND)
async def test_a_booking_is_the_same_by_the_same_key(ask: Ask, form: str) -> None:
    booked = await ask.data(BOOK, {"input": pasted(BOOKING, form)})
    again = await ask.data(BOOK, {"input": BOOKING})

    visit = booked["bookHomeVisit"]["homeVisit"]
    assert again == booked
    assert visit == {
        "id": visit["id"],
        "careEnquiry": {"id": world.FOR_WILLOWS},
        "assignedTo": {"id": world.ANNA},
        "serviceUserContact": {"id": world.DAUGHTER},
        "dateTime": "2031-05-01T09:00:00Z",
    }


@pytest.mark.parametrize("form", AROUND)
async def test_a_visit_is_changed_by_its_id(ask: Ask, form: str) -> None:
    visit = (await ask.data(BOOK, {"input": BOOKING}))["bookHomeVisit"]["homeVisit"]["id"]

    updated = await ask.data(UPDATE, {"input": {"id": form.format(visit), "assignedTo": form.format(world.BEN)}})
    completed = await ask.data(COMPLETE, {"input": {"id": form.format(visit)}})
    cancelled = await ask.data(CANCEL, {"input": {"id": form.format(visit)}})

    assert updated == {"updateHomeVisit": {"homeVisit": {"id": visit, "assignedTo": {"id": world.BEN}}}}
    assert completed == {"completeHomeVisit": {"__typename": "CompleteHomeVisitSuccess"}}
    assert cancelled == {"cancelHomeVisit": {"__typename": "HomeVisitNotPendingError"}}


@pytest.mark.parametrize("key", ["", " ", "\t\n"])
async def test_a_blank_key_is_none(ask: Ask, key: str) -> None:
    answer = await ask.data(BOOK, {"input": BOOKING | {"idempotencyKey": key}})

    assert answer["bookHomeVisit"] == {"message": "Some values were refused. Nothing was saved: correct them and try again."}
