"""Several couriers, and visits that change while their letter is on its way."""

import asyncio
import contextlib
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from email.message import EmailMessage

import pytest
import sqlalchemy as sa
from aiosmtpd.smtp import SMTP

from storage.errors import DatabaseBusy
from storage.models import ConfirmationStatus
from storage.outbox.claims import claim
from storage.outbox.courier import Courier, Pace
from storage.outbox.transports import Unreachable
from tests.databases import is_sqlite, path_of
from tests.inspection import inspect
from tests.storage.homes import NOW
from tests.storage.outbox.post_office import PostOffice, entry, hang, invitation, until
from tests.storage.outbox.practice import Practice
from tests.storage.outbox.records import LETTERHEAD

STAMP = "2024-10-20T09:30:00Z"


async def test_what_was_sent_although_the_visit_was_moved_meanwhile_is_told_in_order(
    practice: Practice, post_office: PostOffice
) -> None:
    visit = await practice.book()
    first, second = practice.courier(post_office.mail_server), practice.courier(post_office.mail_server)
    overtaken: list[int] = []
    confirmations: list[str] = []

    async def move_and_try_to_overtake(server: SMTP) -> str:
        confirmations.append(await practice.confirmation(visit))
        if len(confirmations) == 1:
            await practice.move(visit, hours=1)
            overtaken.append(await second.deliver_once())
        return "250 OK"

    post_office.answers["DATA"] = move_and_try_to_overtake

    delivered = await first.deliver_once()

    assert (overtaken, delivered) == ([0], 2)
    first_number, second_number = [sequence for _, sequence in map(invitation, post_office.letters)]
    assert first_number < second_number
    assert [letter["Subject"].partition(" ")[0] for letter in post_office.letters] == ["Your", "New"]
    assert await practice.statuses() == ["SENT", "SENT"]
    assert [*confirmations, await practice.confirmation(visit)] == ["QUEUED", "QUEUED", "SENT"]


@pytest.mark.parametrize(("answer", "status"), [("250 OK", "SENT"), ("451 later", "WITHDRAWN"), ("550 unknown", "WITHDRAWN")])
async def test_a_visit_that_is_cancelled_while_its_letter_is_on_the_way_tells_what_became_of_it(
    practice: Practice, post_office: PostOffice, answer: str, status: str
) -> None:
    visit = await practice.book()

    async def cancel_meanwhile(server: SMTP) -> str:
        await practice.visits.cancel(visit)
        return answer

    post_office.answers["DATA"] = cancel_meanwhile
    await practice.courier(post_office.mail_server).deliver_once()

    [message] = await practice.messages()
    assert (message.status, message.leased_until) == (status, None)
    assert await practice.confirmation(visit) == status


async def test_a_letter_that_was_sent_before_a_suppressed_move_does_not_hide_that_it_was_suppressed(
    practice: Practice, post_office: PostOffice
) -> None:
    visit = await practice.book()

    async def move_meanwhile(server: SMTP) -> str:
        await practice.move(visit, hours=1, suppressed=True)
        return "250 OK"

    post_office.answers["DATA"] = move_meanwhile
    await practice.courier(post_office.mail_server).deliver_once()

    assert await practice.statuses() == ["SENT"]
    assert await practice.confirmation(visit) == ConfirmationStatus.SUPPRESSED


async def test_the_notes_of_a_visit_are_not_even_read_for_its_letter(practice: Practice) -> None:
    await practice.book()

    claimed = await practice.database.write(lambda session: claim(session, NOW, due_by=NOW))

    assert claimed is not None
    assert sa.inspect(claimed.visit).unloaded == {"notes", "notes_folded"}


async def test_two_couriers_share_the_work_and_send_nothing_twice(practice: Practice, post_office: PostOffice) -> None:
    visits = [await practice.book() for _ in range(20)]
    couriers = [practice.courier(post_office.mail_server) for _ in range(2)]

    delivered = await asyncio.gather(*(courier.deliver_once() for courier in couriers))

    assert sum(delivered) == 20
    assert min(delivered) > 0
    assert sorted(uid for uid, _ in map(invitation, post_office.letters)) == sorted(visits)


async def test_a_lost_lease_lets_another_courier_send_and_keeps_what_it_found(
    practice: Practice, post_office: PostOffice
) -> None:
    visit = await practice.book()
    slow, other = practice.courier(post_office.mail_server), practice.courier(post_office.mail_server)

    async def too_slow(server: SMTP) -> str:
        if post_office.connections > 1:
            return "250 OK"
        practice.clock.advance(seconds=60)
        await other.deliver_once()
        return "550 unknown"

    post_office.answers["RCPT"] = too_slow
    delivered = await slow.deliver_once()

    assert (delivered, slow.given_up, other.sent) == (0, 0, 1)
    assert await practice.statuses() == ["SENT"]
    assert await practice.confirmation(visit) == ConfirmationStatus.SENT


