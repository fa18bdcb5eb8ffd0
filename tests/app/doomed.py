"""Is killed as soon as it has wiped somebody: python -m tests.app.doomed URL FOLDER EMAIL, or DAYS for those by age."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from sqlmodel import Session

from storage.database import database_of
from storage.retention.anonymizing import anonymize
from storage.retention.erasing import erase
from storage.retention.finding import PersonRequest, find_person
from storage.writes import WriteState

T = TypeVar("T")


def now() -> datetime:
    return datetime.now(UTC)


async def wipe(url: str, folder: str, whom: str) -> None:
    database = await database_of(url).open()
    write = database.write

    async def write_and_die(work: Callable[[Session], T], state: WriteState | None = None) -> T:
        await write(work, state)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("was killed")

    database.write = write_and_die  # type: ignore[method-assign]  # nothing of ours is slow enough to be hit there from outside
    if whom.isdigit():
        await anonymize(database, int(whom), now, mail=Path(folder))
    else:
        await erase(database, await find_person(database, PersonRequest(whom)), now, mail=Path(folder))


if __name__ == "__main__":
    asyncio.run(wipe(*sys.argv[1:]))
