"""Whatever a followed account does, others are served, and a server that stops ends what is under way."""

import asyncio
from typing import Any

import pytest

from resolvers.live import live_of
from schema.server.settings import Settings
from storage import writes
from storage.errors import UpstreamUnavailable
from storage.lifecycle import BookingInput
from storage.models import VisitHost, VisitType
from tests import world
from tests.databases import path_of
from tests.inspection import inspect
from tests.resolvers.changing import BOOKING
from tests.resolvers.following import account, followed, hold, operations, respond
from tests.resolvers.test_lost_answers import INPUTS, TELLS
from tests.resolvers.test_lost_answers import document as short
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.rewriting import Rewriting
from tests.world import PENDING

__all__ = ["account", "followed"]

OTHER_BOOKING = BookingInput(world.FOR_WILLOWS, world.NOW, VisitHost.NURSE, VisitType.VIRTUAL)


@pytest.mark.parametrize("name", INPUTS)
async def test_what_an_account_does_not_answer_in_time_is_in_doubt_and_goes_on(
    followed: Followed, account: Rewriting, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writes, "END_SECONDS", 0.01)
    go_on = hold(account)

    response = await respond(operations(followed, seconds=0.5), short(name, key="mine"), INPUTS[name])
    go_on.set()
    await followed.link.finish()

    extensions = {"code": "TIMEOUT", "requestId": "the-request", "inDoubtFields": ["mine"]}
    assert response.errors == [
        {"message": f"Given up after 0.5 seconds. Perhaps done: mine. {TELLS[name]}", "extensions": extensions}
    ]
    events = inspect(path_of(followed.database)).records("home_visit_events")
    assert [event["actor"] for event in events] == ["everybody"]


async def test_reads_go_on_beside_a_hundred_changes_that_an_account_does_not_answer(
    followed: Followed, account: Rewriting
) -> None:
    go_on = hold(account)
    running = operations(followed, seconds=60)
    inputs = [BOOKING | {"idempotencyKey": str(n)} for n in range(100)]
    changes = [asyncio.ensure_future(respond(running, short("bookHomeVisit"), input)) for input in inputs]
    # Whatever waits for the account has reached it.
    while sum(change.done() for change in changes) + len(account.sent("PUT")) < len(changes):  # noqa: ASYNC110 - the proxy counts
        await asyncio.sleep(0.01)

    reads = [await respond(running, "{ homeVisits(first: 5) { nodes { id } } }") for _ in range(50)]

    assert not go_on.is_set()
    assert all(read.errors == [] for read in reads)
    refused = [change.result().errors[0] for change in changes if change.done()]
    assert len(refused) == 100 - len(account.sent("PUT")) >= 70
    assert {(error["extensions"]["code"], error["message"]) for error in refused} == {
        ("UPSTREAM_UNAVAILABLE", "CareHQ cannot be used for now: too many changes wait for it. Try again later.")
    }
    go_on.set()
    await asyncio.gather(*changes)


def settings_for(followed: Followed, **others: Any) -> Settings:
    url, account_id, key, secret = followed.carehq.account
    values: Any = {"carehq_url": url, "carehq_account_id": account_id, "carehq_key": key, "carehq_secret": secret}
    return Settings(_env_file=None, **values, **others)


async def test_a_server_that_stops_lets_changes_come_to_their_end(followed: Followed, account: Rewriting) -> None:
    live = live_of(settings_for(followed), followed.database)
    serving = asyncio.ensure_future(live.background[0].run())
    await asyncio.sleep(0)
    visits = live.make_visits(followed.database, world.EVERYBODY, followed.clock, None, None)
    go_on = hold(account)
    change = asyncio.ensure_future(visits.cancel(PENDING))
    while not account.sent("PATCH"):  # noqa: ASYNC110 - the proxy counts
        await asyncio.sleep(0.01)

    serving.cancel()
    await asyncio.sleep(0.1)
    assert not serving.done()
    go_on.set()
    await asyncio.gather(serving, return_exceptions=True)

    assert (await change).status == "CANCELLED"


@pytest.mark.parametrize(("executing", "most"), [(64, 24), (8, 3), (1, 1)])
async def test_a_server_has_fewer_changes_under_way_than_places(
    followed: Followed, account: Rewriting, executing: int, most: int
) -> None:
    live = live_of(settings_for(followed, executing=executing), followed.database)
    serving = asyncio.ensure_future(live.background[0].run())
    await asyncio.sleep(0)
    visits = live.make_visits(followed.database, world.EVERYBODY, followed.clock, None, None)
    go_on = hold(account)

    changes = [asyncio.ensure_future(visits.book(OTHER_BOOKING)) for _ in range(most + 1)]
    done, _ = await asyncio.wait(changes, return_when=asyncio.FIRST_COMPLETED)

    assert [type(change.exception()) for change in done] == [UpstreamUnavailable]
    go_on.set()
    serving.cancel()
    await asyncio.gather(serving, *changes, return_exceptions=True)
