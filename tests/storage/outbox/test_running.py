"""A courier that runs beside a server, until it is told to stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiosmtpd.smtp import SMTP

from storage.models import ConfirmationStatus
from storage.outbox.courier import Courier, Pace
from tests.databases import path_of
from tests.inspection import inspect
from tests.storage.homes import NOW
from tests.storage.outbox.post_office import PostOffice, cut, hang, until
from tests.storage.outbox.practice import Practice


@asynccontextmanager
async def running(courier: Courier) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.ensure_future(courier.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# As a newer program might have written it.
UNREADABLE = "UPDATE home_visits SET host = 'ASTRONAUT'"


async def test_it_sends_what_is_booked_while_it_runs(practice: Practice, post_office: PostOffice) -> None:
    courier = practice.courier(post_office.mail_server)

    async with running(courier):
        await practice.book()
        await until(lambda: courier.sent == 1)

    assert await practice.statuses() == ["SENT"]
    assert len(post_office.letters) == 1


async def test_it_goes_on_when_the_database_fails_it(
    practice: Practice, post_office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    courier = practice.courier(post_office.mail_server)
    inspection = inspect(path_of(practice.database))
    await practice.book()
    inspection.execute(UNREADABLE)
    async with running(courier) as task:
        await until(lambda: "The courier stumbled and goes on" in caplog.messages)
        inspection.execute("UPDATE home_visits SET host = 'NURSE'")
        await until(lambda: courier.sent == 1)

        assert not task.done()


async def test_a_letter_on_its_way_is_finished_before_the_courier_stops(practice: Practice, post_office: PostOffice) -> None:
    arrived, taken = asyncio.Event(), asyncio.Event()

    async def take_slowly(server: SMTP) -> str:
        arrived.set()
        await taken.wait()
        return "250 OK"

    post_office.answers["DATA"] = take_slowly
    await practice.book()
    await practice.book()
    courier = asyncio.ensure_future(practice.courier(post_office.mail_server).run())
    await arrived.wait()

    courier.cancel()
    await asyncio.sleep(0.02)
    still_there = not courier.done()
    taken.set()
    with pytest.raises(asyncio.CancelledError):
        await courier

    assert still_there
    assert await practice.statuses() == ["SENT", "QUEUED"]


async def test_a_letter_that_hangs_does_not_keep_the_courier_from_stopping(practice: Practice, post_office: PostOffice) -> None:
    post_office.answers["RCPT"] = hang
    await practice.book()
    courier = asyncio.ensure_future(practice.courier(post_office.mail_server, timeout=60).run())
    await until(lambda: post_office.connections == 1)

    courier.cancel()
    _, still_running = await asyncio.wait({courier}, timeout=10)

    assert (still_running, courier.cancelled()) == (set(), True)
    [message] = await practice.messages()
    assert (message.status, message.leased_until) == (ConfirmationStatus.QUEUED, NOW + timedelta(seconds=60))


async def test_a_mail_server_out_of_reach_is_left_alone_for_a_while(
    practice: Practice, post_office: PostOffice, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await practice.book()
    await practice.book()
    server = post_office.mail_server
    await post_office.stop()
    courier = practice.courier(server, pace=Pace(poll=0.01, trouble=60, grace=0.2))

    async with running(courier) as task:
        await until(lambda: " was not sent. The mail server could not be used" in caplog.text)
        await asyncio.sleep(0.2)
        attempts = [message.attempts for message in await practice.messages()]

        assert (attempts, task.done()) == ([1, 0], False)


async def test_a_database_that_fails_is_left_alone_for_a_while(
    practice: Practice, post_office: PostOffice, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await practice.book()
    await practice.wait_for_no_lock(monkeypatch)
    courier = practice.courier(post_office.mail_server, pace=Pace(poll=0.01, trouble=60, grace=0.2))

    with inspect(path_of(practice.database)).locked():
        async with running(courier):
            await until(lambda: "The outbox cannot be read or written" in caplog.text)
            await asyncio.sleep(0.5)
    inspect(path_of(practice.database)).execute(UNREADABLE)
    async with running(courier):
        await until(lambda: "The courier stumbled and goes on" in caplog.text)
        await asyncio.sleep(0.2)

    assert len(caplog.messages) == 2


async def test_a_connection_that_breaks_holds_up_no_other_letter(practice: Practice, post_office: PostOffice) -> None:
    async def cut_the_first(server: SMTP) -> str:
        return await cut(server) if post_office.connections == 1 else "250 OK"

    await practice.book()
    await practice.book()
    post_office.answers["RCPT"] = cut_the_first
    courier = practice.courier(post_office.mail_server)

    async with running(courier):
        await until(lambda: courier.sent == 1)

    assert await practice.statuses() == ["QUEUED", "SENT"]
