"""Does a nested page cost more than it should, and does introspection? CPU time of one server for a request, in one run.

    python -m tests.benchmarks.shapes [--visits 20000] [--requests 1000] [--rounds 3]

A page of 100 visits with their location, user, enquiry and its seeker, beside the flat page of 100; and the query with which
explorers and code generators ask for the whole schema, beside the textbook's server. Each answer is checked before it is
timed. The run fails where a ratio is above what is promised.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp
from graphql import build_client_schema, get_introspection_query

from tests.benchmarks.importing import USERS, identifier, make
from tests.benchmarks.reads import NODE, ROOT, Client, cpu_of, free_port, imported, run, started

MOST = {"nested": 2.0, "introspection": 0.1}
SIZE = 100
PAGE = "{ homeVisits(orderBy: [{ field: DATE_TIME }], first: %d) { edges { cursor node { %s } } pageInfo { hasNextPage } } }"
NESTED_NODE = """id dateTime visitType host notes
location { id name email phone timeZone } assignedTo { id firstName lastName email }
careEnquiry { id careSeeker { firstName lastName email phone } }"""
FLAT, NESTED = {"query": PAGE % (SIZE, NODE)}, {"query": PAGE % (SIZE, NESTED_NODE)}
INTROSPECTION = {"query": get_introspection_query()}


def seeker_of(enquiry: str) -> dict[str, str | None]:
    return {"firstName": "Seeker", "lastName": None, "email": f"seeker{int(enquiry[8:], 16)}@family.example", "phone": None}


def require_nested(nested: dict[str, Any], flat: dict[str, Any]) -> None:
    """Stop where the nested page is not the flat one with what the documents say of each record."""
    pairs = zip(nested["data"]["homeVisits"]["edges"], flat["data"]["homeVisits"]["edges"], strict=True)
    for one, plain in pairs:
        node, imported_node = one["node"], plain["node"]
        enquiry = imported_node["careEnquiry"]["id"]
        user, home = identifier("a", int(enquiry[8:], 16) % USERS), imported_node["location"]["id"]
        expected = imported_node | {
            "location": {"id": home, "name": "Home", "email": None, "phone": None, "timeZone": "Europe/London"},
            "assignedTo": {"id": user, "firstName": "User", "lastName": None, "email": None},
            "careEnquiry": {"id": enquiry, "careSeeker": seeker_of(enquiry)},
        }
        if node != expected:
            sys.exit(f"not what was imported:\n{node}\n{expected}")


def require_schema(answer: dict[str, Any]) -> None:
    """Stop where the answer is not the whole schema."""
    kinds = build_client_schema(answer["data"]).type_map
    if not {"HomeVisitConnection", "Query"} <= set(kinds):
        sys.exit(f"no schema of ours: {sorted(kinds)}")


async def compare(folder: Path, count: int, requests: int, rounds: int) -> dict[str, float]:
    database, environment = imported(folder, make(folder, count))
    token = run("token", "--subject", "benchmark", "--role", "ADMIN", environment=environment)
    port, peer_port = free_port(), free_port()
    own = [sys.executable, str(ROOT / "app.py"), "serve", "--port", str(port)]
    peer = [sys.executable, str(ROOT / "tests/benchmarks/textbook.py"), str(database), str(peer_port)]
    flat, nested, schema = (Client(port, token, query) for query in (FLAT, NESTED, INTROSPECTION))
    schema_of_peer = Client(peer_port, None, INTROSPECTION)
    nested_ratios, schema_ratios = [], []
    with started(own, environment) as server, started(peer, environment) as textbook:
        async with aiohttp.ClientSession() as session:
            require_nested(await nested.first_answer(session), await flat.first_answer(session))
            require_schema(await schema.first_answer(session))
            require_schema(await schema_of_peer.first_answer(session))
            for client in (flat, nested, schema):
                await client.often(session, requests // 5)
            for _ in range(rounds):
                plain = await cpu_of(flat, session, server, requests)
                whole = await cpu_of(nested, session, server, requests)
                ours = await cpu_of(schema, session, server, requests)
                theirs = await cpu_of(schema_of_peer, session, textbook, max(requests // 20, 16))
                nested_ratios.append(whole / plain)
                schema_ratios.append(ours / theirs)
                print(
                    f"flat {plain:.3f} ms  nested {whole:.3f} ms  ratio {whole / plain:.2f}    "
                    f"schema {ours:.3f} ms  textbook {theirs:.1f} ms  ratio {ours / theirs:.4f}",
                    flush=True,
                )
    return {"nested": statistics.median(nested_ratios), "introspection": statistics.median(schema_ratios)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=20_000)
    parser.add_argument("--requests", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ratios = asyncio.run(compare(Path(folder), options.visits, options.requests, options.rounds))
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.3f}, at most {MOST[name]}")
    above = [name for name, ratio in ratios.items() if ratio > MOST[name]]
    if above:
        sys.exit(f"above what is promised: {', '.join(above)}")


if __name__ == "__main__":
    main()
