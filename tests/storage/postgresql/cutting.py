"""A network between a server and PostgreSQL that breaks at the moment a test has chosen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit


class Wire:
    """Cuts one connection when a client sends `text`, once it has sent `after`: before the server hears it, or has answered.

    With a `delay` in seconds it passes that on as much later, and cuts nothing.
    """

    def __init__(self, host: str, port: int) -> None:
        self.text: bytes | None = None
        self.after = b""
        self.is_heard = False
        self.delay = 0.0
        self.cuts = 0
        self._server = (host, port)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = asyncio.Event()
        self._ends: list[asyncio.StreamWriter] = []

    async def close(self) -> None:
        self._is_closing.set()
        for end in self._ends:
            end.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.05)  # until each connection has noticed

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, calls = await asyncio.open_connection(*self._server)
        self._ends += [calls, writer]
        answering = asyncio.create_task(self._pass(answers, writer))
        self._tasks.add(answering)
        is_armed = False
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                is_armed = is_armed or (self.text is not None and self.after in data)
                if is_armed and self.text is not None and self.text in data:
                    self.text = None
                    if self.delay:
                        with suppress(TimeoutError):
                            await asyncio.wait_for(self._is_closing.wait(), self.delay)
                        calls.write(data)
                        continue
                    self.cuts += 1
                    answering.cancel()
                    await asyncio.gather(answering, return_exceptions=True)
                    if self.is_heard:
                        calls.write(data)
                        await answers.read(65_536)
                    break
                calls.write(data)
        for end in (calls, writer):
            end.transport.abort()

    async def _pass(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await answers.read(65_536):
                writer.write(data)
        writer.close()


@asynccontextmanager
async def wired(url: str) -> AsyncIterator[tuple[str, Wire]]:
    """Give the URL of the same database over a wire, and the wire."""
    parts = urlsplit(url)
    wire = Wire(str(parts.hostname), int(parts.port or 5432))
    server = await asyncio.start_server(wire.connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}")), wire
    server.close()
    await wire.close()
