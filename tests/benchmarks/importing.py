"""How long does an import take, how much memory, and does either grow faster than what is imported?

    python tests/benchmarks/importing.py [VISITS…]        100,000 and 1,000,000 unless told otherwise

Makes documents at random dates, the worst case for indexes by date, with the users, homes and enquiries they name; imports them
into a new database in a process of its own, twice; and checks what is kept.
"""

import json
import os
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent

USERS, LOCATIONS, VISITS_OF_AN_ENQUIRY = 200, 300, 3
LONGEST = {100_000: 20.0, 1_000_000: 120.0}
LARGEST_MIB = 160
NOTES = ["", "Care seeker has requested to view ground floor rooms.", "Daughter attends; wheelchair access needed."]
IMPORT = """
import asyncio, sys
from pathlib import Path
from storage.carehq.importing import import_documents
from storage.sqlite.database import SQLiteDatabase
from storage.instants import clock
from storage.sqlite.migrating import migrate

async def main(path, *files):
    database = await SQLiteDatabase(path).open()
    ignore = lambda *_: None
    report = await import_documents(database, files, None, clock(), progress=ignore, refuse=print)
    await database.close()
    print({kind: (tally.new, tally.unchanged) for kind, tally in report.tallies.items()})

paths = [Path(name) for name in sys.argv[1:]]
migrate(paths[0])
asyncio.run(main(*paths))
"""


def identifier(kind: str, number: int) -> str:
    return f"{kind * 8}{number:016x}"


def visits(count: int) -> Iterator[dict[str, Any]]:
    pick = random.Random(1)  # noqa: S311 - the same ones every time
    for number in range(count):
        enquiry = number // VISITS_OF_AN_ENQUIRY
        at = datetime.fromisoformat("2023-01-01") + timedelta(minutes=15 * pick.randrange(100_000))
        created, over = at - timedelta(days=pick.randrange(1, 20)), at + timedelta(hours=1)
        completed = str(over) if pick.random() < 0.7 else None
        yield {
            "_id": identifier("6", number),
            "assigned_to": identifier("a", enquiry % USERS),
            "cancelled": None,
            "care_enquiry": identifier("c", enquiry),
            "completed": completed,
            "created": str(created),
            "date_time": str(at),
            "host": "manager",
            "location": identifier("b", enquiry % LOCATIONS),
            "modified": completed or str(created),
            "notes": pick.choice(NOTES),
            "visit_type": pick.choice(["in_person", "virtual"]),
        }


def enquiries(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        references = {"assigned_to": identifier("a", number % USERS), "location": identifier("b", number % LOCATIONS)}
        yield {"_id": identifier("c", number), "first_name": "Seeker", "email": f"seeker{number}@family.example", **references}


def write(path: Path, documents: Iterable[dict[str, Any]]) -> Path:
    with path.open("w") as out:
        out.writelines(f"{'[' if number == 0 else ','}\n{json.dumps(one)}" for number, one in enumerate(documents))
        out.write("\n]\n")
    return path


def make(folder: Path, count: int) -> list[Path]:
    return [
        write(folder / "users.json", ({"_id": identifier("a", number), "first_name": "User"} for number in range(USERS))),
        write(folder / "locations.json", ({"_id": identifier("b", number), "name": "Home"} for number in range(LOCATIONS))),
        write(folder / "care_enquiries.json", enquiries(count // VISITS_OF_AN_ENQUIRY + 1)),
        write(folder / "home_visits.json", visits(count)),
    ]


def imported(database: Path, files: list[Path]) -> tuple[str, float]:
    started = time.monotonic()
    command = [sys.executable, "-c", IMPORT, str(database), *map(str, files)]
    answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return answer.strip(), time.monotonic() - started


def measure(count: int) -> bool:
    with tempfile.TemporaryDirectory() as name:
        database, files = Path(name) / "visits.db", make(Path(name), count)
        first, seconds = imported(database, files)
        again, seconds_again = imported(database, files)
        mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        with closing(sqlite3.connect(database)) as connection:
            kept = connection.execute("SELECT count(*), (SELECT count(*) FROM home_visit_events) FROM home_visits").fetchone()
    sizes = {"users": USERS, "locations": LOCATIONS, "care_enquiries": count // VISITS_OF_AN_ENQUIRY + 1, "home_visits": count}
    assert kept == (count, count)
    assert first == str({kind: (size, 0) for kind, size in sizes.items()})
    assert again == str({kind: (0, size) for kind, size in sizes.items()})
    print(
        f"{count:>9,} visits: {seconds:6.1f} s, again {seconds_again:6.1f} s, {mib} MiB at most (load {os.getloadavg()[0]:.1f})"
    )
    return seconds <= LONGEST.get(count, float("inf")) and mib <= LARGEST_MIB


if __name__ == "__main__":
    kept_promises = [measure(int(count)) for count in sys.argv[1:] or LONGEST]
    sys.exit(0 if all(kept_promises) else 1)
