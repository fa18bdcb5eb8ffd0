"""Executors of a prepared operation: graphql-core's own, and one that completes objects and lists by plans where it can."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, cast

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationType,
    is_non_null_type,
    is_object_type,
)

from schema.execution.arguments import Arguments, compile_arguments
from schema.execution.documents import INTROSPECTION, Operation
from schema.execution.hints import LEFT_TO_EXECUTOR, NestedPages, NotCompilable, StoredScalars, hint_in
from schema.execution.internals import (
    Executor,
    MiddlewareManager,
    Path,
    Selections,
    StrawberryField,
    VariableValues,
    definition_of,
)
from schema.execution.plans import Compilation, Plan
from schema.execution.root_fields import Resolved
from schema.execution.runs import Run
from schema.execution.sizes import AnswerTooLarge

Answers = list[dict[str, Any]]


class StandardExecutor(Executor):
    """graphql-core's executor. Root fields that were `resolved` before are completed, and not resolved again."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: Operation,
        variables: VariableValues,
        context: Any,
        resolved: Resolved | None = None,
    ) -> None:
        middleware = MiddlewareManager(_ResolvedBefore(resolved)) if resolved else None
        super().__init__(schema, operation.node, operation.prepared.fragments, variables, context, middleware)

    def execute_field(
        self, parent_type: GraphQLObjectType, source: Any, field_details_list: list[Any], path: Path, position_context: Any
    ) -> Any:
        """Have a thread answer what is asked of the schema: all of it takes a tenth of a second, in one go."""
        arguments = parent_type, source, field_details_list, path, position_context
        if path.prev is None and field_details_list[0].node.name.value in INTROSPECTION:
            return asyncio.to_thread(super().execute_field, *arguments)
        return super().execute_field(*arguments)

    async def count(self, run: Run, data: Any) -> None:
        """Count the bytes of the answer; raise AnswerTooLarge."""
        await run.size.recount(data, run.give_way)


class _ResolvedBefore:
    """Middleware that resolves no root field a second time."""

    def __init__(self, resolved: Resolved) -> None:
        self._resolved = resolved

    def resolve(self, resolve: Callable[..., Any], source: Any, info: Any, /, **arguments: Any) -> Any:
        if info.path.prev is None and info.path.key in self._resolved:
            # To the executor, an exception that is returned is one that is raised.
            return self._resolved[info.path.key]
        return resolve(source, info, **arguments)


