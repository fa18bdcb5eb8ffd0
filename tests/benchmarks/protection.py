"""What protection costs: the server as it is deployed beside one without it, on the same visits in one run.

    python -m tests.benchmarks.protection [--visits 20000] [--requests 2000]

With protection the caller signs in by a token, and is limited to one location, where all visits happen to be. The servers
take turns, so that whatever else the machine does meets both. The run fails where protection costs more than is promised.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

import aiohttp

from tests.benchmarks.reads import (
    LOCATION,
    QUERIES,
    ROOT,
    Client,
    comparable,
    cpu_of,
    free_port,
    prepare,
    run,
    started,
)

ROUNDS = 9
MOST = 1.1


async def compare(folder: Path, count: int, requests: int) -> dict[str, float]:
    """Return for each query how much more CPU time it takes with protection."""
    database, environment = prepare(folder, count, locations=1)
    token = run("token", "--subject", "benchmark", "--role", "VIEWER", "--location", LOCATION.format(0), environment=environment)
    bare_port, port = free_port(), free_port()
    bare = [sys.executable, str(ROOT / "tests/benchmarks/unprotected.py"), str(database), str(bare_port)]
    own = [sys.executable, str(ROOT / "app.py"), "serve", "--port", str(port)]
    ratios = {}
    # The one without answers by the ordinary way alone.
    alike = environment | {"HOME_VISITS_STRAIGHT": "off"}
    with started(bare, environment) as without, started(own, alike) as protected:
        async with aiohttp.ClientSession() as session:
            for name, query in QUERIES.items():
                off, on = Client(bare_port, None, query), Client(port, token, query)
                if comparable(await off.first_answer(session)) != comparable(await on.first_answer(session)):
                    sys.exit(f"{name}: the servers answer differently")
                for client in (off, on):
                    await client.often(session, requests // 2)
                spent = [
                    (await cpu_of(off, session, without, requests), await cpu_of(on, session, protected, requests))
                    for _ in range(ROUNDS)
                ]
                ratios[name] = statistics.median(more / less for less, more in spent)
                less, more = (statistics.median(times) for times in zip(*spent, strict=True))
                print(f"{name:10} on/off {ratios[name]:.3f}  ({more:.3f} ms / {less:.3f} ms)", flush=True)
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=20_000)
    parser.add_argument("--requests", type=int, default=2_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ratios = asyncio.run(compare(Path(folder), options.visits, options.requests))
    above = [name for name, ratio in ratios.items() if ratio > MOST]
    if above:
        sys.exit(f"above {MOST}: {', '.join(above)}")


if __name__ == "__main__":
    main()
