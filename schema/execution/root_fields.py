"""The root fields of a query, called straight: arguments converted by closures, answers built by plans.

Strawberry finds out at each call what its arguments are, and graphql-core what a selection holds; for a document that is
kept both are known. Whatever is unusual raises, and the query is run again by the standard executor, which tells errors.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from graphql import (
    ArgumentNode,
    FieldNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
    get_argument_values,
    is_non_null_type,
    is_object_type,
    is_required_argument,
)
from graphql.pyutils import Path
from strawberry import Info, Some
from strawberry.types.base import StrawberryList, StrawberryMaybe, StrawberryOptional, has_object_definition
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType
from strawberry.utils.str_converters import to_camel_case

from schema.context import Context
from schema.execution.plans import Collect, NotCompilable, Plan

Convert = Callable[[Any], Any]
# the coerced values of variables to the keyword arguments of a resolver
Arguments = Callable[[Mapping[str, Any]], dict[str, Any]]


class RootInfo(GraphQLResolveInfo[Any]):
    """What a resolver is told, and the attributes that will be read of what it answers."""

    wanted: frozenset[str]


class CompiledRootField:
    """One root field of a query. Raises NotCompilable where only the standard executor can serve it."""

    def __init__(self, schema: GraphQLSchema, parent: GraphQLObjectType, key: str, details: list[Any], collect: Collect) -> None:
        node = details[0].node
        field = parent.fields.get(node.name.value)
        definition = field.extensions.get("strawberry-definition") if field else None
        if field is None or not isinstance(definition, StrawberryField) or definition.extensions or not definition.base_resolver:
            raise NotCompilable
        named = field.type.of_type if is_non_null_type(field.type) else field.type
        if not is_object_type(named):
            raise NotCompilable
        self.key = key
        self._required = is_non_null_type(field.type)
        self._plan = Plan(named, details, collect)
        if self._plan.uncompiled:
            raise NotCompilable
        self.size = self._plan.size
        self._wanted = frozenset(self._plan.wanted)
        self._definition = definition
        self._resolve: Callable[..., Any] = definition.base_resolver.wrapped_func  # type: ignore[assignment]  # a function
        self._arguments = _arguments(field, definition, node)
        self._told = (node.name.value, [part.node for part in details], field.type, parent, Path(None, key, parent.name), schema)

    async def answer(self, context: Context, variables: Mapping[str, Any]) -> Any:
        info = Info(_raw_info=self._raw_info(context, variables), _field=self._definition)
        source = await self._resolve(None, info=info, **self._arguments(variables))
        if source is None:
            if self._required:
                raise NotCompilable
            return None
        if self._plan.reads:
            await self._plan.read((source,), context)
        return self._plan.build((source,), context)[0]

    def _raw_info(self, context: Context, variables: Mapping[str, Any]) -> "RootInfo":
        info = RootInfo(*self._told, {}, None, None, variables, context, None, None, None)  # type: ignore[arg-type]  # resolvers use none of the rest
        info.wanted = self._wanted
        return info


class CompiledOperation:
    """The root fields of a query: all of them, or none where one of them is not to be called straight."""

    def __init__(self, roots: list[CompiledRootField]) -> None:
        self._roots = roots
        self._keys = [root.key for root in roots]
        self.size = sum(root.size for root in roots)

    def __bool__(self) -> bool:
        return bool(self._roots)

    async def answers(self, context: Context, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the query; raise whatever goes wrong."""
        if len(self._roots) == 1:
            return {self._keys[0]: await self._roots[0].answer(context, variables)}
        done = await asyncio.gather(*(root.answer(context, variables) for root in self._roots))
        return dict(zip(self._keys, done, strict=True))


def _arguments(field: GraphQLField, definition: StrawberryField, node: FieldNode) -> Arguments:
    """Return what makes the keyword arguments of a call: what no variable changes is converted here, once."""
    converters = {name: _converter(argument.type) for name, argument in zip(field.args, definition.arguments, strict=True)}
    python_names = {name: argument.python_name for name, argument in zip(field.args, definition.arguments, strict=True)}
    given = {argument.name.value: argument for argument in node.arguments or ()}
    moving = {name: one.value.name.value for name, one in given.items() if isinstance(one.value, VariableNode)}
    settled = [one for name, one in given.items() if name not in moving]
    if any(_varies(one.value) for one in settled):
        raise NotCompilable

    def converted(arguments: list[ArgumentNode], names: Iterable[str]) -> dict[str, Any]:
        among = GraphQLField(field.type, {name: field.args[name] for name in names})
        values = get_argument_values(among, FieldNode(name=node.name, arguments=tuple(arguments)))
        return {python_names[name]: converters[name](value) for name, value in values.items()}

    fixed = converted(settled, [name for name in field.args if name not in moving])
    optional = [name for name in moving if not is_required_argument(field.args[name])]
    absent = converted([], optional)
    nullable = {name: not is_non_null_type(field.args[name].type) for name in moving}

    def arguments(values: Mapping[str, Any]) -> dict[str, Any]:
        told = dict(fixed)
        for name, variable in moving.items():
            if variable not in values and name in optional:
                told |= {one: absent[one] for one in (python_names[name],) if one in absent}
            elif values[variable] is None and not nullable[name]:
                raise NotCompilable
            else:
                told[python_names[name]] = converters[name](values[variable])
        return told

    return arguments


def _varies(value: ValueNode) -> bool:
    match value:
        case VariableNode():
            return True
        case ListValueNode():
            return any(map(_varies, value.values))
        case ObjectValueNode():
            return any(_varies(field.value) for field in value.fields)
    return False


def _converter(type_: Any) -> Convert:
    """Return what makes of a coerced value the Python value that Strawberry would."""
    if isinstance(type_, LazyType):
        return _converter(type_.resolve_type())
    if isinstance(type_, StrawberryMaybe):
        inner = _converter(type_.of_type)
        return lambda value: Some(inner(value))
    if isinstance(type_, StrawberryOptional):
        inner = _converter(type_.of_type)
        return lambda value: None if value is None else inner(value)
    if isinstance(type_, StrawberryList):
        inner = _converter(type_.of_type)
        return list if inner is _as_it_is else lambda value: [inner(item) for item in value]
    if not has_object_definition(type_):
        return _as_it_is
    return _input_converter(type_)


def _input_converter(type_: Any) -> Convert:
    definition = type_.__strawberry_definition__
    if definition.from_input is not None or definition.is_one_of:
        raise NotCompilable
    fields = {
        to_camel_case(field.python_name): (field.python_name, _converter(field.resolve_type(type_definition=definition)))
        for field in definition.fields
    }

    def convert(value: Mapping[str, Any]) -> Any:
        return type_(**{fields[name][0]: fields[name][1](item) for name, item in value.items()})

    return convert


def _as_it_is(value: Any) -> Any:
    return value
