"""Follows changes over WebSockets, whatever becomes of a connection."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

from gateway import connect, operation
from gql.transport.exceptions import TransportConnectionFailed

PAUSE_SECONDS = 0.5


async def follow(filter: dict[str, Any], after: str | None) -> AsyncIterator[dict[str, Any]]:
    """Yield each change after a cursor once: where the connection is cut, the next one begins after the newest that came."""
    client, newest = connect(by_websocket=True), 0
    while True:
        try:
            async with client as session:
                async for answer in session.subscribe(operation("VisitChanged", filter=filter, after=after)):
                    change = answer["homeVisitChanged"]
                    if change["node"]["sequence"] > newest:
                        newest, after = change["node"]["sequence"], change["cursor"]
                        yield change["node"]
        except (TransportConnectionFailed, TimeoutError):
            await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311 - so that not all come back at once
