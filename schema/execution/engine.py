"""Documents run: prepared once, then served by plans wherever they can, by the standard executor wherever they cannot."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import strawberry
from graphql import (
    GraphQLError,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    default_field_resolver,
    default_type_resolver,
    is_non_null_type,
    is_object_type,
)
from graphql.execution.collect_fields import collect_fields, collect_subfields
from graphql.execution.values import VariableValues, get_variable_values
from graphql.pyutils import Path
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from schema.execution.documents import ERRORS_TOLD, Documents, Operation, Refused, coded
from schema.execution.limits import Limits, require_affordable
from schema.execution.plans import NotCompilable, Plan
from schema.execution.root_fields import CompiledOperation, CompiledRootField

ROOTS = "roots"


class Request(NamedTuple):
    """What a client asks: a document, which of its operations, and the values of its variables."""

    document: str
    operation_name: str | None
    variables: dict[str, Any]


class Answer(NamedTuple):
    """`executed` is False for a request error: nothing was run, and the response has no `data`."""

    data: dict[str, Any] | None
    errors: list[GraphQLError]
    executed: bool
    operation: OperationDefinitionNode | None
    faults: tuple[Exception, ...] = ()


class Engine:
    """Runs documents over a schema. `may_introspect` tells of a context whether it may see the schema itself."""

    def __init__(
        self,
        schema: strawberry.Schema,
        limits: Limits,
        *,
        may_introspect: Callable[[Any], bool] = lambda _context: True,
        planned: bool = True,
        suggest: bool = True,
    ) -> None:
        self._schema = schema._schema
        self._limits = limits
        self._may_introspect = may_introspect
        self._planned = planned
        self._suggest = suggest
        self.documents = Documents(self._schema, limits, suggest=suggest)

    async def execute(self, request: Request, context: Any) -> Answer:
        """Run one operation; refusals and errors are in the answer, each with a code where it is the client's to mend."""
        operation: Operation | None = None
        try:
            operation = self.documents.prepare(request.document).operation(request.operation_name)
            self._require_served(operation, context)
            data = await self._try_fast_path(operation, request.variables, context)
            if data is not None:
                return Answer(data, [], True, operation.node)
            variables = self._admitted(operation, request.variables)
        except Refused as refused:
            return Answer(None, refused.errors, False, operation.node if operation else None)
        make = PlannedExecutor if self._planned else StandardExecutor
        executor = make(self._schema, operation, variables, context)
        result: Any = executor.execute_operation()
        if executor.is_awaitable(result):
            result = await result
        if not result.errors:
            operation.answered(result.data)
        errors = [_mendable(error) for error in (result.errors or [])[:ERRORS_TOLD]]
        return Answer(result.data, errors, True, operation.node)

    async def _try_fast_path(self, operation: Operation, given: dict[str, Any], context: Any) -> dict[str, Any] | None:
        """Answer a query whose answer is known, or whose root fields can be called straight; None: the executor has to run it."""
        if operation.answer is not None or not self._planned or operation.node.operation is not OperationType.QUERY:
            return operation.answer
        variables = operation.variables(self._schema).coerced(given)
        if variables is None or operation.price.of(variables) > self._limits.cost:
            return None
        plans = operation.plans(variables)
        roots = plans.get(ROOTS)
        if roots is None:
            roots = plans[ROOTS] = self._roots(operation, given, context)
        if not roots:
            return None
        try:
            return cast("dict[str, Any]", await roots.answers(context, variables))
        except Exception:  # noqa: BLE001 - whatever it is, the standard executor tells it
            return None

    def _roots(self, operation: Operation, given: dict[str, Any], context: Any) -> CompiledOperation:
        return PlannedExecutor(self._schema, operation, self._admitted(operation, given), context).roots()

    def _require_served(self, operation: Operation, context: Any) -> None:
        if operation.prepared.introspects and not self._may_introspect(context):
            message = "The schema is not shown here: its SDL comes with the documentation, or ask somebody with the role ADMIN."
            raise Refused(GraphQLError(message, extensions={"code": "FORBIDDEN"}))
        if operation.node.operation is OperationType.SUBSCRIPTION:
            message = "Subscriptions are not served over HTTP: send a query or a mutation."
            raise Refused(GraphQLError(message, extensions={"code": "BAD_REQUEST"}))

    def _admitted(self, operation: Operation, given: dict[str, Any]) -> VariableValues:
        """Return the values of the variables; raise Refused where the operation may not be run with them."""
        definitions = operation.node.variable_definitions or ()
        variables = get_variable_values(
            self._schema, definitions, given, max_errors=ERRORS_TOLD, hide_suggestions=not self._suggest
        )
        if isinstance(variables, list):
            raise Refused(*(coded(error, "BAD_USER_INPUT") for error in variables[:ERRORS_TOLD]))
        try:
            require_affordable(operation.price, variables.coerced, self._limits)
        except GraphQLError as error:
            raise Refused(error) from None
        return variables


