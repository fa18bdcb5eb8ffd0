"""What a request costs where many come at once: the CPU time of the server and of PostgreSQL, each for itself."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import Any

from tests.benchmarks.asking import PAGE, Client, cpu_milliseconds
from tests.benchmarks.families import identifier
from tests.benchmarks.questions import screens

CONNECTIONS, ROUNDS = 16, 20
BOOK = (
    "mutation Book($input: BookHomeVisitInput!) "
    "{ bookHomeVisit(input: $input) { __typename ... on BookHomeVisitSuccess { homeVisit { id status } } } }"
)


async def screens_at_once(client: Client) -> None:
    """Ask for all screens, again and again."""
    questions = [question for question in screens() if question.size == 20] * ROUNDS
    await _print("a screen", client, [lambda one=one: client.ask(PAGE, one.variables, one.caller) for one in questions])  # type: ignore[misc]  # mypy infers no lambda with a default


async def bookings_at_once(client: Client, number: int) -> None:
    """Book so many visits, which stay."""
    inputs = [
        {
            "careEnquiry": identifier("c", 7 * visit),
            "dateTime": f"2027-0{1 + visit % 9}-{1 + visit % 28:02}T{8 + visit % 10:02}:00:00Z",
            "host": "NURSE",
            "visitType": "IN_PERSON",
            "notes": "asked about the garden and the menu",
            "suppressConfirmation": True,
            "idempotencyKey": secrets.token_hex(8),
        }
        for visit in range(number)
    ]
    await _print("a booking", client, [lambda one=one: client.ask(BOOK, {"input": one}, "books") for one in inputs])  # type: ignore[misc]  # as above


async def _print(name: str, client: Client, requests: Sequence[Callable[[], Awaitable[Any]]]) -> None:
    before = [cpu_milliseconds([process]) for process in client.processes]
    waiting = iter(requests)

    async def some() -> None:
        for request in waiting:
            await request()

    await asyncio.gather(*(some() for _ in islice(range(len(requests)), CONNECTIONS)))
    used = [cpu_milliseconds([process]) - start for process, start in zip(client.processes, before, strict=True)]
    each = " and ".join(f"{milliseconds / len(requests):.2f}" for milliseconds in used)
    print(f"{each} ms   of the server and of PostgreSQL for {name}, {CONNECTIONS} at once, of {len(requests)}", flush=True)
