"""Letters that take a visit out of the calendar it was put in."""

from datetime import timedelta

import pytest
from aiosmtpd.smtp import SMTP

from storage.models import ConfirmationStatus
from storage.outbox.overview import Figures, figures, given_up, retry
from storage.outbox.transports import Unreachable
from tests.databases import path_of
from tests.inspection import inspect
from tests.storage.homes import VISIT_TIME
from tests.storage.outbox.post_office import PostOffice, cut, entry, facts, invitation, plain_text
from tests.storage.outbox.practice import WITHOUT_EMAIL, Practice

ELEVEN = "Sunday 3 November 2024 at 11:00 (GMT, Europe/London)"
TEXT = """\
Dear Ada Reid,

Your visit to Willow Court is cancelled.

When: Sunday 3 November 2024 at 11:00 (GMT, Europe/London)
How: In person, at Willow Court
Phone: +44 1632 960001

To arrange another visit, phone Willow Court on +44 1632 960001 or write to
willow.court@homes.example.

The invitation in this email takes the visit out of your calendar.

Kind regards,
Willow Court
"""


@pytest.fixture
async def invited(practice: Practice, post_office: PostOffice) -> str:
    """Return a visit to which an invitation was sent."""
    visit = await practice.book()
    await practice.courier(post_office.mail_server).deliver_once()
    return visit


async def test_an_invitation_that_was_sent_is_taken_back(practice: Practice, post_office: PostOffice, invited: str) -> None:
    await practice.cancel(invited)
    waiting = await practice.confirmation(invited)

    await practice.courier(post_office.mail_server).deliver_once()

    first, second = post_office.letters
    assert second["Subject"] == "Your visit to Willow Court on Sunday 3 November at 11:00 is cancelled"
    assert plain_text(second) == TEXT
    assert entry(second) == ("CANCEL", VISIT_TIME)
    (uid, number), (same_uid, higher) = map(invitation, (first, second))
    assert (uid, same_uid) == (invited, invited)
    assert number < higher
    assert b"STATUS:CANCELLED\r\n" in next(second.iter_attachments()).get_content()
    assert (waiting, await practice.confirmation(invited)) == ("QUEUED", "SENT")


async def test_without_asking_for_it_nothing_is_sent(practice: Practice, post_office: PostOffice, invited: str) -> None:
    await practice.visits.cancel(invited)

    assert await practice.statuses() == ["SENT"]
    assert await practice.confirmation(invited) == ConfirmationStatus.SENT


async def test_who_was_sent_nothing_is_not_written_to(practice: Practice, post_office: PostOffice) -> None:
    courier = practice.courier(post_office.mail_server)
    waiting, suppressed, impossible = [
        await practice.book(),
        await practice.book(suppressed=True),
        await practice.book(enquiry=WITHOUT_EMAIL),
    ]
    refused = await practice.book()
    await practice.visits.cancel(waiting, notify_care_seeker=True)
    post_office.answers["RCPT"] = "550 unknown"
    await courier.deliver_once()
    post_office.answers.clear()

    for visit in (suppressed, impossible, refused):
        await practice.cancel(visit)
    await courier.deliver_once()

    visits = {"WITHDRAWN": waiting, "SUPPRESSED": suppressed, "NOT_POSSIBLE": impossible, "FAILED": refused}
    assert {status: await practice.confirmation(visit) for status, visit in visits.items()} == {name: name for name in visits}
    assert (await practice.statuses(), post_office.letters) == (["WITHDRAWN", "FAILED"], [])


@pytest.mark.parametrize(("later", "statuses"), [(0, ["SENT"]), (-1, ["SENT", "FAILED"])])
async def test_a_visit_whose_time_has_passed_is_not_taken_back(
    practice: Practice, post_office: PostOffice, invited: str, later: int, statuses: list[str]
) -> None:
    practice.clock.now = VISIT_TIME + timedelta(seconds=later)
    await practice.cancel(invited)
    practice.clock.now = VISIT_TIME

    await practice.courier(post_office.mail_server).deliver_once()

    assert (await practice.statuses(), len(post_office.letters)) == (statuses, 1)
    assert await practice.confirmation(invited) == statuses[-1]


async def test_what_is_cancelled_is_the_time_that_was_sent(practice: Practice, post_office: PostOffice, invited: str) -> None:
    await practice.move(invited, hours=1)
    await practice.move(invited, hours=1, suppressed=True)
    await practice.cancel(invited)

    await practice.courier(post_office.mail_server).deliver_once()

    assert await practice.statuses() == ["SENT", "WITHDRAWN", "SENT"]
    assert entry(post_office.letters[1]) == ("CANCEL", VISIT_TIME)
    assert facts(post_office.letters[1])["When"] == ELEVEN


async def test_an_address_that_was_removed_makes_it_impossible(practice: Practice, invited: str) -> None:
    await practice.family(email=None)

    await practice.cancel(invited)

    assert await practice.statuses() == ["SENT"]
    assert await practice.confirmation(invited) == ConfirmationStatus.NOT_POSSIBLE


