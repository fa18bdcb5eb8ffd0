"""One connection after the upgrade: its caller, the messages it sends, and the operations that run on it."""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, Generic

from aiohttp import WSMsgType
from graphql import GraphQLError

from schema.execution.engine import Result
from schema.execution.runs import TimeSlice
from schema.execution.subscriptions import BufferedStream, Subscription
from schema.transport.errors import bad_request
from schema.transport.operations import C, Operations, RequestState, Response
from schema.transport.requests import TrustedDocuments, request_of
from schema.transport.websocket.answers import EventAnswers, payload_of
from schema.transport.websocket.messages import (
    CONNECTION_ACK,
    CloseCode,
    Closed,
    Message,
    bad_message,
    complete_message,
    error_message,
    next_message,
    parse_message,
    pong_message,
)
from schema.transport.websocket.sockets import IdleMessages, Socket, WebSocketLimits, stalled

# How often a token is looked at again: its issuer may have withdrawn the key.
RECHECK_SECONDS: Final = 60.0
# And where that was not possible, as its issuer's keys were away.
RETRY_SECONDS: Final = 1.0
_NOTHING: Final = Result(None, [], True, None)
# By the code of the error for which a sign-in is refused; any other is the client's own mistake.
_CLOSE_CODES: Final = {
    "UNAUTHENTICATED": CloseCode.FORBIDDEN,
    "FORBIDDEN": CloseCode.FORBIDDEN,
    "OVERLOADED": CloseCode.TRY_AGAIN_LATER,
    "TIMEOUT": CloseCode.TRY_AGAIN_LATER,
    "INTERNAL_SERVER_ERROR": CloseCode.INTERNAL_ERROR,
}

logger = logging.getLogger(__name__)


