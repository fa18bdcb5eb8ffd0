"""A file as an answer, which a reader that stalls cannot hold open for ever."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest


class TimedFile(web.FileResponse):
    """Takes the file's compressed copy where there is one. A reader who has not taken all of it in `seconds` is cut off."""

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
