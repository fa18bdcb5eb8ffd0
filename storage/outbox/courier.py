"""The courier: takes messages out of the outbox one by one, and tells the outbox what became of each."""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from sqlmodel import Session

from storage.database import Database
from storage.errors import DatabaseUnusable
from storage.instants import clock as system_clock
from storage.instants import stored
from storage.models import ConfirmationStatus
from storage.outbox.claims import LEASE, Claimed, Moments, any_due, claim, mark_sent, mark_unsent, next_attempt
from storage.outbox.letter import Letterhead, compose
from storage.outbox.transports import NotSent, Refused, Transport, Unreachable

T = TypeVar("T")

# What is left of a lease is for writing down what became of the letter.
SENDING_SHARE = 0.75

# Between two attempts to cancel what is being sent.
CANCEL_SECONDS = 0.1

log = logging.getLogger(__name__)


class Pace(NamedTuple):
    """Seconds: between two looks into the outbox, after trouble with all of it, and to finish a letter when stopping."""

    poll: float = 1.0
    trouble: float = 10.0
    grace: float = 5.0


PACE = Pace()


class Courier:
    """Sends one letter at a time, so that a crash repeats one at most. `sent` and `given_up` count what it did."""

    def __init__(
        self,
        database: Database,
        transport: Transport,
        letterhead: Letterhead,
        *,
        clock: Callable[[], datetime] = system_clock,
        jitter: Callable[[], float] = random.random,
        lease: timedelta = LEASE,
        pace: Pace = PACE,
    ) -> None:
        self.sent = 0
        self.given_up = 0
        self._database = database
        self._transport = transport
        self._letterhead = letterhead
        self._clock = clock
        self._jitter = jitter
        self._lease = lease
        self._pace = pace

    async def run(self) -> None:
        """Send what is due and what becomes due, until cancelled; nothing that goes wrong ends it."""
        while True:
            pause = self._pace.poll
            try:
                await self.deliver_once()
            except Unreachable:
                pause = self._pace.trouble
            except DatabaseUnusable as unusable:
                log.warning("The outbox cannot be read or written: %s", unusable)
                pause = self._pace.trouble
            except Exception:
                log.exception("The courier stumbled and goes on")
                pause = self._pace.trouble
            await asyncio.sleep(pause)

    async def deliver_once(self) -> int:
        """Try each message that is due now and return how many were sent; raise Unreachable where no other would be."""
        before, due_by = self.sent, self._clock()
        while await self._any_due(due_by):
            if not await _completed(self._deliver_next(due_by), self._pace.grace):
                break
        return self.sent - before

    async def _any_due(self, due_by: datetime) -> bool:
        moments = Moments.at(self._clock(), due_by, self._lease)._asdict()
        texts = {name: stored(moment) for name, moment in moments.items()}
        rows = await self._database.fetch(any_due(self._database.dialect), texts)
        return bool(rows[0][0])

    async def _deliver_next(self, due_by: datetime) -> bool:
        """Deliver one message; return False where other couriers are just claiming all that are due."""

        def work(session: Session) -> Claimed | None:
            return claim(session, self._clock(), due_by=due_by, lease=self._lease)

        claimed = await self._database.write(work)
        if claimed is None:
            return False
        if claimed.message.status is ConfirmationStatus.QUEUED:
            await self._deliver(claimed)
        elif claimed.message.status is ConfirmationStatus.FAILED:
            self._count_given_up(claimed, claimed.message.reasons.rpartition("\n")[2])
        return True

    async def _deliver(self, claimed: Claimed) -> None:
        try:
            await self._send(claimed)
        except Refused as refused:
            await self._record_unsent(claimed, str(refused), final=True)
        except NotSent as failure:
            await self._record_unsent(claimed, str(failure))
            if isinstance(failure, Unreachable):
                raise
        except Exception as mistake:
            log.exception("Message %s could not be made into a letter and sent", claimed.message.id)
            await self._record_unsent(claimed, f"The email could not be made and sent: {type(mistake).__name__}")
        else:
            # Counted before it is recorded, so that nobody reads SENT beside a count that lacks it.
            self.sent += 1
            await self._record(claimed, lambda session: mark_sent(session, claimed, self._clock()))
            log.info("Message %s of visit %s was sent", claimed.message.id, claimed.visit.id)

    async def _send(self, claimed: Claimed) -> None:
        # Composing takes milliseconds that requests need not wait for.
        letter = await asyncio.to_thread(compose, *claimed, self._letterhead)
        if claimed.message.leased_until is None or self._clock() >= claimed.message.leased_until:
            raise NotSent("This process stood still for so long that another may be sending it.")
        if not await _ended_within(self._lease.total_seconds() * SENDING_SHARE, self._transport.send(letter)):
            raise Unreachable("The mail server took too long.")

    async def _record_unsent(self, claimed: Claimed, reason: str, *, final: bool = False) -> None:
        now = self._clock()
        retry_at = None if final else next_attempt(claimed.message.attempts, now, self._jitter())
        if await self._record(claimed, lambda session: mark_unsent(session, claimed, reason, now, retry_at)):
            self._count_given_up(claimed, reason)
        else:
            log.warning("Message %s of visit %s was not sent. %s", claimed.message.id, claimed.visit.id, reason)

    def _count_given_up(self, claimed: Claimed, reason: str) -> None:
        self.given_up += 1
        log.error("Message %s of visit %s was given up. %s", claimed.message.id, claimed.visit.id, reason)

    async def _record(self, claimed: Claimed, mark: Callable[[Session], T]) -> T:
        """Write down what became of a letter, trying for as long as nobody else may send it."""
        while True:
            try:
                return await self._database.write(mark)
            except DatabaseUnusable as unusable:
                if claimed.message.leased_until is None or self._clock() >= claimed.message.leased_until:
                    raise
                log.warning("What became of message %s is not written down yet: %s", claimed.message.id, unusable)
            await asyncio.sleep(self._pace.poll)


async def _ended_within(seconds: float, work: Coroutine[Any, Any, None]) -> bool:
    """Raise what the work raises; cancel it when its time is over, and return False.

    Cancelled again until it ends: up to Python 3.11, `asyncio.wait_for`, which the SMTP client uses, loses a cancellation that
    comes just as its own wait ends.
    """
    task = asyncio.ensure_future(work)
    try:
        ended, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_SECONDS)
    if ended:
        task.result()
    return bool(ended)


async def _completed(work: Coroutine[Any, Any, T], grace: float) -> T:
    """Wait for a piece of work; when cancelled, let it come to its end first, if that is near."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=grace)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
