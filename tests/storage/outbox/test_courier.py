"""What becomes of a message: sent, tried again, withdrawn or given up, over a real mail server."""

import logging
from datetime import timedelta

import pytest
from aiosmtpd.smtp import SMTP

from storage.models import ConfirmationStatus
from storage.outbox.claims import next_attempt
from storage.outbox.letter import Letterhead
from storage.outbox.transports import Unreachable
from tests.databases import path_of
from tests.inspection import inspect
from tests.storage.homes import NOW
from tests.storage.outbox.post_office import PostOffice, cut, hang, invitation
from tests.storage.outbox.practice import Practice
from tests.storage.outbox.records import LETTERHEAD

STAMP = "2024-10-20T09:30:00Z"


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

    (booked, first), (moved, second) = map(invitation, post_office.letters)
    assert booked == moved == visit
    assert first < second
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


async def test_a_refused_recipient_is_given_up_with_the_reason(
    practice: Practice, post_office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    visit = await practice.book()
    courier = practice.courier(post_office.mail_server)
    post_office.answers["RCPT"] = "550 5.1.1 unknown"

    delivered = await courier.deliver_once()

    [message] = await practice.messages()
    assert (delivered, courier.sent, courier.given_up) == (0, 0, 1)
    assert (message.status, message.ended, message.attempts) == (ConfirmationStatus.FAILED, NOW, 1)
    assert message.reasons == f"{STAMP} The mail server refused the recipient: 550 5.1.1 unknown"
    assert caplog.messages == [
        f"Message {message.id} of visit {visit} was given up. The mail server refused the recipient: 550 5.1.1 unknown"
    ]
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
    assert sent.reasons == f"{STAMP} The mail server did not take the recipient: 451 4.2.1 try later"


@pytest.mark.parametrize(
    ("attempts", "delay"),
    [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 960), (7, 1920), (8, 3600), (9, 3600), (1000, 3600)],
)
def test_tries_come_ever_later_up_to_every_hour(attempts: int, delay: int) -> None:
    assert next_attempt(attempts, NOW, 0.0) == NOW + timedelta(seconds=delay)
    assert next_attempt(attempts, NOW, 1.0) == NOW + timedelta(seconds=delay * 1.25)


@pytest.mark.parametrize(("passed", "status"), [(46.9, "QUEUED"), (47.0, "FAILED")])
async def test_a_letter_is_given_up_after_two_days(
    practice: Practice, post_office: PostOffice, passed: float, status: str
) -> None:
    await practice.book()
    await practice.amend(attempts=20, reasons="\n".join(f"{STAMP} reason {number}" for number in range(10)))
    post_office.answers["DATA"] = "451 later"
    practice.clock.advance(hours=passed)

    await practice.courier(post_office.mail_server).deliver_once()

    [message] = await practice.messages()
    reasons = message.reasons.splitlines()
    assert (message.status, message.attempts) == (status, 21)
    assert (len(reasons), reasons[0]) == (10, f"{STAMP} reason 1")
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


@pytest.mark.parametrize("ago", [timedelta(days=1), timedelta(0)], ids=str)
async def test_a_visit_that_is_recorded_afterwards_is_not_confirmed(
    practice: Practice, post_office: PostOffice, ago: timedelta
) -> None:
    booked = await practice.book(time=NOW - ago)
    moved = await practice.book(time=NOW + timedelta(hours=1))
    await practice.move(moved, hours=-1, seconds=-ago.total_seconds())

    delivered = await practice.courier(post_office.mail_server).deliver_once()

    assert delivered == 0
    assert await practice.statuses() == ["WITHDRAWN"]
    assert [await practice.confirmation(visit) for visit in (booked, moved)] == ["NOT_REQUIRED"] * 2


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
    inspect(path_of(practice.database)).execute(f"UPDATE home_visits SET {change}")  # noqa: S608 - of the cases above

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
    assert message.reasons == f"{STAMP} The care seeker has no usable email address any more."
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
    assert sorted(uid for uid, _ in map(invitation, post_office.letters)) == sorted(visits)
    assert {message.attempts for message in await practice.messages()} == {1, 2}


async def test_each_message_is_tried_once_however_long_it_takes(practice: Practice, post_office: PostOffice) -> None:
    await practice.book()
    await practice.book()

    async def take_an_hour(server: SMTP) -> str:
        practice.clock.advance(hours=1)
        return "451 later"

    post_office.answers["RCPT"] = take_an_hour
    await practice.courier(post_office.mail_server).deliver_once()

    assert [message.attempts for message in await practice.messages()] == [1, 1]


async def test_a_letter_that_cannot_be_made_is_tried_again_and_holds_up_nothing(
    practice: Practice, post_office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    await practice.book()
    await practice.care_home(time_zone=None)

    # As where the files of the time zones went with a change of the machine.
    await practice.courier(post_office.mail_server, letterhead=Letterhead(LETTERHEAD.sender, "Gone/Away")).deliver_once()

    [message] = await practice.messages()
    assert (message.status, post_office.connections) == (ConfirmationStatus.QUEUED, 0)
    assert message.reasons == f"{STAMP} The email could not be made and sent: ZoneInfoNotFoundError"


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
