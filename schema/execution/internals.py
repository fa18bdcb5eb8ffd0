"""All that leans on private parts and undocumented behaviour of Strawberry and graphql-core, each with its reason.

Seen on Strawberry 0.341.2 and graphql-core 3.3.2. Who raises either version reads this first.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cache
from inspect import CORO_CREATED, getcoroutinestate
from types import CoroutineType
from typing import Any, TypeGuard

import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
    default_field_resolver,
    default_type_resolver,
)

# graphql-core exports none of these at its top; executors and explorers of others import them from here as well.
from graphql.execution.collect_fields import FragmentDetails, collect_fields, collect_subfields
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.middleware import MiddlewareManager
from graphql.execution.values import VariableValues, get_variable_values
from graphql.pyutils import Path
from graphql.utilities.coerce_input_value import coerce_default_value
from strawberry import Some
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext
from strawberry.types.base import StrawberryList, StrawberryMaybe, StrawberryOptional, has_object_definition
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType
from strawberry.utils.str_converters import to_camel_case

from schema.execution.hints import NotCompilable

__all__ = [
    "MiddlewareManager",
    "Path",
    "StrawberryField",
    "VariableValues",
    "coerce_default_value",
    "get_variable_signature",
    "get_variable_values",
]

Convert = Callable[[Any], Any]
# response keys to the field nodes that are merged under them, with details
FieldSet = dict[str, list[Any]]


def core_schema(schema: strawberry.Schema) -> GraphQLSchema:
    """Return graphql-core's schema: Strawberry 0.341 has no public name for it, and all but printing needs it."""
    return schema._schema


def describe(schema: strawberry.Schema, description: str) -> None:
    """Describe the schema itself: Strawberry 0.341 has no parameter for it, and does not print it either."""
    schema._schema.description = description


def describe_values(enum: Any, descriptions: Mapping[str, str]) -> None:
    """Describe the values of an enum of storage: Strawberry 0.341 takes descriptions only where it defines the enum itself."""
    for value in enum.__strawberry_definition__.values:
        value.description = descriptions[value.name]


def require_no_extensions(schema: strawberry.Schema) -> None:
    """Raise ValueError for what Strawberry's own `execute` would run, and an executor of ours would pass over in silence.

    Extensions and permissions of fields are part of their resolvers, and run.
    """
    features = {
        "schema extensions": schema.extensions,
        "operation directives": schema.directives,
        "exception handlers": schema.exception_handlers,
        "an execution context of its own": schema.execution_context_class is not StrawberryGraphQLCoreExecutionContext,
        "incremental execution": schema.config.enable_experimental_incremental_execution,
    }
    unserved = [name for name, is_used in features.items() if is_used]
    if unserved:
        raise ValueError(f"The schema has {' and '.join(unserved)}, which this engine does not run: take them out of the schema.")


class Executor(StrawberryGraphQLCoreExecutionContext):
    """graphql-core's executor as Strawberry sets it up. Its constructor and `complete_…` methods are documented as private.

    Where a field fails or the operation is cancelled, it drops coroutines that it has not begun to await, and Python warns of
    each: whoever executes calls `close_unawaited` at the end.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fragments: "Fragments",
        variables: VariableValues,
        context: Any,
        middleware: MiddlewareManager | None = None,
    ) -> None:
        super().__init__(
            schema,
            fragments.definitions,
            fragments.details,
            None,
            context,
            operation,
            variables,
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
            middleware_manager=middleware,
            operation_extensions={},
        )
        coroutines: list[Any] = []

        def is_awaitable(value: Any) -> TypeGuard[Awaitable[Any]]:
            if isinstance(value, CoroutineType):
                coroutines.append(value)
                return True
            return hasattr(value, "__await__")

        self._coroutines = coroutines
        # Called with all that may have to be awaited, but for the objects of a list.
        self.is_awaitable = is_awaitable

    def complete_list_item_value(self, item: Any, complete_results: list[Any], *arguments: Any) -> bool:
        awaits = super().complete_list_item_value(item, complete_results, *arguments)
        if awaits:
            self.will_await(complete_results[-1])
        return awaits

    def will_await(self, coroutine: Any) -> None:
        """Have `close_unawaited` close a coroutine that `is_awaitable` is not called with."""
        self._coroutines.append(coroutine)

    def close_unawaited(self) -> None:
        for coroutine in self._coroutines:
            if getcoroutinestate(coroutine) == CORO_CREATED:
                coroutine.close()


class Fragments:
    """The fragments of a document, in the two forms that graphql-core's executor takes."""

    def __init__(self, definitions: Iterable[FragmentDefinitionNode]) -> None:
        self.definitions = {node.name.value: node for node in definitions}
        self.details = {name: FragmentDetails(node) for name, node in self.definitions.items()}


