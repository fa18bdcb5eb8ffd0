"""What becomes of a message: sent, tried again, withdrawn or given up, over a real mail server."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from email.message import EmailMessage

import pytest
from aiosmtpd.smtp import SMTP
from icalendar import Calendar

from storage.models import ConfirmationStatus
from storage.outbox.claims import next_try
from storage.outbox.courier import Courier
from storage.outbox.transports import Unreachable
from tests.storage.homes import NOW, VISIT_TIME
from tests.storage.outbox.post_office import PostOffice, cut, hang
from tests.storage.outbox.practice import Practice
from tests.storage.outbox.records import LETTERHEAD

AT_NIGHT = "2024-10-20T09:30:00Z"


@asynccontextmanager
async def running(courier: Courier) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.ensure_future(courier.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for knows of no events
            await asyncio.sleep(0.01)


def invitation(letter: EmailMessage) -> tuple[str, int]:
    [part] = [part for part in letter.walk() if part.get_content_type() == "text/calendar"]
    [event] = Calendar.from_ical(part.get_content()).events
    return event["UID"], event["SEQUENCE"]


async def test_a_booking_is_confirmed(practice: Practice, post_office: PostOffice) -> None:
    visit = await practice.book()
    courier = practice.courier(post_office.mail_server)

    delivered = await courier.deliver_once()

    [message], [letter] = await practice.messages(), post_office.letters
    assert (delivered, courier.sent, courier.given_up) == (1, 1, 0)
    assert letter["Subject"] == "Your visit to Willow Court on Sunday 3 November at 11:00"
    assert letter["Message-ID"] == f"<{message.id}@homes.example>"
    assert post_office.recipients == ["ada@family.example"]
    assert (message.status, message.ended, message.leased_until) == (ConfirmationStatus.SENT, NOW, None)
    assert await practice.confirmation(visit) == ConfirmationStatus.SENT


async def test_what_was_sent_is_not_sent_again(practice: Practice, post_office: PostOffice) -> None:
    await practice.book()
    courier = practice.courier(post_office.mail_server)

    delivered = [await courier.deliver_once(), await courier.deliver_once()]

    assert delivered == [1, 0]
    assert len(post_office.letters) == 1


async def test_a_move_moves_the_entry_in_the_calendar(practice: Practice, post_office: PostOffice) -> None:
    visit = await practice.book()
    courier = practice.courier(post_office.mail_server)

    await courier.deliver_once()
    await practice.move(visit, hours=1)
    await courier.deliver_once()

    booked, moved = map(invitation, post_office.letters)
    assert booked == (f"home-visit-{visit}", 0)
    assert moved == (f"home-visit-{visit}", 1)
    assert post_office.letters[1]["Subject"] == "New time for your visit to Willow Court: Sunday 3 November at 12:00"


async def test_a_letter_tells_what_is_known_when_it_is_sent(practice: Practice, post_office: PostOffice) -> None:
    await practice.book()
    await practice.family(first_name="Zoë", email="zoe@family.example")
    await practice.care_home(name="Elm House", time_zone="Asia/Dubai")

    await practice.courier(post_office.mail_server).deliver_once()

    [letter] = post_office.letters
    assert post_office.recipients == ["zoe@family.example"]
    assert letter["Subject"] == "Your visit to Elm House on Sunday 3 November at 15:00"
    assert "Dear Zoë Reid," in letter.get_body(("plain",)).get_content()


async def test_a_refused_recipient_is_given_up_with_the_reason(practice: Practice, post_office: PostOffice) -> None:
    visit = await practice.book()
    courier = practice.courier(post_office.mail_server)
    post_office.answers["RCPT"] = "550 5.1.1 unknown"

    delivered = await courier.deliver_once()

    [message] = await practice.messages()
    assert (delivered, courier.sent, courier.given_up) == (0, 0, 1)
    assert (message.status, message.ended, message.attempts) == (ConfirmationStatus.FAILED, NOW, 1)
    assert message.reasons == f"{AT_NIGHT} The mail server refused the recipient: 550 5.1.1 unknown"
    assert await practice.confirmation(visit) == ConfirmationStatus.FAILED


async def test_one_refused_recipient_does_not_hold_up_the_others(practice: Practice, post_office: PostOffice) -> None:
    async def refuse_the_first(server: SMTP) -> str:
        return "550 unknown" if post_office.connections == 1 else "250 OK"

    await practice.book()
    await practice.book()
    post_office.answers["RCPT"] = refuse_the_first

    delivered = await practice.courier(post_office.mail_server).deliver_once()

    assert delivered == 1
    assert await practice.statuses() == ["FAILED", "SENT"]


async def test_a_letter_is_tried_again_later_and_then_sent(practice: Practice, post_office: PostOffice) -> None:
    visit = await practice.book()
    courier = practice.courier(post_office.mail_server)
    post_office.answers["RCPT"] = "451 4.2.1 try later"
    await courier.deliver_once()
    [waiting] = await practice.messages()
    confirmation = await practice.confirmation(visit)

    del post_office.answers["RCPT"]
    practice.clock.advance(seconds=29.999)
    early = await courier.deliver_once()
    practice.clock.advance(seconds=0.001)
    in_time = await courier.deliver_once()

    [sent] = await practice.messages()
    assert (waiting.status, waiting.due, waiting.leased_until) == ("QUEUED", NOW + timedelta(seconds=30), None)
    assert (confirmation, early, in_time) == (ConfirmationStatus.QUEUED, 0, 1)
    assert (sent.status, sent.attempts) == (ConfirmationStatus.SENT, 2)
    assert sent.reasons == f"{AT_NIGHT} The mail server did not take the recipient: 451 4.2.1 try later"


@pytest.mark.parametrize(
    ("attempts", "delay"),
    [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 960), (7, 1920), (8, 3600), (9, 3600), (1000, 3600)],
)
def test_tries_come_ever_later_up_to_every_hour(attempts: int, delay: int) -> None:
    assert next_try(attempts, NOW, 0.0) == NOW + timedelta(seconds=delay)
    assert next_try(attempts, NOW, 1.0) == NOW + timedelta(seconds=delay * 1.25)


@pytest.mark.parametrize(("passed", "status"), [(46.9, "QUEUED"), (47.0, "FAILED")])
async def test_a_letter_is_given_up_after_two_days(
    practice: Practice, post_office: PostOffice, passed: float, status: str
) -> None:
    await practice.book()
    await practice.amend(attempts=20, reasons="\n".join(f"{AT_NIGHT} reason {number}" for number in range(10)))
    post_office.answers["DATA"] = "451 later"
    practice.clock.advance(hours=passed)

    await practice.courier(post_office.mail_server).deliver_once()

    [message] = await practice.messages()
    reasons = message.reasons.splitlines()
    assert (message.status, message.attempts) == (status, 21)
    assert (len(reasons), reasons[0]) == (10, f"{AT_NIGHT} reason 1")
    assert reasons[9].endswith("Z The mail server did not take the email: 451 later")


async def test_jitter_spreads_those_that_failed_together(practice: Practice, post_office: PostOffice) -> None:
    await practice.book()
    post_office.answers["DATA"] = "451 later"

    await practice.courier(post_office.mail_server, jitter=lambda: 1.0).deliver_once()

    [message] = await practice.messages()
    assert message.due == NOW + timedelta(seconds=37.5)


async def test_a_letter_is_given_up_when_the_next_try_would_come_after_the_visit(
    practice: Practice, post_office: PostOffice
) -> None:
    await practice.book(time=NOW + timedelta(seconds=30))
    post_office.answers["DATA"] = "451 later"

    await practice.courier(post_office.mail_server).deliver_once()

    assert await practice.statuses() == ["FAILED"]


async def test_a_letter_that_nobody_could_send_in_time_is_given_up(practice: Practice, post_office: PostOffice) -> None:
    visit = await practice.book(time=NOW + timedelta(hours=1))
    practice.clock.advance(hours=1)

    await practice.courier(post_office.mail_server).deliver_once()

    [message] = await practice.messages()
    assert post_office.letters == []
    assert message.reasons == "2024-10-20T10:30:00Z There was no time left to send it."
    assert await practice.confirmation(visit) == ConfirmationStatus.FAILED


async def test_a_visit_that_is_recorded_afterwards_is_confirmed(practice: Practice, post_office: PostOffice) -> None:
    await practice.book(time=NOW - timedelta(days=1))
    practice.clock.advance(minutes=1)

    delivered = await practice.courier(post_office.mail_server).deliver_once()

    assert delivered == 1


@pytest.mark.parametrize("ending", ["cancel", "complete", "move"])
async def test_a_withdrawn_message_is_never_sent(practice: Practice, post_office: PostOffice, ending: str) -> None:
    visit = await practice.book()
    if ending == "move":
        await practice.move(visit, hours=1, suppressed=True)
    else:
        await getattr(practice.visits, ending)(visit)

    delivered = await practice.courier(post_office.mail_server).deliver_once()

    assert delivered == 0
    assert (await practice.statuses(), post_office.connections) == (["WITHDRAWN"], 0)


@pytest.mark.parametrize(
    "change",
    ["date_time = '2024-11-04T11:00:00'", "cancelled = '2024-10-20T09:30:00'", "completed = '2024-10-20T09:30:00'"],
)
async def test_a_message_that_is_not_true_any_more_is_withdrawn_whoever_changed_the_visit(
    practice: Practice, post_office: PostOffice, change: str
) -> None:
    visit = await practice.book()
    with closing(sqlite3.connect(practice.database.path)) as other, other:
        other.execute(f"UPDATE home_visits SET {change}")  # noqa: S608 - of the cases above

    await practice.courier(post_office.mail_server).deliver_once()

    assert (await practice.statuses(), post_office.connections) == (["WITHDRAWN"], 0)
    assert await practice.confirmation(visit) == ConfirmationStatus.WITHDRAWN


async def test_a_family_that_was_anonymized_gets_no_letter(practice: Practice, post_office: PostOffice) -> None:
    visit = await practice.book()
    await practice.family(anonymized=NOW)

    await practice.courier(post_office.mail_server).deliver_once()

    assert (await practice.statuses(), post_office.connections) == (["WITHDRAWN"], 0)
    assert await practice.confirmation(visit) == ConfirmationStatus.WITHDRAWN


async def test_an_address_that_was_removed_meanwhile_is_told_as_the_reason(practice: Practice, post_office: PostOffice) -> None:
    visit = await practice.book()
    await practice.family(email=None)
    courier = practice.courier(post_office.mail_server)

    await courier.deliver_once()

    [message] = await practice.messages()
    assert message.reasons == f"{AT_NIGHT} The care seeker has no usable email address any more."
    assert (await practice.confirmation(visit), courier.given_up) == (ConfirmationStatus.FAILED, 1)


@pytest.mark.parametrize(("step", "arrived"), [("MAIL", 0), ("RCPT", 0), ("DATA", 1)])
@pytest.mark.parametrize("trouble", [cut, hang])
async def test_a_connection_that_breaks_is_tried_again_with_the_same_letter(
    practice: Practice, post_office: PostOffice, step: str, arrived: int, trouble: str
) -> None:
    await practice.book()
    courier = practice.courier(post_office.mail_server, timeout=0.3)
    post_office.answers[step] = trouble
    with pytest.raises(Unreachable):
        await courier.deliver_once()
    after_the_break = await practice.statuses()

    del post_office.answers[step]
    practice.clock.advance(seconds=30)
    await courier.deliver_once()

    assert (after_the_break, await practice.statuses()) == (["QUEUED"], ["SENT"])
    assert len(post_office.letters) == arrived + 1
    assert len({letter.as_bytes() for letter in post_office.letters}) == 1


async def test_an_outage_loses_nothing(practice: Practice, post_office: PostOffice) -> None:
    port = post_office.port
    courier = practice.courier(post_office.mail_server)
    await post_office.stop()
    visits = [await practice.book() for _ in range(5)]
    for _ in range(3):
        with pytest.raises(Unreachable):
            await courier.deliver_once()
        practice.clock.advance(minutes=1)

    await post_office.start(port)
    practice.clock.advance(hours=1)
    delivered = await courier.deliver_once()

    assert delivered == 5
    assert sorted(uid for uid, _ in map(invitation, post_office.letters)) == sorted(f"home-visit-{id}" for id in visits)
    assert {message.attempts for message in await practice.messages()} == {1, 2}


async def test_what_was_sent_although_the_visit_was_moved_meanwhile_is_told_in_order(
    practice: Practice, post_office: PostOffice
) -> None:
    visit = await practice.book()
    first, second = practice.courier(post_office.mail_server), practice.courier(post_office.mail_server)
    overtaken: list[int] = []
    told: list[str] = []

    async def move_and_try_to_overtake(server: SMTP) -> str:
        told.append(await practice.confirmation(visit))
        if len(told) == 1:
            await practice.move(visit, hours=1)
            overtaken.append(await second.deliver_once())
        return "250 OK"

    post_office.answers["DATA"] = move_and_try_to_overtake

    delivered = await first.deliver_once()

    assert (overtaken, delivered) == ([0], 2)
    assert [sequence for _, sequence in map(invitation, post_office.letters)] == [0, 1]
    assert await practice.statuses() == ["SENT", "SENT"]
    assert [*told, await practice.confirmation(visit)] == ["QUEUED", "QUEUED", "SENT"]


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


async def test_two_couriers_share_the_work_and_send_nothing_twice(practice: Practice, post_office: PostOffice) -> None:
    visits = [await practice.book() for _ in range(20)]
    couriers = [practice.courier(post_office.mail_server) for _ in range(2)]

    delivered = await asyncio.gather(*(courier.deliver_once() for courier in couriers))

    assert sum(delivered) == 20
    assert min(delivered) > 0
    assert sorted(uid for uid, _ in map(invitation, post_office.letters)) == sorted(f"home-visit-{id}" for id in visits)


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


async def test_a_lost_lease_does_not_end_that_of_another_courier(practice: Practice, post_office: PostOffice) -> None:
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
        return "451 later"

    post_office.answers["RCPT"] = too_slow
    await slow.deliver_once()
    [message] = await practice.messages()
    slow_is_done.set()
    delivered = await couriers[0]

    assert (message.leased_until, message.due, message.reasons) == (NOW + timedelta(seconds=120), NOW, "")
    assert (delivered, await practice.statuses()) == (1, ["SENT"])


async def test_each_message_is_tried_once_however_long_it_takes(practice: Practice, post_office: PostOffice) -> None:
    await practice.book()
    await practice.book()

    async def take_an_hour(server: SMTP) -> str:
        practice.clock.advance(hours=1)
        return "451 later"

    post_office.answers["RCPT"] = take_an_hour
    await practice.courier(post_office.mail_server).deliver_once()

    assert [message.attempts for message in await practice.messages()] == [1, 1]


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
    assert message.reasons == f"{AT_NIGHT} The mail server took too long."


@pytest.mark.slow
async def test_a_database_that_is_locked_for_long_does_not_make_a_letter_go_twice(
    practice: Practice, post_office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    await practice.book()
    other = sqlite3.connect(practice.database.path, isolation_level=None)

    async def lock(server: SMTP) -> str:
        other.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(7, other.execute, "ROLLBACK")
        return "250 OK"

    post_office.answers["DATA"] = lock
    delivered = await practice.courier(post_office.mail_server).deliver_once()
    other.close()

    assert (delivered, len(post_office.letters), await practice.statuses()) == (1, 1, ["SENT"])
    assert [message for message in caplog.messages if "is not written down yet" in message] != []


async def test_a_letter_that_cannot_be_made_is_tried_again_and_holds_up_nothing(
    practice: Practice, post_office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    await practice.book(time=VISIT_TIME.replace(year=9999, month=12, day=31, hour=23))
    await practice.care_home(time_zone="Asia/Tokyo")

    await practice.courier(post_office.mail_server).deliver_once()

    [message] = await practice.messages()
    assert (message.status, post_office.connections) == (ConfirmationStatus.QUEUED, 0)
    assert message.reasons == f"{AT_NIGHT} The email could not be made and sent: OverflowError"


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
    with closing(sqlite3.connect(practice.database.path)) as other:
        other.execute("ALTER TABLE outbox_messages RENAME TO elsewhere")
        async with running(courier) as task:
            await until(lambda: "The courier stumbled and goes on" in caplog.messages)
            other.execute("ALTER TABLE elsewhere RENAME TO outbox_messages")
            await practice.book()
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
    courier = asyncio.ensure_future(practice.courier(post_office.mail_server).run())
    await until(lambda: post_office.connections == 1)

    courier.cancel()
    async with asyncio.timeout(1):
        with pytest.raises(asyncio.CancelledError):
            await courier

    [message] = await practice.messages()
    assert (message.status, message.leased_until) == (ConfirmationStatus.QUEUED, NOW + timedelta(seconds=60))


async def test_what_the_courier_logs_names_no_family(
    practice: Practice, post_office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "storage")
    courier = practice.courier(post_office.mail_server)
    visit = await practice.book()
    post_office.answers["RCPT"] = "451 ada@family.example is busy"
    await courier.deliver_once()
    practice.clock.advance(hours=1)
    del post_office.answers["RCPT"]
    await courier.deliver_once()

    [message] = await practice.messages()
    assert [record.getMessage() for record in caplog.records if record.name.startswith("storage")] == [
        f"Message {message.id} of visit {visit} was not sent. The mail server did not take the recipient: 451 … is busy",
        f"Message {message.id} of visit {visit} was sent",
    ]
    assert LETTERHEAD.sender.address not in caplog.text
