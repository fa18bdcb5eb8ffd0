"""A server that answers straight cannot be told from one that does not, whatever is sent to it, and however it is cut.

`STREAMS` is how many are drawn, `SEED` of what: the same ones each time under CI, others each time elsewhere.
"""

import os
import random
import secrets
from typing import Any, cast

from schema.transport.http.connections import HTTPLimits
from schema.transport.http.protocol import Connection
from tests.schema.transport.http.served import Served, served
from tests.schema.transport.http.streams import drawn, run

STREAMS = int(os.environ.get("STREAMS", "400"))
SEED = int(os.environ.get("SEED", "22" if os.environ.get("CI") else str(secrets.randbelow(10**9))))
# Nothing may end by its time: that would depend on the machine's.
LIMITS = HTTPLimits(body=1000, body_seconds=600, keep_alive_seconds=600, write_seconds=600)
ORIGINS = frozenset({"https://a.example"})


def connection(server: Served) -> Connection:
    return cast(Any, server.runner.server)()


def recorded(server: Served) -> list[tuple[object, ...]]:
    """Take what was recorded, without what differs each time."""
    records = [
        (
            record.caller,
            record.operation_name,
            record.operation_type,
            record.outcome,
            record.status,
            record.client,
            record.trace_id,
        )
        for record in server.records
    ]
    server.records.clear()
    return records


async def test_no_stream_of_bytes_is_answered_otherwise_than_by_the_ordinary_way() -> None:
    async with (
        served(limits=LIMITS, origins=ORIGINS, straight=True) as straight,
        served(limits=LIMITS, origins=ORIGINS, straight=False) as ordinary,
    ):
        for server in (straight, ordinary):
            server.work.released.set()
        for number in range(STREAMS):
            steps = drawn(random.Random(f"{SEED}-{number}"))  # noqa: S311 - to be drawn again
            seen = []
            for server in (straight, ordinary):
                wire = await run(connection(server), steps)
                seen.append((wire.sent, wire.is_closed, recorded(server)))
                wire.abort()
            assert seen[0] == seen[1], f"SEED={SEED}, stream {number}: {steps}"

    assert ordinary.straight_answers == 0
    # Or nothing was compared.
    assert straight.straight_answers > STREAMS / 8
