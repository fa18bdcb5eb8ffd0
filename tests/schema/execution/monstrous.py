"""A program that sends documents whose answers would be monstrous, and prints how much memory its process took for each.

Run in a process of its own, because what was allocated once is seldom given back.
"""

import asyncio
import json
import resource
import sys
from pathlib import Path

from resolvers.auth import allowed_operations
from schema.context import Context
from schema.execution.engine import Request
from storage.database import Database, database_of
from tests import world
from tests.asking import engine

VISITS = 200
USUAL = "{ homeVisits(first: 5) { nodes { id status location { name homeVisits(first: 2) { nodes { id } } } } } }"
ALIASES = " ".join(f"n{n}: notes" for n in range(28))
HOSTS = ["MANAGER", "NURSE", "CARER", "OTHER", "RECEPTIONIST"]
WINDOWS = " ".join(
    f"w{n}: homeVisits(first: 100, filter: {{ status: [PENDING], host: {json.dumps(HOSTS[: n % 5 + 1])} }}, "
    f"orderBy: [{{ field: DATE_TIME, direction: {('ASC', 'DESC')[n % 2]} }}]) {{ nodes {{ notes }} }}".replace('"', "")
    for n in range(28)
)
DOCUMENTS = {
    "aliases of notes": f"{{ homeVisits(first: 100) {{ nodes {{ {ALIASES} }} }} }}",
    "pages in a page": "{ homeVisits(first: 24) { nodes { location { homeVisits(first: 96) { nodes { notes } } } } }}",
    "windows of a location": f'{{ location(id: "{world.WILLOWS}") {{ {WINDOWS} }} }}',
    "root fields": "{" + " ".join(f"r{n}: homeVisits(first: 100) {{ nodes {{ notes id }} }}" for n in range(20)) + "}",
    "notes in mutations": "mutation {"
    + " ".join(
        f'm{n}: cancelHomeVisit(input: {{ id: "{world.PENDING}" }}) {{ ... on CancelHomeVisitSuccess {{ homeVisit {{ location '
        "{ homeVisits(first: 100) { nodes { notes id status } } } } } ... on HomeVisitNotPendingError "
        "{ homeVisit { location { homeVisits(first: 100) { nodes { notes dateTime created } } } } } }"
        for n in range(5)
    )
    + "}",
}


def fill(path: Path) -> None:
    """Give a location so many visits with the longest notes, of letters that JSON escapes."""
    notes = ("Wound care\1\2é 👋" * 1000)[:10_000]
    common = {"location": world.WILLOWS, "notes": notes, "notes_folded": ""}
    world.copy_visit(path, world.PENDING, [{"id": f"9{number:023x}", **common} for number in range(VISITS)])


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def main(url: str, *, planned: bool) -> None:
    database = await database_of(url).open()
    runner = engine(planned=planned)
    try:
        for _ in range(3):
            await runner.execute(Request(USUAL, None, {}), world_context(database))
        for name, document in DOCUMENTS.items():
            before = peak()
            result = await runner.execute(Request(document, None, {}), world_context(database))
            codes = [(error.extensions or {}).get("limit") for error in result.errors]
            print(json.dumps([name, codes, result.data is None, peak() - before]))
    finally:
        await database.close()


def world_context(database: Database) -> Context:

    return Context(database, world.EVERYBODY, lambda: world.NOW, "Europe/London", allowed_operations)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], planned=sys.argv[2] == "planned"))
