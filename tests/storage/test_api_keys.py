"""What is kept of API keys: whom each stands for, when it was used, and that it was revoked."""

from datetime import timedelta
from pathlib import Path

from storage.api_keys import APIKey, APIKeys, caller_of
from storage.caller import Caller, Role
from storage.database import Database
from tests.storage.homes import NOW, ROWAN, WILLOW, Clock, rows_of


def key(name: str, *, locations: list[str] | None = None, created: int = 0) -> APIKey:
    return APIKey(
        key=name,
        account_id="1" * 24,
        subject=f"{name}-script",
        secret="encrypted",  # noqa: S106 - as it stands in the database
        roles=["COORDINATOR", "VIEWER"],
        locations=locations,
        allows_signature_1=False,
        created=NOW + timedelta(seconds=created),
    )


async def test_a_key_stands_for_a_caller(database: Database, clock: Clock) -> None:
    keys = APIKeys(database, clock)
    await keys.add(key("everywhere"))
    await keys.add(key("two-homes", locations=[WILLOW, ROWAN]))

    found = [await keys.find(name) for name in ("everywhere", "two-homes", "nowhere")]

    roles = frozenset({Role.COORDINATOR, Role.VIEWER})
    assert [one and caller_of(one) for one in found] == [
        Caller("everywhere-script", roles),
        Caller("two-homes-script", roles, frozenset({WILLOW, ROWAN})),
        None,
    ]


async def test_all_keys_of_a_database_have_one_account_id(database: Database, clock: Clock) -> None:
    keys = APIKeys(database, clock)
    new = [key("first"), key("second", created=1), key("third", created=2)]
    new[1].account_id, new[2].account_id = "2" * 24, "3" * 24

    alone = await keys.add_to_account(new[0])
    await keys.add(new[1])  # of a version that gave each its own
    third = await keys.add_to_account(new[2])

    assert (alone, third) == ("1" * 24, "1" * 24)
    assert [one.account_id for one in await keys.list()] == ["1" * 24, "2" * 24, "1" * 24]


async def test_a_key_that_was_revoked_is_listed_and_found_no_more(database: Database, clock: Clock) -> None:
    keys = APIKeys(database, clock)
    await keys.add(key("second", created=1))
    await keys.add(key("first"))
    clock.advance(minutes=5)

    revoked = [await keys.revoke(name) for name in ("second", "second", "third")]

    assert revoked == [True, False, False]
    assert [(one.key, one.revoked) for one in await keys.list()] == [("first", None), ("second", NOW + timedelta(minutes=5))]
    assert [await keys.find(name) is None for name in ("first", "second")] == [False, True]


async def test_the_latest_use_is_kept(database: Database, clock: Clock, path: Path) -> None:
    keys = APIKeys(database, clock)
    for name in ("a", "b", "c"):
        await keys.add(key(name))

    await keys.note_use({"a": NOW, "b": NOW + timedelta(seconds=5)})
    await keys.note_use({"b": NOW, "a": NOW + timedelta(seconds=1), "nowhere": NOW})

    kept = {row["key"]: row["last_used"] for row in rows_of(path, "api_keys")}
    assert kept == {"a": "2024-10-20T09:30:01", "b": "2024-10-20T09:30:05", "c": None}