class PlannedExecutor(StandardExecutor):
    """Serves objects, and lists of them, by the plan of their selection; leaves to its parent what plans do not serve.

    A plan is made when its selection is met first, and kept with the operation. What fails below one, the parent completes
    from the same sources: what a client reads of an error is never of our making. A fault of ours is kept in `faults`, and no
    plan serves from then on. `planned`: whether any plan served.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: Operation,
        variables: VariableValues,
        run: Run,
        resolved: Resolved,
        scalars: StoredScalars,
        faults: list[Exception],
    ) -> None:
        super().__init__(schema, operation, variables, run.context, resolved)
        self.planned = False
        self._faults = faults
        # what plans have built and counted, by its identity
        self._counted: dict[int, Any] = {}
        self._run = run
        self._operation = operation
        self._plans = operation.plans(variables.coerced)
        selections = Selections(schema, operation.node, operation.prepared.fragments, variables)
        self._compilation = Compilation(selections.of_object, scalars)

    async def count(self, run: Run, data: Any) -> None:
        await run.size.count_rest(data, self._counted, run.give_way)

    def execute_field(
        self, parent_type: GraphQLObjectType, source: Any, field_details_list: list[Any], path: Path, position_context: Any
    ) -> Any:
        """Serve pages below objects that no plan serves: their arguments are coerced once, not for each object."""
        if path.prev is None and self._operation.node.operation is OperationType.MUTATION:
            # Each root field of a mutation reads what the one before it has changed.
            self._run = self._run.beside()
        field = parent_type.fields.get(field_details_list[0].node.name.value)
        definition = definition_of(field)
        hint = hint_in(definition.metadata) if definition else None
        if field is None or definition is None or not isinstance(hint, NestedPages):
            return super().execute_field(parent_type, source, field_details_list, path, position_context)
        nodes = [part.node for part in field_details_list]
        try:
            arguments = self._arguments(field, definition, nodes[0])
            # What is wrong with the arguments is found out here.
            self._run.pages_loader(hint, nodes[0], arguments, None)
            # So that fields beside one that has failed for all parents are not begun.
            self._run.require_not_failed(nodes[0])
        except NotCompilable:
            return super().execute_field(parent_type, source, field_details_list, path, position_context)
        except Exception as error:  # noqa: BLE001 - as the parent does
            self.handle_field_error(error, field.type, field_details_list, path)
            return None
        info = self.build_resolve_info(field, nodes, parent_type, path)
        run, parent = self._run, getattr(source, hint.id_attribute)

        async def page() -> Any:
            return (await run.load_pages(hint, nodes[0], arguments, None, {parent}))[parent]

        awaited = page()
        self.will_await(awaited)
        return self.complete_awaitable_value(field.type, field_details_list, info, path, awaited, position_context)

    async def complete_awaitable_value(
        self,
        return_type: GraphQLOutputType,
        field_details_list: list[Any],
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        await self._run.give_way()
        return await super().complete_awaitable_value(return_type, field_details_list, info, path, result, position_context)

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
        uncompiled = plan.uncompiled

        def finish(built: Answers) -> Any:
            if not uncompiled:
                return built[0]
            others: Any = self.execute_fields(return_type, result, path, uncompiled, position_context)
            return self._joined(built[0], others) if self.is_awaitable(others) else {**built[0], **others}

        return self._serve(plan, (result,), finish, standard)

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
            # The parent goes through the objects one by one, but what their plan loads is loaded for all of them at once.
            return self._load_before(plan, result, standard) if plan.loads else standard()
        return self._serve(plan, result, lambda built: built, standard)

    def _arguments(self, field: GraphQLField, definition: StrawberryField, node: FieldNode) -> Arguments:
        key = ("arguments", id(node))
        if key not in self._plans:
            self._plans[key] = compile_arguments(field, definition, node)
        return cast("Arguments", self._plans[key])

    def _plan(self, type: GraphQLObjectType, details: list[Any]) -> Plan | None:
        if self._faults:
            return None
        # Nodes live as long as the operation, and so do its plans: their identity tells them apart.
        key = (type.name, *(id(part.node) for part in details))
        if key not in self._plans:
            try:
                self._plans[key] = self._compiled(type, details)
            except Exception as fault:  # noqa: BLE001 - whatever it is, it is reported and must not cost the client the answer
                self._faults.append(fault)
                return None
        return cast("Plan | None", self._plans[key])

    def _compiled(self, type: GraphQLObjectType, details: list[Any]) -> Plan | None:
        try:
            plan = Plan(type, details, self._compilation)
        except NotCompilable:
            return None
        self._operation.count_planned(plan.size)
        return plan

    def _serve(self, plan: Plan, sources: Sequence[Any], finish: Callable[[Answers], Any], standard: Callable[[], Any]) -> Any:
        if plan.loads:
            return self._load_and_serve(plan, sources, finish, standard)
        built = self._build(plan, sources)
        return standard() if built is None else finish(built)

    async def _load_and_serve(
        self, plan: Plan, sources: Sequence[Any], finish: Callable[[Answers], Any], standard: Callable[[], Any]
    ) -> Any:
        built = self._build(plan, sources) if await self._load(plan, sources) else None
        served = standard() if built is None else finish(built)
        return await served if self.is_awaitable(served) else served

    async def _load_before(self, plan: Plan, sources: Sequence[Any], standard: Callable[[], Any]) -> Any:
        await self._load(plan, sources)
        served = standard()
        return await served if self.is_awaitable(served) else served

    async def _load(self, plan: Plan, sources: Sequence[Any]) -> bool:
        try:
            await plan.load(sources, self._run)
        except LEFT_TO_EXECUTOR:
            return False
        except AnswerTooLarge:
            raise
        except Exception as fault:  # noqa: BLE001 - as above
            self._faults.append(fault)
            return False
        return True

    def _build(self, plan: Plan, sources: Sequence[Any]) -> Answers | None:
        try:
            built = plan.build(sources, self._run)
        except LEFT_TO_EXECUTOR:
            return None
        except AnswerTooLarge:
            raise
        except Exception as fault:  # noqa: BLE001 - as above
            self._faults.append(fault)
            return None
        self.planned = True
        if not plan.uncompiled:
            self._counted.update((id(answer), answer) for answer in built)
        return built

    async def _joined(self, built: dict[str, Any], others: Awaitable[dict[str, Any]]) -> dict[str, Any]:
        return {**built, **await others}
