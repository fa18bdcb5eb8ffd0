"""A courier in a process of its own, which kills itself at the step it is told to.

python -m tests.storage.outbox.doomed DATABASE PORT STEP
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import TypeVar

from sqlmodel import Session

from storage.instants import clock
from storage.outbox.courier import Courier, Pace
from storage.outbox.server import Encryption, MailServer
from storage.outbox.transports import Smtp
from storage.sqlite.database import SQLiteDatabase
from storage.writes import WriteState
from tests.databases import database_at
from tests.storage.homes import NOW
from tests.storage.outbox.records import LETTERHEAD

T = TypeVar("T")

LEASE = timedelta(seconds=3)


class DoomedDatabase(SQLiteDatabase):
    """The first transaction is the claim, the second marks what became of it."""

    def __init__(self, path: Path, step: str) -> None:
        super().__init__(path)
        self._step = step
        self._writes = iter(("claiming", "marking"))

    async def write(self, work: Callable[[Session], T], state: WriteState | None = None) -> T:
        step = next(self._writes, "")

        def work_and_die(session: Session) -> T:
            done = work(session)
            session.flush()
            die_if(self._step == step)
            return done

        done = await super().write(work_and_die, state)
        die_if(self._step == "marked" and step == "marking")
        return done


class DoomedSmtp(Smtp):
    def __init__(self, server: MailServer, step: str) -> None:
        super().__init__(server)
        self._step = step

    async def send(self, letter: EmailMessage) -> None:
        die_if(self._step == "claimed")
        await super().send(letter)
        die_if(self._step == "sent")


def die_if(now: bool) -> None:
    if now:
        os.kill(os.getpid(), signal.SIGKILL)


async def main(path: str, port: str, step: str) -> None:
    server = MailServer("127.0.0.1", int(port), Encryption.OFF)
    if step == "any":
        database = await database_at(Path(path)).open()
        pace = Pace(0.01, 0.01, 0.01)
        await Courier(database, Smtp(server), LETTERHEAD, clock=clock, lease=LEASE, pace=pace).run()
    database = await DoomedDatabase(Path(path), step).open()
    await Courier(database, DoomedSmtp(server, step), LETTERHEAD, clock=lambda: NOW).deliver_once()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
