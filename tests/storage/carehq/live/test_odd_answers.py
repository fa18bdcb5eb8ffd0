"""Nothing that an account or a clock shows keeps the others of its documents from being followed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from storage.carehq.live import lists
from storage.carehq.live.account import Account
from storage.carehq.live.answers import LONGEST_HINT
from storage.carehq.live.client import CareHQ
from storage.carehq.live.following import Following
from storage.errors import UpstreamRefused
from storage.instants import clock as system_clock
from tests import world
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.test_following import documents

VISITS = "/v1/home-visits"


@pytest.mark.parametrize("id", ["../users/5", "a\0b", "a\r\nX-Other: 1", "ä" * 24, "a" * 100_000, ""])
async def test_what_is_no_id_of_a_visit_is_asked_for_nowhere(followed: Followed, id: str) -> None:
    def add(path: str, document: Any) -> Any:
        if path.startswith(f"{VISITS}?"):
            document["items"].append(document["items"][0] | {"_id": id})
        return document

    followed.proxy.change = add
    follower = followed.follower()
    await follower.follow_once()

    assert await documents(followed.database) == await documents(followed.gateway.database)
    assert follower.report.refused == 1
    assert [path for path in followed.proxy.paths if path.startswith(f"{VISITS}/")] == []


@pytest.mark.parametrize("value", [b"NaN", b"-Infinity", b"9" * 5_000, b'"\\ud800"', b'"\xff"', b'"\x00"'], ids=repr)
async def test_a_value_that_is_none_costs_one_document(followed: Followed, value: bytes) -> None:
    followed.proxy.spoil = lambda body: body.replace(b'"the spoilt one"', value)
    await followed.there.update(world.PENDING, {"notes": "the spoilt one"})
    follower = followed.follower()

    await follower.follow_once()

    there = [document for document in await documents(followed.gateway.database) if document["_id"] != world.PENDING]
    assert await documents(followed.database) == there
    assert follower.report.tallies["home_visits"].new == world.VISITS - 1


async def test_a_hint_that_is_no_text_can_be_told_all_the_same(followed: Followed) -> None:
    followed.proxy.change = lambda _path, _document: {"hint": "the spoilt one", "arg_errors": {"a": ["the spoilt one"]}}
    followed.proxy.spoil = lambda body: body.replace(b'"the spoilt one"', b'"No \\ud800 here."')

    with pytest.raises(UpstreamRefused) as refused:
        await followed.carehq.get("home-visits/unknown")

    assert (refused.value.hint, refused.value.arg_errors) == ("No ? here.", {"a": ["No ? here."]})


async def test_a_clock_that_is_set_back_asks_once_for_what_changes(followed: Followed) -> None:
    follower = followed.follower()
    await follower.follow_once()
    followed.clock.added = timedelta(hours=-1)
    await followed.there.update(world.PENDING, {"notes": "Changed there"})
    before = len(followed.proxy.requests)

    await follower.follow_once()

    assert await documents(followed.database) == await documents(followed.gateway.database)
    assert followed.proxy.requests[before:].count(("GET", f"{VISITS}/{world.PENDING}")) == 1


async def test_a_list_by_time_may_begin_with_the_first_of_all_times(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "PER_PAGE", 1)
    monkeypatch.setattr(lists, "FURTHEST_PAGE", 2)

    def age(path: str, document: Any) -> Any:
        for item in document.get("items", []) if path.startswith(VISITS) else []:
            if item["_id"] == world.VISIT_IDS[0]:
                item["modified"] = "0001-01-01 00:00:00"
        return document

    followed.proxy.change = age
    await followed.follower().follow_once()

    assert len(await documents(followed.database)) == world.VISITS


async def test_an_answer_without_a_date_was_sent_as_early_as_it_can_be() -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"_id": "5"}, headers={"Date": ""})

    app = web.Application()
    app.router.add_get("/v1/users/5", answer)
    async with TestServer(app) as server, CareHQ(Account(str(server.make_url("")).rstrip("/"), "a", "k", "s")) as carehq:
        sent = (await carehq.get("users/5")).sent

    assert timedelta(minutes=5) <= datetime.now(UTC) - sent < timedelta(minutes=6)


async def test_a_hint_is_one_short_line(followed: Followed) -> None:
    followed.proxy.change = lambda _path, _document: {"hint": "No.\nFOLLOWED AGAIN " + "x" * 100_000}

    with pytest.raises(UpstreamRefused) as refused:
        await followed.carehq.get("home-visits/unknown")

    assert refused.value.hint.startswith("No. FOLLOWED AGAIN xxx")
    assert len(refused.value.hint) <= LONGEST_HINT


async def test_a_lag_is_no_less_than_nothing(followed: Followed) -> None:
    following = Following(followed.database, followed.carehq, followed.clock, poll_seconds=1)
    following.last_synced = system_clock() + timedelta(hours=1)

    assert following.lag_seconds() == 0


async def test_notes_that_differ_in_white_space_alone_are_changed(followed: Followed) -> None:
    await followed.follower().follow_once()
    await followed.here.update(world.PENDING, {"notes": "One Two"})

    visit = await followed.here.update(world.PENDING, {"notes": "One\nTwo"})

    there = await followed.there.get(world.PENDING)
    assert there is not None
    assert (visit.notes, there.notes) == ("One\nTwo", "One\nTwo")
