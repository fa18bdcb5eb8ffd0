"""A database that follows an account wipes nothing by itself, whatever it is told; it shows what it has of a person."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from schema.server.background import anonymize_regularly
from storage.carehq.live.intents import Intent
from storage.carehq.live.progress import FollowedAccount
from storage.database import Database
from storage.errors import NotHere
from storage.retention.anonymizing import anonymize
from storage.retention.commands import anonymize_and_describe, erase_and_describe, person_document
from storage.retention.erasing import erase
from storage.retention.finding import Person, PersonRequest
from storage.retention.followed import purge_regularly
from storage.retention.marks import mark, unpurged
from tests.storage.homes import NOBODY, REID, Clock, everything_in, keep, visit

REIDS = PersonRequest(care_enquiries=[REID])
SENTENCE = (
    "This database follows the CareHQ account 0123. Nothing was wiped: anonymize in CareHQ, and it is wiped here as soon as that "
    "is read."
)

Wipe = Callable[[Database, Clock], Awaitable[Any]]
WIPES: dict[str, Wipe] = {
    "by age": lambda database, clock: anonymize(database, 1, clock),
    "by age, on the command line": lambda database, clock: anonymize_and_describe(database, 1, clock, dry_run=False),
    "counted": lambda database, clock: anonymize_and_describe(database, 1, clock, dry_run=True),
    "one person": lambda database, clock: erase(database, Person(frozenset({REID}), frozenset()), clock),
    "one person, on the command line": lambda database, clock: erase_and_describe(database, REIDS, clock),
    "nobody": lambda database, clock: erase_and_describe(database, PersonRequest("nobody@family.example"), clock),
}


@pytest.fixture
async def followed(database: Database, clock: Clock) -> Database:
    """Return a database that follows an account, with a visit that was completed long ago."""
    account = FollowedAccount(url="https://carehq.example", account_id="0123")
    await database.write(lambda session: session.add(account))
    await keep(database, visit(1, care_enquiry=REID, notes="zebrafish", completed=clock()))
    clock.advance(days=400)
    return database


@pytest.mark.parametrize("wipe", WIPES.values(), ids=WIPES)
async def test_nothing_is_wiped_where_an_account_is_followed(followed: Database, clock: Clock, path: Path, wipe: Wipe) -> None:
    before = everything_in(path)

    with pytest.raises(NotHere) as refusal:
        await wipe(followed, clock)

    assert str(refusal.value) == SENTENCE
    assert everything_in(path) == before


async def test_a_server_says_that_it_anonymizes_nothing(
    followed: Database, clock: Clock, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = everything_in(path)
    caplog.set_level(logging.WARNING)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await anonymize_regularly(followed, 1, clock, interval_seconds=60, start_seconds=0)

    assert [record.getMessage() for record in caplog.records] == [f"Nothing is anonymized: {SENTENCE}"]
    assert everything_in(path) == before


async def test_what_is_asked_of_an_account_is_shown_to_whom_it_concerns(followed: Database, clock: Clock) -> None:
    others = {"subject": "clerk", "started": clock()}
    intents = [
        Intent(id="a", key="form-1", fingerprint="of a form", care_enquiry=REID, **others),
        Intent(id="b", home_visit=visit(1).id, **others),
        Intent(id="c", care_enquiry=NOBODY, **others),
    ]
    await followed.write(lambda session: session.add_all(intents))

    document = json.loads(await person_document(followed, REIDS))

    shown = {"subject": "clerk", "started": "2025-11-24T09:30:00Z"}
    assert document["changes_in_carehq"] == [
        {**shown, "id": "a", "key": "form-1", "care_enquiry": REID, "home_visit": None},
        {**shown, "id": "b", "key": None, "care_enquiry": None, "home_visit": visit(1).id},
    ]


async def test_files_are_purged_of_what_the_account_has_wiped(followed: Database, clock: Clock, tmp_path: Path) -> None:
    await followed.write(lambda session: mark(session, clock()))

    purging = asyncio.create_task(purge_regularly(followed, interval_seconds=0.05, mail=tmp_path))
    async with asyncio.timeout(30):
        while await unpurged(followed):  # noqa: ASYNC110 - the database says so
            await asyncio.sleep(0.02)
    purging.cancel()
    await asyncio.gather(purging, return_exceptions=True)
