"""Background tasks: run beside requests from the server's start to its end, and logged where one fails."""

import asyncio
import contextlib
import gc
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from aiohttp import web

from schema.server.descriptors import report_exhaustion
from schema.server.metrics import Metrics
from schema.server.resources import mailroom_of
from schema.server.settings import Settings
from storage.database import Database
from storage.errors import DatabaseUnusable, NotHere
from storage.events.numbering import keep_numbered
from storage.instants import clock
from storage.refolding import refold_all_notes
from storage.repository import HomeVisits
from storage.unfolded_names import fold_all_names

HOUSEKEEPING_SECONDS = 3600.0
REFOLDING_SHARE = 0.2
RETRY_SECONDS = 10.0
# Beside a server of before, which goes on to write names that are to be folded.
NAMES_SECONDS = 60.0
# Within this time of its start a server begins to anonymize.
START_SECONDS = 60.0
RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 300.0

log = logging.getLogger(__name__)


class BackgroundTask(NamedTuple):
    """`run` runs from the start of a server to its end; `name` says in the log what has stopped."""

    name: str
    run: Callable[[], Coroutine[Any, Any, None]]


def lifespan(
    database: Database,
    background: Iterable[BackgroundTask],
    close: Callable[[], Awaitable[None]] | None,
    check: Callable[[Database], Awaitable[None]] | None = None,
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return a cleanup context of aiohttp: open the database, run the background tasks while it serves, then close everything.

    `check` raises Unstartable for a database that is not to be served so.
    """

    async def span(_app: web.Application) -> AsyncIterator[None]:
        await database.open()
        tasks = list[asyncio.Task[None]]()
        try:
            if check:
                with contextlib.suppress(DatabaseUnusable):
                    await check(database)
            # What was created so far lives as long as the process: the collector need not traverse it again and again.
            gc.freeze()
            tasks += [asyncio.create_task(_keep_running(task)) for task in background]
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if close:
                await close()
            # Its threads would keep the process alive.
            await database.close()

    return span


async def _keep_running(task: BackgroundTask) -> None:
    """Run a task again when it has stopped, as what it lacked, such as a file descriptor, may be there again; log its name."""
    pause = RESTART_SECONDS
    while True:
        try:
            await task.run()
            failure = None
        except Exception as error:  # noqa: BLE001 - whatever it is, the server goes on, and the log says what and where
            failure = error
        log.error("The background task %r has stopped, and starts again in %g s", task.name, pause, exc_info=failure)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_RESTART_SECONDS)


def background_tasks(
    settings: Settings, database: Database, visits: HomeVisits, metrics: Metrics, *, dev: bool
) -> list[BackgroundTask]:
    """Return what a server runs beside requests, as its settings say."""
    tasks = [
        BackgroundTask("metrics", metrics.keep_fresh),
        BackgroundTask("file descriptors", report_exhaustion),
        *housekeeping(database, visits),
    ]
    if days := settings.anonymize_older_than_days:
        database.lock_seconds = settings.anonymize_lock_seconds
        seconds = 3600 * settings.anonymize_every_hours
        tasks.append(BackgroundTask("anonymizing", partial(anonymize_regularly, database, days, clock, interval_seconds=seconds)))
    # An account that is followed sends its emails itself.
    if settings.smtp_url or (dev and settings.carehq_url is None):
        mailroom = mailroom_of(settings)
        tasks.append(BackgroundTask("confirmation emails", partial(mailroom.deliver, database)))
        metrics.gauge("outbox_sent", "Confirmation emails sent since the start.", lambda: mailroom.sent)
    return tasks


def housekeeping(database: Database, visits: HomeVisits) -> list[BackgroundTask]:
    """Return the tasks that every server has, whatever it is set up to do."""
    return [
        BackgroundTask("old idempotency keys", partial(delete_old_keys, visits)),
        BackgroundTask("notes and names to fold anew", partial(fold_anew, database)),
        BackgroundTask("events without a number", partial(keep_numbered, database)),
    ]


async def delete_old_keys(visits: HomeVisits, interval_seconds: float = HOUSEKEEPING_SECONDS) -> None:
    """Delete, at the start and then once an interval, the idempotency keys that are too old to be used again."""
    while True:
        with contextlib.suppress(DatabaseUnusable):
            await visits.delete_old_keys()
        await asyncio.sleep(interval_seconds)


async def anonymize_regularly(
    database: Database, days: int, clock: Callable[[], datetime], *, interval_seconds: float, start_seconds: float = START_SECONDS
) -> None:
    """Wipe personal data of visits that ended so many days ago, soon after the start and then once an interval."""
    # Of servers and workers that start together, or follow the same clock, one finds what there is to do.
    await asyncio.sleep(random.uniform(0, start_seconds))  # noqa: S311 - jitter is no secret
    from storage.retention.anonymizing import anonymize  # noqa: PLC0415 - most servers never do

    while True:
        try:
            report = await anonymize(database, days, clock)
            if any(report.wiped):
                log.info("Anonymized: %s", report.wiped)
            if report.left:
                log.warning("Visits to be anonymized were in use, and are left for the next time: %d", report.left)
            for sentence in report.remains.sentences():
                log.warning("%s", sentence)
        except NotHere as refusal:
            log.warning("Nothing is anonymized: %s", refusal)
        except DatabaseUnusable as unusable:
            log.warning("Anonymizing was broken off, and goes on later: %s", unusable)
        await asyncio.sleep(interval_seconds * random.uniform(0.95, 1))  # noqa: S311 - jitter is no secret


async def fold_anew(database: Database) -> None:
    """Fold the notes and the names that an older version has left."""
    await asyncio.gather(fold_names(database), refold_notes(database))


async def refold_notes(database: Database) -> None:
    """Fold anew the notes that an older version folded, a batch at a time, in a fifth of the time."""
    while True:
        try:
            if notes := await refold_all_notes(database, share=REFOLDING_SHARE):
                log.info("Notes folded anew: %d", notes)
            # Whatever is folded from now on is folded so.
            await asyncio.Event().wait()
        except DatabaseUnusable:
            await asyncio.sleep(RETRY_SECONDS)


async def fold_names(database: Database, interval_seconds: float = NAMES_SECONDS) -> None:
    """Fold the names that an older version has written, a batch at a time, in a fifth of the time; then look for more."""
    while True:
        with contextlib.suppress(DatabaseUnusable):
            if names := await fold_all_names(database, share=REFOLDING_SHARE):
                log.info("Names folded: %d", names)
        await asyncio.sleep(interval_seconds)
