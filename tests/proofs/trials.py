"""A trial: a gateway under load, on which faults strike one after the other; what was measured, and whether all of it held."""

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from storage.database import Database, database_of, opened
from storage.events import numbering
from storage.instants import clock
from storage.outbox.courier import Courier
from storage.outbox.transports import Smtp
from tests.app.calling import SECRET
from tests.conftest import Server, StartServer
from tests.inspection import PostgreSQLInspection
from tests.proofs.faults import Strike
from tests.proofs.load import Event, Load, Request, loaded
from tests.proofs.sites import Site
from tests.proofs.wholeness import half_written
from tests.storage.outbox.post_office import PostOffice
from tests.storage.outbox.records import LETTERHEAD

WRITERS, READERS, SUBSCRIBERS, PAUSE = 20, 4, 100, 0.4
COURIERS = 4
# Beside other tests all may take longer to be well again; an error may not.
FEW_SUBSCRIBERS, SLOW = 20, 2.0
# So long nothing must have failed before the next fault strikes, and so long that may take.
QUIET_SECONDS, PATIENCE = 1.0, 20.0
CODES = {"IN_DOUBT", "STORAGE_UNAVAILABLE", "OVERLOADED", "TIMEOUT", "COMMITTED"}
READ, WRITE = "read", "write"


class Fault(NamedTuple):
    """`times` it strikes, `often` in a long run; `refused` is what may be refused meanwhile; where it `is_felt`, something is."""

    strike: Strike
    times: int = 1
    often: int = 5
    refused: frozenset[str] = frozenset({READ, WRITE})
    error_seconds: float = 6.0
    well_seconds: float = 5.0
    is_felt: bool = True


# PgBouncer refuses for a while what it could not connect to.
LOGIN_RETRY_SECONDS = 1.3


class Window(NamedTuple):
    """When a fault struck, and when it was over, on the monotonic clock; `ends` is when the next one struck."""

    fault: str
    struck: float
    over: float
    ends: float = math.inf

    def of(self, requests: Iterable[Request], *, grace: float) -> "Figures":
        ended = [request for request in requests if self.struck < request.ended <= self.ends]
        errors = [request for request in ended if request.code]
        return Figures(
            worst_error=max((error.seconds for error in errors), default=0.0),
            slowest=max((request.seconds for request in ended), default=0.0),
            well_after=max([self.served_again(ended) - self.over, *(error.ended - self.over for error in errors)]),
            refused=Counter(error.kind for error in errors),
            refused_later=Counter(error.kind for error in errors if error.began > self.over + grace),
        )

    def served_again(self, requests: Iterable[Request]) -> float:
        """Return when a read and a write that began after the fault had succeeded; infinity where none has."""
        first = dict.fromkeys((READ, WRITE), math.inf)
        for request in requests:
            if request.code is None and request.began > self.over:
                first[request.kind] = min(first[request.kind], request.ended)
        return max(first.values())


class Figures(NamedTuple):
    """In seconds: the longest wait for an error, and for any answer; how long after the fault all was well."""

    worst_error: float
    slowest: float
    well_after: float
    refused: Counter[str]
    refused_later: Counter[str]


