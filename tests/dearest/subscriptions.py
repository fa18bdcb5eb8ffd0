"""The dearest subscriptions: as many as a connection may have, each answered for itself, while visits are changed."""

import asyncio
import gc
import json
from typing import Any

import aiohttp

from tests.dearest.cases import LEAVES, ORDER, REFERENCES, Case, repeated
from tests.dearest.databases import home, visit
from tests.dearest.measure import ATTEMPTS, BOUND_SECONDS
from tests.dearest.stretches import MeasuredServer, Measurement

SUBSCRIPTIONS, CHANGES = 20, 5
PATIENCE = 60
EVENT = "cursor node { id sequence at actor type version changes { field before after }"
TYPES = ["BOOKED", "UPDATED", "CANCELLED", "COMPLETED", "ANONYMIZED", "IMPORTED"]
FIELDS = " ".join(
    f'a{n}: updateHomeVisit(input: {{ id: "{visit(4 * n)}", notes: $notes }}) {{ __typename }}' for n in range(CHANGES)
)
CHANGE = f"mutation Change($notes: String) {{ {FIELDS} }}"
NEWEST = "{ homeVisitEvents(last: 1) { pageInfo { endCursor } } }"


def subscriptions() -> list[Case]:
    """Return the cases. ALIAS is another one in each of the subscriptions: what is alike is answered once."""
    every = {
        "homeVisit": [visit(n) for n in range(250)],
        "careEnquiry": [f"3{n:023x}" for n in range(250)],
        "location": [home(n) for n in range(250)],
        "type": TYPES * 40,
        "actor": ["developer", *(f"actor {n}" for n in range(249))],
        "atFrom": "2000-01-01T00:00:00Z",
    }
    notes = repeated(28, "notes")
    window = "homeVisits(first: 1, orderBy: $o) { pageInfo { hasNextPage endCursor } nodes { id } }"
    history = repeated(9, "history(first: 100) { nodes { id changes { field before after } } }")
    return [
        Case("20 subscriptions to all there is", *_subscription(f"{{ {EVENT} homeVisit {{ {LEAVES} {REFERENCES} }} }} }}")),
        Case(
            "20 subscriptions to 29 windows in an order of eight keys",
            *_subscription(
                f"{{ node {{ homeVisit {{ location {{ {repeated(29, window)} }} }} }} }}", "$o: [HomeVisitOrder!]!", o=ORDER
            ),
        ),
        Case(
            "20 subscriptions to 100 notes by 28 aliases",
            *_subscription(f"{{ node {{ homeVisit {{ location {{ homeVisits(first: 100) {{ nodes {{ {notes} }} }} }} }} }} }}"),
            is_variant=True,
        ),
        Case("20 subscriptions to 9 histories", *_subscription(f"{{ node {{ homeVisit {{ {history} }} }} }}"), is_variant=True),
        Case(
            "20 subscriptions with lists of 250",
            *_subscription(f"{{ {EVENT} }} }}", "$f: HomeVisitEventFilter", "filter: $f", f=every),
            is_variant=True,
        ),
    ]


def _subscription(selection: str, declared: str = "", argument: str = "", **variables: Any) -> tuple[str, dict[str, Any]]:
    document = f"subscription S($after: String, {declared}) {{ ALIAS: homeVisitChanged(after: $after, {argument}) {selection} }}"
    return document, variables


def measure_subscriptions(server: MeasuredServer, case: Case) -> Measurement:
    """Return what it takes to begin, to change visits, and to answer; of a few attempts the least, where one was above the bound.

    Each attempt sends other texts: a prepared one would be found in the cache. That the collector goes through all of them again,
    once there are many, is nobody's turn.
    """
    taken: list[Measurement] = []
    gc.disable()
    try:
        while len(taken) < ATTEMPTS and all(each.stretch > BOUND_SECONDS for each in taken):
            taken.append(server.talk(lambda port: asyncio.run(_converse(port, case, len(taken)))))
    finally:
        gc.enable()
    return min(taken, key=lambda each: each.stretch)


async def _converse(port: int, case: Case, attempt: int) -> int:
    """Return the bytes of the longest answer; fail where an event is not answered."""
    longest, url = 0, f"http://127.0.0.1:{port}/graphql"
    async with (
        asyncio.timeout(PATIENCE),
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=["graphql-transport-ws"], max_msg_size=0) as socket,
    ):
        newest = (await _ask(session, url, NEWEST))["homeVisitEvents"]["pageInfo"]["endCursor"]
        await socket.send_json({"type": "connection_init"})
        await socket.receive()
        for number in range(SUBSCRIPTIONS):
            query = case.document.replace("ALIAS", f"s{attempt}_{number}")
            payload = {"query": query, "variables": {**case.variables, "after": newest}}
            await socket.send_json({"type": "subscribe", "id": str(number), "payload": payload})
        for notes in ("", str(attempt)):
            await _ask(session, url, CHANGE, notes=notes)
        # Whether or not the first changed something.
        answers = dict.fromkeys(map(str, range(SUBSCRIPTIONS)), 0)
        while min(answers.values()) < CHANGES:
            text = await socket.receive_str()
            answer = json.loads(text)
            assert answer["type"] == "next", text[:500]
            answers[answer["id"]] += 1
            longest = max(longest, len(text))
    return longest


async def _ask(session: aiohttp.ClientSession, url: str, query: str, **variables: Any) -> Any:
    async with session.post(url, json={"query": query, "variables": variables}) as response:
        return (await response.json())["data"]
