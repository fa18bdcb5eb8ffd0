"""Published keys: asking an issuer for them is rare, safe and bounded, and an outage takes nothing away."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextvars import ContextVar
from typing import Any

import jwt
import pytest
from aiohttp import web

from resolvers import key_sets
from resolvers.key_sets import KeysUnavailable, PublishedKeys, UnknownKey
from tests.resolvers.issuer import OTHER_RSA_KEY, PUBLISHED, RSA_KEY, Issuer, document, public_jwk, until

Open = Callable[..., PublishedKeys]


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer() as running:
        yield running


@pytest.fixture
async def published(issuer: Issuer) -> AsyncIterator[Open]:
    opened: list[PublishedKeys] = []

    def open_keys(withdrawn: Callable[[Collection[jwt.PyJWK]], None] = lambda _: None, **seconds: float) -> PublishedKeys:
        opened.append(PublishedKeys(issuer.address, withdrawn, **seconds))
        return opened[-1]

    yield open_keys
    for each in opened:
        await each.close()


class Clock:
    """Time as it is for published keys: it passes when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(key_sets, "time", clock)
    return clock


async def found(published: PublishedKeys, id: str | None, algorithm: str = "RS256") -> str:
    """Tell what asking for a key comes to."""
    try:
        key = await published.key(id, algorithm)
    except (UnknownKey, KeysUnavailable) as refusal:
        return type(refusal).__name__
    return f"{key.key_id} for {key.algorithm_name}"


async def test_nobody_is_asked_before_a_key_is_needed(issuer: Issuer, published: Open) -> None:
    published()

    await asyncio.sleep(0.05)

    assert issuer.requests == 0


async def test_all_keys_are_known_from_asking_once(issuer: Issuer, published: Open) -> None:
    keys = published()

    answers = [await found(keys, algorithm, algorithm) for algorithm in ("RS256", "ES256", "EdDSA", "RS256")]

    assert answers == ["RS256 for RS256", "ES256 for ES256", "EdDSA for EdDSA", "RS256 for RS256"]
    assert (issuer.requests, keys.fetches) == (1, 1)


async def test_a_key_is_only_good_for_its_own_algorithm(published: Open) -> None:
    keys = published()

    assert await found(keys, "RS256", "ES256") == "UnknownKey"


async def test_a_key_without_a_name_is_found_where_it_is_the_only_one(issuer: Issuer, published: Open) -> None:
    keys = published()

    answers = [await found(keys, None, "RS256"), await found(keys, None, "ES256")]

    assert answers == ["RS256 for RS256", "ES256 for ES256"]


async def test_a_key_without_a_name_is_not_found_where_it_could_be_one_of_two(issuer: Issuer, published: Open) -> None:
    issuer.jwks = [public_jwk(RSA_KEY, "RS256"), public_jwk(OTHER_RSA_KEY, "RS256", kid="b")]
    keys = published()

    answers = [await found(keys, None), await found(keys, "b")]

    assert answers == ["UnknownKey", "b for RS256"]


async def test_a_hundred_who_ask_at_once_are_answered_by_one_fetch(issuer: Issuer, published: Open) -> None:
    keys = published()

    answers = await asyncio.gather(*(found(keys, "made up" if n % 2 else "RS256") for n in range(100)))

    assert answers == ["RS256 for RS256", "UnknownKey"] * 50
    assert issuer.requests == 1


async def test_names_that_are_made_up_are_looked_for_once_in_a_while(issuer: Issuer, published: Open, clock: Clock) -> None:
    keys = published(pause_seconds=0.3)
    await found(keys, "RS256")

    at_once = [await found(keys, f"made up {n}") for n in range(20)]
    requests_at_once = issuer.requests
    clock.seconds += 0.35
    later = await asyncio.gather(*(found(keys, f"made up {n}") for n in range(20)))

    assert (at_once, later) == (["UnknownKey"] * 20, ["UnknownKey"] * 20)
    assert (requests_at_once, issuer.requests) == (1, 2)


