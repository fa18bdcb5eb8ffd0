"""What staff see of the outbox, and what they can do about it."""

from datetime import timedelta

import pytest

from storage.models import ConfirmationStatus
from storage.outbox.overview import Figures, figures, given_up, retry, waiting
from tests.storage.homes import NOW, VISIT_TIME
from tests.storage.outbox.post_office import PostOffice
from tests.storage.outbox.practice import Practice

REASON = "2024-10-20T09:30:00Z The mail server refused the recipient: 550 unknown"


@pytest.fixture
async def refused(practice: Practice, post_office: PostOffice) -> str:
    """Return a visit whose message was given up."""
    visit = await practice.book()
    post_office.answers["RCPT"] = "550 unknown"
    await practice.courier(post_office.mail_server).deliver_once()
    del post_office.answers["RCPT"]
    return visit


async def test_what_waits_is_listed_oldest_first(practice: Practice) -> None:
    first = await practice.book()
    practice.clock.advance(minutes=1)
    second = await practice.book()
    practice.clock.advance(minutes=1)
    await practice.move(first, hours=1)

    listed = await waiting(practice.database)

    assert [(message.home_visit, message.created, message.date_time) for message in listed] == [
        (second, NOW + timedelta(minutes=1), VISIT_TIME),
        (first, NOW + timedelta(minutes=2), VISIT_TIME + timedelta(hours=1)),
    ]


async def test_what_was_given_up_is_listed_with_its_reason(practice: Practice, refused: str) -> None:
    [message] = await given_up(practice.database)

    assert (message.home_visit, message.reasons, message.ended) == (refused, REASON, NOW)
    assert await waiting(practice.database) == []


async def test_what_was_given_up_is_tried_again_when_staff_say_so(
    practice: Practice, post_office: PostOffice, refused: str
) -> None:
    [message] = await given_up(practice.database)
    practice.clock.advance(days=3)

    tried = await retry(practice.database, [message.id, "0" * 24], practice.clock())
    confirmation = await practice.confirmation(refused)
    delivered = await practice.courier(post_office.mail_server).deliver_once()

    assert (tried, confirmation, delivered) == ([message.id], ConfirmationStatus.QUEUED, 1)
    assert await practice.confirmation(refused) == ConfirmationStatus.SENT
    [sent] = await practice.messages()
    assert (sent.attempts, sent.reasons) == (1, REASON)


async def test_a_message_that_staff_try_again_has_two_more_days(
    practice: Practice, post_office: PostOffice, refused: str
) -> None:
    [message] = await given_up(practice.database)
    practice.clock.advance(days=3)
    post_office.answers["RCPT"] = "451 later"

    await retry(practice.database, [message.id], practice.clock())
    await practice.courier(post_office.mail_server).deliver_once()

    [waits] = await waiting(practice.database)
    assert waits.due == NOW + timedelta(days=3, seconds=30)
    assert waits.give_up == NOW + timedelta(days=5)
    assert (message.ended, waits.ended) == (NOW, None)


@pytest.mark.parametrize("ending", ["cancel", "complete"])
async def test_a_message_of_a_visit_that_has_ended_is_of_no_use_any_more(practice: Practice, refused: str, ending: str) -> None:
    [message] = await given_up(practice.database)
    await getattr(practice.visits, ending)(refused)

    tried = await retry(practice.database, [message.id], NOW)

    assert (tried, await given_up(practice.database)) == ([], [])
    assert await practice.confirmation(refused) == ConfirmationStatus.FAILED


async def test_a_message_that_a_move_has_overtaken_is_of_no_use_any_more(practice: Practice, refused: str) -> None:
    [message] = await given_up(practice.database)
    await practice.move(refused, hours=1)

    tried = await retry(practice.database, [message.id], NOW)

    assert (tried, await given_up(practice.database)) == ([], [])
    assert await practice.statuses() == ["WITHDRAWN", "QUEUED"]


async def test_only_what_was_given_up_is_tried_again(practice: Practice, post_office: PostOffice) -> None:
    await practice.book()
    await practice.courier(post_office.mail_server).deliver_once()
    await practice.book()
    ids = [message.id for message in await practice.messages()]

    tried = await retry(practice.database, ids, NOW)

    assert tried == []
    assert await practice.statuses() == ["SENT", "QUEUED"]


async def test_the_figures_of_an_outbox(practice: Practice, refused: str) -> None:
    empty_but_for_one = await figures(practice.database, practice.clock())
    await practice.book()
    practice.clock.advance(seconds=90)
    await practice.book()

    assert empty_but_for_one == Figures(waiting=0, oldest_seconds=0.0, given_up=1)
    assert await figures(practice.database, practice.clock()) == Figures(waiting=2, oldest_seconds=90.0, given_up=1)
