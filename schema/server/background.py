"""What goes on beside requests, from the server's start to its end."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any

from aiohttp import web

from storage.database import Database
from storage.errors import DatabaseUnusable
from storage.repository import HomeVisits

HOUSEKEEPING_SECONDS = 3600.0

log = logging.getLogger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]


def running(
    database: Database, works: Iterable[Work], close: Callable[[], Awaitable[None]] | None
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return what opens the database, works while the server serves, and closes all that was open."""

    async def run(_app: web.Application) -> AsyncIterator[None]:
        await database.open()
        # What the start has made stays for good: the collector need not walk through it again and again.
        gc.freeze()
        tasks = [asyncio.create_task(work()) for work in works]
        for task in tasks:
            task.add_done_callback(_tell_of_failure)
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

    return run


def _tell_of_failure(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception():
        log.error("Something that goes on beside requests has ended: restart the server", exc_info=task.exception())


async def forget_keys(visits: HomeVisits) -> None:
    """Forget, now and then, the idempotency keys that are too old to matter."""
    while True:
        with contextlib.suppress(DatabaseUnusable):
            await visits.forget_keys()
        await asyncio.sleep(HOUSEKEEPING_SECONDS)
