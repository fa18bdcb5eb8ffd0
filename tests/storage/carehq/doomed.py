"""An import in a process of its own, in batches of ten, which kills itself in its last transaction or right after it.

python -m tests.storage.carehq.doomed DATABASE FILE TRANSACTIONS before|after LARGE
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlmodel import Session

from storage.carehq import importing
from storage.sqlite.database import SQLiteDatabase
from storage.writes import WriteState
from tests.storage.carehq.taking import take

T = TypeVar("T")


class DoomedDatabase(SQLiteDatabase):
    def __init__(self, path: Path, transactions: int, moment: str) -> None:
        super().__init__(path)
        self._last = transactions
        self._moment = moment

    async def write(self, work: Callable[[Session], T], state: WriteState | None = None) -> T:
        is_last = self.transaction_count + 1 == self._last

        def work_and_die(session: Session) -> T:
            done = work(session)
            if is_last and self._moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        done = await super().write(work_and_die, state)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return done


async def main(path: str, file: str, transactions: str, moment: str, large: str) -> None:
    importing.BATCH = 10
    importing.LARGE = int(large)
    database = await DoomedDatabase(Path(path), int(transactions), moment).open()
    try:
        await take(database, Path(file))
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
