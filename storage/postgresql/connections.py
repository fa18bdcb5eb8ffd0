"""A bounded pool of connections: the driver's own sends a statement more for each read."""

import asyncio
import contextlib
from typing import Any, cast

import asyncpg

from storage.errors import DatabaseBusy
from storage.postgresql.connecting import connect

CONNECTIONS = 10
WAIT_SECONDS = 2.0
STATEMENTS = 200
# How long the server may take to end a statement that was cancelled: one that it begins after it was told never ends so.
CANCEL_SECONDS = 0.25


class PooledConnection(asyncpg.Connection):  # type: ignore[misc]  # the driver is not typed
    """A connection that goes back to its pool when SQLAlchemy, which knows nothing of the pool, closes it.

    What SQLAlchemy prepares is kept as long as the connection: its own cache ends with each transaction.
    """

    pool: "Connections | None" = None
    custom_plans = False
    keeps_statements = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._statements: dict[str, Any] = {}

    async def prepare(self, query: str, **options: Any) -> Any:
        if not self.keeps_statements:
            # Without a name it is gone with the next one, and never meets that of another process.
            return await super().prepare(query, **options | {"name": ""})
        if query not in self._statements:
            if len(self._statements) >= STATEMENTS:
                self._statements.clear()
            self._statements[query] = await super().prepare(query, **options)
        return self._statements[query]

    def forget_statements(self) -> None:
        self._statements.clear()

    @property
    def is_cancelling(self) -> bool:
        """Tell whether a statement runs that nobody waits for any more."""
        return bool(self._protocol._is_cancelling())  # the next statement would wait for it

    async def settle(self) -> None:
        """Wait until what was cancelled has ended; close the connection where that takes long."""
        with contextlib.suppress(TimeoutError):
            await self._protocol._wait_for_cancellation(CANCEL_SECONDS)

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the driver's signature
        if self.pool is None:
            await super().close(timeout=timeout)
        else:
            self.pool.release(self)


class Connections:
    """Lends connections, `size` at most; whoever finds none waits, for a bounded time."""

    def __init__(self, dsn: str, *, pooled: bool, size: int = CONNECTIONS, wait_seconds: float = WAIT_SECONDS) -> None:
        self._dsn = dsn
        self._pooled = pooled
        self._wait_seconds = wait_seconds
        self._free = asyncio.Semaphore(size)
        self._idle: list[PooledConnection] = []
        self._waiting = 0
        self._lent: set[PooledConnection] = set()
        self._settling: set[asyncio.Task[None]] = set()

    @property
    def is_waited_for(self) -> bool:
        return self._waiting > 0

    async def acquire(self) -> PooledConnection:
        """Return a connection; raise DatabaseBusy where none gets free, and what the driver raises where none can be made."""
        if self._free.locked():
            await self._wait()
        else:
            await self._free.acquire()
        try:
            connection = self._next_idle() or await self._connected()
        except BaseException:
            self._free.release()
            raise
        self._lent.add(connection)
        return connection

    def release(self, connection: PooledConnection) -> None:
        """Take a connection back, whatever became of it. A second time does nothing."""
        if connection not in self._lent:
            return
        self._lent.remove(connection)
        if not connection.is_closed() and connection.is_cancelling:
            task = asyncio.ensure_future(connection.settle())
            self._settling.add(task)
            task.add_done_callback(lambda task: self._settled(task, connection))
        else:
            self._return(connection)

    def _settled(self, task: "asyncio.Task[None]", connection: PooledConnection) -> None:
        self._settling.discard(task)
        self._return(connection)

    def _return(self, connection: PooledConnection) -> None:
        if not connection.is_closed():
            self._idle.append(connection)
        self._free.release()

    def drop_idle(self) -> None:
        """Close the connections that nobody uses: where one was lost, they are as a rule."""
        while self._idle:
            self._idle.pop().terminate()

    def forget_statements(self) -> None:
        """Prepare everything anew, where the schema has changed."""
        for connection in self._idle:
            connection.forget_statements()

    async def close(self) -> None:
        await asyncio.gather(*self._settling)
        for connection in (*self._idle, *self._lent):
            connection.pool = None
            connection.terminate()
        self._idle.clear()

    def _next_idle(self) -> PooledConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _connected(self) -> PooledConnection:
        connection = cast("PooledConnection", await connect(self._dsn, pooled=self._pooled, connection_class=PooledConnection))
        connection.pool, connection.keeps_statements = self, not self._pooled
        return connection

    async def _wait(self) -> None:
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise DatabaseBusy from None
        finally:
            self._waiting -= 1


async def rows_of(connection: PooledConnection, text: str, arguments: list[Any], *, custom_plan: bool) -> list[Any]:
    """Run one statement. `custom_plan`: planned for these very values, of which a keyword's say how many rows it has."""
    if custom_plan is not connection.custom_plans:
        await connection.execute(f"SET plan_cache_mode = {'force_custom_plan' if custom_plan else 'auto'}")
        connection.custom_plans = custom_plan
    rows: list[Any] = await connection.fetch(text, *arguments)
    return rows
