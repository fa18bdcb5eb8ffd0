"""Documents without end take no more memory than the first few thousand: parsed, planned, compiled to SQL, refused."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from schema.execution.documents import MAX_SIZE
from storage.queries.listing import SHAPES
from tests.conftest import Server

FIRST, MORE = 3_000, 3_000
CONNECTIONS = 4
MEBIBYTE = 1 << 20
FLAT = 4 * MEBIBYTE
LARGEST = 160 * MEBIBYTE

PLAIN = [
    "id status",
    "dateTime visitType",
    "host",
    "notes",
    "created",
    "modified",
    "cancelled",
    "completed anonymized",
    "version",
    "confirmation",
]
NESTED = [
    "location { id name timeZone }",
    "assignedTo { id lastName }",
    "careEnquiry { id careSeeker { firstName email } }",
    "careEnquiry { homeVisits(first: 2) { nodes { id } } }",
    "allowedOperations",
]
FILTERS = [
    "status: [PENDING, COMPLETED]",
    "host: [NURSE, CARER]",
    "visitType: [VIRTUAL]",
    "anonymized: false",
    "cancelled: true",
    'startDate: "2024-01-01"',
    'endDate: "2034-01-01"',
    'modifiedAfter: "2020-01-01T00:00:00Z"',
    'keyword: "garden"',
]
COLUMNS = ["DATE_TIME", "CREATED", "MODIFIED", "ID"]
ORDERS = [f"{{ field: {column}, direction: {direction} }}" for column in COLUMNS for direction in ("ASC", "DESC")]


def some(pick: random.Random, of: list[str], least: int = 0) -> str:
    return " ".join(pick.sample(of, pick.randint(least, len(of))))


def document(number: int) -> str:
    """Make a document like no other: most with a list of a form of its own, some that are refused."""
    pick = random.Random(number)  # noqa: S311 - the same ones every time
    match number % 10:
        case 0:
            return f"query Q{number} {{ homeVisits {{ unknown{number} }} }}"
        case 1:
            return f"{{ viewer {{ subject }} # {number}"
        case 2:
            return f"query Q{number}($v{number}: Int = 3) {{ homeVisits(first: $v{number}) {{ totalCount nodes {{ id }} }} }}"
    selected = f"{some(pick, PLAIN, 1)} {pick.choice(NESTED)}"
    arguments = f"filter: {{ {some(pick, FILTERS)} }} orderBy: [{some(pick, ORDERS)}] first: {pick.randint(1, 5)}"
    return f"query Q{number} {{ a{number}: homeVisits({arguments}) {{ nodes {{ {selected} }} }} }}"


def resident(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024


async def ask(server: Server, numbers: range) -> Counter[str]:
    """Ask each document once; return how often they were answered how."""
    waiting, answers = iter(numbers), Counter[str]()

    async def some_of_them(session: aiohttp.ClientSession) -> None:
        for number in waiting:
            async with session.post(server.url, json={"query": document(number)}) as response:
                answer: dict[str, Any] = await response.json()
            answers[answer["errors"][0]["extensions"]["code"] if "errors" in answer else "ok"] += 1

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(some_of_them(session) for _ in range(CONNECTIONS)))
    return answers


async def gauges(server: Server) -> dict[str, float]:
    async with aiohttp.ClientSession() as session, session.get(f"{server.origin}/metrics") as response:
        lines = (await response.text()).splitlines()
    return {name: float(value) for name, value in (line.split(" ") for line in lines if line.count(" ") == 1)}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the memory of a process in /proc")
async def test_documents_without_end_take_no_more_memory(running_server: Server, tell: Callable[..., None]) -> None:
    answers = await ask(running_server, range(FIRST))
    seen = [(resident(running_server), await gauges(running_server))]

    for start in range(FIRST, FIRST + MORE, FIRST):
        answers += await ask(running_server, range(start, start + FIRST))
        seen.append((resident(running_server), await gauges(running_server)))

    last = seen[-1][1]
    kept = {"documents": int(last["home_visits_documents"]), "shapes": int(last["home_visits_shapes"])}
    tell(f"MiB after every {FIRST} documents {[taken // MEBIBYTE for taken, _ in seen]}", **kept)
    tenth = (FIRST + MORE) // 10
    assert answers == {"ok": 8 * tenth, "GRAPHQL_VALIDATION_FAILED": tenth, "GRAPHQL_PARSE_FAILED": tenth}
    assert max(taken for taken, _ in seen) <= seen[0][0] + FLAT
    assert max(taken for taken, _ in seen) <= LARGEST
    for _, shown in seen:
        # Both are full, and no more than full.
        assert 0.9 * MAX_SIZE < shown["home_visits_documents_bytes"] <= MAX_SIZE
        assert SHAPES <= shown["home_visits_shapes"] <= 4 * SHAPES