@dataclass
class Trial:
    site: Site
    server: Server
    post_office: PostOffice
    is_long: bool
    # Nothing else runs beside it.
    is_exact: bool = False
    windows: list[Window] = field(default_factory=list)
    load: Load | None = None
    events: list[Event] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"postgresql://visits@{(self.site.standby or self.site.cluster).address}/visits"

    async def run(self, faults: dict[str, Fault]) -> None:
        subscribers = SUBSCRIBERS if self.is_long else FEW_SUBSCRIBERS
        under_load = loaded(self.server.url, writers=WRITERS, readers=READERS, subscribers=subscribers, pause=PAUSE)
        async with under_load as self.load, AsyncExitStack() as tidying:
            await asyncio.sleep(2)
            for name, fault in faults.items():
                for _ in range(fault.often if self.is_long else fault.times):
                    await self._strike(name, fault, tidying)
            await self.load.finish(PATIENCE)
            await opened(database_of(self.url), numbering.number_events)
            numbered = self.rows.query("SELECT sequence, id FROM home_visit_events ORDER BY sequence")
            self.events = [(int(sequence), str(id)) for sequence, id in numbered]
            await self.load.wait_until_received(len(self.events), PATIENCE)
        await asyncio.to_thread(self.server.stop)
        await self._deliver_the_rest()

    async def _strike(self, name: str, fault: Fault, tidying: AsyncExitStack) -> None:
        assert self.load
        struck, before = time.monotonic(), len(self.load.requests)
        if self.windows:
            self.windows[-1] = self.windows[-1]._replace(ends=struck)
        await tidying.enter_async_context(fault.strike(self.site))
        window = Window(name, struck, time.monotonic())
        self.windows.append(window)
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while not self._is_well(window, self.load.requests[before:]):  # noqa: ASYNC110 - what ends has no event
                    await asyncio.sleep(0.1)

    def _is_well(self, window: Window, requests: list[Request]) -> bool:
        """Tell whether all is as before, so that what fails from now on is not this fault's doing."""
        assert self.load
        now = time.monotonic()
        if any(began < window.over for began in self.load.pending.values()) or window.served_again(requests) > now:
            return False
        return now > max([window.over, *(request.ended for request in requests if request.code)]) + QUIET_SECONDS

    async def _deliver_the_rest(self) -> None:
        """Send what is due later, as if it were: by then every lease has ended."""
        self.post_office.answers.clear()

        async def deliver(database: Database) -> None:
            transport = Smtp(self.post_office.mail_server)
            couriers = [Courier(database, transport, LETTERHEAD, clock=an_hour_later) for _ in range(COURIERS)]
            await asyncio.gather(*(courier.deliver_once() for courier in couriers))

        await opened(database_of(self.url), deliver)

    @property
    def rows(self) -> PostgreSQLInspection:
        return PostgreSQLInspection(self.url)

    def figures(self) -> dict[str, list[Figures]]:
        """Return those of each time that a fault struck."""
        assert self.load
        figures: dict[str, list[Figures]] = {}
        for window in self.windows:
            grace = LOGIN_RETRY_SECONDS if self.site.is_pooled else 0.0
            figures.setdefault(window.fault, []).append(window.of(self.load.requests, grace=grace))
        return figures

    def violations(self, faults: dict[str, Fault], cuts: int) -> list[str]:
        """Return what did not hold."""
        return [*self._unbounded(faults), *self._untrue(), *self._missed(), *self._unsent(cuts), *self._logged()]

    def _unbounded(self, faults: dict[str, Fault]) -> Iterator[str]:
        slow = 1.0 if self.is_exact else SLOW
        for name, times in self.figures().items():
            for figures in times:
                if figures.worst_error > faults[name].error_seconds:
                    yield f"{name}: an error took {figures.worst_error:.1f} s"
                if figures.well_after > faults[name].well_seconds * slow:
                    yield f"{name}: all was well {figures.well_after:.1f} s later"
                if refused := figures.refused.keys() - faults[name].refused:
                    yield f"{name}: {refused} refused"
                if faults[name].refused and faults[name].is_felt and not figures.refused:
                    yield f"{name}: nobody has met it"
                if figures.refused_later[READ]:
                    yield f"{name}: {figures.refused_later[READ]} reads refused that began later"

    def _untrue(self) -> Iterator[str]:
        """Yield what is not as it was answered."""
        assert self.load
        if codes := {request.code for request in self.load.requests if request.code} - CODES:
            yield f"errors with the codes {codes}"
        if surprises := self.load.settled.keys() - CODES:
            yield f"changes that became {surprises}"
        versions = dict(self.rows.query("SELECT id, version FROM home_visits"))
        if wrong := versions.items() ^ self.load.versions.items():
            yield f"visits that are not what their writers were told: {sorted(wrong)}"
        yield from half_written(self.rows, are_sent=True)

    def _missed(self) -> Iterator[str]:
        assert self.load
        if [sequence for sequence, _ in self.events] != list(range(1, len(self.events) + 1)):
            yield "events with a gap"
        for name, events in self.load.received.items():
            if events != self.events:
                yield f"{name} saw {len(events)} events, {len(set(events))} different ones, of {len(self.events)}"

    def _unsent(self, cuts: int) -> Iterator[str]:
        """Yield what the mail server was not sent, or sent too often."""
        copies = Counter(id.strip("<>").partition("@")[0] for id in self.post_office.message_ids)
        sent = {str(id) for (id,) in self.rows.query("SELECT id FROM outbox_messages WHERE status = 'SENT'")}
        if missing := sent - copies.keys():
            yield f"{len(missing)} letters are not sent that should be"
        if (repeated := sum(copies.values()) - len(copies)) > cuts:
            yield f"{repeated} letters sent twice"
        if len({letter.as_bytes() for letter in self.post_office.letters}) != len(copies):
            yield "copies of a letter that are not alike"

    def _logged(self) -> Iterator[str]:
        """Yield what the log says that is not about the database being away."""
        for line in map(json.loads, self.server.log.read_text().splitlines()):
            is_refusal = line["event"] == "request" and line["outcome"] in CODES
            if line["level"] in ("error", "critical") and not is_refusal and not line["event"].startswith("The database cannot"):
                yield f"logged: {str(line)[:1500]}"


def an_hour_later() -> datetime:
    return clock() + timedelta(hours=1)


async def started(
    site: Site, start_server: StartServer, post_office: PostOffice, *, workers: int, is_long: bool, is_exact: bool = False
) -> Trial:
    """Start a gateway of so many processes on a site, whose mail goes to a mail server of the test."""
    settings = {"DATABASE_URL": site.url, "JWT_SECRET": SECRET, "PGBOUNCER": "on" if site.is_pooled else "off"}
    mail = {
        "SMTP_URL": f"smtp://127.0.0.1:{post_office.port}?tls=off",
        "MAIL_FROM": f"{LETTERHEAD.sender.name} <{LETTERHEAD.sender.address}>",
    }
    server = await asyncio.to_thread(lambda: start_server("--workers", str(workers), **settings, **mail))
    return Trial(site, server, post_office, is_long, is_exact or is_long)