def _mendable(error: GraphQLError) -> GraphQLError:
    """Code the one mistake of a client that shows only when a document runs: null in a variable that is used for a value."""
    cause = error.original_error or error
    if isinstance(cause, GraphQLError) and cause.nodes and isinstance(cause.nodes[0], VariableNode):
        return coded(error, "BAD_USER_INPUT")
    return error


class StandardExecutor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor as Strawberry sets it up, for an operation that was prepared before."""

    def __init__(self, schema: Any, operation: Operation, variables: VariableValues, context: Any) -> None:
        prepared = operation.prepared
        super().__init__(
            schema,
            prepared.fragment_definitions,
            prepared.fragments,
            None,
            context,
            operation.node,
            variables,
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
            operation_extensions={},
        )


class PlannedExecutor(StandardExecutor):
    """Serves objects, and lists of them, by the plan of their selection; leaves to its parent what is not in the plan.

    A plan is made when its selection is met first, and kept with the operation. Whatever goes wrong in one, the parent does
    the same work again from its start: what a client is told of an error is never of our making.
    """

    def __init__(self, schema: Any, operation: Operation, variables: VariableValues, context: Any) -> None:
        super().__init__(schema, operation, variables, context)
        self._prepared = operation
        self._plans = operation.plans(variables.coerced)

    def roots(self) -> CompiledOperation:
        """Find out whether the root fields can be called straight."""
        parent = self.schema.get_root_type(self.operation.operation)
        if parent is None:
            return CompiledOperation([])
        try:
            fields = collect_fields(self.schema, self.fragments, self.variable_values, parent, self.operation).grouped_field_set
            roots = CompiledOperation(
                [CompiledRootField(self.schema, parent, key, details, self._collect) for key, details in fields.items()]
            )
        except (NotCompilable, GraphQLError):
            return CompiledOperation([])
        self._prepared.planned(roots.size)
        return roots

    def complete_object_value(
        self,
        return_type: GraphQLObjectType,
        field_details_list: list[Any],
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        plan = self._plan(return_type, field_details_list)
        standard = partial(super().complete_object_value, return_type, field_details_list, info, path, result, position_context)
        if plan is None:
            return standard()
        if not plan.uncompiled:
            return self._served(plan, (result,), lambda: plan.build((result,), self.context_value)[0], standard)

        def both() -> Any:
            (built,) = plan.build((result,), self.context_value)
            others: Any = self.execute_fields(return_type, result, path, plan.uncompiled, position_context)
            return self._joined(built, others) if self.is_awaitable(others) else {**built, **others}

        return self._served(plan, (result,), both, standard)

    def complete_list_value(
        self,
        return_type: GraphQLList[GraphQLOutputType],
        field_details_list: list[Any],
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        standard = partial(super().complete_list_value, return_type, field_details_list, info, path, result, position_context)
        item_type = return_type.of_type
        if not is_non_null_type(item_type) or not is_object_type(item_type.of_type) or not isinstance(result, list):
            return standard()
        plan = self._plan(item_type.of_type, field_details_list)
        if plan is None:
            return standard()
        if plan.uncompiled:
            # The parent goes through the objects one by one, but what their plan reads is read for all of them at once.
            return self._served(plan, result, standard, standard) if plan.reads else standard()
        return self._served(plan, result, lambda: plan.build(result, self.context_value), standard)

    def _plan(self, type: GraphQLObjectType, details: list[Any]) -> Plan | None:
        # Nodes live as long as the operation, and so do its plans: their identity tells them apart.
        key = (type.name, *(id(part.node) for part in details))
        if key not in self._plans:
            self._plans[key] = self._planned(type, details)
        return cast("Plan | None", self._plans[key])

    def _planned(self, type: GraphQLObjectType, details: list[Any]) -> Plan | None:
        try:
            plan = Plan(type, details, self._collect)
        except NotCompilable:
            return None
        self._prepared.planned(plan.size)
        return plan

    def _collect(self, type: GraphQLObjectType, details: list[Any]) -> dict[str, list[Any]]:
        return collect_subfields(
            self.schema, self.fragments, self.variable_values, self.operation, type, details
        ).grouped_field_set

    def _served(self, plan: Plan, sources: Sequence[Any], build: Callable[[], Any], standard: Callable[[], Any]) -> Any:
        if plan.reads:
            return self._read_and_served(plan, sources, build, standard)
        try:
            return build()
        except Exception:  # noqa: BLE001 - whatever it is, the standard executor tells it
            return standard()

    async def _read_and_served(
        self, plan: Plan, sources: Sequence[Any], build: Callable[[], Any], standard: Callable[[], Any]
    ) -> Any:
        try:
            await plan.read(sources, self.context_value)
            served = build()
        except Exception:  # noqa: BLE001 - whatever it is, the standard executor tells it
            served = standard()
        return await served if self.is_awaitable(served) else served

    async def _joined(self, built: dict[str, Any], others: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        return {**built, **await others}
