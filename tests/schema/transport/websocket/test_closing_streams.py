"""A stream that takes its time to close stands in the way of nothing: neither of its ID nor of the server's end."""

from tests.schema.transport.http.served import until
from tests.schema.transport.websocket.connected import BELLS, Client, Connected, complete, rung, serving


async def complete_slowly(connected: Connected, client: Client) -> None:
    """Subscribe, and complete what then closes until the test releases it."""
    await client.subscribe("subscription { slowToClose }")
    await connected.work.running.acquire()
    await client.send(complete())
    await until(lambda: connected.work.cancelled)


async def test_a_server_stops_while_the_stream_of_a_completed_subscription_closes() -> None:
    async with serving() as connected, connected.open() as client:
        await complete_slowly(connected, client)

        connected.endpoint.drain()

        assert (await client.closed())[0] == 1001
        connected.work.released.set()


async def test_a_subscription_that_uses_the_id_of_one_that_closes_is_counted_and_ended_as_the_server_stops() -> None:
    async with serving() as connected, connected.open() as client:
        await complete_slowly(connected, client)
        await client.subscribe(BELLS)
        await until(lambda: connected.sockets.subscriptions == 2)

        connected.work.released.set()
        await until(lambda: connected.sockets.subscriptions == 1)
        connected.endpoint.drain()

        assert (await client.closed())[0] == 1001
        assert rung(connected).closed