@pytest.mark.parametrize(("answer", "statuses"), [("250 OK", ["SENT", "SENT"]), ("451 later", ["WITHDRAWN", "NOT_REQUIRED"])])
async def test_an_invitation_on_its_way_is_taken_back_once_it_has_arrived(
    practice: Practice, post_office: PostOffice, answer: str, statuses: list[str]
) -> None:
    visit = await practice.book()
    other, overtaken = practice.courier(post_office.mail_server), []

    async def cancel_meanwhile(server: SMTP) -> str:
        post_office.answers.clear()
        await practice.cancel(visit)
        overtaken.append(await other.deliver_once())
        return answer

    post_office.answers["RCPT"] = cancel_meanwhile
    courier = practice.courier(post_office.mail_server)
    await courier.deliver_once()
    await courier.deliver_once()

    assert (overtaken, await practice.statuses()) == ([0], statuses)
    assert [entry(letter)[0] for letter in post_office.letters] == (["REQUEST", "CANCEL"] if answer == "250 OK" else [])
    assert await practice.confirmation(visit) == statuses[-1]


async def test_it_is_tried_again_as_any_other_letter(practice: Practice, post_office: PostOffice, invited: str) -> None:
    courier = practice.courier(post_office.mail_server)
    await practice.cancel(invited)
    post_office.answers["DATA"] = cut
    with pytest.raises(Unreachable):
        await courier.deliver_once()
    post_office.answers.clear()
    practice.clock.advance(hours=1)

    await courier.deliver_once()

    _, first, copy = post_office.letters
    assert first.as_bytes() == copy.as_bytes()
    assert await practice.confirmation(invited) == ConfirmationStatus.SENT


async def test_one_that_was_given_up_is_still_of_use(practice: Practice, post_office: PostOffice, invited: str) -> None:
    courier = practice.courier(post_office.mail_server)
    await practice.cancel(invited)
    post_office.answers["RCPT"] = "550 unknown"
    await courier.deliver_once()
    post_office.answers.clear()
    [message] = await given_up(practice.database)
    counted = await figures(practice.database, practice.clock())

    tried = await retry(practice.database, [message.id], practice.clock())
    await courier.deliver_once()

    assert (counted, tried) == (Figures(0, 0.0, 1), [message.id])
    assert entry(post_office.letters[1]) == ("CANCEL", VISIT_TIME)
    assert await practice.confirmation(invited) == ConfirmationStatus.SENT


async def test_one_that_was_given_up_is_of_no_use_once_the_visits_time_has_passed(
    practice: Practice, post_office: PostOffice, invited: str
) -> None:
    courier = practice.courier(post_office.mail_server)
    await practice.move(invited, hours=-1, suppressed=True)
    await practice.cancel(invited)
    post_office.answers["RCPT"] = "550 unknown"
    await courier.deliver_once()
    post_office.answers.clear()
    practice.clock.now = VISIT_TIME - timedelta(hours=1)

    await retry(practice.database, [message.id for message in await practice.messages()], practice.clock())
    await courier.deliver_once()

    assert (await practice.statuses(), len(post_office.letters)) == (["SENT", "FAILED"], 1)


async def test_an_anonymization_withdraws_it(practice: Practice, post_office: PostOffice, invited: str) -> None:
    await practice.cancel(invited)

    await practice.anonymize(invited)
    await practice.courier(post_office.mail_server).deliver_once()

    assert (await practice.statuses(), len(post_office.letters)) == (["SENT", "WITHDRAWN"], 1)
    assert await practice.confirmation(invited) == ConfirmationStatus.WITHDRAWN


async def test_a_visit_that_is_pending_again_is_not_told_to_be_cancelled(
    practice: Practice, post_office: PostOffice, invited: str
) -> None:
    await practice.cancel(invited)
    inspect(path_of(practice.database)).execute("UPDATE home_visits SET cancelled = NULL")

    await practice.courier(post_office.mail_server).deliver_once()

    assert (await practice.statuses(), len(post_office.letters)) == (["SENT", "WITHDRAWN"], 1)


async def test_a_visit_that_is_pending_again_after_its_cancellation_was_sent_is_booked(
    practice: Practice, post_office: PostOffice, invited: str
) -> None:
    courier = practice.courier(post_office.mail_server)
    await practice.cancel(invited)
    await courier.deliver_once()
    inspect(path_of(practice.database)).execute("UPDATE home_visits SET cancelled = NULL, date_time = '2024-11-03T10:00:00'")

    await practice.move(invited, hours=1)
    await courier.deliver_once()

    assert [entry(letter) for letter in post_office.letters] == [
        ("REQUEST", VISIT_TIME),
        ("CANCEL", VISIT_TIME),
        ("REQUEST", VISIT_TIME),
    ]
    assert post_office.letters[2]["Subject"] == "Your visit to Willow Court on Sunday 3 November at 11:00"
    numbers = [invitation(letter)[1] for letter in post_office.letters]
    assert numbers == sorted(set(numbers))