@pytest.mark.parametrize(("answer", "status"), [("451 later", "QUEUED"), ("250 OK", "SENT")])
async def test_a_lost_lease_does_not_end_that_of_another_courier(
    practice: Practice, post_office: PostOffice, answer: str, status: str
) -> None:
    await practice.book()
    slow, other = practice.courier(post_office.mail_server), practice.courier(post_office.mail_server)
    slow_is_done, couriers = asyncio.Event(), []

    async def too_slow(server: SMTP) -> str:
        if post_office.connections > 1:
            await slow_is_done.wait()
            return "250 OK"
        practice.clock.advance(seconds=60)
        couriers.append(asyncio.ensure_future(other.deliver_once()))
        await until(lambda: post_office.connections == 2)
        return answer

    post_office.answers["RCPT"] = too_slow
    await slow.deliver_once()
    [message] = await practice.messages()
    slow_is_done.set()
    delivered = await couriers[0]

    assert (message.status, message.leased_until) == (status, NOW + timedelta(seconds=120))
    assert (message.due, message.reasons) == (NOW, "")
    assert (delivered, await practice.statuses()) == (1, ["SENT"])


async def test_what_was_sent_twice_was_sent_the_first_time(practice: Practice, post_office: PostOffice) -> None:
    await practice.book()
    slow, other = practice.courier(post_office.mail_server), practice.courier(post_office.mail_server)

    async def too_slow(server: SMTP) -> str:
        if post_office.connections == 1:
            practice.clock.advance(seconds=60)
            await other.deliver_once()
            practice.clock.advance(seconds=5)
        return "250 OK"

    post_office.answers["RCPT"] = too_slow
    await slow.deliver_once()

    [message] = await practice.messages()
    assert (len(post_office.letters), message.status, message.ended) == (2, "SENT", NOW + timedelta(seconds=60))


@pytest.mark.parametrize("cancelled", [False, True])
async def test_what_needed_no_letter_is_decided_again_once_it_is_known_that_another_was_sent(
    practice: Practice, post_office: PostOffice, cancelled: bool
) -> None:
    visit = await practice.book()
    slow, other = practice.courier(post_office.mail_server), practice.courier(post_office.mail_server)
    if not cancelled:
        await slow.deliver_once()
        await practice.move(visit, hours=1)
    meanwhile: list[str] = []

    async def too_slow(server: SMTP) -> str:
        post_office.answers.clear()
        await (practice.cancel(visit) if cancelled else practice.move(visit, hours=-1))
        practice.clock.advance(seconds=60)
        await other.deliver_once()
        meanwhile.append(await practice.confirmation(visit))
        return "250 OK"

    post_office.answers["RCPT"] = too_slow
    await slow.deliver_once()
    await slow.deliver_once()

    assert meanwhile == ["NOT_REQUIRED"]
    expected = [("REQUEST", 11), ("CANCEL", 11)] if cancelled else [("REQUEST", 11), ("REQUEST", 12), ("REQUEST", 11)]
    assert [(method, start.hour) for method, start in map(entry, post_office.letters)] == expected
    assert (set(await practice.statuses()), await practice.confirmation(visit)) == ({"SENT"}, "SENT")


async def test_a_courier_that_stood_still_beyond_its_lease_sends_nothing(practice: Practice, post_office: PostOffice) -> None:
    await practice.book()

    def clock_that_runs_while_the_courier_stands_still() -> datetime:
        return practice.clock.advance(seconds=60)

    await practice.courier(post_office.mail_server, clock=clock_that_runs_while_the_courier_stands_still).deliver_once()

    [message] = await practice.messages()
    assert (message.status, message.attempts, post_office.connections) == (ConfirmationStatus.QUEUED, 1, 0)
    assert message.reasons.endswith(" This process stood still for so long that another may be sending it.")


