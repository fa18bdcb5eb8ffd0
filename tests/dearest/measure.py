"""What the dearest requests take: a table of all, or of those whose names contain a word.

python -m tests.dearest.measure DATABASE… [--only WORD]
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.dearest.corpus import Case, corpus
from tests.dearest.databases import make_hostile, make_usual
from tests.dearest.stretches import MeasuredServer, Measurement, measured_server

BOUND_SECONDS = 0.1
LARGEST_ANSWER = 2**23
# The deadline, and what a machine that is busy may add.
LONGEST_SECONDS = 13.0
ATTEMPTS = 5
HEAD = f"{'stretch ms':>10} {'cpu ms':>9} {'wall ms':>9} {'/healthz':>9} {'bytes':>11} {'price':>7} {'status':>6}  case"


def row(case: Case, taken: Measurement) -> str:
    cost = "-" if taken.cost is None else f"{taken.cost:,}"
    milliseconds = (f"{1000 * seconds:9.1f}" for seconds in (taken.stretch, taken.cpu, taken.seconds, taken.healthz))
    code = f" ({taken.code})" if taken.code else ""
    return f" {' '.join(milliseconds)} {taken.size:11,} {cost:>7} {taken.status:>6}  {case.name}{code}"


def measure(server: MeasuredServer, case: Case) -> Measurement:
    """Return what a case took: of a few attempts the least, where the first was above the bound."""
    taken = server.ask(case.document, case.variables)
    for _ in range(ATTEMPTS - 1):
        if taken.stretch <= BOUND_SECONDS:
            break
        taken = min(taken, server.ask(case.document, case.variables), key=lambda each: each.stretch)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("databases", nargs="*", type=Path)
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for database in arguments.databases or new_databases(Path(folder)):
            table(database, arguments.only)


def new_databases(folder: Path) -> Iterator[Path]:
    for name, make, visits in (("hostile", make_hostile, 2_000), ("usual", make_usual, 300_000)):
        make(folder / f"{name}.db", visits)
        yield folder / f"{name}.db"


def table(database: Path, only: str) -> None:
    print(f"{database.name}\n{HEAD}")
    with measured_server(database) as server:
        for case in corpus():
            if only in case.name:
                taken = measure(server, case)
                is_above = taken.stretch > BOUND_SECONDS or taken.size > LARGEST_ANSWER
                print(row(case, taken) + ("   ABOVE" if is_above else ""), flush=True)
    for failure in server.log.failures[:5]:
        print(failure)


if __name__ == "__main__":
    main()