async def test_a_new_key_is_found_when_first_seen(issuer: Issuer, published: Open) -> None:
    keys = published(pause_seconds=0.0)
    await found(keys, "RS256")
    issuer.jwks.append(public_jwk(OTHER_RSA_KEY, "RS256", kid="new"))

    answer = await found(keys, "new")

    assert (answer, issuer.requests) == ("new for RS256", 2)


async def test_keys_are_kept_fresh_while_nobody_asks(issuer: Issuer, published: Open) -> None:
    withdrawn: list[str | None] = []
    keys = published(lambda gone: withdrawn.extend(key.key_id for key in gone), refresh_seconds=0.05)
    await found(keys, "RS256")
    issuer.jwks = [jwk for jwk in PUBLISHED if jwk["kid"] != "RS256"]

    await until(lambda: bool(withdrawn))
    answers = [await found(keys, "RS256"), await found(keys, "ES256", "ES256")]

    assert withdrawn == ["RS256"]
    assert answers == ["UnknownKey", "ES256 for ES256"]


async def test_a_key_that_changes_under_its_name_is_another_and_one_that_stays_is_the_same(
    issuer: Issuer, published: Open
) -> None:
    withdrawn: list[jwt.PyJWK] = []
    keys = published(withdrawn.extend, refresh_seconds=0.05)
    first, other = await keys.key("RS256", "RS256"), await keys.key("ES256", "ES256")
    issuer.jwks = [public_jwk(OTHER_RSA_KEY, "RS256", kid="RS256"), *PUBLISHED[1:]]

    await until(lambda: bool(withdrawn))

    assert withdrawn == [first]
    assert await keys.key("RS256", "RS256") is not first
    assert await keys.key("ES256", "ES256") is other


async def test_the_last_good_keys_stay_in_use_through_an_outage(issuer: Issuer, published: Open) -> None:
    keys = published(pause_seconds=0.05, refresh_seconds=0.05)
    await found(keys, "RS256")
    issuer.answer = _status(503)
    await until(lambda: issuer.requests >= 3)

    during = [await found(keys, "RS256"), await found(keys, "new")]
    issuer.answer = None
    issuer.jwks.append(public_jwk(OTHER_RSA_KEY, "RS256", kid="new"))
    await asyncio.sleep(0.2)
    after = [await found(keys, "RS256"), await found(keys, "new"), await found(keys, "made up")]

    assert during == ["RS256 for RS256", "KeysUnavailable"]
    assert after == ["RS256 for RS256", "new for RS256", "UnknownKey"]


async def test_an_outage_from_the_start_is_told_and_over_when_the_issuer_is_back(
    issuer: Issuer, published: Open, clock: Clock
) -> None:
    issuer.answer = _status(500)
    keys = published(retry_seconds=0.2)

    during = [await found(keys, "RS256") for _ in range(10)]
    requests = issuer.requests
    issuer.answer = None
    clock.seconds += 0.25
    after = await found(keys, "RS256")

    assert during == ["KeysUnavailable"] * 10
    assert (requests, after, issuer.requests) == (1, "RS256 for RS256", 2)


async def test_an_issuer_that_is_not_there_is_an_outage(unused_tcp_port: int) -> None:
    keys = PublishedKeys(f"http://127.0.0.1:{unused_tcp_port}/keys", lambda _: None)

    answer = await found(keys, "RS256")
    await keys.close()

    assert answer == "KeysUnavailable"


async def test_an_issuer_that_hangs_delays_only_who_needs_a_new_key_and_not_for_long(issuer: Issuer, published: Open) -> None:
    keys = published(pause_seconds=0.0, fetch_seconds=1.0)
    await found(keys, "RS256")
    issuer.answer = _hang
    started = time.monotonic()

    waiting = asyncio.create_task(found(keys, "new"))
    await until(lambda: issuer.requests == 2)
    answer = await found(keys, "RS256")
    at_once = not waiting.done()
    refused = await waiting

    assert (answer, at_once, refused) == ("RS256 for RS256", True, "KeysUnavailable")
    assert 0.9 < time.monotonic() - started < 9.0


