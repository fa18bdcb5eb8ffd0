"""A proxy between a client and a server that cuts WebSockets off: between messages, within one, or while they connect."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

UPGRADE = b"\nupgrade: websocket"


class Proxy:
    """Passes on what comes; HTTP requests pass unharmed. `cuts` counts the WebSockets that were cut off."""

    def __init__(self, port: int, chance: random.Random) -> None:
        self._port = port
        self._chance = chance
        self._connections: set[Connection] = set()
        self._sockets: set[Connection] = set()
        self._refuses_next = False
        self.cuts = 0

    def cut(self) -> None:
        """Cut off those who are connected, and perhaps whoever tries next."""
        for connection in list(self._sockets):
            connection.cut(within=self._chance.random() < 0.5)
        self._refuses_next = self._chance.random() < 0.3

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        connection = Connection(self, writer, to_server)
        self._connections.add(connection)
        await asyncio.gather(connection.send(reader), connection.receive(from_server))
        self._connections.discard(connection)
        self._sockets.discard(connection)
        self.cuts += connection.is_cut

    async def end(self) -> None:
        """End all connections."""
        while self._connections:
            for connection in self._connections:
                connection.cut(within=False)
            await asyncio.sleep(0.01)

    def admits(self, connection: "Connection") -> bool:
        """Tell whether a connection may become a WebSocket."""
        refused, self._refuses_next = self._refuses_next, False
        if not refused:
            self._sockets.add(connection)
        return not refused


class Connection:
    """A connection of a client, and that to the server behind it."""

    def __init__(self, proxy: Proxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._breaks = False
        self.is_cut = False

    def cut(self, *, within: bool) -> None:
        """Cut the connection off, now or within the next message."""
        self.is_cut = True
        if within:
            self._breaks = True
        else:
            self._abort()

    async def send(self, reader: asyncio.StreamReader) -> None:
        """Pass on what the client sends; it may ask for a WebSocket on a connection that served requests before."""
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                if UPGRADE in chunk.lower() and not self._proxy.admits(self):
                    break
                self._server.write(chunk)
        self._abort()

    async def receive(self, reader: asyncio.StreamReader) -> None:
        """Pass on what the server sends."""
        with suppress(ConnectionError):
            while chunk := await reader.read(65536):
                self._client.write(chunk[: len(chunk) // 2] if self._breaks else chunk)
                if self._breaks:
                    break
        self._abort()

    def _abort(self) -> None:
        for end in (self._client, self._server):
            end.transport.abort()


@asynccontextmanager
async def cutting(port: int, chance: random.Random) -> AsyncIterator[tuple[Proxy, str]]:
    """Yield a proxy to the port of a server, and the URL of GraphQL behind it."""
    proxy = Proxy(port, chance)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        yield proxy, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/graphql"
        await proxy.end()
