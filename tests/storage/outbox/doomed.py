"""A courier in a process of its own, which kills itself at the step it is told to.

python -m tests.storage.outbox.doomed URL PORT STEP

`any` is one at which somebody kills it, `none` leaves it alive until it is ended.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage
from typing import TypeVar

from sqlmodel import Session

from storage.database import Database, database_of
from storage.instants import clock
from storage.outbox.claims import LEASE
from storage.outbox.courier import Courier, Pace
from storage.outbox.server import Encryption, MailServer
from storage.outbox.transports import Smtp
from storage.writes import WriteState
from tests.storage.homes import NOW
from tests.storage.outbox.records import LETTERHEAD

T = TypeVar("T")

SHORT_LEASE = timedelta(seconds=3)


def doom(database: Database, step: str) -> None:
    """Let the process die at a step: the first transaction is the claim, the second marks what became of it."""
    write, steps = database.write, iter(("claiming", "marking"))

    async def write_and_die(work: Callable[[Session], T], state: WriteState | None = None) -> T:
        this = next(steps, "")

        def work_and_die(session: Session) -> T:
            done = work(session)
            session.flush()
            die_if(step == this)
            return done

        done = await write(work_and_die, state)
        die_if(step == "marked" and this == "marking")
        return done

    database.write = write_and_die  # type: ignore[method-assign]  # whichever database it is


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


async def main(url: str, port: str, step: str) -> None:
    server, database = MailServer("127.0.0.1", int(port), Encryption.OFF), await database_of(url).open()
    if step in ("any", "none"):
        lease = SHORT_LEASE if step == "any" else LEASE
        await Courier(database, Smtp(server), LETTERHEAD, clock=clock, lease=lease, pace=Pace(0.01, 0.01, 0.01)).run()
    doom(database, step)
    await Courier(database, DoomedSmtp(server, step), LETTERHEAD, clock=lambda: NOW).deliver_once()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