async def test_a_lease_keeps_others_away_until_it_ends(practice: Practice, post_office: PostOffice) -> None:
    await practice.book()
    crashed, other = practice.courier(post_office.mail_server, timeout=0.3), practice.courier(post_office.mail_server)
    post_office.answers["RCPT"] = hang
    sending = asyncio.ensure_future(crashed.deliver_once())
    await until(lambda: post_office.connections == 1)

    practice.clock.advance(seconds=59.999)
    within = await other.deliver_once()
    del post_office.answers["RCPT"]
    practice.clock.advance(seconds=0.001)
    afterwards = await other.deliver_once()
    await asyncio.gather(sending, return_exceptions=True)

    assert (within, afterwards) == (0, 1)
    assert await practice.statuses() == ["SENT"]


async def test_a_server_that_answers_just_in_time_each_time_cannot_outlast_the_lease(
    practice: Practice, post_office: PostOffice
) -> None:
    await practice.book()
    post_office.answers["RCPT"] = hang
    courier = practice.courier(post_office.mail_server, lease=timedelta(seconds=0.2))

    with pytest.raises(Unreachable):
        await courier.deliver_once()

    [message] = await practice.messages()
    assert (message.status, message.leased_until) == (ConfirmationStatus.QUEUED, None)
    assert message.reasons == f"{STAMP} The mail server took too long."


class Deaf:
    """A transport that loses its first cancellation, as `asyncio.wait_for` of Python 3.11 may."""

    async def send(self, _letter: EmailMessage) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)


async def test_a_lost_cancellation_cannot_outlast_the_lease(practice: Practice) -> None:
    await practice.book()
    courier = practice.courier(Deaf(), lease=timedelta(seconds=0.2))

    async with asyncio.timeout(5):
        with pytest.raises(Unreachable, match=r"^The mail server took too long\.$"):
            await courier.deliver_once()

    [message] = await practice.messages()
    assert (message.status, message.leased_until) == (ConfirmationStatus.QUEUED, None)


class Slow:
    """A transport that has sent a letter when nine tenths of a lease are over."""

    def __init__(self, lease: timedelta) -> None:
        self._seconds = lease.total_seconds() * 0.9

    async def send(self, _letter: EmailMessage) -> None:
        # Timers of one loop run in the order of their times, however busy the machine.
        sent = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(self._seconds, sent.set)
        try:
            await sent.wait()
        finally:
            timer.cancel()


async def test_sending_is_cut_off_while_the_lease_leaves_time_to_write_down_what_became_of_it(practice: Practice) -> None:
    await practice.book()
    lease = timedelta(seconds=0.2)
    courier = Courier(practice.database, Slow(lease), LETTERHEAD, clock=practice.clock, lease=lease)

    with pytest.raises(Unreachable):
        await courier.deliver_once()

    [message] = await practice.messages()
    assert (message.status, message.reasons) == (ConfirmationStatus.QUEUED, f"{STAMP} The mail server took too long.")


async def test_writing_down_that_a_letter_was_sent_is_given_up_only_when_the_lease_is_over(
    practice: Practice, post_office: PostOffice, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await practice.book()
    await practice.wait_for_no_lock(monkeypatch)
    other, began = ExitStack(), time.monotonic()

    async def lock(server: SMTP) -> str:
        other.enter_context(inspect(path_of(practice.database)).locked())
        return "250 OK"

    def failures() -> int:
        return sum("is not written down yet" in message for message in caplog.messages)

    def clock() -> datetime:
        return NOW + failures() * timedelta(seconds=30)

    post_office.answers["DATA"] = lock
    courier = practice.courier(post_office.mail_server, clock=clock, pace=Pace(0.5, 0.01, 0.2))
    with other, pytest.raises(DatabaseBusy):
        await asyncio.wait_for(courier.deliver_once(), 20)

    assert failures() == 2
    assert time.monotonic() - began > 2 * 0.5
    [message] = await practice.messages()
    assert (message.status, message.leased_until) == (ConfirmationStatus.QUEUED, NOW + timedelta(seconds=60))


@pytest.mark.slow
async def test_a_database_that_is_locked_for_long_does_not_make_a_letter_go_twice(
    practice: Practice, post_office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    await practice.book()
    other = ExitStack()
    # PostgreSQL gives up a lock after 2 seconds, and the write is attempted 5 times.
    longer_than_a_write_waits = 7 if is_sqlite() else 12

    async def lock(server: SMTP) -> str:
        other.enter_context(inspect(path_of(practice.database)).locked())
        asyncio.get_running_loop().call_later(longer_than_a_write_waits, other.close)
        return "250 OK"

    post_office.answers["DATA"] = lock
    delivered = await practice.courier(post_office.mail_server).deliver_once()

    assert (delivered, len(post_office.letters), await practice.statuses()) == (1, 1, ["SENT"])
    assert [message for message in caplog.messages if "is not written down yet" in message] != []
