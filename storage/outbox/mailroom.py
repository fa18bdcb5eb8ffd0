"""Delivery as an operator sets it up and looks after it: which mail server, what waits, what to try again."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from storage.database import Database
from storage.errors import NotDelivered
from storage.outbox import overview
from storage.outbox.messages import OutboxMessage
from storage.outbox.server import MailServer

if TYPE_CHECKING:
    from storage.outbox.courier import Courier

# A server answers its first requests before it loads what only letters need.
START_SECONDS = 1.0
FOLDER = Path("mail")
# What the name of a letter's file ends with, and while it is being written.
FINISHED, UNFINISHED = ".eml", ".part"
NOBODY = "Home visits <visits@homes.example>"


class Mailroom:
    """Sends what is due over a mail server, or without one into a folder. Raises ValueError for a sender that cannot be used."""

    _running: "Courier | None" = None

    def __init__(self, server: MailServer | None, mail_from: str | None, time_zone: str) -> None:
        self._server = server
        self._mail_from = mail_from
        self._time_zone = time_zone
        if self._server is None:
            return
        if mail_from is None:
            raise ValueError("A mail server needs an address that confirmations come from: set it.")
        # Only who sends mail waits for the library that knows addresses.
        from storage.outbox.addresses import sender  # noqa: PLC0415

        sender(mail_from)

    async def deliver(self, database: Database) -> None:
        """Send what is due and what becomes due, until cancelled."""
        await asyncio.sleep(START_SECONDS)
        self._running = await asyncio.to_thread(self._courier, database)
        await self._running.run()

    @property
    def sent(self) -> int:
        """How many letters have been sent since `deliver` began."""
        return self._running.sent if self._running else 0

    async def deliver_once(self, database: Database) -> int:
        """Send what is due now and return how many letters that were; raise NotDelivered."""
        from storage.outbox.transports import Unreachable  # noqa: PLC0415 - see _courier

        try:
            return await self._courier(database).deliver_once()
        except Unreachable as reason:
            raise NotDelivered(f"{reason} What is due will be tried again.") from None

    def _courier(self, database: Database) -> "Courier":
        # The libraries of mail would take a tenth of a server's start.
        from storage.outbox.addresses import sender  # noqa: PLC0415
        from storage.outbox.courier import Courier  # noqa: PLC0415
        from storage.outbox.letter import Letterhead  # noqa: PLC0415
        from storage.outbox.transports import Folder, Smtp  # noqa: PLC0415

        transport = Smtp(self._server) if self._server else Folder(FOLDER)
        return Courier(database, transport, Letterhead(sender(self._mail_from or NOBODY), self._time_zone))


async def retry_and_list(database: Database, ids: Sequence[str], now: datetime) -> list[str]:
    """Queue these messages again; describe in a line each message that waits or was given up."""
    queued = await overview.retry(database, ids, now) if ids else []
    # Not even a command line is always text.
    named = {id: id.encode(errors="replace").decode() for id in ids}
    answers = [f"{named[id]} {'is queued again' if id in queued else 'is no message that was given up'}." for id in ids]
    messages = [*await overview.waiting(database), *await overview.given_up(database)]
    return [*answers, *(_described(message) for message in messages), f"{len(messages)} in all."]


def _described(message: OutboxMessage) -> str:
    last = message.reasons.splitlines()[-1] if message.reasons else "not tried yet"
    return f"{message.id}  {message.status}  visit {message.home_visit}  tries {message.attempts}  {last}"
