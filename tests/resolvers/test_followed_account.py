"""Changes of a followed account through both APIs: what is answered."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from resolvers.live import Live
from storage.carehq.live.writing import LiveHomeVisits
from storage.repository import HomeVisits
from tests import world
from tests.asking import Ask
from tests.databases import path_of
from tests.inspection import inspect
from tests.resolvers.carehq import VISITS, Gateway, gateway_over
from tests.resolvers.changing import BOOKING, mutation, problem
from tests.resolvers.following import AskFollowed, account, followed
from tests.resolvers.test_lost_answers import DONE, INPUTS, KEY, TELLS
from tests.resolvers.test_lost_answers import document as short
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.rewriting import Rewriting
from tests.world import PENDING, VISIT_IDS

__all__ = ["account", "followed"]

OTHER = VISIT_IDS[6]
DOUBT = "CareHQ did not say whether it has taken this."


@pytest.fixture(params=[True, False], ids=["planned", "standard"])
def ask(followed: Followed, request: pytest.FixtureRequest) -> Ask:
    return AskFollowed(followed, planned=request.param)


@pytest.fixture
async def gateway(followed: Followed) -> AsyncIterator[Gateway]:
    async def never() -> None:
        return None

    unused: Any = None

    def make_visits(*repository: Any) -> HomeVisits:
        return LiveHomeVisits(followed.link, *repository)

    live = Live(unused, make_visits, never, unused)
    async with gateway_over(followed.database, live=live) as gateway:
        yield gateway


async def test_each_change_is_answered_as_one_of_our_own(ask: Ask, followed: Followed) -> None:
    selection = "id status version notes confirmation location { name } history(first: 5) { nodes { type actor } }"
    booked = await ask.data(mutation("bookHomeVisit", selection), {"input": BOOKING | {"notes": "Two steps"}})
    visit = booked["bookHomeVisit"]["homeVisit"]
    id = visit["id"]
    updated = await ask.data(mutation("updateHomeVisit", selection), {"input": {"id": id, "notes": "New"}})
    cancelled = await ask.data(mutation("cancelHomeVisit", selection), {"input": {"id": id}})
    completed = await ask.data(mutation("completeHomeVisit", selection), {"input": {"id": PENDING}})

    home = {"name": "The Willows"}
    actors = [{"type": type, "actor": "everybody"} for type in ("BOOKED", "UPDATED", "CANCELLED")]
    fields = {"confirmation": "NOT_REQUIRED", "location": home}
    assert visit == {
        **fields,
        "id": id,
        "status": "PENDING",
        "version": 1,
        "notes": "Two steps",
        "history": {"nodes": actors[:1]},
    }
    assert updated["updateHomeVisit"]["homeVisit"]["notes"] == "New"
    assert cancelled["cancelHomeVisit"]["homeVisit"]["history"]["nodes"] == actors
    assert completed["completeHomeVisit"]["homeVisit"]["status"] == "COMPLETED"
    there = await followed.there.get(id)
    assert there is not None
    assert there.status == "CANCELLED"


async def test_conflicts_are_told_of_what_was_booked(ask: Ask) -> None:
    document = """mutation ($input: BookHomeVisitInput!) { bookHomeVisit(input: $input) {
        ... on BookHomeVisitSuccess { homeVisit { id } conflicts { id } } } }"""

    first = await ask.data(document, {"input": BOOKING})
    second = await ask.data(document, {"input": BOOKING | {"idempotencyKey": "k"}})
    again = await ask.data(document, {"input": BOOKING | {"idempotencyKey": "k"}})

    assert first["bookHomeVisit"]["conflicts"] == []
    assert second["bookHomeVisit"]["conflicts"] == [first["bookHomeVisit"]["homeVisit"]]
    assert again == second


async def test_refused_values_have_the_paths_of_the_input(ask: Ask, account: Rewriting) -> None:
    errors = {"date_time": ["Too late."], "suppress_mail": ["No."], "mystery_field": ["?"], "_id": ["!"], "<b>": ["Odd."]}
    account.refuse(400, {"hint": "Invalid.", "arg_errors": errors})

    for name in ("bookHomeVisit", "updateHomeVisit"):
        data = await ask.data(mutation(name), {"input": INPUTS[name]})

        assert data[name] == {
            "__typename": "InvalidInputError",
            "message": "Some values were refused. Nothing was saved: correct them and try again.",
            "problems": [
                problem("dateTime", "INVALID", "Too late."),
                problem("suppressConfirmation", "INVALID", "No."),
                problem("mysteryField", "INVALID", "?"),
                problem("id", "INVALID", "!"),
                {"path": ["input"], "code": "INVALID", "message": "Odd."},
            ],
        }


REFUSED: dict[str, tuple[int, Any, str, str]] = {
    "hint": (400, {"hint": "Not on a Sunday."}, "BAD_USER_INPUT", "CareHQ refuses this: Not on a Sunday."),
    "key": (
        401,
        {"hint": "Unknown key k3y."},
        "UPSTREAM_UNAVAILABLE",
        "CareHQ cannot be used for now: it refuses the key of this gateway. Try again later.",
    ),
    "rate": (
        429,
        {"hint": "Slower."},
        "UPSTREAM_UNAVAILABLE",
        "CareHQ cannot be used for now: it asks us to wait for 5 s. Try again later.",
    ),
    "doubt": (502, {}, "IN_DOUBT", DOUBT),
}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
async def test_what_nobody_can_type_is_an_error_with_a_code(
    ask: Ask, account: Rewriting, refused: tuple[int, Any, str, str]
) -> None:
    status, answer, code, message = refused
    account.refuse(status, answer)

    for name in INPUTS:
        response = await ask(mutation(name), {"input": INPUTS[name]})

        expected = f"{message} {TELLS[name]}" if code == "IN_DOUBT" else message
        assert response.data == {name: None}
        assert [(error["message"], error["extensions"]) for error in response.errors] == [
            (expected, {"code": code, "requestId": "the-request"})
        ]


async def test_a_visit_that_is_gone_or_closed_there_is_a_typed_error(ask: Ask, account: Rewriting, followed: Followed) -> None:
    await followed.there.complete(OTHER)
    closed = await ask.data(mutation("cancelHomeVisit"), {"input": {"id": OTHER}})
    account.refuse(404, {"hint": "?"})
    gone = await ask.data(mutation("cancelHomeVisit"), {"input": {"id": PENDING}})

    assert closed["cancelHomeVisit"]["__typename"] == "HomeVisitNotPendingError"
    assert closed["cancelHomeVisit"]["homeVisit"]["status"] == "COMPLETED"
    assert (gone["cancelHomeVisit"]["__typename"], gone["cancelHomeVisit"]["homeVisitId"]) == ("HomeVisitNotFoundError", PENDING)


async def test_to_notify_is_refused_unasked(ask: Ask, account: Rewriting) -> None:
    response = await ask(mutation("cancelHomeVisit"), {"input": {"id": PENDING, "notifyCareSeeker": True}})

    assert [error["extensions"]["code"] for error in response.errors] == ["BAD_USER_INPUT"]
    assert "leave out `notifyCareSeeker`" in response.errors[0]["message"]
    assert account.sent() == []


async def test_of_several_changes_the_one_in_doubt_is_named_and_the_others_are_made(
    ask: Ask, account: Rewriting, followed: Followed
) -> None:
    async def before(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=502) if PENDING in request.path else None

    account.before = before
    response = await ask(f"""mutation {{
        first: cancelHomeVisit(input: {{ id: "{PENDING}" }}) {{ __typename }}
        second: completeHomeVisit(input: {{ id: "{OTHER}" }}) {{ __typename }}
    }}""")

    assert response.data == {"first": None, "second": {"__typename": "CompleteHomeVisitSuccess"}}
    assert [(error["path"], error["extensions"]["code"]) for error in response.errors] == [(["first"], "IN_DOUBT")]


async def test_what_is_done_there_and_cannot_be_stored_here_is_told_as_done(
    ask: Ask, account: Rewriting, followed: Followed
) -> None:
    def damage(document: Any) -> Any:
        inspect(path_of(followed.database)).execute("DROP TABLE home_visit_events")
        return document

    account.rewrite = damage

    response = await ask(short("cancelHomeVisit"), {"input": {"id": PENDING}})

    [error] = response.errors
    assert error["extensions"]["committed"] is True
    assert error["message"].endswith(f". {DONE}")


REST_REFUSED: dict[str, tuple[int, Any, int, Any]] = {
    "values": (
        400,
        {"hint": "Invalid.", "arg_errors": {"date_time": ["Too late.", "Too far."], "mystery": ["?"], "<b>": ["Odd."]}},
        400,
        {"date_time": ["Too late.", "Too far."], "mystery": ["?"], "request": ["Odd."]},
    ),
    "hint": (400, {"hint": "Not on a Sunday."}, 400, "CareHQ refuses this: Not on a Sunday."),
    "key": (
        403,
        {"hint": "k3y"},
        503,
        "CareHQ cannot be used for now: it refuses the key of this gateway. Nothing was changed. Try again later.",
    ),
    "doubt": (502, {}, 500, f"{DOUBT} Perhaps done: bookHomeVisit. {KEY}"),
}
REST_BOOKING = [
    ("care_enquiry", world.FOR_WILLOWS),
    ("date_time", "2031-03-03 14:30:00"),
    ("host", "manager"),
    ("visit_type", "virtual"),
]


@pytest.mark.parametrize("refused", REST_REFUSED.values(), ids=REST_REFUSED)
async def test_clients_of_the_source_are_told_what_it_says(
    gateway: Gateway, account: Rewriting, refused: tuple[int, Any, int, Any]
) -> None:
    status, answer, answered, expected = refused
    account.refuse(status, answer)

    response = await gateway.call(await gateway.key(), "PUT", VISITS, REST_BOOKING)

    assert response.status == answered
    assert response.json["arg_errors" if isinstance(expected, dict) else "hint"] == expected


async def test_a_signature_is_used_up_by_a_change_that_the_account_refuses(gateway: Gateway, account: Rewriting) -> None:
    key = await gateway.key()
    account.refuse(400, {"hint": "Not today."})

    first, second = [await gateway.call(key, "PATCH", f"{VISITS}/{PENDING}/cancel", nonce="a" * 22) for _ in range(2)]

    assert (first.status, second.status) == (400, 401)
    assert len(account.sent("PATCH")) == 1


async def test_a_signature_is_used_up_by_a_change_that_is_refused_unasked_or_not_heard(
    gateway: Gateway, account: Rewriting
) -> None:
    key = await gateway.key()
    account.refuse(429, {"hint": "Slower."})
    paths = [f"{VISITS}/{world.CANCELLED}/cancel", f"{VISITS}/{world.UNKNOWN}/cancel", f"{VISITS}/{PENDING}/cancel"]

    answers = [
        (await gateway.call(key, "PATCH", path, nonce=str(n) * 22)).status for n, path in enumerate(paths) for _ in range(2)
    ]

    assert answers == [400, 401, 404, 401, 503, 401]
    assert len(account.sent("PATCH")) == 1


async def test_clients_of_the_source_change_an_account_through_here(gateway: Gateway, followed: Followed) -> None:
    key = await gateway.key()

    booked = await gateway.call(key, "PUT", VISITS, [*REST_BOOKING, ("suppress_email", "true")])
    path = f"{VISITS}/{booked.json['_id']}"
    updated = await gateway.call(key, "PATCH", path, [("notes", "é & +")])
    cancelled = await gateway.call(key, "PATCH", f"{path}/cancel")
    again = await gateway.call(key, "PATCH", f"{path}/complete")

    assert [answer.status for answer in (booked, updated, cancelled, again)] == [200, 200, 200, 400]
    there = await followed.there.get(booked.json["_id"])
    assert there is not None
    assert (there.notes, there.status, there.confirmation) == ("é & +", "CANCELLED", "SUPPRESSED")
    assert there.modified - there.created < timedelta(minutes=1)