class Session(Generic[C]):
    """Serves one connection until it is closed. `new_state` makes the state of a request, with the facts of the connection.

    `sent` counts events.
    """

    def __init__(
        self,
        socket: Socket,
        operations: Operations[C],
        answers: EventAnswers[C],
        limits: WebSocketLimits,
        *,
        trusted: TrustedDocuments | None,
        new_state: Callable[[], RequestState],
        authorization: str | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = socket
        self._operations = operations
        self._answers = answers
        self._limits = limits
        self._trusted = trusted
        self._new_state = new_state
        self._authorization = authorization
        self._caller: C | None = None
        self._expires_at = math.inf
        self._is_initialised = False
        self._is_finishing = False
        self.sent = 0
        self.is_stalled = False
        # None: the client has closed it, or is gone.
        self._closed: asyncio.Future[Closed | None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._slice, self._idle_messages = TimeSlice(), IdleMessages(self._loop.time)
        self._helpers: set[asyncio.Task[None]] = set()
        # Not by ID: it is used again while the stream of an operation that was completed still closes.
        self._streams: dict[asyncio.Task[None] | None, AsyncIterator[Any]] = {}

    @property
    def subscriptions(self) -> int:
        return len(self._streams)

    async def run(self) -> None:
        """Serve until the connection ends, whoever ends it."""
        late = Closed(CloseCode.INITIALISATION_TIMEOUT, f"Send connection_init within {self._limits.init_seconds:g} seconds.")
        self._timer = self._loop.call_later(self._limits.init_seconds, self.close, late)
        reading = asyncio.create_task(self._read())
        try:
            closed = await asyncio.shield(self._closed)
        finally:
            self._timer.cancel()
            tasks = [reading, *self._tasks.values(), *self._helpers]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if closed is not None:
            await self._socket.end(closed)

    def close(self, closed: Closed | None) -> None:
        """Have the connection closed; only the first call counts."""
        if not self._closed.done():
            self._closed.set_result(closed)
            self.is_stalled = closed is not None and closed.code is CloseCode.STALLED

    def finish(self) -> None:
        """Close the connection as the server stops: once what it runs has ended, and the events that wait were sent."""
        if not self._is_finishing:
            self._is_finishing = True
            self._start(self._finish())

    async def _finish(self) -> None:
        for task in self._tasks.values():
            stream = self._streams.get(task)
            if isinstance(stream, BufferedStream):
                stream.finish()
            elif stream is not None:
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values())
        self.close(Closed(CloseCode.GOING_AWAY, "The server is stopping: connect again, and resume from your last cursor."))

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._helpers.add(task)
        task.add_done_callback(self._helpers.discard)

    async def _read(self) -> None:
        closed = None
        try:
            async for frame in self._socket:
                self._socket.note_taken()
                # What has come already is read without a pause: of tiny frames that is a thousand at once.
                await self._slice.give_way()
                if frame.type is WSMsgType.TEXT:
                    await self._handle(parse_message(frame.data))
                elif frame.type is WSMsgType.BINARY:
                    raise bad_message("Send messages as text.")
                else:
                    self._idle_messages.count()
                    if frame.type is WSMsgType.PING:
                        await self._socket.answer_ping(frame.data)
        except Closed as reason:
            closed = reason
        except ConnectionError:
            pass
        except Exception:
            logger.exception("a message over a WebSocket was not handled")
            closed = Closed(CloseCode.INTERNAL_ERROR, "Unexpected error.")
        self.close(closed)

    async def _handle(self, message: Message) -> None:
        match message.type:
            case "connection_init":
                await self._initialise(message.payload)
            case "subscribe":
                await self._subscribe(message.id, message.payload)
            case "complete":
                if task := self._tasks.pop(message.id, None):
                    task.cancel()
                else:
                    self._idle_messages.count()
            case "ping":
                self._idle_messages.count()
                await self._socket.send(pong_message(message.payload))
            case "pong":
                self._idle_messages.count()

    async def _initialise(self, payload: dict[str, Any] | None) -> None:
        if self._is_initialised:
            raise Closed(CloseCode.TOO_MANY_INITIALISATION_REQUESTS, "Send connection_init once.")
        self._is_initialised = True
        self._authorization = _authorization(payload or {}, self._authorization)
        state = self._new_state()
        response = await self._operations.respond(state, self._sign_in())
        if response.errors:
            self._operations.record(state, response.refused_status or 400)
            raise _refusal(response)
        if self._timer:
            self._timer.cancel()
        self._schedule_check()
        await self._socket.send(CONNECTION_ACK)

    async def _sign_in(self) -> Result:
        self._caller = await self._operations.sign_in(self._authorization)
        return _NOTHING

    def _schedule_check(self) -> None:
        left = self._operations.seconds_left(self._authorization)
        if left is None:
            return
        now = self._loop.time()
        if left > 0:
            self._expires_at, soon = now + left, RECHECK_SECONDS
        else:
            soon = RETRY_SECONDS
        seconds = min(max(self._expires_at - now, 0.01), soon)
        self._timer = self._loop.call_later(seconds, lambda: self._start(self._check_sign_in()))

    async def _check_sign_in(self) -> None:
        """Close the connection where its token has expired, or is no longer good."""
        response = await self._operations.respond(RequestState(), self._sign_in())
        if response.errors and (refusal := _refusal(response)).code is CloseCode.FORBIDDEN:
            self.close(refusal)
        elif response.errors and self._loop.time() >= self._expires_at:
            self.close(Closed(CloseCode.FORBIDDEN, "The token has expired. Sign in again for a new one."))
        else:
            self._schedule_check()

    async def _subscribe(self, id: str, payload: dict[str, Any]) -> None:
        if self._caller is None:
            raise Closed(CloseCode.UNAUTHORIZED, "Send connection_init first, and wait for its acknowledgement.")
        if id in self._tasks:
            # The code's own words, which clients look for.
            raise Closed(CloseCode.SUBSCRIBER_ALREADY_EXISTS, f"Subscriber for {id} already exists")
        if self._is_finishing:
            return
        if len(self._tasks) >= self._limits.operations:
            message = (
                f"{self._limits.operations} operations run on this connection: wait for one to end, or use another connection."
            )
            response = await self._operations.respond(self._new_state(), _failing(bad_request(message)))
            await self._socket.send(error_message(id, response.errors))
            return
        task = self._tasks[id] = asyncio.create_task(self._run_operation(id, payload, self._caller))
        task.add_done_callback(lambda task: self._forget(id, task))
        # It is parsed in a turn of its own: many messages may have come at once.
        await asyncio.sleep(0)

    def _forget(self, id: str, task: "asyncio.Task[None] | None") -> None:
        if self._tasks.get(id) is task:
            del self._tasks[id]

    async def _run_operation(self, id: str, payload: dict[str, Any], caller: C) -> None:
        try:
            subscription = await self._answer(id, payload, caller)
            if subscription is not None:
                # Its text may be as long as a frame, and the subscription may go on for days.
                del payload
                await self._stream(id, subscription, caller)
        except Closed as closed:
            self.close(closed)
        except ConnectionError:
            self.close(None)
        except Exception:
            logger.exception("an operation over a WebSocket has failed")
            self.close(Closed(CloseCode.INTERNAL_ERROR, "Unexpected error."))

    async def _answer(self, id: str, payload: dict[str, Any], caller: C) -> Subscription | None:
        """Answer a query or a mutation, or return the subscription that has begun."""
        state = self._new_state()
        running = self._operations.execute(state, lambda: request_of(payload, self._trusted), caller=caller, subscribes=True)
        response = await self._operations.respond(state, running)
        self._operations.record(state, response.refused_status or 200)
        if state.subscription is not None:
            return state.subscription
        if response.executed:
            await self._socket.send(next_message(id, payload_of(response)))
            await self._end(id, complete_message(id))
        else:
            await self._end(id, error_message(id, response.errors))
        return None

    async def _stream(self, id: str, subscription: Subscription, caller: C) -> None:
        events = subscription.events
        if isinstance(events, BufferedStream):
            events.on_overflow = self._close_if_blocked
        self._streams[asyncio.current_task()] = events
        try:
            async for event in events:
                payload = await self._answers.payload(subscription, caller, event)
                if payload is not None:
                    await self._socket.send(next_message(id, payload))
                    self.sent += 1
        except (ConnectionError, Closed):
            raise
        except Exception as error:  # noqa: BLE001 - whatever ends it, the client gets a GraphQL error
            await self._fail(id, error)
            return
        finally:
            del self._streams[asyncio.current_task()]
            await _close(events)
        # While the server stops nothing is complete: the client is to go on elsewhere.
        if not self._is_finishing:
            await self._end(id, complete_message(id))

    async def _fail(self, id: str, error: Exception) -> None:
        """End a subscription whose events cannot be read any more."""
        state = self._new_state()
        response = await self._operations.respond(state, _failing(GraphQLError(str(error), original_error=error)))
        self._operations.record(state, response.refused_status or 200)
        await self._end(id, error_message(id, response.errors))

    def _close_if_blocked(self) -> None:
        if self._socket.is_blocked:
            self.close(stalled())

    async def _end(self, id: str, message: bytes) -> None:
        """Send the last message of an operation; until the client has room for it, the operation counts as one that runs."""
        await self._socket.send(message)
        # The client may use the ID again as soon as it hears of this, which may be before the task is done.
        self._forget(id, asyncio.current_task())


def _authorization(payload: dict[str, Any], header: str | None) -> str | None:
    """Return what stands for the Authorization header: that of the upgrade, unless the payload brings one."""
    found = [value for name, value in payload.items() if name.lower() == "authorization"]
    if len(found) > 1 or not all(isinstance(value, str) for value in found):
        raise bad_message("Send `Authorization` once in the payload, as a string.")
    return found[0] if found else header


def _refusal(response: Response) -> Closed:
    error = response.errors[0]
    return Closed(_CLOSE_CODES.get(error["extensions"]["code"], CloseCode.BAD_REQUEST), error["message"])


async def _failing(error: GraphQLError) -> Result:
    raise error


async def _close(events: Any) -> None:
    if hasattr(events, "aclose"):
        await events.aclose()
