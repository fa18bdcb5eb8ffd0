"""An event is answered once for all who are answered alike, and again where what failed passes by itself."""

import asyncio
from typing import Any

import pytest
from graphql import GraphQLError

from schema.execution.engine import Result
from schema.execution.subscriptions import Subscription
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.operations import Operations, RequestRecord
from schema.transport.websocket import answers
from schema.transport.websocket.answers import EventAnswers
from storage.caller import Caller, Role
from tests.schema.transport.http.served import present_error

AMY = Caller("amy", frozenset({Role.VIEWER}))
BEN = Caller("ben", frozenset({Role.VIEWER}))
CLEO = Caller("cleo", frozenset({Role.VIEWER}))
DORA = Caller("dora", frozenset({Role.VIEWER}))
BOSS = Caller("boss", frozenset({Role.ADMIN}))


class Room:
    """Subscriptions whose answer is how often anything was answered; the first `failures` fail."""

    def __init__(self, *failures: Exception, throttled: tuple[str, ...] = ()) -> None:
        self.ran: list[tuple[Any, str]] = []
        self.records: list[RequestRecord] = []
        self.failures = list(failures)
        self.throttled = set(throttled)
        self.operations: Operations[Caller] = Operations(
            execute=lambda *_: self.nothing(),
            authenticate=lambda _authorization: AMY,
            make_context=lambda caller, _id: caller,
            present_error=present_error,
            record=self.records.append,
            concurrency=ConcurrencyLimiter(),
            execution_seconds=10,
            cost_limit=10,
        )
        self.answers = EventAnswers(self.operations, lambda caller: caller.roles)

    async def nothing(self) -> Result:
        return Result(None, [], True, None)

    def subscription(self, alike: str = "all") -> Subscription:
        return Subscription(self.events(), alike, self.execute)

    async def events(self) -> Any:
        yield 1

    async def execute(self, event: Any, caller: Caller, _faults: list[Exception]) -> Result:
        self.ran.append((event, caller.subject))
        await asyncio.sleep(0)
        if caller.subject in self.throttled:
            raise GraphQLError("Too much.", extensions={"code": "THROTTLED"})
        if self.failures:
            raise self.failures.pop(0)
        return Result({"count": len(self.ran)}, [], True, None)


async def test_those_who_are_alike_and_see_the_same_share_an_answer() -> None:
    room = Room()
    one, other = room.subscription(), room.subscription()

    payloads = await asyncio.gather(
        room.answers.payload(one, AMY, 1), room.answers.payload(other, BEN, 1), room.answers.payload(one, BOSS, 1)
    )

    assert payloads == [b'{"data":{"count":2}}', b'{"data":{"count":2}}', b'{"data":{"count":2}}']
    assert room.ran == [(1, "amy"), (1, "boss")]


async def test_other_documents_and_other_events_have_answers_of_their_own() -> None:
    room = Room()

    await room.answers.payload(room.subscription("a"), AMY, 1)
    await room.answers.payload(room.subscription("b"), AMY, 1)
    await room.answers.payload(room.subscription("a"), AMY, 2)
    await room.answers.payload(room.subscription("a"), BEN, 2)

    assert [event for event, _ in room.ran] == [1, 1, 2]


async def test_one_that_leaves_takes_the_answer_from_nobody() -> None:
    room = Room()
    leaving = asyncio.create_task(room.answers.payload(room.subscription(), AMY, 1))
    staying = asyncio.create_task(room.answers.payload(room.subscription(), BEN, 1))
    await asyncio.sleep(0)

    leaving.cancel()

    assert await staying == b'{"data":{"count":1}}'


async def test_what_passes_by_itself_is_answered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "PAUSE_SECONDS", 0.01)
    room = Room(GraphQLError("Busy.", extensions={"code": "OVERLOADED"}))

    payload = await room.answers.payload(room.subscription(), AMY, 1)

    assert payload == b'{"data":{"count":2}}'
    assert [record.outcome for record in room.records] == ["OVERLOADED"]


