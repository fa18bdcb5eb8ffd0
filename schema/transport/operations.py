"""Runs operations for every transport: deadline, sign-in, concurrency limit, error presentation, and a record of each request."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from graphql import GraphQLError, OperationDefinitionNode

from schema.execution.engine import Request, Result
from schema.execution.subscriptions import Subscription
from schema.transport.at_once import AtOnce
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.deadlines import Deadline
from schema.transport.errors import FAILURES, NO_HEADERS, PersistedQueryError, RequestError, status_of

CLIENT_LEFT = 499
# What no document has priced has asked the database something all the same.
REFUSED_COST = 1

logger = logging.getLogger(__name__)


class Caller(Protocol):
    """Who sends a request: opaque here, but for the name that is logged, and that of the application that they use."""

    @property
    def subject(self) -> str: ...

    @property
    def application(self) -> str | None: ...


C = TypeVar("C", bound=Caller)


class RequestRecord(NamedTuple):
    """A request that was answered. `operation_name` is the client's word.

    `failure`, `faults` and `reason` never reach the client: what the response only says in general, what the fast path raised
    before the standard executor served the operation, and why the client could not sign in.
    `deprecated` are the coordinates of the deprecated parts of the schema that it uses.
    """

    request_id: str
    caller: str | None
    operation_name: str | None
    operation_type: str | None
    outcome: str
    status: int
    seconds: float
    failure: BaseException | None
    faults: tuple[Exception, ...] = ()
    client: str | None = None
    trace_id: str | None = None
    reason: str | None = None
    application: str | None = None
    deprecated: tuple[str, ...] = ()


class RequestState:
    """One request while it is served: what is recorded of it is filled in on the way."""

    # On the class: most requests keep most of them, and need not set them.
    caller: Caller | None = None
    request: Request | None = None
    operation: OperationDefinitionNode | None = None
    operation_name: str | None = None
    operation_type: str | None = None
    outcome: str = "ok"
    failure: BaseException | None = None
    context: Any = None
    subscription: Subscription | None = None
    client: str | None = None
    trace_id: str | None = None
    reason: str | None = None
    cost: int = 0

    def __init__(self, id: str | None = None) -> None:
        # It has to be unlike others, not secret: random bytes of the system's would be a system call.
        self.id = id or f"{random.getrandbits(64):016x}"
        self.started = perf_counter()
        self.faults: list[Exception] = []


class Response(NamedTuple):
    """A GraphQL response, its errors as clients see them. `executed`: it has data, if only null.

    `refused_status` is HTTP's of a request that was never parsed, allowed or finished; None where its document was looked at.
    `extensions` are those of the whole response, where there are any; `headers` are HTTP's.
    """

    data: dict[str, Any] | None
    errors: list[dict[str, Any]]
    executed: bool
    refused_status: int | None
    extensions: dict[str, Any] | None = None
    headers: Mapping[str, str] = NO_HEADERS


class Operations(Generic[C]):
    """Runs the operations of all transports of a process: signs in, admits, executes, presents errors, records.

    `authenticate` takes the Authorization header, or its equal, and raises a GraphQLError with a code. `seconds_left` tells how
    long that stays valid, where it ends. `subscribe` is like `execute`, and begins subscriptions as well.
    """

    def __init__(
        self,
        *,
        execute: Callable[[Request, Any, list[Exception]], Awaitable[Result]],
        authenticate: Callable[[str | None], C | Awaitable[C]],
        make_context: Callable[[C, str], Any],
        present_error: Callable[[GraphQLError, str, Any], dict[str, Any]],
        record: Callable[[RequestRecord], object],
        concurrency: ConcurrencyLimiter,
        execution_seconds: float,
        cost_limit: int,
        cached_operation: Callable[[Request], OperationDefinitionNode | None] = lambda _request: None,
        subscribe: Callable[[Request, Any, list[Exception]], Awaitable[Result]] | None = None,
        seconds_left: Callable[[str | None], float | None] = lambda _authorization: None,
        deprecated_uses: Callable[[Request], list[str]] | None = None,
        at_once: AtOnce | None = None,
    ) -> None:
        self._execute = execute
        self._at_once = at_once
        self._subscribe = subscribe or execute
        self.seconds_left = seconds_left
        self._authenticate = authenticate
        self._make_context = make_context
        self._present_error = present_error
        self._record = record
        self._concurrency = concurrency
        self._deadline = Deadline(execution_seconds)
        self._cost_limit = cost_limit
        self._cached_operation = cached_operation
        self._deprecated_uses = deprecated_uses

    async def execute(
        self,
        state: RequestState,
        parse: Callable[[], Request],
        *,
        authorization: str | None = None,
        caller: C | None = None,
        subscribes: bool = False,
    ) -> Result:
        """Sign in, unless the `caller` of a connection did so before; parse the request; run it within the limits.

        Nothing is parsed for strangers. The time to sign in and in the queue counts as well. Raises whatever goes wrong.
        """
        with self._deadline:
            if caller is None:
                authenticated: Any = self._authenticate(authorization)
                # isinstance of an abstract class would take seven times as long.
                caller = await authenticated if hasattr(authenticated, "__await__") else authenticated
            state.caller = caller
            state.request = request = parse()
            if (queued := self._concurrency.enter(caller.subject)) is not None:
                await queued
            cost = 0
            try:
                state.context = self._make_context(caller, state.id)
                execute = self._subscribe if subscribes else self._execute
                result = await execute(request, state.context, state.faults)
                cost, state.subscription = result.cost, result.subscription
                return result
            finally:
                self._concurrency.leave(caller.subject, cost)

    def at_once(self, state: RequestState, parse: Callable[[], Request], *, authorization: str | None) -> Response | None:
        """Do what `execute` and `respond` do, where nothing has to wait and nothing is refused; None: they have to do it.

        Raises RequestError of `parse`.
        """
        at_once = self._at_once
        if at_once is None or (caller := at_once.authenticate(authorization)) is None:
            return None
        if not self._concurrency.is_free_for(caller.subject):
            return None
        request = parse()
        result = at_once.execute(request, lambda: at_once.make_context(caller, state.id))
        if result is None:
            return None
        self._concurrency.shares.charge(caller.subject, result.cost)
        state.caller, state.request, state.operation, state.cost = caller, request, result.operation, result.cost
        return Response(result.data, [], True, None, self._extensions(state, result))

    def defer(self, state: RequestState) -> None:
        """Take back what was charged for an operation that was run `at_once`, and have the next requests for it not tried so."""
        if self._at_once is not None and state.request is not None and state.caller is not None:
            self._concurrency.shares.charge(state.caller.subject, -state.cost)
            self._at_once.defer(state.request)

    @property
    def runs_at_once(self) -> bool:
        return self._at_once is not None

    async def run(
        self, state: RequestState, sign_in: Callable[[], Awaitable[C]], work: Callable[[Any], Awaitable[Result]]
    ) -> Result:
        """Run what is no GraphQL document, in a context, within the same limits. Raises whatever goes wrong."""
        with self._deadline:
            caller = state.caller = await sign_in()
            if (queued := self._concurrency.enter(caller.subject)) is not None:
                await queued
            cost = REFUSED_COST
            try:
                state.context = self._make_context(caller, state.id)
                result = await work(state.context)
                cost = result.cost
                return result
            finally:
                self._concurrency.leave(caller.subject, cost)

    async def sign_in(self, authorization: str | None) -> C:
        """Return the caller of a connection; raise a GraphQLError with a code."""
        authenticated: Any = self._authenticate(authorization)
        caller: C = await authenticated if hasattr(authenticated, "__await__") else authenticated
        return caller

    async def answer_event(self, subscription: Subscription, event: Any, caller: C) -> Response:
        """Answer one event of a subscription, in the time and at the price of a request; record it where something goes wrong.

        It waits for no place: it would come after all that its caller has queued, and the transport answers few at once.
        """
        state = RequestState()
        state.caller = caller
        response = await self.respond(state, self._execute_event(state, subscription, event, caller))
        if response.errors or state.faults:
            self.record(state, response.refused_status or 200)
        return response

    async def _execute_event(self, state: RequestState, subscription: Subscription, event: Any, caller: C) -> Result:
        with self._deadline:
            self._concurrency.require_share(caller.subject)
            state.context = self._make_context(caller, state.id)
            result = await subscription.execute(event, state.context, state.faults)
            self._concurrency.shares.charge(caller.subject, result.cost)
            return result

    async def respond(self, state: RequestState, running: Awaitable[Result]) -> Response:
        """Await a result; turn all that goes wrong into errors with a code, and remember in `state` what is to be recorded.

        `running` is `execute`, with whatever a transport does before it. Only a client that leaves cancels this.
        """
        try:
            result = await running
            state.operation = result.operation
            errors = self._presented(state, result.errors) if result.errors else []
            return Response(result.data, errors, result.executed, None, self._extensions(state, result))
        except GraphQLError as error:
            state.reason = getattr(error, "reason", None)
            return self._refused(state, error)
        except asyncio.CancelledError:
            if _is_cancelled():
                state.outcome = "DISCONNECTED"
                self.record(state, CLIENT_LEFT)
                raise
            return self.failed(state, RuntimeError("Something that this request waited for was cancelled."))
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a GraphQL error and the record the exception
            return self.failed(state, error)

    def failed(self, state: RequestState, error: Exception) -> Response:
        """Return the response to a request that met a fault of ours."""
        return self._refused(state, GraphQLError("Unexpected error.", original_error=error))

    def record(self, state: RequestState, status: int) -> None:
        """Hand the request to metrics and log, once it is answered."""
        operation, request, caller = state.operation, state.request, state.caller
        if operation is None and request is not None:
            # Given up, left or refused before there was a result.
            operation = self._cached_operation(request)
        name = operation.name.value if operation and operation.name else None
        record = RequestRecord(
            state.id,
            caller.subject if caller else None,
            name or (request.operation_name if request else state.operation_name),
            operation.operation.value if operation else state.operation_type,
            state.outcome,
            status,
            perf_counter() - state.started,
            state.failure,
            tuple(state.faults),
            state.client,
            state.trace_id,
            state.reason,
            *self._deprecated(request, caller),
        )
        try:
            self._record(record)
        except Exception:
            # A full disk under the log must not cost a client the answer to what was done.
            logger.exception("a request was not recorded")

    def _deprecated(self, request: Request | None, caller: Caller | None) -> tuple[str | None, tuple[str, ...]]:
        """Return what is recorded of the use of deprecated parts: the application of whom, and which."""
        if self._deprecated_uses is None or request is None or caller is None:
            return None, ()
        return caller.application, tuple(self._deprecated_uses(request))

    def _refused(self, state: RequestState, error: GraphQLError) -> Response:
        errors = self._presented(state, [error])
        if isinstance(error, PersistedQueryError):
            return Response(None, errors, executed=False, refused_status=None)
        status = error.status if isinstance(error, RequestError) else status_of(state.outcome)
        headers = error.headers if isinstance(error, RequestError) else NO_HEADERS
        return Response(None, errors, False, status, self._extensions(state, None), headers)

    def _extensions(self, state: RequestState, result: Result | None) -> dict[str, Any] | None:
        """Return what a request costs and what its caller has left, where it asks for that."""
        if state.request is None or not state.request.reports_cost or state.caller is None:
            return None
        share = self._concurrency.shares.share(state.caller.subject)
        return {"cost": {"requested": _requested(result), "limit": self._cost_limit, "share": share._asdict()}}

    def _presented(self, state: RequestState, errors: list[GraphQLError]) -> list[dict[str, Any]]:
        presented = [self._present_error(error, state.id, state.context) for error in errors]
        for error, shown in zip(errors, presented, strict=True):
            code = shown["extensions"]["code"]
            if code in FAILURES:
                state.failure, state.outcome = error.original_error or error, code
            elif state.outcome == "ok":
                state.outcome = code
        return presented


def _requested(result: Result | None) -> int | None:
    """Return the price of a request, also of one that was refused for it; None where it was not priced."""
    if result is None:
        return None
    refused = (error.extensions or {} for error in result.errors if not result.executed)
    price = next((extensions["asked"] for extensions in refused if extensions.get("limit") == "cost"), None)
    return price if price is not None or not result.executed else result.cost


def _is_cancelled() -> bool:
    """Distinguish this task's own cancellation from that of something it awaits: a loader shared with a client who left, say."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
