"""What a letter tells is measured against the last one that was sent, by the time a courier claims it."""

from datetime import timedelta
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP

from storage.models import ConfirmationStatus
from storage.outbox.transports import Unreachable
from tests import databases
from tests.databases import copied, database_at, path_of
from tests.inspection import inspect
from tests.storage.homes import NOW, VISIT_TIME
from tests.storage.outbox.post_office import PostOffice, cut, entry, facts, invitation
from tests.storage.outbox.practice import Practice

ELEVEN, NOON, ONE = (f"Sunday 3 November 2024 at {hour}:00 (GMT, Europe/London)" for hour in (11, 12, 13))


def times(post_office: PostOffice) -> list[tuple[str | None, str | None]]:
    """Return the old and the new time of each letter that arrived."""
    tables = map(facts, post_office.letters)
    return [(table.get("Old time"), table.get("New time") or table.get("When")) for table in tables]


async def test_a_visit_that_is_moved_before_anybody_was_sent_its_time_is_booked(
    practice: Practice, post_office: PostOffice
) -> None:
    visit = await practice.book()
    await practice.move(visit, hours=1)

    await practice.courier(post_office.mail_server).deliver_once()

    [letter] = post_office.letters
    assert letter["Subject"] == "Your visit to Willow Court on Sunday 3 November at 12:00"
    assert times(post_office) == [(None, NOON)]


@pytest.mark.parametrize("silently", [True, False])
async def test_a_visit_that_is_moved_twice_has_moved_from_the_time_that_was_sent(
    practice: Practice, post_office: PostOffice, silently: bool
) -> None:
    visit = await practice.book()
    courier = practice.courier(post_office.mail_server)
    await courier.deliver_once()
    await practice.move(visit, hours=1, suppressed=silently)
    await practice.move(visit, hours=1)

    await courier.deliver_once()

    assert times(post_office) == [(None, ELEVEN), (ELEVEN, ONE)]


async def test_a_visit_that_is_booked_silently_and_moved_is_booked(practice: Practice, post_office: PostOffice) -> None:
    visit = await practice.book(suppressed=True)
    await practice.move(visit, hours=1)

    await practice.courier(post_office.mail_server).deliver_once()

    assert times(post_office) == [(None, NOON)]


async def test_a_refused_letter_was_not_sent(practice: Practice, post_office: PostOffice) -> None:
    visit = await practice.book()
    courier = practice.courier(post_office.mail_server)
    post_office.answers["RCPT"] = "550 unknown"
    await courier.deliver_once()
    post_office.answers.clear()
    await practice.move(visit, hours=1)

    await courier.deliver_once()

    assert times(post_office) == [(None, NOON)]


@pytest.mark.parametrize("answer", ["nothing was tried", "451 later", "550 unknown"])
async def test_a_visit_that_is_moved_back_needs_no_letter(practice: Practice, post_office: PostOffice, answer: str) -> None:
    visit = await practice.book()
    courier = practice.courier(post_office.mail_server)
    await courier.deliver_once()
    await practice.move(visit, hours=1)
    if answer != "nothing was tried":
        post_office.answers["RCPT"] = answer
        await courier.deliver_once()
        post_office.answers.clear()

    await practice.move(visit, hours=-1)
    waiting = await practice.confirmation(visit)
    await courier.deliver_once()

    assert (waiting, await practice.confirmation(visit)) == (ConfirmationStatus.QUEUED, ConfirmationStatus.NOT_REQUIRED)
    assert await practice.statuses() == ["SENT", "WITHDRAWN", "NOT_REQUIRED"]
    assert times(post_office) == [(None, ELEVEN)]


@pytest.mark.parametrize(("seconds", "read_alike"), [(59, True), (1, True), (60, False), (-1, False)])
async def test_times_that_read_the_same_need_no_letter(
    practice: Practice, post_office: PostOffice, seconds: int, read_alike: bool
) -> None:
    visit = await practice.book()
    courier = practice.courier(post_office.mail_server)
    await courier.deliver_once()

    await practice.move(visit, seconds=seconds)
    await courier.deliver_once()

    assert await practice.confirmation(visit) == ("NOT_REQUIRED" if read_alike else "SENT")
    assert len(post_office.letters) == (1 if read_alike else 2)
    assert len(set(times(post_office))) == len(post_office.letters)


async def test_a_form_that_cuts_the_seconds_moves_nothing_to_read(practice: Practice, post_office: PostOffice) -> None:
    visit = await practice.book(time=VISIT_TIME + timedelta(seconds=30))
    courier = practice.courier(post_office.mail_server)
    await courier.deliver_once()

    await practice.move(visit, seconds=-30)
    await courier.deliver_once()
    await practice.move(visit, hours=1)
    await courier.deliver_once()

    assert await practice.statuses() == ["SENT", "NOT_REQUIRED", "SENT"]
    assert times(post_office) == [(None, ELEVEN), (ELEVEN, NOON)]


