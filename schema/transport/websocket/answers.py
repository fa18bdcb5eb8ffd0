"""Answers to events: each made once for all subscriptions that are answered alike, however many there are."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Coroutine, Hashable
from typing import Any, Final, Generic

from schema.execution.subscriptions import Subscription
from schema.transport.encoding import encoded
from schema.transport.operations import C, Operations, Response

# So many events are answered at once: each is mostly work of the loop, and requests need places too.
AT_ONCE: Final = 8
MOST_ANSWERS: Final = 1_000
MOST_BYTES: Final = 16 << 20
# So long an answer is shared: what it says besides the event, such as who is visited, may be another, or erased, later.
SHARED_SECONDS: Final = 1.0
# What passes by itself: the same event is answered again. THROTTLED is about one caller, and others need not wait for it.
_PASSING: Final = frozenset(("OVERLOADED", "STORAGE_UNAVAILABLE"))
_THROTTLED: Final = frozenset(("THROTTLED",))
# An import has moved the visit away since the event was handed out: the event is not the caller's any more.
_OUT_OF_SIGHT: Final = frozenset(("OUT_OF_SIGHT",))
ATTEMPTS: Final = 30
PAUSE_SECONDS: Final = 1.0


class _Answer:
    """An answer that is made, or was: in whose name, from when it is, and how many bytes it has once it is there."""

    __slots__ = ("begun", "is_throttled", "size", "subject", "task")

    def __init__(self, subject: str, making: Coroutine[Any, Any, bytes | None]) -> None:
        self.begun = time.monotonic()
        self.subject = subject
        self.is_throttled = False
        self.size = 0
        self.task = asyncio.create_task(making)

    @property
    def is_shared(self) -> bool:
        return not self.task.done() or time.monotonic() - self.begun < SHARED_SECONDS


class EventAnswers(Generic[C]):
    """Answers events; `audience` says of a caller what decides about what they see."""

    def __init__(self, operations: Operations[C], audience: Callable[[C], Hashable]) -> None:
        self._operations = operations
        self._audience = audience
        self._places = asyncio.Semaphore(AT_ONCE)
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()
        self._bytes = 0

    async def payload(self, subscription: Subscription, caller: C, event: Any) -> bytes | None:
        """Return the payload of the message that answers an event, as JSON; None where it is out of the caller's sight by now.

        What one caller is refused for having used up their share, another asks for in their own name.
        """
        key = (subscription.alike, self._audience(caller), event)
        refusals = 0
        while True:
            answer = self._answers.get(key)
            if answer is None or not answer.is_shared:
                self._forget(key)
                answer = self._answers[key] = _Answer(caller.subject, self._answer(key, subscription, caller, event))
            # Others may wait for the same when this one is cancelled.
            payload = await asyncio.shield(answer.task)
            if not answer.is_throttled:
                return payload
            if answer.subject == caller.subject:
                refusals += 1
                if refusals == ATTEMPTS:
                    return payload
                await asyncio.sleep(PAUSE_SECONDS)

    async def _answer(self, key: Hashable, subscription: Subscription, caller: C, event: Any) -> bytes | None:
        answer = self._answers[key]
        try:
            response = await self._response(subscription, caller, event)
            payload = None if _has(_OUT_OF_SIGHT, response) else payload_of(response)
            answer.is_throttled = _has(_THROTTLED, response)
        except BaseException:
            if self._answers.get(key) is answer:
                self._forget(key)
            raise
        if self._answers.get(key) is answer:
            self._keep(key, answer, len(payload or b""))
        return payload

    def _keep(self, key: Hashable, answer: _Answer, size: int) -> None:
        """Keep an answer for others, unless it is a refusal of one caller."""
        if answer.is_throttled:
            self._forget(key)
            return
        answer.size = size
        self._bytes += size
        while len(self._answers) > MOST_ANSWERS or self._bytes > MOST_BYTES:
            self._forget(next(iter(self._answers)))

    async def _response(self, subscription: Subscription, caller: C, event: Any) -> Response:
        for _ in range(ATTEMPTS):
            async with self._places:
                response = await self._operations.answer_event(subscription, event, caller)
            if not _has(_PASSING, response):
                break
            await asyncio.sleep(PAUSE_SECONDS)
        return response

    def _forget(self, key: Hashable) -> None:
        if answer := self._answers.pop(key, None):
            self._bytes -= answer.size


def _has(codes: Container[str], response: Response) -> bool:
    return any(error["extensions"]["code"] in codes for error in response.errors)


def payload_of(response: Response) -> bytes:
    """Return what a message says of a response, as JSON."""
    members: dict[str, Any] = {"data": response.data}
    if response.errors:
        members["errors"] = response.errors
    if response.extensions:
        members["extensions"] = response.extensions
    return encoded(members)
