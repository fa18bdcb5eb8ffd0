"""A courier that is killed loses no letter, and repeats at most the one that it was sending."""

import asyncio
import random
import sys
from collections import Counter
from datetime import datetime, timedelta
from functools import partial

import pytest
from aiosmtpd.smtp import SMTP

from storage.instants import clock
from storage.models import ConfirmationStatus
from tests.databases import path_of, url_of
from tests.inspection import inspect
from tests.storage.outbox.post_office import PostOffice, hang, until
from tests.storage.outbox.practice import Practice

pytestmark = pytest.mark.slow


def has_more(post_office: PostOffice, letters: int) -> bool:
    return len(post_office.letters) > letters


async def a_courier(practice: Practice, post_office: PostOffice, step: str) -> asyncio.subprocess.Process:
    arguments = [url_of(path_of(practice.database)), str(post_office.port), step]
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.storage.outbox.doomed", *arguments)


@pytest.mark.parametrize(
    ("step", "arrived"),
    [("claiming", 1), ("claimed", 1), ("MAIL", 1), ("RCPT", 1), ("DATA", 2), ("sent", 2), ("marking", 2), ("marked", 1)],
)
async def test_killed_at_each_step(practice: Practice, post_office: PostOffice, step: str, arrived: int) -> None:
    visit = await practice.book()
    killed: list[bool] = []

    async def kill(server: SMTP) -> str:
        if killed:
            return "250 OK"
        killed.append(True)
        process.kill()
        return await hang(server)

    post_office.answers[step] = kill
    process = await a_courier(practice, post_office, step)
    code = await process.wait()
    courier = practice.courier(post_office.mail_server)
    # Until its lease ends, nobody can know that it is dead.
    practice.clock.advance(seconds=59.999)
    too_early = await courier.deliver_once() if step != "claiming" else 0
    practice.clock.advance(seconds=0.001)
    await courier.deliver_once()

    assert (code, too_early) == (-9, 0)
    assert len(post_office.letters) == arrived
    assert len({letter.as_bytes() for letter in post_office.letters}) == 1
    assert await practice.confirmation(visit) == ConfirmationStatus.SENT
    assert inspect(path_of(practice.database)).faults() == []


def an_hour_later() -> datetime:
    return clock() + timedelta(hours=1)


async def test_killed_at_any_moment(practice: Practice, post_office: PostOffice) -> None:
    chance = random.Random(5)  # noqa: S311 - a test that can be repeated
    practice = Practice(practice.database, clock)

    async def slow(server: SMTP) -> str:
        await asyncio.sleep(chance.uniform(0, 0.02))
        return "250 OK"

    post_office.answers = {"RCPT": slow, "DATA": slow}
    kills = 0
    visits: list[str] = []
    while kills < 20:
        arrived = len(post_office.letters)
        couriers = [await a_courier(practice, post_office, "any") for _ in range(2)]
        visits += [await practice.book(time=clock() + timedelta(days=9)) for _ in range(40)]
        await until(partial(has_more, post_office, arrived))
        await asyncio.sleep(chance.uniform(0, 0.8))
        for courier in couriers:
            courier.kill()
            await courier.wait()
            kills += 1
    # By then every lease has ended, and what a busy machine was too slow to send is due again.
    await practice.courier(post_office.mail_server, clock=an_hour_later).deliver_once()

    messages = await practice.messages()
    put_off = sum(len(message.reasons.splitlines()) for message in messages)
    copies = Counter(post_office.message_ids)
    repeated = sum(copies.values()) - len(copies)
    print(f"{len(visits)} letters, {kills} kills, {put_off} put off, {repeated} repeated")
    assert [message.status for message in messages] == [ConfirmationStatus.SENT] * len(visits)
    assert len(copies) == len(visits) == len({letter.as_bytes() for letter in post_office.letters})
    assert repeated <= kills + put_off
    assert inspect(path_of(practice.database)).faults() == []
