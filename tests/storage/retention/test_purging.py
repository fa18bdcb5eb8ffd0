"""What wipes do after the tables: letters, what cannot be removed, and how much one transaction takes on."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import Session, select, update

from storage.database import Database, Remains, Wiped
from storage.models import HomeVisit
from storage.outbox.messages import OutboxMessage
from storage.repository import HomeVisits
from storage.retention import anonymizing, wiping
from storage.retention.anonymizing import CHARACTERS, anonymize, batches, due_visits
from storage.retention.marks import unpurged
from tests.storage.homes import EVANS, REID, Clock, booking, events_of, rows_of

YEAR = 365


async def wiped_visit(visits: HomeVisits, clock: Clock) -> None:
    await visits.complete((await visits.book(booking(notes="Ada is frail."))).id)
    clock.advance(days=YEAR, seconds=1)


async def test_a_mail_folder_that_cannot_be_read_is_named_and_keeps_nothing_else_from_being_purged(
    visits: HomeVisits, database: Database, clock: Clock, tmp_path: Path
) -> None:
    await wiped_visit(visits, clock)
    mail = tmp_path / "mail"
    mail.touch()

    report = await anonymize(database, YEAR, clock, mail=mail)

    assert (report.wiped, report.is_done, await unpurged(database)) == (Wiped(1, 1, 1), False, [])
    assert report.remains.to_repeat == (
        f"{mail} may hold what was wiped, and cannot be removed: Not a directory. Give this user permission, and run it again.",
    )


async def test_a_letter_that_cannot_be_removed_is_named_and_the_others_are_removed(
    visits: HomeVisits, database: Database, clock: Clock, path: Path, tmp_path: Path
) -> None:
    await wiped_visit(visits, clock)
    [letter] = (row["id"] for row in rows_of(path, "outbox_messages"))
    mail = tmp_path / "mail"
    (mail / f"{letter}.eml").mkdir(parents=True)
    (mail / f"{letter}.part").touch()

    report = await anonymize(database, YEAR, clock, mail=mail)

    [sentence] = report.remains.to_repeat
    assert sentence.startswith(f"{mail}/{letter}.eml may hold what was wiped, and cannot be removed: ")
    assert [file.name for file in mail.iterdir()] == [f"{letter}.eml"]


async def test_letters_that_the_database_does_not_know_are_named(
    visits: HomeVisits, database: Database, clock: Clock, tmp_path: Path
) -> None:
    await visits.book(booking(care_enquiry=EVANS))
    mail = tmp_path / "mail"
    mail.mkdir()
    (mail / f"{'e' * 24}.eml").touch()

    report = await anonymize(database, YEAR, clock, mail=mail)

    unknown = (f"{mail} holds 1 letters of no visit in this database, such as {'e' * 24}.eml: delete them.",)
    assert (report.remains, report.is_done) == (Remains(to_delete=unknown), False)


async def test_what_was_killed_before_it_purged_is_purged_by_the_next(
    visits: HomeVisits, database: Database, clock: Clock, tmp_path: Path
) -> None:
    await wiped_visit(visits, clock)

    def wipe(session: Session) -> None:
        ids = session.exec(select(HomeVisit.id)).all()
        wiping.wipe_due(session, ids, clock(), "retention", clock())

    await database.write(wipe)
    marks = await unpurged(database)
    report = await anonymize(database, YEAR, clock, mail=tmp_path / "mail")

    assert (len(marks) > 0, report.wiped, report.is_done, await unpurged(database)) == (True, Wiped(), True, [])


async def test_a_wipe_that_is_rolled_back_leaves_no_mark(database: Database, clock: Clock) -> None:
    def wipe(session: Session) -> None:
        wiping.wipe_enquiries(session, [REID], clock())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(wipe)

    assert await unpurged(database) == []


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([1, 1, CHARACTERS - 2], [[0, 1, 2]]),
        ([1, 1, CHARACTERS - 1], [[0, 1], [2]]),
        ([2 * CHARACTERS, 1, 2 * CHARACTERS], [[0], [1], [2]]),
        ([CHARACTERS, CHARACTERS], [[0], [1]]),
    ],
)
def test_a_transaction_takes_on_so_many_characters_or_one_visit(lengths: list[int], expected: list[list[int]]) -> None:
    rows = [(number, number, None, None, length) for number, length in enumerate(lengths)]

    assert [list(batch) for batch in batches(rows)] == expected


async def test_the_characters_of_notes_and_events_count(visits: HomeVisits, database: Database, clock: Clock, path: Path) -> None:
    visit = await visits.book(booking(notes="Ada is frail."))
    await visits.complete(visit.id)

    found = [rows async for rows in due_visits(database, clock.advance(days=1))]

    [[(_, id, *_, characters)]] = found
    changes = [len(event["changes"]) for event in events_of(path)]
    assert (id, characters) == (visit.id, 2 * len("Ada is frail.") + sum(changes))


async def test_only_what_was_left_is_tried_again(
    visits: HomeVisits, database: Database, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anonymizing, "RETRY_SECONDS", 0.01)
    await wiped_visit(visits, clock)
    until = clock() + timedelta(seconds=30)
    await database.write(lambda session: session.exec(update(OutboxMessage).values(leased_until=until)))
    statements = []

    for retries in (1, 5):
        monkeypatch.setattr(anonymizing, "MAX_RETRIES", retries)
        before = database.statement_count
        report = await anonymize(database, YEAR, clock, mail=tmp_path / "mail")
        statements.append((report.left, report.is_done, database.statement_count - before))

    assert statements == [(1, False, statements[0][2])] * 2
