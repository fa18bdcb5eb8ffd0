"""Keys that were revoked since a backup was made stay revoked when it is put back."""

from datetime import timedelta
from pathlib import Path

import pytest

from storage.api_keys import APIKeys
from storage.database import opened
from storage.sqlite.backup import backup, restore
from storage.sqlite.database import SQLiteDatabase
from tests.storage.homes import NOW, Clock, migrate_to, rows_of
from tests.storage.test_api_keys import key


def revoked_in(path: Path) -> dict[str, str | None]:
    return {row["key"]: row["revoked"] for row in rows_of(path, "api_keys")}


@pytest.fixture
async def keys(database: SQLiteDatabase, clock: Clock, path: Path, tmp_path: Path) -> APIKeys:
    """The keys of a database of which a backup was made before its second one was revoked, and its third made."""
    keys = APIKeys(database, clock)
    for name in ("revoked before", "revoked since", "not revoked"):
        await keys.add(key(name))
    await keys.revoke("revoked before")
    backup(path, tmp_path / "copy.db")
    clock.advance(minutes=5)
    await keys.revoke("revoked since")
    await keys.add(key("made since"))
    await keys.revoke("made since")
    await database.close()
    return keys


@pytest.mark.usefixtures("keys")
async def test_what_was_revoked_since_stays_so(path: Path, tmp_path: Path) -> None:
    database = SQLiteDatabase(path)

    kept = restore(tmp_path / "copy.db", path)

    assert kept is not None
    assert database.revoked_since(kept, tmp_path / "copy.db") == {"revoked since": "2024-10-20T09:35:00"}
    assert revoked_in(path) == {
        "revoked before": "2024-10-20T09:30:00",
        "revoked since": "2024-10-20T09:35:00",
        "not revoked": None,
    }
    assert NOW + timedelta(minutes=5) in [one.revoked for one in await opened(database, lambda it: APIKeys(it, Clock()).list())]


@pytest.mark.usefixtures("keys")
def test_where_the_database_is_damaged_nobody_can_tell(path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"\xa5" * 8192)

    kept = restore(tmp_path / "copy.db", path)

    assert kept is not None
    assert SQLiteDatabase(path).revoked_since(kept, tmp_path / "copy.db") is None
    assert revoked_in(path)["revoked since"] is None


@pytest.mark.usefixtures("keys")
def test_a_backup_from_before_there_were_keys_has_none(path: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    migrate_to("0011", old)

    assert SQLiteDatabase(path).revoked_since(path, old) == {}
    path.write_bytes(b"\xa5" * 8192)
    assert SQLiteDatabase(path).revoked_since(path, old) == {}
    restore(old, path)
    assert SQLiteDatabase(path).revoked_since(path, tmp_path / "copy.db") == {}
