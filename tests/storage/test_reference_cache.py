"""What is remembered of records that many answers show: as it is now, whoever writes, and no more than fits."""

from pathlib import Path

import pytest
from sqlmodel import update

from storage import references as references_module
from storage.database import Database
from storage.models import User
from storage.references import References
from tests.inspection import inspect
from tests.storage.homes import ALICE, BOB, EVERYTHING


@pytest.fixture
def references(database: Database) -> References:
    return References(database, EVERYTHING, "Europe/London")


@pytest.mark.sqlite
async def test_what_visits_refer_to_is_remembered_until_somebody_writes(
    path: Path, database: Database, references: References
) -> None:
    async def first_names() -> list[str | None]:
        read = await references.load_referenced("user", [ALICE])
        return [user.first_name for user in (*read.values(), *references.cached("user", [ALICE]).values())]

    before = await first_names()
    await database.write(lambda session: session.exec(update(User).values(first_name="Alison")))
    forgotten = references.cached("user", [ALICE])
    changed = await first_names()
    inspect(path).execute("UPDATE users SET first_name = 'Al'")
    forgotten_again = references.cached("user", [ALICE])
    changed_by_others = await first_names()

    assert (before, changed, changed_by_others) == (["Alice"] * 2, ["Alison"] * 2, ["Al"] * 2)
    assert (forgotten, forgotten_again) == ({}, {})


async def test_what_was_read_before_a_write_is_not_remembered_after_it(database: Database, references: References) -> None:
    cache = database.reference_cache.get_or_reset("user")
    await database.write(lambda session: session.exec(update(User).values(first_name="Alison")))

    cache["read before"] = "Alice"

    assert database.reference_cache.get_or_reset("user") == {}


@pytest.mark.sqlite
async def test_no_more_is_remembered_than_fits(references: References, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references_module, "CACHED", 1)

    for id in (ALICE, BOB):
        await references.load_referenced("user", [id])

    assert list(references.cached("user", [ALICE, BOB])) == [BOB]


async def test_what_anybody_writes_is_read_at_once(path: Path, database: Database, references: References) -> None:
    names = []
    for name in ("Alison", "Al"):
        names += [user.first_name for user in (await references.load_referenced("user", [ALICE])).values()]
        inspect(path).execute(f"UPDATE users SET first_name = '{name}'")  # noqa: S608 - ours
    names += [user.first_name for user in (await references.load_referenced("user", [ALICE])).values()]

    assert names == ["Alice", "Alison", "Al"]


@pytest.mark.sqlite
async def test_nothing_is_remembered_where_it_cannot_be_told_who_wrote(database: Database, references: References) -> None:
    await references.load_referenced("user", [ALICE])
    before = list(references.cached("user", [ALICE]))
    await database.close()

    after = references.cached("user", [ALICE])

    assert (before, after) == ([ALICE], {})