@pytest.mark.parametrize(("answer", "old"), [("250 OK", ELEVEN), ("451 later", None), ("550 unknown", None)])
async def test_what_becomes_of_a_letter_on_its_way_decides_what_the_next_one_tells(
    practice: Practice, post_office: PostOffice, answer: str, old: str | None
) -> None:
    visit = await practice.book()

    async def move_meanwhile(server: SMTP) -> str:
        post_office.answers.clear()
        await practice.move(visit, hours=1)
        return answer

    post_office.answers["RCPT"] = move_meanwhile
    courier = practice.courier(post_office.mail_server)
    await courier.deliver_once()
    await courier.deliver_once()

    assert times(post_office)[-1] == (old, NOON)
    assert await practice.confirmation(visit) == ConfirmationStatus.SENT


async def test_what_is_moved_back_while_a_letter_is_on_its_way_is_told_once_that_has_arrived(
    practice: Practice, post_office: PostOffice
) -> None:
    visit = await practice.book()
    courier = practice.courier(post_office.mail_server)
    await courier.deliver_once()
    await practice.move(visit, hours=1)

    async def move_back_meanwhile(server: SMTP) -> str:
        post_office.answers.clear()
        await practice.move(visit, hours=-1)
        return "250 OK"

    post_office.answers["DATA"] = move_back_meanwhile
    await courier.deliver_once()
    await courier.deliver_once()

    assert times(post_office) == [(None, ELEVEN), (ELEVEN, NOON), (NOON, ELEVEN)]
    assert await practice.confirmation(visit) == ConfirmationStatus.SENT


async def test_copies_are_the_same_however_late_they_are(practice: Practice, post_office: PostOffice) -> None:
    visit = await practice.book()
    courier = practice.courier(post_office.mail_server)
    await courier.deliver_once()
    await practice.move(visit, hours=1)
    post_office.answers["DATA"] = cut
    with pytest.raises(Unreachable):
        await courier.deliver_once()
    post_office.answers.clear()
    practice.clock.advance(hours=5)

    await courier.deliver_once()

    _, first, copy = post_office.letters
    assert first.as_bytes() == copy.as_bytes()


async def restored(practice: Practice, copy: Path) -> Practice:
    """Put a backup in the place of a database, and go on with it."""
    await practice.database.close()
    databases.replace(path_of(practice.database), copy)
    return await reopened(practice, timedelta(seconds=1))


async def reopened(practice: Practice, later: timedelta = timedelta(0)) -> Practice:
    again = Practice(await database_at(path_of(practice.database)).open())
    again.clock.now = practice.clock() + later
    return again


@pytest.mark.parametrize("what_waits", ["nothing", "the booking"])
async def test_numbers_grow_beyond_those_that_a_restored_backup_has_forgotten(
    practice: Practice, post_office: PostOffice, tmp_path: Path, what_waits: str
) -> None:
    visit = await practice.book()
    if what_waits == "nothing":
        await practice.courier(post_office.mail_server).deliver_once()
    await practice.database.close()
    backup = copied(path_of(practice.database), tmp_path / "backup.db")
    practice = await reopened(practice)
    for _ in range(3):
        await practice.move(visit, hours=1)
        practice.clock.advance(minutes=1)
        await practice.courier(post_office.mail_server).deliver_once()
    last = invitation(post_office.letters[-1])[1]

    practice = await restored(practice, backup)
    if what_waits == "nothing":
        await practice.move(visit, hours=1)
    await practice.courier(post_office.mail_server).deliver_once()
    await practice.move(visit, hours=1)
    await practice.courier(post_office.mail_server).deliver_once()
    *_, first, second = [invitation(letter)[1] for letter in post_office.letters]
    await practice.database.close()

    assert last < first < second < 2**31


async def test_numbers_grow_where_several_letters_leave_within_a_second(practice: Practice, post_office: PostOffice) -> None:
    visit = await practice.book()
    courier = practice.courier(post_office.mail_server)
    for _ in range(4):
        await courier.deliver_once()
        practice.clock.advance(milliseconds=100)
        await practice.move(visit, hours=1)
    practice.clock.advance(hours=-5)
    await practice.move(visit, hours=1)
    practice.clock.advance(hours=5)
    await courier.deliver_once()

    numbers = [invitation(letter)[1] for letter in post_office.letters]
    assert len(numbers) == 5
    assert numbers == sorted(set(numbers))


async def test_a_visit_whose_letters_were_numbered_by_its_version_goes_on_above_them(
    practice: Practice, post_office: PostOffice
) -> None:
    visit = await practice.book()
    courier = practice.courier(post_office.mail_server)
    await courier.deliver_once()
    inspect(path_of(practice.database)).execute("UPDATE outbox_messages SET sequence = 7")

    await practice.move(visit, hours=1)
    await courier.deliver_once()

    [_, moved] = await practice.messages()
    assert moved.sequence > 7
    assert (await practice.statuses(), NOW) == (["SENT", "SENT"], moved.created)
    assert entry(post_office.letters[1]) == ("REQUEST", VISIT_TIME + timedelta(hours=1))
