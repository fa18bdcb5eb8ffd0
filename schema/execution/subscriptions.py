"""Subscriptions that have begun: where their events come from, and how each of them is answered."""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from graphql import (
    ExecutionResult,
    FieldNode,
    GraphQLSchema,
    OperationType,
    SelectionSetNode,
    VariableNode,
    Visitor,
    create_source_event_stream,
    is_non_null_type,
    is_object_type,
    visit,
)

from schema.execution.documents import NotExecuted, Operation
from schema.execution.executors import StandardExecutor
from schema.execution.hints import NotCompilable, StoredScalars
from schema.execution.internals import Selections, VariableValues
from schema.execution.limits import spreads
from schema.execution.plans import Compilation, Plan
from schema.execution.runs import Run
from schema.execution.sizes import ObjectSizes, outer_size

if TYPE_CHECKING:
    from schema.execution.engine import Result

_EVENT = "event"


@runtime_checkable
class BufferedStream(Protocol):
    """A stream that buffers events while its reader is busy, up to a bound.

    `finish` ends it after what is buffered. `on_overflow` is called where more would have to be buffered.
    """

    on_overflow: Callable[[], None]

    def finish(self) -> None: ...


class CompiledEvent:
    """The root field of a subscription; its plan is None where only an executor can answer events.

    `variables` are the names of those that the answer to an event depends on: others only decide which events come.
    """

    def __init__(self, schema: GraphQLSchema, operation: Operation, variables: VariableValues, scalars: StoredScalars) -> None:
        parent = schema.get_root_type(OperationType.SUBSCRIPTION)
        if parent is None:
            raise NotCompilable
        selections = Selections(schema, operation.node, operation.prepared.fragments, variables)
        ((self.key, details),) = selections.of_root(parent).items()
        type = parent.fields[details[0].node.name.value].type
        self.variables = sorted(_variables_below([part.node for part in details], operation))
        self._sizes = ObjectSizes({self.key: outer_size(type)})
        self.plan = _plan(type, details, Compilation(selections.of_object, scalars))

    async def execute(self, event: Any, run: Run) -> dict[str, Any]:
        """Return the data for an event; raise NotCompilable, FieldFailed, AnswerTooLarge, or a fault."""
        if self.plan is None or event is None:
            raise NotCompilable
        if self.plan.loads:
            await self.plan.load((event,), run)
        answer = self.plan.build((event,), run)[0]
        self._sizes.add(run.size, [(answer,)], 1)
        return {self.key: answer}


class Subscription:
    """A subscription of one client. Those that are `alike` answer an event alike, for callers who see the same.

    `execute` answers one event, in a context of its own; it puts faults of compiled code in the list.
    """

    def __init__(
        self, events: AsyncIterator[Any], alike: Hashable, execute: Callable[[Any, Any, list[Exception]], Awaitable["Result"]]
    ) -> None:
        self.events = events
        self.alike = alike
        self.execute = execute


async def begin(schema: GraphQLSchema, operation: Operation, variables: VariableValues, context: Any) -> AsyncIterator[Any]:
    """Return the events of a subscription; raise NotExecuted with the errors of what should have returned them."""
    stream: Any = create_source_event_stream(StandardExecutor(schema, operation, variables, context))
    if not hasattr(stream, "__aiter__") and not isinstance(stream, ExecutionResult):
        stream = await stream
    if isinstance(stream, ExecutionResult):
        raise NotExecuted(*stream.errors or ())
    events: AsyncIterator[Any] = aiter(stream)
    return events


def compiled_event(
    schema: GraphQLSchema, operation: Operation, variables: VariableValues, scalars: StoredScalars, *, planned: bool
) -> CompiledEvent:
    """Return the root field of a subscription, compiled once for all its subscribers."""
    plans = operation.plans(variables.coerced)
    if _EVENT not in plans:
        plans[_EVENT] = compiled = CompiledEvent(schema, operation, variables, scalars)
        if not planned:
            compiled.plan = None
        operation.count_planned(compiled.plan.size if compiled.plan else 0)
    event: CompiledEvent = plans[_EVENT]
    return event


def _plan(type: Any, details: list[Any], compilation: Compilation) -> Plan | None:
    named = type.of_type if is_non_null_type(type) else type
    if not is_object_type(named):
        return None
    try:
        plan = Plan(named, details, compilation)
    except NotCompilable:
        return None
    return None if plan.uncompiled else plan


class _Variables(Visitor):
    """Finds the names of variables."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.names.add(node.name.value)


def _variables_below(fields: Iterable[FieldNode], operation: Operation) -> set[str]:
    """Return the variables that are used below these fields, in fragments too."""
    found = _Variables()
    unread: list[SelectionSetNode] = [field.selection_set for field in fields if field.selection_set]
    spread: set[str] = set()
    while unread:
        selection_set = unread.pop()
        visit(selection_set, found)
        new = set(spreads(selection_set)) - spread
        spread |= new
        unread += [operation.prepared.fragments.definitions[name].selection_set for name in new]
    return found.names
