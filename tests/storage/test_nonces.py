"""A nonce signs one write: it is kept in the same transaction, or keeps it from being made."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from storage.api_keys import APIKeys
from storage.database import Database
from storage.errors import HomeVisitNotFound, NonceUsed
from storage.nonces import NONCE_LIFETIME, SKEW, Nonce
from storage.repository import HomeVisits
from tests.storage.homes import EVERYTHING, NOBODY, Clock, booking, everything_in, rows_of

NONCE = Nonce("key", "AAECAwQFBgcICQoLDA0ODw")


def signed(database: Database, clock: Clock, nonce: Nonce = NONCE) -> HomeVisits:
    return HomeVisits(database, EVERYTHING, clock, nonce=nonce)


async def test_a_nonce_is_kept_with_what_it_signs(database: Database, clock: Clock, path: Path) -> None:
    visit = await signed(database, clock).book(booking())

    assert [row["id"] for row in rows_of(path, "home_visits")] == [visit.id]
    assert rows_of(path, "used_nonces") == [{"key": "key", "nonce": NONCE.value, "used": "2024-10-20T09:30:00"}]


@pytest.mark.parametrize("move", ["book", "update", "cancel", "complete"])
async def test_a_nonce_that_was_used_signs_nothing(
    database: Database, clock: Clock, path: Path, visits: HomeVisits, move: str
) -> None:
    visit = await visits.book(booking())
    await APIKeys(database, clock).keep_nonce(NONCE)
    before = everything_in(path)
    again = signed(database, clock)
    moves = {
        "book": lambda: again.book(booking()),
        "update": lambda: again.update(visit.id, {"notes": "Again."}),
        "cancel": lambda: again.cancel(visit.id),
        "complete": lambda: again.complete(visit.id),
    }

    with pytest.raises(NonceUsed):
        await moves[move]()

    assert everything_in(path) == before


async def test_another_key_may_use_the_same(database: Database, clock: Clock, path: Path) -> None:
    for key in ("key", "other"):
        await signed(database, clock, Nonce(key, NONCE.value)).book(booking())

    assert len(rows_of(path, "home_visits")) == 2


async def test_of_many_at_once_one_is_made(database: Database, clock: Clock, path: Path) -> None:
    attempts = [signed(database, clock).book(booking()) for _ in range(10)]

    results = await asyncio.gather(*attempts, return_exceptions=True)

    assert sorted(type(one).__name__ for one in results) == ["HomeVisit", *["NonceUsed"] * 9]
    assert (len(rows_of(path, "home_visits")), len(rows_of(path, "home_visit_events"))) == (1, 1)


async def test_what_is_refused_keeps_none_by_itself(database: Database, clock: Clock, path: Path) -> None:
    with pytest.raises(HomeVisitNotFound):
        await signed(database, clock).cancel(NOBODY)

    assert rows_of(path, "used_nonces") == []


async def test_refused_ones_are_kept_beside_those_that_are(database: Database, clock: Clock, path: Path) -> None:
    keys = APIKeys(database, clock)
    await keys.keep_nonce(NONCE)
    clock.advance(seconds=1)

    await keys.note_use({}, [Nonce("other", NONCE.value), NONCE, NONCE])

    assert rows_of(path, "used_nonces") == [
        {"key": "key", "nonce": NONCE.value, "used": "2024-10-20T09:30:00"},
        {"key": "other", "nonce": NONCE.value, "used": "2024-10-20T09:30:01"},
    ]


def test_a_nonce_is_kept_for_longer_than_its_request_is_taken_on_any_host() -> None:
    # Signed as far ahead as may be, kept by a host whose clock is late, looked for by one whose clock is as late again.
    assert 2 * SKEW + timedelta(minutes=5) == NONCE_LIFETIME


async def test_old_ones_are_deleted_when_a_key_was_used(database: Database, clock: Clock, path: Path) -> None:
    keys = APIKeys(database, clock)
    await keys.keep_nonce(NONCE)
    clock.advance(seconds=900)
    await keys.keep_nonce(Nonce("key", "another"))

    await keys.note_use({"key": clock.now})
    at_its_end = [row["nonce"] for row in rows_of(path, "used_nonces")]
    clock.advance(seconds=1)
    await keys.note_use({"key": clock.now})

    assert sorted(at_its_end) == [NONCE.value, "another"]
    assert [row["nonce"] for row in rows_of(path, "used_nonces")] == ["another"]
