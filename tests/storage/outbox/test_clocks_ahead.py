"""Mail that was queued, claimed or put off while the clock was ahead goes out once it is right."""

from datetime import timedelta

import pytest

from storage.instants import stored
from storage.outbox.claims import LEASE, LONGEST_DELAY
from tests.databases import path_of
from tests.inspection import inspect
from tests.storage.outbox.post_office import PostOffice
from tests.storage.outbox.practice import Practice


@pytest.mark.parametrize("ahead", [timedelta(minutes=30), timedelta(days=10)], ids=["half an hour", "ten days"])
async def test_mail_that_was_queued_while_the_clock_was_ahead_goes_out_with_the_date_of_the_present(
    practice: Practice, post_office: PostOffice, ahead: timedelta
) -> None:
    now = practice.clock.now
    practice.clock.now = now + ahead
    await practice.book()
    practice.clock.now = now

    delivered = await practice.courier(post_office.mail_server).deliver_once()

    [letter], [message] = post_office.letters, await practice.messages()
    assert (delivered, message.status, message.created) == (1, "SENT", now)
    assert letter["Date"] == f"{now:%a, %d %b %Y %H:%M:%S +0000}"


async def test_mail_that_was_claimed_or_put_off_while_the_clock_was_ahead_goes_out(
    practice: Practice, post_office: PostOffice
) -> None:
    now = practice.clock.now
    leased, late = await practice.book(), await practice.book()
    practice.clock.advance(days=365)
    moment = stored(practice.clock.now)
    inspect(path_of(practice.database)).execute(
        f"UPDATE outbox_messages SET leased_until = '{moment}' WHERE home_visit = '{leased}';"  # noqa: S608 - ours
        f"UPDATE outbox_messages SET due = '{moment}', attempts = 1 WHERE home_visit = '{late}'"
    )
    practice.clock.now = now

    delivered = await practice.courier(post_office.mail_server).deliver_once()

    assert (delivered, await practice.statuses()) == (2, ["SENT", "SENT"])


async def test_mail_that_is_put_off_or_leased_as_usual_waits(practice: Practice, post_office: PostOffice) -> None:
    leased, late = await practice.book(), await practice.book()
    moments = [stored(practice.clock.now + by) for by in (LEASE, LONGEST_DELAY * 5 / 4)]
    inspect(path_of(practice.database)).execute(
        f"UPDATE outbox_messages SET leased_until = '{moments[0]}' WHERE home_visit = '{leased}';"  # noqa: S608 - ours
        f"UPDATE outbox_messages SET due = '{moments[1]}' WHERE home_visit = '{late}'"
    )

    assert await practice.courier(post_office.mail_server).deliver_once() == 0
