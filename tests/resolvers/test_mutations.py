"""Each change answers with the visit as it is now, or with why nothing was changed; what was left out is not null."""

from typing import Any

import pytest

from tests.asking import Ask
from tests.resolvers.changing import BOOKING, NO_USER, VISIT, change, everything, mutation, problem, refused
from tests.world import ANNA, BEN, CANCELLED, COMPLETED, PENDING, UNKNOWN, VISIT_IDS, WILLOWS, Role, limited_to

UPDATED = "notes host dateTime assignedTo { id } version modified"
AS_IT_WAS = {
    "notes": "",
    "host": "MANAGER",
    "dateTime": "2024-11-03T21:30:00Z",
    "assignedTo": {"id": ANNA},
    "version": 1,
    "modified": "2024-10-25T09:06:00Z",
}
CHANGED = {"version": 2, "modified": "2024-11-04T09:30:00Z"}


@pytest.mark.parametrize(
    ("values", "changed"),
    [
        ({}, {}),
        ({"notes": ""}, {}),
        ({"host": "MANAGER", "dateTime": "2024-11-03T22:30:00+01:00", "assignedTo": ANNA}, {}),
        ({"notes": "Ring."}, {"notes": "Ring."} | CHANGED),
        ({"host": "OTHER"}, {"host": "OTHER"} | CHANGED),
        ({"dateTime": "2025-01-01T00:00:00.25Z"}, {"dateTime": "2025-01-01T00:00:00Z"} | CHANGED),
        ({"assignedTo": BEN}, {"assignedTo": {"id": BEN}} | CHANGED),
        # The enquiry's own user.
        ({"assignedTo": None}, {}),
    ],
)
async def test_an_update_changes_what_was_given_and_nothing_else(
    ask: Ask, values: dict[str, Any], changed: dict[str, Any]
) -> None:
    result = await change(ask, "updateHomeVisit", {"id": PENDING} | values, UPDATED)

    assert result == {"__typename": "UpdateHomeVisitSuccess", "homeVisit": AS_IT_WAS | changed}


async def test_null_notes_are_empty_and_a_null_user_is_the_enquirys(ask: Ask) -> None:
    visit = VISIT_IDS[15]
    assert await ask.data(f'{{ homeVisit(id: "{visit}") {{ notes assignedTo {{ id }} }} }}') == {
        "homeVisit": {"notes": "Visit 15: café", "assignedTo": {"id": BEN}}
    }

    result = await change(ask, "updateHomeVisit", {"id": visit, "notes": None, "assignedTo": None}, "notes assignedTo { id }")

    assert result["homeVisit"] == {"notes": "", "assignedTo": {"id": ANNA}}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (
            {"dateTime": None},
            problem("dateTime", "REQUIRED", "A visit needs a time. Leave the field out to keep the time it has."),
        ),
        ({"host": None}, problem("host", "REQUIRED", "A visit needs a host. Leave the field out to keep the host it has.")),
        (
            {"notes": "x" * 10_001},
            problem("notes", "TOO_LONG", "Notes may have at most 10,000 characters: these have 10,001."),
        ),
        ({"assignedTo": UNKNOWN}, problem("assignedTo", "NOT_FOUND", NO_USER)),
    ],
)
async def test_an_update_is_refused_at_the_value_that_is_wrong(ask: Ask, values: dict[str, Any], problem: dict[str, Any]) -> None:
    result = await refused(ask, "updateHomeVisit", {"id": PENDING} | values)

    assert result == {
        "__typename": "InvalidInputError",
        "message": "Some values were refused. Nothing was saved: correct them and try again.",
        "problems": [problem],
    }


ENDINGS = [
    ("cancelHomeVisit", "CANCELLED", "CancelHomeVisitSuccess"),
    ("completeHomeVisit", "COMPLETED", "CompleteHomeVisitSuccess"),
]


@pytest.mark.parametrize(("name", "status", "success"), ENDINGS)
async def test_a_pending_visit_is_ended(ask: Ask, name: str, status: str, success: str) -> None:
    result = await change(ask, name, {"id": PENDING, "expectedVersion": 1}, f"{VISIT} cancelled completed allowedOperations")

    now = "2024-11-04T09:30:00Z"
    ended = {"CANCELLED": (now, None), "COMPLETED": (None, now)}[status]
    assert result == {
        "__typename": success,
        "homeVisit": {
            "id": PENDING,
            "status": status,
            "version": 2,
            "modified": now,
            "cancelled": ended[0],
            "completed": ended[1],
            "allowedOperations": [],
        },
    }


