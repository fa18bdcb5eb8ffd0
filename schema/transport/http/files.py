"""Files by HTTP, with a time limit for readers that stall."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest


class TimedFile(web.FileResponse):
    """Sends a file, or the compressed copy beside it; aborts the connection of a reader that has not all of it in `seconds`."""

    def __init__(self, path: Path, headers: Mapping[str, str], *, seconds: float) -> None:
        super().__init__(path, headers=headers)
        self._seconds = seconds

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        # All of it is sent in here, and aiohttp waits for ever.
        try:
            async with asyncio.timeout(self._seconds):
                return await super().prepare(request)
        except TimeoutError:
            if request.transport:
                request.transport.abort()
            raise ConnectionResetError("the reader stalled") from None
