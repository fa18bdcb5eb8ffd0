"""Which of several hosts of a database to connect to: one that does not answer holds up no other."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg

from storage.postgresql.urls import each_host

# A host that says nothing for so long may be gone: the next one is tried beside it.
NEXT_HOST_SECONDS = 0.5
# What another host of the same database may do better.
_NEXT_HOST = (OSError, TimeoutError, asyncpg.TargetServerAttributeNotMatched, asyncpg.CannotConnectNowError)
# Of each URL the host that took us last.
_LAST: dict[str, str] = {}


async def first_connected(dsn: str, connect: Callable[[str], Coroutine[Any, Any, Any]]) -> Any:
    """Connect by `connect` to the first host that takes us, the one that did last before all others; raise what the last says."""
    hosts = sorted(each_host(dsn), key=lambda host: host != _LAST.get(dsn))
    if len(hosts) == 1:
        return await connect(dsn)
    waiting, connecting, errors = deque(hosts), dict[asyncio.Task[Any], str](), dict[str, Exception]()
    try:
        while waiting or connecting:
            if waiting:
                host = waiting.popleft()
                connecting[asyncio.create_task(connect(host))] = host
            seconds = NEXT_HOST_SECONDS if waiting else None
            done, _ = await asyncio.wait(connecting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                try:
                    connection = task.result()
                except _NEXT_HOST as error:
                    errors[connecting.pop(task)] = error
                else:
                    _LAST[dsn] = connecting.pop(task)
                    return connection
    finally:
        for task in connecting:
            task.cancel()
            task.add_done_callback(_abandon)
    raise errors[hosts[-1]]


def _abandon(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()