CHANGES = ["updateHomeVisit", "cancelHomeVisit", "completeHomeVisit"]


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("id", [UNKNOWN, "", WILLOWS])
async def test_a_visit_that_is_not_there_is_told_with_its_id(ask: Ask, name: str, id: str) -> None:
    result = await refused(ask, name, {"id": id})

    assert result == {
        "__typename": "HomeVisitNotFoundError",
        "message": "No home visit with this ID exists, or you may not see it. Check the ID.",
        "homeVisitId": id,
    }


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize(("id", "status"), [(CANCELLED, "CANCELLED"), (COMPLETED, "COMPLETED")])
async def test_a_visit_that_has_ended_is_told_as_it_is(ask: Ask, name: str, id: str, status: str) -> None:
    # Whatever else is wrong: that it has ended comes first.
    result = await refused(ask, name, {"id": id, "expectedVersion": 99})

    n = VISIT_IDS.index(id)
    assert result == {
        "__typename": "HomeVisitNotPendingError",
        "message": f"Only a pending home visit can be changed. This one was {status.lower()} on 03 November 2024.",
        "homeVisit": {
            "id": id,
            "status": status,
            "version": 2,
            "modified": f"2024-11-03T09:29:59.99{10 - n}Z",
            "notes": f"Visit {n}: café",
            "careEnquiry": {"careSeeker": {"firstName": "Wilma"}},
        },
    }


@pytest.mark.parametrize("name", CHANGES)
async def test_a_visit_that_has_changed_since_is_told_as_it_is(ask: Ask, name: str) -> None:
    result = await refused(ask, name, {"id": PENDING, "expectedVersion": 2} | ({"host": None} if name[0] == "u" else {}))

    assert result == {
        "__typename": "VersionConflictError",
        "message": "Somebody else has changed this home visit. Look at it as it is now, then try again with its version.",
        "homeVisit": {"id": PENDING, "status": "PENDING", "version": 1, "modified": "2024-10-25T09:06:00Z"},
    }


@pytest.mark.parametrize("name", CHANGES)
async def test_the_version_that_was_read_is_as_good_as_none(ask: Ask, name: str) -> None:
    result = await change(ask, name, {"id": PENDING, "expectedVersion": 1})

    assert result["__typename"].endswith("Success")


@pytest.mark.parametrize("name", ["bookHomeVisit", *CHANGES])
async def test_who_may_only_read_changes_nothing(ask: Ask, name: str) -> None:
    before = everything(ask.database)
    input = BOOKING if name == "bookHomeVisit" else {"id": PENDING}

    response = await ask(mutation(name), {"input": input}, caller=limited_to(WILLOWS, role=Role.VIEWER))

    assert response.data == {name: None}
    assert [(error["message"], error["path"], error["extensions"]["code"]) for error in response.errors] == [
        (f"{name} needs the role COORDINATOR. Ask whoever manages your account for it.", [name], "FORBIDDEN")
    ]
    assert everything(ask.database) == before


async def test_changes_of_one_request_are_made_in_their_order(ask: Ask) -> None:
    document = f"""mutation {{
        late: cancelHomeVisit(input: {{ id: "{PENDING}", expectedVersion: 1 }}) {{ __typename }}
        later: completeHomeVisit(input: {{ id: "{PENDING}" }}) {{ __typename ... on UserError {{ message }} }}
        other: completeHomeVisit(input: {{ id: "{VISIT_IDS[6]}" }}) {{ __typename }}
    }}"""

    data = await ask.data(document)

    assert [result["__typename"] for result in data.values()] == [
        "CancelHomeVisitSuccess",
        "HomeVisitNotPendingError",
        "CompleteHomeVisitSuccess",
    ]
    assert data["later"]["message"] == "Only a pending home visit can be changed. This one was cancelled on 04 November 2024."


async def test_each_change_of_a_request_tells_what_is_then(ask: Ask) -> None:
    statuses = f'homeVisits(filter: {{ ids: ["{PENDING}", "{VISIT_IDS[6]}"] }}) {{ totalCount nodes {{ status }} }}'
    cancelled = f"... on CancelHomeVisitSuccess {{ homeVisit {{ location {{ {statuses} }} }} }}"
    document = f"""mutation {{
        first: cancelHomeVisit(input: {{ id: "{PENDING}" }}) {{ {cancelled} }}
        second: cancelHomeVisit(input: {{ id: "{VISIT_IDS[6]}" }}) {{ {cancelled} }}
    }}"""

    data = await ask.data(document)

    statuses = [[node["status"] for node in result["homeVisit"]["location"]["homeVisits"]["nodes"]] for result in data.values()]
    assert statuses == [["CANCELLED", "PENDING"], ["CANCELLED", "CANCELLED"]]
