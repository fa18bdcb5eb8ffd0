"""Runs operations: documents prepared once, queries served by compiled root fields where they can be, all else by an executor."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple, cast

import strawberry
from graphql import GraphQLError, OperationDefinitionNode, OperationType, VariableNode

from schema.execution.at_once import DEFERRED, UnbrokenSlice, run_at_once
from schema.execution.coercion import Coercions
from schema.execution.columns import STORED
from schema.execution.deprecations import Deprecations, deprecated_uses
from schema.execution.documents import MAX_ERRORS, Documents, NotExecuted, Operation, coded
from schema.execution.executors import PlannedExecutor, StandardExecutor
from schema.execution.hints import LEFT_TO_EXECUTOR, StoredScalars
from schema.execution.internals import Selections, VariableValues, core_schema, get_variable_values, require_no_extensions
from schema.execution.limits import Limits, PageSizes, answer_too_large, require_affordable
from schema.execution.lists import DEFAULT_LENGTHS, ListLengths
from schema.execution.root_fields import CompiledOperation, Resolved, compile_operation
from schema.execution.runs import Run, TimeSlice
from schema.execution.sizes import AnswerSize, AnswerTooLarge
from schema.execution.subscriptions import CompiledEvent, Subscription, begin, compiled_event

ROOT_FIELDS = "root fields"


class Request(NamedTuple):
    """A document, which of its operations to run, and the values of its variables.

    `reports_cost`: the response is to say what it costs.
    """

    document: str
    operation_name: str | None
    variables: dict[str, Any]
    reports_cost: bool = False


class Served(StrEnum):
    """What made the data of a result."""

    CONSTANT = "constant"
    ROOT_FIELDS = "compiled root fields"
    PLANS = "executor with plans"
    EXECUTOR = "standard executor"


class Result(NamedTuple):
    """`executed` is False for a request error: nothing was run, and the response has no `data`.

    `faults` are exceptions of compiled code, after which the standard executor served: to be logged, never to be shown.
    `cost` is the price that was compared with the limit, with the values of the variables; 0 where nothing was run.
    `subscription` is one that has begun: its data are to come.
    """

    data: dict[str, Any] | None
    errors: list[GraphQLError]
    executed: bool
    operation: OperationDefinitionNode | None
    served: Served | None = None
    faults: tuple[Exception, ...] = ()
    cost: int = 0
    subscription: Subscription | None = None


class Engine:
    """Runs operations over a schema, whatever brought them; raises ValueError for a schema with extensions it would not run.

    `may_introspect` says of a context whether it may see the schema itself. `scalars` says how stored values are answered
    where that is not what the scalar's own serializer makes of decoded ones.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        limits: Limits,
        *,
        may_introspect: Callable[[Any], bool] = lambda _context: True,
        planned: bool = True,
        suggest: bool = True,
        page_sizes: PageSizes | None = None,
        list_lengths: ListLengths = DEFAULT_LENGTHS,
        scalars: StoredScalars | None = None,
    ) -> None:
        require_no_extensions(schema)
        self._schema = core_schema(schema)
        self._limits = limits
        self._may_introspect = may_introspect
        self._planned = planned
        self._suggest = suggest
        self._scalars = {**STORED, **(scalars or {})}
        self._coercions = Coercions(list_lengths)
        self._deprecations = Deprecations(self._schema)
        self.documents = Documents(
            self._schema, limits, suggest=suggest, page_sizes=page_sizes or PageSizes(), lengths=list_lengths
        )

    async def execute(self, request: Request, context: Any, faults: list[Exception] | None = None) -> Result:
        """Run one operation; errors are in the result, each with a code where the client can mend it.

        `faults` takes those of the result as they occur: it has them also where this is cancelled, and there is no result.
        """
        operation, slice = None, TimeSlice()
        resolved: Resolved = {}
        faults = [] if faults is None else faults
        try:
            operation = self._prepare(request, context)
            if operation.answer is not None:
                return Result(operation.answer, [], True, operation.node, Served.CONSTANT, (), operation.price.fixed)
            if (values := self._values(operation, request.variables)) is not None:
                run = Run(context, values, AnswerSize(self._limits.answer_bytes), slice)
                result = await self._by_root_fields(operation, request.variables, run, resolved, faults)
                if result is not None:
                    return result
            variables = self._variables(operation, request.variables)
            cost = self._affordable(operation, variables.coerced, context)
        except NotExecuted as refusal:
            return Result(None, refusal.errors, False, operation.node if operation else None)
        await slice.give_way()
        run = Run(context, variables.coerced, AnswerSize(self._limits.answer_bytes), slice, variables)
        return (await self._run(operation, variables, run, resolved, faults))._replace(cost=cost)

    def at_once(self, request: Request, make_context: Callable[[], Any]) -> Result | None:
        """Run a query that succeeds without waiting for anything; None: `execute` has to run it. It has changed nothing.

        Only what is compiled is tried. An operation that could not be answered at once twice is not tried for the next requests.
        """
        prepared = self.documents.cached(request.document)
        if prepared is None or prepared.introspects:
            return None
        try:
            operation = prepared.operation(request.operation_name)
            if operation.deferred:
                operation.deferred -= 1
                return None
            values = self._values(operation, request.variables) if operation.is_query else None
            compiled = operation.plans(values).get(ROOT_FIELDS) if values is not None else None
            if values is None or compiled is None or not compiled.is_single:
                return None
            run = Run(make_context(), values, AnswerSize(self._limits.answer_bytes), UnbrokenSlice())
            cost = self._affordable(operation, values, run.context)
            data = run_at_once(compiled.execute(run, {}))
        except NotExecuted:
            return None
        except Exception:  # noqa: BLE001 - whatever it is, it comes again where `execute` runs it, which says what it is
            # On a busy machine anything may take long once.
            operation.deferred = DEFERRED if operation.has_waited else 0
            operation.has_waited = True
            return None
        operation.has_waited = False
        self.documents.prepare(request.document)
        return Result(data, [], True, operation.node, Served.ROOT_FIELDS, (), cost)

    def defer(self, request: Request) -> None:
        """Leave the next requests for an operation to `execute`: its answers take long to write."""
        if (prepared := self.documents.cached(request.document)) is not None:
            prepared.operation(request.operation_name).deferred = DEFERRED

    async def subscribe(self, request: Request, context: Any, faults: list[Exception] | None = None) -> Result:
        """Like `execute`, but a subscription is begun: its events are answered later, each with a price of its own."""
        operation = None
        try:
            operation = self._prepare(request, context, subscribes=True)
            if operation.node.operation is not OperationType.SUBSCRIPTION:
                return await self.execute(request, context, faults)
            self._values(operation, request.variables)
            variables = self._variables(operation, request.variables)
            cost = self._affordable(operation, variables.coerced, context)
            event = compiled_event(self._schema, operation, variables, self._scalars, planned=self._planned)
            events = await begin(self._schema, operation, variables, context)
        except NotExecuted as refusal:
            errors = [_mendable(error) for error in refusal.errors]
            return Result(None, errors, False, operation.node if operation else None)
        values = tuple(repr(variables.coerced.get(name)) for name in event.variables)
        execute = partial(self._execute_event, operation, variables, event, cost)
        return Result(None, [], True, operation.node, cost=cost, subscription=Subscription(events, (operation, values), execute))

    async def _execute_event(
        self,
        operation: Operation,
        variables: VariableValues,
        compiled: CompiledEvent,
        cost: int,
        event: Any,
        context: Any,
        faults: list[Exception],
    ) -> Result:
        """Answer one event of a subscription."""
        run = Run(context, variables.coerced, AnswerSize(self._limits.answer_bytes), TimeSlice(), variables)
        try:
            data = await compiled.execute(event, run)
            return Result(data, [], True, operation.node, Served.ROOT_FIELDS, (), cost)
        except LEFT_TO_EXECUTOR:
            pass
        except AnswerTooLarge:
            return Result(None, [answer_too_large(self._limits)], True, operation.node, Served.ROOT_FIELDS, (), cost)
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is reported and must not cost the client the answer
            faults.append(fault)
        run = Run(context, variables.coerced, AnswerSize(self._limits.answer_bytes), run.slice, variables)
        return (await self._run(operation, variables, run, {compiled.key: event}, faults))._replace(cost=cost)

    def cached_operation(self, request: Request) -> OperationDefinitionNode | None:
        """Return the operation that a request names, where its document is kept: of one that never got its result."""
        prepared = self.documents.cached(request.document)
        try:
            return prepared.operation(request.operation_name).node if prepared else None
        except NotExecuted:
            return None

    @property
    def deprecates(self) -> bool:
        """Tell whether any part of the schema is deprecated."""
        return self._deprecations.any

    def deprecated_uses(self, request: Request) -> list[str]:
        """Return the coordinates of the deprecated parts that a request uses, where its document is kept."""
        prepared = self.documents.cached(request.document)
        try:
            operation = prepared.operation(request.operation_name) if prepared else None
        except NotExecuted:
            return []
        if operation is None:
            return []
        if operation.deprecated_use is None:
            operation.deprecated_use = self._deprecations.of(operation.node, operation.prepared.fragments.definitions)
        return deprecated_uses(operation.deprecated_use, request.variables)

    def _prepare(self, request: Request, context: Any, *, subscribes: bool = False) -> Operation:
        operation = self.documents.prepare(request.document).operation(request.operation_name)
        if operation.prepared.introspects and not self._may_introspect(context):
            message = "The schema is not shown here: its SDL comes with the documentation, or ask somebody with the role ADMIN."
            raise NotExecuted(GraphQLError(message, extensions={"code": "FORBIDDEN"}))
        if operation.node.operation is OperationType.SUBSCRIPTION and not subscribes:
            message = "A subscription needs a WebSocket: use the subprotocol graphql-transport-ws at this address."
            raise NotExecuted(GraphQLError(message, extensions={"code": "BAD_REQUEST"}))
        return operation

    def _values(self, operation: Operation, raw: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the values of the variables of a query; None: graphql-core has to coerce them, or to say what is wrong."""
        variables = operation.variables(self._schema, self._coercions)
        try:
            values = variables.coerced(raw) if self._planned and operation.is_query else None
            if values is None:
                variables.require_short_lists(raw)
        except GraphQLError as error:
            raise NotExecuted(error) from None
        return values

    def _variables(self, operation: Operation, raw: Mapping[str, Any]) -> VariableValues:
        """Coerce the variables as graphql-core does; raise NotExecuted with what is wrong with them."""
        definitions = operation.node.variable_definitions or ()
        variables = get_variable_values(
            self._schema, definitions, dict(raw), max_errors=MAX_ERRORS, hide_suggestions=not self._suggest
        )
        if isinstance(variables, list):
            raise NotExecuted(*(coded(error, "BAD_USER_INPUT") for error in variables[:MAX_ERRORS]))
        return variables

    def _affordable(self, operation: Operation, values: Mapping[str, Any], context: Any) -> int:
        """Return the price with these values of the variables; raise NotExecuted where it is too high."""
        try:
            return require_affordable(operation.price, values, self._limits, context)
        except GraphQLError as error:
            raise NotExecuted(error) from None

    async def _by_root_fields(
        self, operation: Operation, raw: Mapping[str, Any], run: Run, resolved: Resolved, faults: list[Exception]
    ) -> Result | None:
        """Serve a query by its compiled root fields; None: an executor has to."""
        try:
            cost = self._affordable(operation, run.variables, run.context)
            plans = operation.plans(run.variables)
            compiled = plans[ROOT_FIELDS] if ROOT_FIELDS in plans else await self._compile(operation, raw, run)
            if compiled is None:
                return None
            data = await compiled.execute(run, resolved)
        except LEFT_TO_EXECUTOR:
            return None
        except NotExecuted:
            raise
        except AnswerTooLarge:
            return Result(None, [answer_too_large(self._limits)], False, operation.node, Served.ROOT_FIELDS, (), cost)
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is reported and must not cost the client the answer
            faults.append(fault)
            return None
        return Result(data, [], True, operation.node, Served.ROOT_FIELDS, (), cost)

    async def _compile(self, operation: Operation, raw: Mapping[str, Any], run: Run) -> CompiledOperation | None:
        """Compile a query's root fields, and keep them for the next request; None: an executor has to run it."""
        variables = self._variables(operation, raw)
        selections = Selections(self._schema, operation.node, operation.prepared.fragments, variables)
        compiled = await compile_operation(self._schema, selections, self._scalars, run.slice)
        plans = operation.plans(run.variables)
        # Another request may have compiled the same meanwhile.
        if ROOT_FIELDS not in plans:
            plans[ROOT_FIELDS] = compiled
            operation.count_planned(compiled.size if compiled else 0)
        return cast("CompiledOperation | None", plans[ROOT_FIELDS])

    async def _run(
        self, operation: Operation, variables: VariableValues, run: Run, resolved: Resolved, faults: list[Exception]
    ) -> Result:
        if faults or not self._planned:
            # What was resolved for compiled code may lack what it does not say it reads: after a fault, all is done anew.
            # An event is whole, and comes once.
            event = resolved if operation.node.operation is OperationType.SUBSCRIPTION else None
            executor = StandardExecutor(self._schema, operation, variables, run.context, event)
        else:
            executor = PlannedExecutor(self._schema, operation, variables, run, resolved, self._scalars, faults)
        try:
            result: Any = executor.execute_operation()
            if executor.is_awaitable(result):
                result = await result
        finally:
            executor.close_unawaited()
        served = Served.EXECUTOR
        if isinstance(executor, PlannedExecutor) and executor.planned:
            served = Served.PLANS
        try:
            _require_all_read(result.errors or [])
            await executor.count(run, result.data)
        except AnswerTooLarge:
            was_executed = operation.node.operation is OperationType.MUTATION
            return Result(None, [answer_too_large(self._limits)], was_executed, operation.node, served)
        if not result.errors:
            operation.keep_constant(result.data)
        errors = [_mendable(error) for error in (result.errors or [])[:MAX_ERRORS]]
        return Result(result.data, errors, True, operation.node, served, tuple(faults))


def _require_all_read(errors: Sequence[GraphQLError]) -> None:
    """Raise AnswerTooLarge where it ended the reading of a field."""
    for error in errors:
        if isinstance(error.original_error, AnswerTooLarge):
            raise AnswerTooLarge


def _mendable(error: GraphQLError) -> GraphQLError:
    """Code the one mistake of a client that shows only when a document runs: null in a variable that is used for a value."""
    cause = error.original_error or error
    if isinstance(cause, GraphQLError) and cause.nodes and isinstance(cause.nodes[0], VariableNode):
        return coded(error, "BAD_USER_INPUT")
    return error
