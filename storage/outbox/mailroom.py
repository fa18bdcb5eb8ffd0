"""Where letters leave from, as an operator sets it up: over which mail server, in whose name."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from storage.database import Database
from storage.outbox.server import mail_server

if TYPE_CHECKING:
    from storage.outbox.courier import Courier

FOLDER = Path("mail")
NOBODY = "Home visits <visits@homes.example>"


class Mailroom:
    """Without a mail server, letters are left in a folder. Raises ValueError for settings that cannot be used."""

    def __init__(self, smtp_url: str | None, mail_from: str | None, time_zone: str) -> None:
        self._server = mail_server(smtp_url) if smtp_url else None
        self._mail_from = mail_from
        self._time_zone = time_zone
        if self._server is None:
            return
        if mail_from is None:
            raise ValueError("A mail server needs an address that confirmations come from: set both.")
        # Only who sends mail waits for the library that knows addresses.
        from storage.outbox.addresses import sender  # noqa: PLC0415

        sender(mail_from)

    def courier(self, database: Database) -> "Courier":
        # The libraries of mail take a tenth of a start: a server loads them beside its first requests, not before.
        from storage.outbox.addresses import sender  # noqa: PLC0415
        from storage.outbox.courier import Courier  # noqa: PLC0415
        from storage.outbox.letter import Letterhead  # noqa: PLC0415
        from storage.outbox.transports import Folder, Smtp  # noqa: PLC0415

        transport = Smtp(self._server) if self._server else Folder(FOLDER)
        return Courier(database, transport, Letterhead(sender(self._mail_from or NOBODY), self._time_zone))

    async def deliver(self, database: Database) -> None:
        """Send what is due and what becomes due, until cancelled."""
        courier = await asyncio.to_thread(self.courier, database)
        await courier.run()
