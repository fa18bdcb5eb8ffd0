"""What a client has not taken holds back what it asks next: one answer waits for it, never two."""

import asyncio
import json
import re
from typing import cast

from schema.transport.http.connections import HTTPLimits
from schema.transport.http.protocol import Connection as ServedConnection
from tests.schema.transport.http.served import Connection, post, served, until

CHARACTERS = 30_000_000
LONG = post(json.dumps({"query": f"{{ long(characters: {CHARACTERS}) }}"}).encode())


async def length(connection: Connection) -> int:
    head = await asyncio.wait_for(connection.reader.readuntil(b"\r\n\r\n"), 20)
    number = int(re.findall(rb"Content-Length: (\d+)", head)[0])
    return len(await asyncio.wait_for(connection.reader.readexactly(number), 20))


async def test_the_next_request_is_not_run_before_the_last_answer_was_taken() -> None:
    async with served(limits=HTTPLimits(write_seconds=30)) as server, await server.connect() as connection:
        connection.stop_reading()
        await connection.send(LONG)
        await until(lambda: server.records)
        [sending] = cast(list[ServedConnection], server.connections)
        await connection.send(LONG)
        await asyncio.sleep(0.3)
        run, unsent = len(server.records), sending.unsent
        connection.read_on()
        lengths = [await length(connection), await length(connection)]

    assert (run, unsent < CHARACTERS) == (1, True)
    assert lengths == [CHARACTERS + 20] * 2
