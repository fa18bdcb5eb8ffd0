"""A courier made ready from what an operator sets: which mail server, whose name on the letters."""

from pathlib import Path

from storage.database import Database
from storage.outbox.addresses import sender
from storage.outbox.courier import Courier
from storage.outbox.letter import Letterhead
from storage.outbox.server import mail_server
from storage.outbox.transports import Folder, Smtp

FOLDER = Path("mail")
NOBODY = "Home visits <visits@homes.example>"


def courier_for(database: Database, *, smtp_url: str | None, mail_from: str | None, time_zone: str) -> Courier:
    """Make a courier; without a mail server it leaves its letters in a folder. Raises ValueError for what cannot be used."""
    transport = Smtp(mail_server(smtp_url)) if smtp_url else Folder(FOLDER)
    return Courier(database, transport, Letterhead(sender(mail_from or NOBODY), time_zone))
