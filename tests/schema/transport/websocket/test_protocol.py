"""The protocol graphql-transport-ws to the letter, with a real client."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from schema.transport.http.connections import drain
from schema.transport.websocket.sockets import WebSocketLimits
from tests.schema.transport.http.served import until
from tests.schema.transport.websocket.connected import ACK, BELLS, INIT, PROTOCOL, complete, next_of, rung, serving


async def test_a_query_is_answered_once_and_completed() -> None:
    async with serving() as connected, connected.open() as client:
        await client.subscribe("query Hello($n: String) { hello(name: $n) }", variables={"n": "Amy"}, operationName="Hello")

        assert [await client.receive(), await client.receive()] == [next_of({"hello": "Hello, Amy!"}), complete()]
        assert [(record.operation_name, record.operation_type, record.outcome) for record in connected.records] == [
            ("Hello", "query", "ok")
        ]


async def test_each_event_of_a_subscription_is_answered_until_it_ends() -> None:
    async with serving() as connected, connected.open() as client:
        await client.subscribe(BELLS)
        await until(lambda: connected.work.bells)
        bells = rung(connected)
        bells.ring(1)
        first = await client.receive()
        bells.ring(2)
        bells.finish()

        assert [first, await client.receive(), await client.receive()] == [
            next_of({"bells": {"number": 1}}),
            next_of({"bells": {"number": 2}}),
            complete(),
        ]
        assert bells.closed
        assert [(record.operation_name, record.operation_type, record.outcome) for record in connected.records] == [
            ("Bells", "subscription", "ok")
        ]


async def test_a_stream_without_a_buffer_is_answered_too() -> None:
    async with serving() as connected, connected.open() as client:
        await client.subscribe("subscription { numbers(upTo: 2) }")

        assert [await client.receive() for _ in range(3)] == [next_of({"numbers": 0}), next_of({"numbers": 1}), complete()]


@pytest.mark.parametrize("planned", [True, False])
async def test_a_field_that_no_plan_serves_is_answered_by_an_executor(planned: bool) -> None:
    async with serving(planned=planned) as connected, connected.open() as client:
        await client.subscribe(BELLS, variables={"loud": True})
        await until(lambda: connected.work.bells)
        rung(connected).ring(3)

        assert await client.receive() == next_of({"bells": {"number": 3, "shout": "xxx"}})


async def test_an_event_that_fails_says_so_and_the_next_comes() -> None:
    async with serving() as connected, connected.open() as client:
        await client.subscribe("subscription { bells { broken } }")
        await until(lambda: connected.work.bells)
        rung(connected).ring(1)
        failed = await client.receive()
        rung(connected).ring(2)
        again = await client.receive()

        record = connected.records[1]
        assert failed["payload"] == {
            "data": None,
            "errors": [
                {
                    "message": "Unexpected error.",
                    "extensions": {"code": "INTERNAL_SERVER_ERROR", "requestId": record.request_id},
                }
            ],
        }
        assert again["payload"]["errors"][0]["message"] == "Unexpected error."
        assert (record.outcome, str(record.failure)) == ("INTERNAL_SERVER_ERROR", "hunter2")


async def test_an_event_that_is_out_of_sight_by_now_is_left_out() -> None:
    async with serving() as connected, connected.open() as client:
        await client.subscribe("subscription { bells { number near } }")
        await until(lambda: connected.work.bells)
        for number in (1, 2, 1):
            rung(connected).ring(number)
        answers = [await client.receive() for _ in range(2)]

    assert answers == [next_of({"bells": {"number": 1, "near": True}})] * 2


async def test_a_subscription_that_the_client_completes_is_closed_and_its_id_is_free() -> None:
    async with serving() as connected, connected.open() as client:
        await client.subscribe(BELLS)
        await until(lambda: connected.work.bells)

        await client.send(complete())
        await client.subscribe(BELLS)
        await until(lambda: len(connected.work.bells) == 2)
        rung(connected, 1).ring(7)

        assert rung(connected).closed
        assert await client.receive() == next_of({"bells": {"number": 7}})


async def test_a_query_that_the_client_completes_is_cancelled() -> None:
    async with serving() as connected, connected.open() as client:
        await client.subscribe("{ wait }")
        await connected.work.running.acquire()

        await client.send(complete())
        await until(lambda: connected.work.cancelled)

        assert connected.work.cancelled == ["wait"]


async def test_operations_of_one_connection_run_beside_each_other() -> None:
    async with serving() as connected, connected.open() as client:
        await client.subscribe("{ wait }", "slow")
        await connected.work.running.acquire()
        await client.subscribe("{ hello }", "quick")

        quick = [await client.receive(), await client.receive()]
        connected.work.released.set()

        assert quick == [next_of({"hello": "Hello, world!"}, "quick"), complete("quick")]
        assert [await client.receive(), await client.receive()] == [next_of({"wait": "done"}, "slow"), complete("slow")]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ nothing }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "subscription { bells { number } numbers(upTo: 1) }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "subscription ($n: Int!) { numbers(upTo: $n) }"}, "BAD_USER_INPUT"),
        ({"query": "subscription { bells(refuse: true) { number } }"}, "FORBIDDEN"),
        ({"query": 5}, "BAD_REQUEST"),
        ({}, "BAD_REQUEST"),
        ({"query": "{ hello }", "variables": [1]}, "BAD_REQUEST"),
        ({"query": "query A { hello } query B { hello }"}, "OPERATION_RESOLUTION_FAILURE"),
    ],
)
async def test_what_is_not_run_is_answered_by_an_error_and_its_id_is_free(payload: dict[str, Any], code: str) -> None:
    async with serving() as connected, connected.open() as client:
        await client.send({"type": "subscribe", "id": "1", "payload": payload})

        refused = await client.receive()
        await client.subscribe("{ hello }")

        assert (refused["id"], refused["type"], [error["extensions"]["code"] for error in refused["payload"]]) == (
            "1",
            "error",
            [code],
        )
        assert await client.receive() == next_of({"hello": "Hello, world!"})
        assert connected.records[0].outcome == code


async def test_a_ping_is_answered_at_any_time_with_what_it_brought() -> None:
    async with serving() as connected, connected.open(init=False) as client:
        await client.send({"type": "ping"}, {"type": "ping", "payload": {"at": 5}}, {"type": "pong"})

        assert [await client.receive(), await client.receive()] == [
            {"type": "pong"},
            {"type": "pong", "payload": {"at": 5}},
        ]


async def test_one_operation_too_many_is_refused_and_the_others_go_on() -> None:
    async with serving(limits=WebSocketLimits(operations=2)) as connected, connected.open() as client:
        await client.subscribe(BELLS, "a")
        await client.subscribe(BELLS, "b")
        await client.subscribe(BELLS, "c")

        refused = await client.receive()
        await client.send(complete("a"))
        await client.subscribe("{ hello }", "d")

        assert (refused["id"], refused["type"]) == ("c", "error")
        assert refused["payload"][0]["message"] == (
            "2 operations run on this connection: wait for one to end, or use another connection."
        )
        assert refused["payload"][0]["extensions"]["code"] == "BAD_REQUEST"
        assert await client.receive() == next_of({"hello": "Hello, world!"}, "d")


_WAIT = json.dumps({"type": "subscribe", "id": "1", "payload": {"query": "{ wait }"}})
CLOSES = {
    "not JSON": (["{"], 4400),
    "no object": (["[]"], 4400),
    "null": (["null"], 4400),
    "no type": (["{}"], 4400),
    "an unknown type": (['{"type":"start","id":"1"}'], 4400),
    "a server's type": (['{"type":"next","id":"1","payload":{}}'], 4400),
    "a name twice": (['{"type":"ping","type":"pong"}'], 4400),
    "no ID": (['{"type":"subscribe","payload":{"query":"{ hello }"}}'], 4400),
    "an empty ID": (['{"type":"subscribe","id":"","payload":{"query":"{ hello }"}}'], 4400),
    "a number as ID": (['{"type":"complete","id":1}'], 4400),
    "a long ID": ([json.dumps({"type": "complete", "id": "x" * 256})], 4400),
    "a payload that is a list": (['{"type":"connection_init","payload":[1]}'], 4400),
    "a payload that is a text": (['{"type":"subscribe","id":"1","payload":"{ hello }"}'], 4400),
    "a token that is a number": (['{"type":"connection_init","payload":{"Authorization":1}}'], 4400),
    "two tokens": (['{"type":"connection_init","payload":{"Authorization":"a","authorization":"b"}}'], 4400),
    "subscribing too early": (['{"type":"subscribe","id":"1","payload":{"query":"{ hello }"}}'], 4401),
    "initialising twice": ([json.dumps(INIT), json.dumps(INIT)], 4429),
    "an ID in use": ([json.dumps(INIT), _WAIT, _WAIT], 4409),
    "too large a frame": (["x" * 70_000], 1009),
    "far too large a frame": (["x" * 3_000_000], 1009),
}


@pytest.mark.parametrize(("messages", "code"), CLOSES.values(), ids=CLOSES)
async def test_what_breaks_the_protocol_closes_the_connection_with_a_code(messages: list[str], code: int) -> None:
    async with serving() as connected, connected.open(init=False) as client:
        for message in messages:
            await client.socket.send_str(message)

        closed, reason = await client.closed()

        assert (closed, bool(reason)) == (code, True)


async def test_binary_messages_and_text_that_is_no_utf_8_are_refused() -> None:
    async with serving() as connected:
        async with connected.open() as client:
            await client.socket.send_bytes(b'{"type":"ping"}')
            assert await client.closed() == (4400, "Send messages as text.")
        async with connected.open() as client:
            await client.socket.send_frame(b"\xff\xfe", aiohttp.WSMsgType.TEXT)
            assert (await client.closed())[0] == 1007


async def test_who_does_not_initialise_in_time_is_closed() -> None:
    async with serving(limits=WebSocketLimits(init_seconds=0.1)) as connected, connected.open(init=False) as client:
        assert await client.closed() == (4408, "Send connection_init within 0.1 seconds.")


async def test_who_has_initialised_in_time_stays() -> None:
    async with serving(limits=WebSocketLimits(init_seconds=0.1)) as connected, connected.open() as client:
        await asyncio.sleep(0.3)
        await client.subscribe("{ hello }")

        assert await client.receive() == next_of({"hello": "Hello, world!"})


@pytest.mark.parametrize("protocols", [(), ("graphql-ws",), ("x", "graphql-ws")])
async def test_other_subprotocols_are_closed(protocols: tuple[str, ...]) -> None:
    async with serving() as connected, connected.open(init=False, protocols=protocols) as client:
        assert await client.closed() == (4406, "Connect with the subprotocol graphql-transport-ws.")


async def test_the_subprotocol_is_chosen_where_others_are_offered_too() -> None:
    async with serving() as connected, connected.open(protocols=("graphql-ws", PROTOCOL)) as client:
        assert client.socket.protocol == PROTOCOL


async def test_what_is_no_handshake_is_refused_as_json() -> None:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "short"}
    async with serving() as connected, connected.client.get("/graphql", headers=headers) as response:
        answer = await response.json()

    assert (response.status, answer["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")


async def test_a_server_that_stops_sends_what_waits_and_closes_with_1001() -> None:
    async with serving() as connected, connected.open() as client, connected.open() as idle:
        await client.subscribe(BELLS)
        await client.subscribe("{ wait }", "2")
        await until(lambda: connected.work.bells)
        await connected.work.running.acquire()
        for number in range(3):
            rung(connected).ring(number)

        connected.endpoint.drain()
        await asyncio.sleep(0)
        await client.subscribe("{ hello }", "3")
        connected.work.released.set()
        received = [await client.receive() for _ in range(5)]
        closed = await client.closed()

        assert sorted(received, key=str) == sorted(
            [next_of({"bells": {"number": number}}) for number in range(3)] + [next_of({"wait": "done"}, "2"), complete("2")],
            key=str,
        )
        assert closed == (1001, "The server is stopping: connect again, and resume from your last cursor.")
        assert (await idle.closed())[0] == 1001
        await client.socket.close()
        await idle.socket.close()
        began = asyncio.get_running_loop().time()
        await drain(connected.runner, 30)
        assert asyncio.get_running_loop().time() - began < 15


async def test_no_websocket_is_opened_while_the_server_stops() -> None:
    async with serving() as connected:
        connected.endpoint.drain()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connected.open():
                pass

    assert refused.value.status == 503


async def test_what_a_client_that_left_had_begun_is_cancelled() -> None:
    async with serving() as connected:
        async with connected.open() as client:
            await client.subscribe("{ wait }")
            await client.subscribe(BELLS, "2")
            await connected.work.running.acquire()
            await until(lambda: connected.work.bells)
            assert (connected.sockets.connections, connected.sockets.subscriptions) == (1, 1)

        await until(lambda: connected.work.cancelled and rung(connected).closed)
        await until(lambda: not connected.sockets.connections)

        assert connected.sockets.subscriptions == 0


async def test_the_acknowledgement_is_all_that_an_initialisation_sends() -> None:
    async with serving() as connected, connected.open(init=False) as client:
        await client.send({"type": "connection_init", "payload": {}}, {"type": "ping"})

        assert [await client.receive(), await client.receive()] == [ACK, {"type": "pong"}]