async def test_what_one_caller_is_throttled_for_is_answered_in_the_name_of_another_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "PAUSE_SECONDS", 60)
    room = Room(throttled=("amy", "ben"))
    async with asyncio.timeout(answers.PAUSE_SECONDS / 2):
        waiting = [asyncio.create_task(room.answers.payload(room.subscription(), caller, 1)) for caller in (AMY, BEN, CLEO, DORA)]
        payloads = await asyncio.gather(*waiting[2:])
        # One who comes later joins as well.
        payloads.append(await room.answers.payload(room.subscription(), AMY, 1))
    for task in waiting:
        task.cancel()

    assert payloads == [b'{"data":{"count":3}}'] * 3
    assert room.ran == [(1, "amy"), (1, "ben"), (1, "cleo")]


async def test_one_who_is_throttled_tries_again_and_takes_the_answer_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "PAUSE_SECONDS", 0.01)
    room = Room(throttled=("amy",))

    payloads = await asyncio.gather(*(room.answers.payload(room.subscription(), caller, 1) for caller in (AMY, BEN)))

    assert payloads == [b'{"data":{"count":2}}'] * 2
    assert room.ran == [(1, "amy"), (1, "ben")]


async def test_only_who_is_throttled_each_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(answers, "ATTEMPTS", 3)
    room = Room(throttled=("amy",))

    refused = await room.answers.payload(room.subscription(), AMY, 1)
    answered = await room.answers.payload(room.subscription(), BEN, 1)

    assert (b'"code":"THROTTLED"' in refused, answered) == (True, b'{"data":{"count":4}}')
    assert room.ran == [(1, "amy")] * 3 + [(1, "ben")]


async def test_what_does_not_pass_is_told() -> None:
    room = Room(GraphQLError("Too large.", extensions={"code": "QUERY_TOO_COMPLEX"}))

    payload = await room.answers.payload(room.subscription(), AMY, 1)

    assert payload == (
        b'{"data":null,"errors":[{"message":"Too large.","extensions":{"code":"QUERY_TOO_COMPLEX","requestId":"'
        + room.records[0].request_id.encode()
        + b'"}}]}'
    )


@pytest.mark.parametrize(("bound", "value"), [("MOST_ANSWERS", 3), ("MOST_BYTES", 3 * len(b'{"data":{"count":1}}'))])
async def test_answers_are_bounded_by_number_and_by_bytes(monkeypatch: pytest.MonkeyPatch, bound: str, value: int) -> None:
    monkeypatch.setattr(answers, bound, value)
    room = Room()

    for event in (1, 2, 3, 4, 2, 1):
        await room.answers.payload(room.subscription(), AMY, event)

    # The fourth took the place of the first.
    assert [event for event, _ in room.ran] == [1, 2, 3, 4, 1]


async def test_an_answer_is_shared_for_a_moment_as_what_it_shows_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "SHARED_SECONDS", 0.05)
    room = Room()

    first = [await room.answers.payload(room.subscription(), AMY, 1) for _ in range(2)]
    await asyncio.sleep(0.1)
    later = await room.answers.payload(room.subscription(), AMY, 1)

    assert (first, later) == ([b'{"data":{"count":1}}'] * 2, b'{"data":{"count":2}}')


async def test_answers_that_are_forgotten_while_they_are_made_are_not_counted_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_ANSWERS", 2)
    monkeypatch.setattr(answers, "MOST_BYTES", 3 * len(b'{"data":{"count":1}}'))
    room = Room()

    await asyncio.gather(*(room.answers.payload(room.subscription(), AMY, event) for event in range(20)))
    for event in (98, 99, 98, 99):
        await room.answers.payload(room.subscription(), AMY, event)

    assert [event for event, _ in room.ran[20:]] == [98, 99]
