"""A request that was sent before is refused, wherever and however it is sent again, and whatever came of it."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from resolvers.api_keys import Encryption, new_key
from resolvers.key_use import MOST_REFUSED, KeyUse
from resolvers.rest import Rest
from storage.api_keys import APIKeys
from storage.caller import Role
from storage.database import Database
from storage.instants import clock
from storage.nonces import Nonce
from tests import world
from tests.databases import path_of
from tests.inspection import inspect
from tests.resolvers.carehq import KEYS_SECRET, VISITS, Gateway, gateway_over, sign, sign_1
from tests.resolvers.test_signed_requests import BOOKING
from tests.storage.homes import NOBODY, NOW, rows_of
from tests.world import CANCELLED, PENDING

AGAIN = "This request was sent before. Sign each one anew; an `idempotency_key` makes it safe to book again."
ONE = f"{VISITS}/{PENDING}"
NOTES = [("notes", "first")]
CHANGES = {
    "book": ("PUT", VISITS, BOOKING),
    "update": ("PATCH", ONE, NOTES),
    "cancel": ("PATCH", f"{ONE}/cancel", []),
    "complete": ("PATCH", f"{ONE}/complete", []),
}


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Gateway]:
    async with gateway_over(database) as gateway:
        yield gateway


async def write_use(rest: Rest) -> None:
    """Have a server write what it remembers of keys, as it does when it ends."""
    keeping = asyncio.create_task(rest.background.run())
    await asyncio.sleep(0)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", ONE), ("PATCH", f"{ONE}/cancel"), ("PATCH", f"{VISITS}/{CANCELLED}/cancel")]
)
async def test_what_was_sent_before_is_refused(gateway: Gateway, method: str, path: str) -> None:
    key = await gateway.key()
    headers = sign(key, method, path)

    first, again = [await gateway.send(method, path, [], headers) for _ in range(2)]

    assert first.status in (200, 400)
    assert (again.status, again.json["hint"]) == (401, AGAIN)


async def test_who_sends_what_was_sent_before_uses_up_nothing_of_the_keys_rate(database: Database) -> None:
    now = time.time()
    async with gateway_over(database, rate=3, now=lambda: now) as gateway:
        key = await gateway.key()
        headers = sign(key, "GET", ONE)

        replays = [await gateway.send("GET", ONE, [], headers) for _ in range(5)]
        answer = await gateway.call(key, "GET", ONE)

    assert [replay.status for replay in replays] == [200, *[401] * 4]
    assert (answer.status, answer.headers["X-CareHQ-RateLimit-Remaining"]) == (200, "1")


@pytest.mark.parametrize("path", [f"{ONE}/cancel", f"{VISITS}/{CANCELLED}/cancel"], ids=["done", "refused"])
async def test_another_process_refuses_a_change_that_was_sent_before(gateway: Gateway, path: str) -> None:
    key = await gateway.key()
    headers = sign(key, "PATCH", path)
    first = await gateway.send("PATCH", path, [], headers)
    before = gateway.database.transaction_count

    async with gateway_over(gateway.database) as other:
        again = await other.send("PATCH", path, [], headers)

    assert (first.status, again.status) == (200 if PENDING in path else 400, 401)
    assert again.json["hint"] == AGAIN
    assert gateway.database.transaction_count == before


async def test_of_version_1_the_same_change_is_refused_and_the_same_read_answered(gateway: Gateway) -> None:
    key = await gateway.key(allows_signature_1=True)
    headers = sign_1(key, timestamp=str(int(time.time())))

    reads = [await gateway.send("GET", ONE, [], headers) for _ in range(2)]
    changes = [await gateway.send("PATCH", f"{ONE}/cancel", [], headers) for _ in range(2)]

    assert [answer.status for answer in (*reads, *changes)] == [200, 200, 200, 401]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "in another process"])
@pytest.mark.parametrize("slashes", [("", "/"), ("/", "")], ids=["slash added", "slash left out"])
@pytest.mark.parametrize("change", CHANGES)
async def test_of_version_1_a_change_is_the_same_however_its_path_is_written(
    gateway: Gateway, change: str, slashes: tuple[str, str], elsewhere: bool
) -> None:
    key = await gateway.key(allows_signature_1=True)
    method, path, pairs = CHANGES[change]
    headers = sign_1(key, pairs)
    one, other = (f"/crm{path}{slash}" if slash else path + slash for slash in slashes)
    first = await gateway.send(method, one, pairs, headers)
    before = inspect(path_of(gateway.database)).records("home_visits")

    async with gateway_over(gateway.database) as another:
        again = await (another if elsewhere else gateway).send(method, other, pairs, headers)

    assert (first.status, again.status, again.json["hint"]) == (200, 401, AGAIN)
    assert inspect(path_of(gateway.database)).records("home_visits") == before


async def test_what_exceeds_the_rate_is_not_taken_later(database: Database) -> None:
    now = time.time()
    async with gateway_over(database, rate=1, now=lambda: now) as gateway:
        key = await gateway.key()
        await gateway.call(key, "GET", ONE)
        headers = sign(key, "PUT", VISITS, BOOKING)

        refused = await gateway.send("PUT", VISITS, BOOKING, headers)
        now += 1
        again = await gateway.send("PUT", VISITS, BOOKING, headers)

    assert (refused.status, again.status, again.json["hint"]) == (429, 401, AGAIN)


REFUSED = {
    "its key may not": ("PATCH", f"{ONE}/cancel", [], 403),
    "of its arguments": ("PUT", VISITS, BOOKING[:-1], 400),
    "of its method": ("PUT", ONE, NOTES, 405),
    "of its path": ("PATCH", f"{ONE}/undo", [], 404),
}


@pytest.mark.parametrize("why", REFUSED)
async def test_what_was_refused_before_its_transaction_is_refused_by_another_process(gateway: Gateway, why: str) -> None:
    reader = world.limited_to(world.WILLOWS, role=Role.VIEWER)
    key = await (gateway.key(reader) if why == "its key may not" else gateway.key())
    method, path, pairs, status = REFUSED[why]
    headers = sign(key, method, path, pairs)

    refused = await gateway.send(method, path, pairs, headers)
    await write_use(gateway.rest)

    assert refused.status == status
    assert [row["nonce"] for row in rows_of(path_of(gateway.database), "used_nonces")] == [headers["X-CareHQ-Nonce"]]


async def test_a_read_is_kept_in_memory_alone(gateway: Gateway) -> None:
    key = await gateway.key()
    headers = sign(key, "GET", f"{VISITS}/{NOBODY}")

    answer = await gateway.send("GET", f"{VISITS}/{NOBODY}", [], headers)
    await write_use(gateway.rest)

    assert (answer.status, rows_of(path_of(gateway.database), "used_nonces")) == (404, [])


async def test_a_refused_change_is_kept_soon_and_nothing_is_written_where_nothing_was_called(gateway: Gateway) -> None:
    key, keeping = await gateway.key(), asyncio.create_task(gateway.rest.background.run())
    try:
        await asyncio.sleep(1.1)
        before = gateway.database.transaction_count
        await gateway.call(key, "PUT", ONE, NOTES)
        await asyncio.sleep(1.3)
        after = gateway.database.transaction_count
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    assert (before, after, gateway.database.transaction_count) == (1, 2, 2)  # the first has made the key
    assert len(rows_of(path_of(gateway.database), "used_nonces")) == 1


async def keep(use: KeyUse) -> None:
    """Write what is buffered, as at the end of a server."""
    keeping = asyncio.create_task(use.keep())
    await asyncio.sleep(0)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_so_many_refused_changes_are_kept_at_once_and_none_twice(database: Database) -> None:
    use = KeyUse(APIKeys(database, clock))
    for number in range(MOST_REFUSED + 10):
        use.refuse(Nonce("key", str(number)))
    await keep(use)
    use.refuse(Nonce("key", "0"))
    await keep(use)

    assert len(rows_of(path_of(database), "used_nonces")) == MOST_REFUSED


async def test_what_could_not_be_written_is_written_later(database: Database) -> None:
    keys = APIKeys(database, clock)
    use, path = KeyUse(keys), path_of(database)
    for name in ("first", "second"):
        record = new_key(Encryption(KEYS_SECRET), world.EVERYBODY, NOW, allows_signature_1=False).record
        record.key = name
        await keys.add(record)
    use.note("first", NOW)
    use.note("second", NOW.replace(tzinfo=None))  # no database of ours takes that
    use.refuse(Nonce("first", "nonce"))

    await keep(use)
    before = {row["last_used"] for row in rows_of(path, "api_keys")}, rows_of(path, "used_nonces")
    use.note("second", NOW)
    await keep(use)

    after = {row["last_used"] for row in rows_of(path, "api_keys")}, len(rows_of(path, "used_nonces"))
    assert (before, after) == (({None}, []), ({"2024-10-20T09:30:00"}, 1))
