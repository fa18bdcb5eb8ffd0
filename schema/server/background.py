"""Background tasks: run beside requests from the server's start to its end, and logged where one fails."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from functools import partial
from typing import Any, NamedTuple

from aiohttp import web

from storage.database import Database
from storage.errors import DatabaseUnusable
from storage.events.numbering import keep_numbered
from storage.refolding import refold_all_notes
from storage.repository import HomeVisits

HOUSEKEEPING_SECONDS = 3600.0
REFOLDING_SHARE = 0.2
RETRY_SECONDS = 10.0
RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 300.0

log = logging.getLogger(__name__)


class BackgroundTask(NamedTuple):
    """`run` runs from the start of a server to its end; `name` says in the log what has stopped."""

    name: str
    run: Callable[[], Coroutine[Any, Any, None]]


def lifespan(
    database: Database, background: Iterable[BackgroundTask], close: Callable[[], Awaitable[None]] | None
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return a cleanup context of aiohttp: open the database, run the background tasks while it serves, then close everything."""

    async def span(_app: web.Application) -> AsyncIterator[None]:
        await database.open()
        # What was created so far lives as long as the process: the collector need not traverse it again and again.
        gc.freeze()
        tasks = [asyncio.create_task(_keep_running(task)) for task in background]
        try:
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


def housekeeping(database: Database, visits: HomeVisits) -> list[BackgroundTask]:
    """Return the tasks that every server has, whatever it is set up to do."""
    return [
        BackgroundTask("old idempotency keys", partial(delete_old_keys, visits)),
        BackgroundTask("notes to fold anew", partial(refold_notes, database)),
        BackgroundTask("events without a number", partial(keep_numbered, database)),
    ]


async def delete_old_keys(visits: HomeVisits, interval_seconds: float = HOUSEKEEPING_SECONDS) -> None:
    """Delete, at the start and then once an interval, the idempotency keys that are too old to be used again."""
    while True:
        with contextlib.suppress(DatabaseUnusable):
            await visits.delete_old_keys()
        await asyncio.sleep(interval_seconds)


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
