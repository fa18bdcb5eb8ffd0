"""What protection costs: the server as it is deployed beside one without it, on the same visits in one run.

    python -m tests.benchmarks.protection [--visits 20000] [--requests 4000]

With protection the caller signs in by a token, and is limited to one location, where all visits happen to be.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.reads import LOCATION, QUERIES, ROOT, Asked, free_port, measure, prepare, run

ROUNDS = 3


async def compare(folder: Path, count: int, requests: int) -> None:
    database, environment = prepare(folder, count, locations=1)
    token = run("token", "--subject", "benchmark", "--role", "VIEWER", "--location", LOCATION.format(0), environment=environment)
    for name, query in QUERIES.items():
        ratios = []
        for _ in range(ROUNDS):
            bare, protected = free_port(), free_port()
            without = [sys.executable, str(ROOT / "tests/benchmarks/unprotected.py"), str(database), str(bare)]
            off, expected = await measure(without, environment, Asked(bare, None, query), requests)
            serve = [sys.executable, str(ROOT / "app.py"), "serve", "--port", str(protected)]
            on, answer = await measure(serve, environment, Asked(protected, token, query), requests)
            if answer != expected:
                sys.exit(f"{name}: the servers answer differently")
            ratios.append(on / off)
        print(f"{name:10} on/off {statistics.median(ratios):.3f}  ({on:.3f} ms / {off:.3f} ms)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=20_000)
    parser.add_argument("--requests", type=int, default=4_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(compare(Path(folder), options.visits, options.requests))


if __name__ == "__main__":
    main()
