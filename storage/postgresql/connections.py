"""A bounded pool of connections: the driver's own sends a statement more for each read."""

import asyncio
import contextlib
import math
from contextvars import ContextVar
from typing import Any, Final, cast

import asyncpg
from asyncpg.protocol import NO_TIMEOUT

from storage.caller import OURSELVES, Accounts, NoAccounts
from storage.errors import DatabaseBusy
from storage.postgresql.connecting import CONNECT_SECONDS, connect
from storage.postgresql.leases import READ_SECONDS, Lease, Leases
from storage.postgresql.refusals import is_lost

CONNECTIONS = 10
WAIT_SECONDS = 2.0
STATEMENTS = 200
# How long the server may take to end a statement that was cancelled: one that it begins after it was told never ends so.
CANCEL_SECONDS = 0.25
# For whoever is connected when hardly any time is left: the driver takes none for an error.
SHORTEST_SECONDS = 0.1
# What a transaction runs under: SQLAlchemy, which asks for its connection, knows nothing of callers.
WRITE_LEASE: Final[ContextVar[Lease | None]] = ContextVar("WRITE_LEASE", default=None)


class PooledConnection(asyncpg.Connection):  # type: ignore[misc]  # the driver is not typed
    """A connection that goes back to its pool when SQLAlchemy, which knows nothing of the pool, closes it.

    What is prepared is kept as long as the connection: the cache of SQLAlchemy ends with each transaction.
    """

    pool: "Connections | None" = None
    lease: Lease | None = None
    custom_plans: bool | None = False
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

    @property
    def is_clean(self) -> bool:
        """Tell whether the next transaction would be one of its own, not a part of one that was left open.

        Where BEGIN comes too late the driver takes it for begun: what is committed after it ends with a savepoint, not on disk.
        """
        return self._top_xact is None and not self.is_in_transaction()

    async def settle(self) -> None:
        """Wait until what was cancelled has ended; close the connection where that takes long."""
        with contextlib.suppress(TimeoutError):
            await self._protocol._wait_for_cancellation(CANCEL_SECONDS)

    async def read(self, text: str, arguments: list[Any], *, custom_plan: bool) -> list[Any]:
        """Run one statement. `custom_plan`: planned for these very values, which say how many rows there are."""
        if not self.keeps_statements:
            # The pool ends what takes too long before the driver does.
            return cast("list[Any]", await self.fetch(text, *arguments, timeout=2 * READ_SECONDS))
        if custom_plan is not self.custom_plans:
            self.custom_plans = None  # where this is interrupted, nobody knows
            await self.execute(f"SET plan_cache_mode = {'force_custom_plan' if custom_plan else 'auto'}")
            self.custom_plans = custom_plan
        statement = self._statements.get(text) or await self.prepare(text)
        # The pool ends what takes too long: a timer of the driver's for each read takes an eighth of it.
        return cast("list[Any]", await statement.fetch(*arguments, timeout=NO_TIMEOUT))

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the driver's signature
        if self.pool is None:
            await super().close(timeout=timeout)
        else:
            self.pool.release(self)


class Connections:
    """Lends connections, `size` at most, as `Leases` says to whom."""

    def __init__(
        self,
        dsn: str,
        *,
        pooled: bool,
        size: int = CONNECTIONS,
        wait_seconds: float = WAIT_SECONDS,
        accounts: Accounts | None = None,
    ) -> None:
        self._dsn = dsn
        self._pooled = pooled
        self._leases = Leases(size, accounts or NoAccounts(), wait_seconds=wait_seconds)
        self._idle: list[PooledConnection] = []
        self._lent: set[PooledConnection] = set()
        self._settling: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self.others_wait = self._leases.others_wait

    async def read(self, text: str, arguments: list[Any], subject: str, *, custom_plan: bool) -> list[Any]:
        """Return the rows of one statement; raise DatabaseBusy where no connection gets free, or the server hangs.

        Raises what the driver does otherwise. A read that keeps others waiting is interrupted, and begins anew; one whose
        connection is lost is repeated once.
        """
        lease, is_repeated = Lease(subject, asyncio.current_task(self._leases.loop)), False
        while True:
            connection: PooledConnection | None = None
            try:
                connection = await self._lend(lease)
                return await connection.read(text, arguments, custom_plan=custom_plan)
            except asyncio.CancelledError:
                if not lease.resume():
                    raise
                lease = lease.anew()
            except Exception as error:
                is_repeatable = self._is_repeatable(error, lease, connection)
                if is_repeated or not is_repeatable:
                    raise
                lease, is_repeated = lease.again(), True
            finally:
                if connection is not None:
                    self.release(connection)

    def _is_repeatable(self, error: Exception, lease: Lease, connection: PooledConnection | None) -> bool:
        """Tell whether a read that failed so may succeed on a new connection; raise DatabaseBusy where it took too long."""
        if lease.is_late:
            # The server hangs, or its host is gone without a word: of the others each would cost a caller as long.
            self.drop_idle()
            raise DatabaseBusy from error
        if not is_lost(error):
            return False
        if connection is not None:
            connection.terminate()
        # Of a server that was restarted all connections are lost: a new one tells whether it is there again.
        self.drop_idle()
        return True

    async def acquire(self) -> PooledConnection:
        """Return a connection for a transaction, which ends by `release`; raise as `read` does."""
        return await self._lend(WRITE_LEASE.get() or Lease(OURSELVES, ends=math.inf))

    async def _lend(self, lease: Lease) -> PooledConnection:
        await self._leases.begin(lease)
        try:
            connection = self._next_idle() or await self._connected(lease)
        except BaseException:
            self._leases.end(lease)
            raise
        connection.lease, lease.connection = lease, connection
        self._lent.add(connection)
        return connection

    def release(self, connection: PooledConnection) -> None:
        """Take a connection back, whatever became of it. A second time does nothing."""
        lease = connection.lease
        if lease is None:
            return
        connection.lease = lease.connection = None
        if not connection.is_closed() and connection.is_cancelling:
            task = asyncio.ensure_future(connection.settle())
            self._settling.add(task)
            task.add_done_callback(lambda task: self._settled(task, connection, lease))
        else:
            self._return(connection, lease)

    def _settled(self, task: "asyncio.Task[None]", connection: PooledConnection, lease: Lease) -> None:
        self._settling.discard(task)
        self._return(connection, lease)

    def _return(self, connection: PooledConnection, lease: Lease) -> None:
        self._lent.discard(connection)
        if not connection.is_closed():
            if self._is_closed or not connection.is_clean:
                connection.terminate()
            else:
                self._idle.append(connection)
        self._leases.end(lease)

    def drop_idle(self) -> None:
        """Close the connections that nobody uses: where one was lost, they are as a rule."""
        while self._idle:
            self._idle.pop().terminate()

    def forget_statements(self) -> None:
        """Prepare everything anew, where the schema has changed."""
        for connection in (*self._idle, *self._lent):
            connection.forget_statements()

    async def close(self) -> None:
        """Close all connections; one that is made or lent meanwhile is closed when it comes back."""
        self._is_closed = True
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

    async def _connected(self, lease: Lease) -> PooledConnection:
        try:
            seconds = min(CONNECT_SECONDS, max(self._leases.seconds_left(lease), SHORTEST_SECONDS))
            connection: PooledConnection = await connect(
                self._dsn, pooled=self._pooled, connection_class=PooledConnection, seconds=seconds
            )
        finally:
            self._leases.restart(lease)
        connection.pool, connection.keeps_statements = self, not self._pooled
        return connection