async def test_a_caller_that_goes_away_ends_nobody_elses_fetch(issuer: Issuer, published: Open) -> None:
    keys = published()
    released = asyncio.Event()

    async def later(_: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response(body=document(*PUBLISHED))

    issuer.answer = later
    leaving, staying = (asyncio.create_task(found(keys, "RS256")) for _ in range(2))
    await until(lambda: issuer.requests == 1)

    leaving.cancel()
    released.set()

    assert await staying == "RS256 for RS256"
    assert (leaving.cancelled(), issuer.requests) == (True, 1)


def _status(status: int) -> Callable[[web.Request], Any]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=document(*PUBLISHED))

    return answer


def _body(body: bytes, **headers: str) -> Callable[[web.Request], Any]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers=headers)

    return answer


async def _hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(10)
    return web.Response(body=document(*PUBLISHED))


async def _endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)


async def _cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"keys": [')
    assert request.transport is not None
    request.transport.abort()
    return response


@pytest.mark.parametrize(
    "answer",
    [
        _status(204),
        _status(404),
        _status(500),
        _body(b"<html>Sign in</html>"),
        _body(b'{"keys": []}'),
        _body(document(*PUBLISHED)[:-5]),
        _body(document(*PUBLISHED, "x" * 300_000)),
        _body(gzip.compress(document(*PUBLISHED)), **{"Content-Encoding": "gzip"}),
        _endless,
        _cut,
        _hang,
    ],
    ids=["204", "404", "500", "page", "no keys", "half", "huge", "packed", "endless", "cut", "hangs"],
)
async def test_an_answer_that_is_no_set_of_keys_changes_nothing(issuer: Issuer, published: Open, answer: Any) -> None:
    withdrawn: list[Any] = []
    keys = published(withdrawn.extend, pause_seconds=0.0, fetch_seconds=1.0)
    await found(keys, "RS256")
    issuer.answer = answer

    answers = [await found(keys, "new"), await found(keys, "RS256")]

    assert answers == ["KeysUnavailable", "RS256 for RS256"]
    assert (issuer.requests, withdrawn) == (2, [])


async def test_a_redirect_is_not_followed(issuer: Issuer, published: Open) -> None:
    async def elsewhere(_: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(elsewhere_address)

    async with Issuer() as other:
        elsewhere_address = other.address
        issuer.answer = elsewhere
        answer = await found(published(), "RS256")

    assert (answer, issuer.requests, other.requests) == ("KeysUnavailable", 1, 0)


async def test_an_outage_is_logged_without_what_the_address_holds_and_without_the_request(
    issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    asking: ContextVar[str] = ContextVar("asking", default="nobody")
    seen: list[str] = []
    caplog.handler.addFilter(lambda _: not seen.append(asking.get()))  # type: ignore[func-returns-value]  # appending is the point
    issuer.answer = _status(500)
    keys = PublishedKeys(issuer.address.replace("http://", "http://user:hunter2@") + "?key=hunter2", lambda _: None)
    asking.set("amy")

    await found(keys, "RS256")
    await keys.close()

    assert caplog.messages == [
        "Keys for tokens were not fetched from 127.0.0.1: the answer has the status 500. Those known stay in use."
    ]
    assert seen == ["nobody"]


async def test_closing_ends_what_runs_in_the_background(issuer: Issuer, published: Open) -> None:
    keys = published(refresh_seconds=0.02)
    await found(keys, "RS256")

    await keys.close()
    requests = issuer.requests
    await asyncio.sleep(0.1)

    assert issuer.requests == requests
