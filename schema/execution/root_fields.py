"""Root fields of a query, compiled: arguments converted by closures, resolvers called directly, answers built by plans.

Strawberry finds out at each call what its arguments are, and graphql-core what a selection holds; for a document that is kept
both are known. What cannot be compiled is left to the standard executor, which completes from what was resolved already.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from graphql import GraphQLObjectType, GraphQLSchema, OperationType, is_non_null_type, is_object_type

from schema.execution.arguments import compile_arguments, composed_arguments
from schema.execution.hints import LEFT_TO_EXECUTOR, FieldFailed, NotCompilable, StoredScalars
from schema.execution.internals import RootInfos, Selections, definition_of, resolver_of
from schema.execution.plans import Compilation, Plan
from schema.execution.runs import Run, TimeSlice
from schema.execution.sizes import AnswerTooLarge, ObjectSizes, outer_size

# response keys to what resolvers of root fields returned, or the exceptions that they raised
Resolved = dict[str, Any]


class CompiledRootField:
    """One root field of a query. Raises NotCompilable where only the standard executor can serve it."""

    def __init__(
        self, schema: GraphQLSchema, parent: GraphQLObjectType, key: str, details: list[Any], compilation: Compilation
    ) -> None:
        node = details[0].node
        field = parent.fields.get(node.name.value)
        definition = definition_of(field)
        if field is None or definition is None or definition.extensions or composed_arguments(node):
            raise NotCompilable
        named = field.type.of_type if is_non_null_type(field.type) else field.type
        if not is_object_type(named):
            raise NotCompilable
        self.key = key
        self.type = field.type
        self._required = is_non_null_type(field.type)
        self._plan = Plan(named, details, compilation)
        if self._plan.uncompiled:
            raise NotCompilable
        self.size = self._plan.size
        self._resolve: Callable[..., Any] = resolver_of(definition)
        self._arguments = compile_arguments(field, definition, node)
        self._infos = RootInfos(schema, parent, key, [part.node for part in details], self._plan.columns)

    async def execute(self, run: Run, resolved: Resolved) -> Any:
        """Return the answer, and keep in `resolved` what it is built of.

        Raises NotCompilable, FieldFailed, AnswerTooLarge, or a fault.
        """
        call = self._resolve(None, info=self._infos.info(run.context, run.variables), **self._arguments(run.variables, None))
        try:
            source = resolved[self.key] = await call
        except Exception as error:
            resolved[self.key] = error
            raise FieldFailed from error
        if source is None:
            if self._required:
                raise NotCompilable
            return None
        if self._plan.loads:
            await self._plan.load((source,), run)
        return self._plan.build((source,), run)[0]


class CompiledOperation:
    """All the root fields of a query, compiled. `is_single`: it is one, and runs in no task of its own."""

    def __init__(self, fields: list[CompiledRootField]) -> None:
        self._fields = fields
        self.is_single = len(fields) == 1
        self._keys = [field.key for field in fields]
        self.size = sum(field.size for field in fields)
        self._sizes = ObjectSizes({field.key: outer_size(field.type) for field in fields})

    async def execute(self, run: Run, resolved: Resolved) -> dict[str, Any]:
        """Return the data; raise NotCompilable, FieldFailed, AnswerTooLarge, or a fault, after all fields have ended."""
        if self.is_single:
            answers: list[Any] = [await self._fields[0].execute(run, resolved)]
        else:
            answers = await self._answers(run, resolved)
        # The last to be counted: it need not be kept where all fits.
        if run.size.bounds + self._sizes.bound > run.size.ceiling:
            self._sizes.add(run.size, [(answer,) for answer in answers], 1)
        return dict(zip(self._keys, answers, strict=True))

    async def _answers(self, run: Run, resolved: Resolved) -> list[Any]:
        tasks: list[asyncio.Task[Any]] = []

        async def answer(field: CompiledRootField) -> Any:
            try:
                return await field.execute(run.beside(), resolved)
            except AnswerTooLarge:
                # The others need not read any more.
                for task in tasks:
                    task.cancel()
                raise

        tasks += [asyncio.ensure_future(answer(field)) for field in self._fields]
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        failures = [answer for answer in answers if isinstance(answer, BaseException)]
        if failures:
            raise max(failures, key=_precedence)
        return answers


def _precedence(error: BaseException) -> tuple[bool, bool, bool]:
    """A fault comes before what is left to the executor, and before both whatever is no failure of a field at all."""
    return isinstance(error, AnswerTooLarge), not isinstance(error, Exception), not isinstance(error, LEFT_TO_EXECUTOR)


async def compile_operation(
    schema: GraphQLSchema, selections: Selections, scalars: StoredScalars, slice: TimeSlice
) -> CompiledOperation | None:
    """Compile a query, and let others be served between its root fields; None where one of them cannot be compiled."""
    parent = schema.get_root_type(OperationType.QUERY)
    if parent is None:
        return None
    compilation = Compilation(selections.of_object, scalars)
    fields = []
    try:
        for key, details in selections.of_root(parent).items():
            await slice.give_way()
            fields.append(CompiledRootField(schema, parent, key, details, compilation))
    except NotCompilable:
        return None
    return CompiledOperation(fields)
