"""Runs operations: documents prepared once, queries served by compiled root fields where they can be, all else by an executor."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import strawberry
from graphql import GraphQLError, OperationDefinitionNode, OperationType, VariableNode

from schema.execution.columns import STORED
from schema.execution.documents import MAX_ERRORS, Documents, NotExecuted, Operation, coded
from schema.execution.executors import PlannedExecutor, StandardExecutor
from schema.execution.hints import LEFT_TO_EXECUTOR, StoredScalars
from schema.execution.internals import Selections, VariableValues, core_schema, get_variable_values, require_no_extensions
from schema.execution.limits import Limits, PageSizes, require_affordable
from schema.execution.lists import DEFAULT_LENGTHS, ListLengths
from schema.execution.root_fields import CompiledOperation, Resolved, compile_operation

ROOT_FIELDS = "root fields"


class Request(NamedTuple):
    """A document, which of its operations to run, and the values of its variables."""

    document: str
    operation_name: str | None
    variables: dict[str, Any]


class Served(StrEnum):
    """What made the data of a result."""

    CONSTANT = "constant"
    ROOT_FIELDS = "compiled root fields"
    PLANS = "executor with plans"
    EXECUTOR = "standard executor"


class Result(NamedTuple):
    """`executed` is False for a request error: nothing was run, and the response has no `data`.

    `faults` are exceptions of compiled code, after which the standard executor served: to be logged, never to be shown.
    """

    data: dict[str, Any] | None
    errors: list[GraphQLError]
    executed: bool
    operation: OperationDefinitionNode | None
    served: Served | None = None
    faults: tuple[Exception, ...] = ()


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
        self._lengths = list_lengths
        self.documents = Documents(
            self._schema, limits, suggest=suggest, page_sizes=page_sizes or PageSizes(), lengths=self._lengths
        )

    async def execute(self, request: Request, context: Any, faults: list[Exception] | None = None) -> Result:
        """Run one operation; errors are in the result, each with a code where the client can mend it.

        `faults` takes those of the result as they occur: it has them also where this is cancelled, and there is no result.
        """
        operation: Operation | None = None
        resolved: Resolved = {}
        faults = [] if faults is None else faults
        try:
            operation = self._prepare(request, context)
            if operation.answer is not None:
                return Result(operation.answer, [], True, operation.node, Served.CONSTANT)
            self._require_short_lists(operation, request.variables)
            try:
                compiled, values = self._compiled(operation, request.variables)
                if compiled is not None:
                    data = await compiled.execute(context, values, resolved)
                    return Result(data, [], True, operation.node, Served.ROOT_FIELDS)
            except LEFT_TO_EXECUTOR:
                pass
            except NotExecuted:
                raise
            except Exception as fault:  # noqa: BLE001 - whatever it is, it is reported and must not cost the client the answer
                faults.append(fault)
            variables = self._admit(operation, request.variables)
        except NotExecuted as refusal:
            return Result(None, refusal.errors, False, operation.node if operation else None)
        return await self._run(operation, variables, context, resolved, faults)

    def known_operation(self, request: Request) -> OperationDefinitionNode | None:
        """Return the operation that a request names, where its document is kept: of one that never got its result."""
        prepared = self.documents.cached(request.document)
        try:
            return prepared.operation(request.operation_name).node if prepared else None
        except NotExecuted:
            return None

    def _prepare(self, request: Request, context: Any) -> Operation:
        operation = self.documents.prepare(request.document).operation(request.operation_name)
        if operation.prepared.introspects and not self._may_introspect(context):
            message = "The schema is not shown here: its SDL comes with the documentation, or ask somebody with the role ADMIN."
            raise NotExecuted(GraphQLError(message, extensions={"code": "FORBIDDEN"}))
        if operation.node.operation is OperationType.SUBSCRIPTION:
            message = "Subscriptions are not served: send a query or a mutation."
            raise NotExecuted(GraphQLError(message, extensions={"code": "BAD_REQUEST"}))
        return operation

    def _require_short_lists(self, operation: Operation, raw: Mapping[str, Any]) -> None:
        try:
            operation.variables(self._schema, self._lengths).require_short_lists(raw)
        except GraphQLError as error:
            raise NotExecuted(error) from None

    def _compiled(self, operation: Operation, raw: Mapping[str, Any]) -> tuple[CompiledOperation | None, Mapping[str, Any]]:
        """Return a query with compiled root fields, and the values of its variables; None: an executor has to run it."""
        if not self._planned or operation.node.operation is not OperationType.QUERY:
            return None, raw
        values = operation.variables(self._schema, self._lengths).coerced(raw)
        if values is None or operation.price.of(values) > self._limits.cost:
            return None, raw
        plans = operation.plans(values)
        if ROOT_FIELDS not in plans:
            selections = Selections(self._schema, operation.node, operation.prepared.fragments, self._admit(operation, raw))
            compiled = plans[ROOT_FIELDS] = compile_operation(self._schema, selections, self._scalars)
            operation.count_planned(compiled.size if compiled else 0)
        return plans[ROOT_FIELDS], values

    def _admit(self, operation: Operation, raw: Mapping[str, Any]) -> VariableValues:
        """Return the values of the variables; raise NotExecuted where the operation may not be run with them."""
        definitions = operation.node.variable_definitions or ()
        variables = get_variable_values(
            self._schema, definitions, dict(raw), max_errors=MAX_ERRORS, hide_suggestions=not self._suggest
        )
        if isinstance(variables, list):
            raise NotExecuted(*(coded(error, "BAD_USER_INPUT") for error in variables[:MAX_ERRORS]))
        try:
            require_affordable(operation.price, variables.coerced, self._limits)
        except GraphQLError as error:
            raise NotExecuted(error) from None
        return variables

    async def _run(
        self, operation: Operation, variables: VariableValues, context: Any, resolved: Resolved, faults: list[Exception]
    ) -> Result:
        if faults or not self._planned:
            # What was resolved for compiled code may lack what it does not say it reads: after a fault, all is done anew.
            executor = StandardExecutor(self._schema, operation, variables, context)
        else:
            executor = PlannedExecutor(self._schema, operation, variables, context, resolved, self._scalars, faults)
        result: Any = executor.execute_operation()
        if executor.is_awaitable(result):
            result = await result
        served = Served.EXECUTOR
        if isinstance(executor, PlannedExecutor) and executor.planned:
            served = Served.PLANS
        if not result.errors:
            operation.keep_constant(result.data)
        errors = [_mendable(error) for error in (result.errors or [])[:MAX_ERRORS]]
        return Result(result.data, errors, True, operation.node, served, tuple(faults))


def _mendable(error: GraphQLError) -> GraphQLError:
    """Code the one mistake of a client that shows only when a document runs: null in a variable that is used for a value."""
    cause = error.original_error or error
    if isinstance(cause, GraphQLError) and cause.nodes and isinstance(cause.nodes[0], VariableNode):
        return coded(error, "BAD_USER_INPUT")
    return error