class Selections:
    """Collects the fields that an operation selects: fragments spread, `@skip` and `@include` decided."""

    def __init__(
        self, schema: GraphQLSchema, operation: OperationDefinitionNode, fragments: Fragments, variables: VariableValues
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._fragments = fragments.details
        self._variables = variables

    def of_root(self, type: GraphQLObjectType) -> FieldSet:
        return _collected(lambda: collect_fields(self._schema, self._fragments, self._variables, type, self._operation))

    def of_object(self, type: GraphQLObjectType, details: list[Any]) -> FieldSet:
        return _collected(
            lambda: collect_subfields(self._schema, self._fragments, self._variables, self._operation, type, details)
        )


def _collected(collect: Callable[[], Any]) -> FieldSet:
    try:
        fields: FieldSet = collect().grouped_field_set
    except GraphQLError:
        # A variable of `@skip` is null: an error at each object that is met, and none where there is none.
        raise NotCompilable from None
    return fields


def unchain_tokens(document: DocumentNode) -> None:
    """Let go of the tokens that no node holds: their chain would keep every comment as long as the document, 2 MB of them."""
    token = document.loc.start_token if document.loc else None
    while token:
        following, token.prev, token.next = token.next, None, None
        token = following


def definition_of(field: GraphQLField | None) -> StrawberryField | None:
    """Return Strawberry's field behind graphql-core's, by an undocumented key; None for fields of introspection."""
    definition = field.extensions.get("strawberry-definition") if field else None
    return definition if isinstance(definition, StrawberryField) else None


def resolver_of(definition: StrawberryField) -> Callable[..., Any]:
    """Return the function behind a field, to be awaited with None for `self`, `info` and its arguments.

    Strawberry 0.341 wraps it in a function that finds out at each call what its arguments are.
    """
    resolver = definition.base_resolver
    if resolver is None or not resolver.is_async or not resolver.self_parameter:
        raise NotCompilable
    if not resolver.info_parameter or resolver.info_parameter.name != "info" or resolver.root_parameter:
        raise NotCompilable
    return resolver.wrapped_func  # type: ignore[return-value]  # a function, once the class is made


class RootInfo(GraphQLResolveInfo[Any]):
    """graphql-core's argument `info`, and the attributes that will be read of what the resolver returns."""

    columns: frozenset[str]


class RootInfos:
    """Makes the `info` of one root field: what no request changes is put together once."""

    def __init__(
        self, schema: GraphQLSchema, parent: GraphQLObjectType, key: str, nodes: list[FieldNode], columns: Iterable[str]
    ) -> None:
        field = parent.fields[nodes[0].name.value]
        self._fixed = (nodes[0].name.value, nodes, field.type, parent, Path(None, key, parent.name), schema)
        self._definition: Any = definition_of(field)
        self._columns = frozenset(columns)

    def info(self, context: Any, variables: Mapping[str, Any]) -> Any:
        raw = RootInfo(*self._fixed, {}, None, None, variables, context, None, None, None)  # type: ignore[arg-type]  # resolvers use none of the rest
        raw.columns = self._columns
        # Strawberry 0.341 has no public way to make one.
        return strawberry.Info(_raw_info=raw, _field=self._definition)


def columns_of(info: Any) -> frozenset[str] | None:
    """Return the attributes that will be read of what a root field returns; None: any, no compiled field knows."""
    return getattr(info._raw_info, "columns", None)


def parent_type(info: Any) -> str:
    """Return the name of the type that has the field: Strawberry's Info tells the field's name only."""
    name: str = info._raw_info.parent_type.name
    return name


def field_nodes(info: Any) -> list[FieldNode]:
    """Return the nodes of a field as they were parsed: Strawberry's `selected_fields` converts all below them, each time."""
    nodes: list[FieldNode] = info._raw_info.field_nodes
    return nodes


def selects(info: Any, name: str) -> bool:
    """Tell whether a field of this name is selected of what a root field returns, whatever its type and under any key."""
    raw = info._raw_info
    # Strawberry 0.341 puts the plain values there, graphql-core 3.3 an object that has them.
    variables: Mapping[str, Any] = getattr(raw.variable_values, "coerced", raw.variable_values)
    unread: list[SelectionSetNode | None] = [node.selection_set for node in raw.field_nodes]
    spread: set[str] = set()
    while unread:
        selections = unread.pop()
        for node in selections.selections if selections else ():
            if node.directives and _is_left_out(node, variables):
                continue
            if isinstance(node, FieldNode):
                if node.name.value == name:
                    return True
            elif isinstance(node, InlineFragmentNode):
                unread.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
                spread.add(node.name.value)
                unread.append(raw.fragments[node.name.value].selection_set)
    return False


def _is_left_out(node: SelectionNode, variables: Mapping[str, Any]) -> bool:
    for directive in node.directives or ():
        name = directive.name.value
        if name in ("skip", "include") and directive.arguments:
            value = directive.arguments[0].value
            # A variable that is null is an error, told where the selection is executed.
            truth = variables.get(value.name.value) if isinstance(value, VariableNode) else getattr(value, "value", None)
            if truth is (name == "skip"):
                return True
    return False


def converter(type_: Any) -> Convert:
    """Return what makes of a coerced value the Python value that Strawberry's `convert_argument` would."""
    if isinstance(type_, LazyType):
        return converter(type_.resolve_type())
    if isinstance(type_, StrawberryMaybe):
        inner = converter(type_.of_type)
        return lambda value: Some(inner(value))
    if isinstance(type_, StrawberryOptional):
        inner = converter(type_.of_type)
        return lambda value: None if value is None else inner(value)
    if isinstance(type_, StrawberryList):
        inner = converter(type_.of_type)
        return list if inner is _unchanged else lambda value: [inner(item) for item in value]
    if not has_object_definition(type_):
        return _unchanged
    return _input_converter(type_)


@cache
def _input_converter(type_: Any) -> Convert:
    # As many are kept as a schema has input types: there are 29 aliases of a field to be compiled for.
    definition = type_.__strawberry_definition__
    if definition.from_input is not None or definition.is_one_of:
        raise NotCompilable
    fields = {
        to_camel_case(field.python_name): (field.python_name, converter(field.resolve_type(type_definition=definition)))
        for field in definition.fields
    }

    def convert(value: Mapping[str, Any]) -> Any:
        return type_(**{fields[name][0]: fields[name][1](item) for name, item in value.items()})

    return convert


def _unchanged(value: Any) -> Any:
    return value
