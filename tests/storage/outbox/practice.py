"""A care home's practice for tests: real visits in a real file, a clock to set, a courier, and a way to see the outbox."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col, select, update

from storage.database import Database
from storage.lifecycle import BookingInput
from storage.models import CareEnquiry, ConfirmationStatus, HomeVisit, Location, VisitHost, VisitType
from storage.outbox.courier import Courier, Pace
from storage.outbox.letter import Letterhead
from storage.outbox.messages import OutboxMessage, withdraw
from storage.outbox.server import MailServer
from storage.outbox.transports import Smtp, Transport
from storage.repository import HomeVisits
from storage.sqlite import locking
from tests import databases
from tests.databases import engine_at, migrate
from tests.storage.homes import EVERYTHING, VISIT_TIME, Clock
from tests.storage.outbox.records import LETTERHEAD, enquiry, location

ENQUIRY = enquiry().id
WITHOUT_EMAIL = "6716c9a8000000000000000e"


def prepare(path: Path) -> None:
    """Make a database in which a care home and two families are known."""
    migrate(path)
    engine = engine_at(path)
    with Session(engine) as session:
        session.add(location())
        session.flush()
        session.add_all([enquiry(), enquiry(id=WITHOUT_EMAIL, email=None)])
        session.commit()
    engine.dispose()


class Practice:
    def __init__(self, database: Database, clock: Callable[[], datetime] | None = None) -> None:
        self.database = database
        self.clock = Clock()
        self.visits = HomeVisits(database, EVERYTHING, clock or self.clock)

    def courier(
        self, server: MailServer | Transport, *, timeout: float = 10, letterhead: Letterhead = LETTERHEAD, **options: Any
    ) -> Courier:
        """Make a courier whose retries come exactly when they are due."""
        options = {"clock": self.clock, "jitter": lambda: 0.0, "pace": Pace(0.01, 0.01, 0.2), **options}
        transport = Smtp(server, timeout=timeout) if isinstance(server, MailServer) else server
        return Courier(self.database, transport, letterhead, **options)

    async def wait_for_no_lock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have writes fail at once, on the connection that they use, where somebody else holds the lock."""
        monkeypatch.setattr(locking, "BUSY_SECONDS", 0)
        never = {"sqlite": "PRAGMA busy_timeout = 0", "postgresql": "SET lock_timeout = 1"}[databases.KIND]
        await self.database.write(lambda session: session.connection().execute(sa.text(never)).close())

    async def book(self, *, suppressed: bool = False, enquiry: str = ENQUIRY, time: datetime = VISIT_TIME) -> str:
        booking = BookingInput(enquiry, time, VisitHost.NURSE, VisitType.IN_PERSON)
        return (await self.visits.book(booking, suppress_confirmation=suppressed)).id

    async def move(self, visit: str, *, suppressed: bool = False, **by: float) -> None:
        current = await self.visit(visit)
        changes = {"date_time": current.date_time + timedelta(**by)}
        await self.visits.update(visit, changes, suppress_confirmation=suppressed)

    async def cancel(self, visit: str) -> None:
        """Cancel a visit and tell the family."""
        await self.visits.cancel(visit, notify_care_seeker=True)

    async def anonymize(self, visit: str) -> None:
        def work(session: Session) -> None:
            found = session.exec(select(HomeVisit).where(HomeVisit.id == visit)).one()
            found.notes, found.anonymized, found.modified = "", self.clock(), self.clock()
            withdraw(session, found, self.clock())

        await self.database.write(work)

    async def family(self, **changes: Any) -> None:
        def work(session: Session) -> None:
            session.exec(update(CareEnquiry).where(col(CareEnquiry.id) == ENQUIRY).values(**changes))

        await self.database.write(work)

    async def care_home(self, **changes: Any) -> None:
        def work(session: Session) -> None:
            session.exec(update(Location).values(**changes))

        await self.database.write(work)

    async def amend(self, **changes: Any) -> None:
        """Change all messages, as time would have done."""

        def work(session: Session) -> None:
            session.exec(update(OutboxMessage).values(**changes))

        await self.database.write(work)

    async def visit(self, visit: str) -> HomeVisit:
        found = await self.visits.get(visit)
        assert found is not None
        return found

    async def confirmation(self, visit: str) -> ConfirmationStatus:
        return ConfirmationStatus((await self.visit(visit)).confirmation)

    async def messages(self) -> list[OutboxMessage]:
        """Return all messages in the order in which they were queued."""

        def work(session: Session) -> list[OutboxMessage]:
            return list(session.exec(select(OutboxMessage).order_by(col(OutboxMessage.id))).all())

        return await self.database.write(work)

    async def statuses(self) -> list[str]:
        return [message.status.value for message in await self.messages()]
