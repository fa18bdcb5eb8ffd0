"""Answers to events: each made once for all subscriptions that are answered alike, however many there are."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final, Generic

from schema.execution.subscriptions import Subscription
from schema.transport.encoding import encoded
from schema.transport.operations import C, Operations, Response

# So many events are answered at once: each is mostly work of the loop, and requests need places too.
AT_ONCE: Final = 8
MOST_ANSWERS: Final = 1_000
MOST_BYTES: Final = 16 << 20
# What passes by itself: the same event is answered again.
_PASSING: Final = frozenset(("OVERLOADED", "THROTTLED", "STORAGE_UNAVAILABLE"))
ATTEMPTS: Final = 30
PAUSE_SECONDS: Final = 1.0


class EventAnswers(Generic[C]):
    """Answers events; `audience` says of a caller what decides about what they see."""

    def __init__(self, operations: Operations[C], audience: Callable[[C], Hashable]) -> None:
        self._operations = operations
        self._audience = audience
        self._places = asyncio.Semaphore(AT_ONCE)
        self._answers: OrderedDict[Hashable, asyncio.Task[bytes]] = OrderedDict()
        self._bytes = 0

    async def payload(self, subscription: Subscription, caller: C, event: Any) -> bytes:
        """Return the payload of the message that answers an event, as JSON."""
        key = (subscription.alike, self._audience(caller), event)
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = asyncio.create_task(self._answer(key, subscription, caller, event))
        # Others may wait for the same when this one is cancelled.
        return await asyncio.shield(answer)

    async def _answer(self, key: Hashable, subscription: Subscription, caller: C, event: Any) -> bytes:
        try:
            response = await self._response(subscription, caller, event)
            payload = payload_of(response)
        except BaseException:
            self._answers.pop(key, None)
            raise
        self._bytes += len(payload)
        while len(self._answers) > MOST_ANSWERS or self._bytes > MOST_BYTES:
            self._forget_oldest()
        return payload

    async def _response(self, subscription: Subscription, caller: C, event: Any) -> Response:
        for _ in range(ATTEMPTS):
            async with self._places:
                response = await self._operations.answer_event(subscription, event, caller)
            if not any(error["extensions"]["code"] in _PASSING for error in response.errors):
                break
            await asyncio.sleep(PAUSE_SECONDS)
        return response

    def _forget_oldest(self) -> None:
        _, answer = self._answers.popitem(last=False)
        if answer.done() and not answer.cancelled() and answer.exception() is None:
            self._bytes -= len(answer.result())


def payload_of(response: Response) -> bytes:
    """Return what a message says of a response, as JSON."""
    members: dict[str, Any] = {"data": response.data}
    if response.errors:
        members["errors"] = response.errors
    if response.extensions:
        members["extensions"] = response.extensions
    return encoded(members)
