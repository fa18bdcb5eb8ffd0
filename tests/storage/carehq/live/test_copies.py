"""How far an account is followed goes along with what was read of it, into another database and into a backup."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from storage.carehq.live.follower import Follower
from storage.carehq.live.link import Link
from storage.carehq.live.writing import LiveHomeVisits
from storage.errors import UpstreamInDoubt
from storage.sqlite.backup import backup, restore
from tests import world
from tests.databases import database_at, path_of
from tests.inspection import inspect
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.faulty import Fault
from tests.storage.carehq.live.test_following import BOOKING, documents

ROOT = Path(__file__).parents[4]
MOVE = """
import sys
from storage.database import database_of
from storage.moving import move_to

move_to(database_of(sys.argv[2]), database_of(sys.argv[1]))
"""


async def book_in_doubt(followed: Followed) -> None:
    await followed.follower().follow_once()
    followed.proxy.faults = [Fault.CUT_AFTER, Fault.FAIL]
    with pytest.raises(UpstreamInDoubt):
        await followed.here.book(BOOKING, idempotency_key="k")


@pytest.mark.sqlite  # what a process of its own imports is the same on both
async def test_a_move_takes_watermark_and_intents_along(followed: Followed, tmp_path: Path) -> None:
    await book_in_doubt(followed)
    await followed.database.close()
    source, target = path_of(followed.database), tmp_path / "moved.db"

    command = [sys.executable, "-c", MOVE, f"sqlite:///{source}", f"sqlite:///{target}"]
    await asyncio.to_thread(subprocess.run, command, cwd=ROOT, check=True)

    for table in ("carehq_account", "carehq_walks", "carehq_intents"):
        before, after = [sorted(inspect(path).records(table), key=repr) for path in (source, target)]
        assert after == before != []
    followed.database = moved = await database_at(target).open()
    link = Link(moved, followed.carehq, followed.clock)
    visit = await LiveHomeVisits(link, moved, world.EVERYBODY, followed.clock).book(BOOKING, idempotency_key="k")
    assert [request for request in followed.proxy.passed if request[0] == "PUT"] == [("PUT", "/v1/home-visits")]
    assert await followed.there.get(visit.id) is not None


@pytest.mark.sqlite  # PostgreSQL is backed up by its own programs
async def test_a_restored_database_goes_on_from_where_it_was(followed: Followed, tmp_path: Path) -> None:
    await followed.follower().follow_once()
    path = path_of(followed.database)
    backup(path, tmp_path / "copy.db")
    booked = await followed.here.book(BOOKING)
    await followed.there.cancel(world.PENDING)
    await followed.database.close()

    restore(tmp_path / "copy.db", path)

    followed.database = restored = await database_at(path).open()
    followed.clock.added += timedelta(seconds=61)
    before = len(followed.proxy.requests)
    await Follower(restored, followed.carehq, followed.clock).follow_once()
    assert booked.id in {document["_id"] for document in await documents(restored)}
    assert await documents(restored) == await documents(followed.gateway.database)
    # Two lists for who is new, and one page of visits, with nobody in it who is not known.
    assert len(followed.proxy.requests) - before == 3
