"""What a restore says of those whose data are back with the backup, whatever the database before it was."""

import asyncio
from pathlib import Path

import pytest

from storage import migrations
from storage.models import ServiceUserContact
from storage.retention.anonymizing import anonymize
from storage.retention.erasing import ACTOR, erase
from storage.retention.finding import Person
from storage.retention.restored import describe_restored
from storage.sqlite.backup import backup, restore
from storage.sqlite.database import SQLiteDatabase
from tests.inspection import inspect
from tests.storage.homes import DAUGHTER, EVANS, FORGOTTEN, REID, Clock, keep, visit
from tests.storage.sqlite.handling import opened

NEXT = int(migrations.HEAD) + 1
COUSIN, NEIGHBOUR = "7" * 24, "8" * 24


async def erased(path: Path, person: Person, clock: Clock) -> None:
    async with opened(path) as database:
        await erase(database, person, clock, mail=path.parent / "mail")


@pytest.mark.parametrize(
    ("serves_from", "sentence"),
    [
        (int(migrations.HEAD), "Wiped since it was made, and back with it: 0 visits, 1 care enquiry and 1 contact."),
        (NEXT, "Whether anything was wiped since it was made, nobody can tell"),
    ],
    ids=["a newer version that added something", "a newer version that changed something"],
)
def test_a_restore_in_the_place_of_a_newer_version_ends_well(path: Path, copy: Path, serves_from: int, sentence: str) -> None:
    asyncio.run(erased(path, Person(frozenset({REID}), frozenset()), Clock()))
    inspect(path).execute(f"UPDATE alembic_version SET version_num = '{NEXT:04}'; PRAGMA user_version = {serves_from}")  # noqa: S608 - our own

    kept = restore(copy, path)
    description = describe_restored(SQLiteDatabase(path), copy, kept)

    assert description.splitlines()[1].startswith(sentence)
    assert (f"  app.py person --care-enquiry {REID} --erase" in description) == (serves_from < NEXT)


async def test_a_contact_who_was_erased_is_named_also_where_their_family_had_gone_by_age(path: Path, tmp_path: Path) -> None:
    clock, copy = Clock(), tmp_path / "copy.db"
    async with opened(path) as database:
        await keep(database, *[ServiceUserContact(id=id, care_enquiry=of) for id, of in ((COUSIN, FORGOTTEN), (NEIGHBOUR, REID))])
        expected = [visit(1, care_enquiry=EVANS, service_user_contact=DAUGHTER)]
        expected += [visit(2, care_enquiry=EVANS, service_user_contact=COUSIN)]
        await keep(database, *expected, visit(3, care_enquiry=REID, completed=clock()))
        backup(path, copy)
        clock.advance(days=365, seconds=1)
        await anonymize(database, 365, clock, mail=tmp_path / "mail")
        clock.advance(days=1)
        await erase(database, Person(frozenset(), frozenset({DAUGHTER, COUSIN})), clock, mail=tmp_path / "mail")

    kept = restore(copy, path)

    assert kept is not None
    since = SQLiteDatabase(path).wiped_since(kept, ACTOR)
    assert since is not None
    assert (since.wiped, since.care_enquiries, since.contacts) == ((3, 1, 3), [], [DAUGHTER, COUSIN])
