"""Couriers in several processes: each letter goes out once, and what one of them claims holds up no other."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from aiosmtpd.smtp import SMTP

from storage.instants import clock
from storage.models import ConfirmationStatus
from tests.databases import database_at, url_of
from tests.inspection import inspect
from tests.storage.outbox.post_office import PostOffice, until
from tests.storage.outbox.practice import Practice, prepare
from tests.storage.outbox.test_kills import a_courier

LETTERS, COURIERS = 150, 3


@pytest.fixture
async def practice(tmp_path: Path) -> AsyncIterator[Practice]:
    path = tmp_path / "home_visits.db"
    prepare(path)
    database = await database_at(path).open()
    yield Practice(database, clock)
    await database.close()


@pytest.mark.slow
async def test_of_three_processes_one_sends_each_letter(practice: Practice, post_office: PostOffice, tmp_path: Path) -> None:
    couriers = [await a_courier(practice, post_office, "none") for _ in range(COURIERS)]

    for _ in range(LETTERS):
        await practice.book(time=clock() + timedelta(days=9))
    unsent = "SELECT 1 FROM outbox_messages WHERE status <> 'SENT'"
    await until(lambda: not inspect(tmp_path / "home_visits.db").query(unsent))
    for courier in couriers:
        courier.terminate()
        await courier.wait()

    copies = Counter(post_office.message_ids)
    assert len(copies) == LETTERS
    assert set(copies.values()) == {1}
    assert {message.attempts for message in await practice.messages()} == {1}


async def test_what_another_courier_is_claiming_is_left_to_it(
    practice: Practice, post_office: PostOffice, tmp_path: Path
) -> None:
    await practice.book(time=clock() + timedelta(days=9))
    courier = practice.courier(post_office.mail_server, clock=clock)

    with psycopg.connect(url_of(tmp_path / "home_visits.db")) as other:
        other.execute("SELECT 1 FROM outbox_messages FOR UPDATE")
        async with asyncio.timeout(5):
            beside = await courier.deliver_once()
        other.rollback()

    assert (beside, await courier.deliver_once(), len(post_office.letters)) == (0, 1, 1)


async def test_what_became_of_a_letter_is_recorded_beside_a_change_of_its_visit(
    practice: Practice, post_office: PostOffice, tmp_path: Path
) -> None:
    await practice.book(time=clock() + timedelta(days=9))
    courier = practice.courier(post_office.mail_server, clock=clock)

    async with await psycopg.AsyncConnection.connect(url_of(tmp_path / "home_visits.db")) as other:

        async def take(_server: SMTP) -> str:
            await other.execute("UPDATE home_visits SET version = version + 1")
            return "250 OK"

        post_office.answers["DATA"] = take
        delivering = asyncio.create_task(courier.deliver_once())
        await until(lambda: post_office.letters)
        await asyncio.sleep(0.3)  # by then it waits for the visit
        await other.commit()

        assert await delivering == 1
    assert [message.status for message in await practice.messages()] == [ConfirmationStatus.SENT]
