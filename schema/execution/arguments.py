"""The arguments of a field, compiled: what no variable changes is converted once, the rest by closures at each request."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from graphql import (
    ArgumentNode,
    FieldNode,
    GraphQLField,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
    VariableNode,
    get_argument_values,
    is_non_null_type,
    is_required_argument,
)

from schema.execution.hints import NotCompilable
from schema.execution.internals import StrawberryField, VariableValues, converter

# the coerced values of variables, and where they came from, to the keyword arguments of a resolver
Arguments = Callable[[Mapping[str, Any], VariableValues | None], dict[str, Any]]


def compile_arguments(field: GraphQLField, definition: StrawberryField, node: FieldNode) -> Arguments:
    """Return what makes the keyword arguments of a call.

    It raises NotCompilable for a variable within a list or an object where it is not known where values came from.
    """
    converters = {name: converter(argument.type) for name, argument in zip(field.args, definition.arguments, strict=True)}
    python_names = {name: argument.python_name for name, argument in zip(field.args, definition.arguments, strict=True)}
    nodes = {argument.name.value: argument for argument in node.arguments or ()}
    variables = {name: part.value.name.value for name, part in nodes.items() if isinstance(part.value, VariableNode)}
    composed = composed_arguments(node)
    literals = [name for name in field.args if name not in variables and name not in composed]

    def converted(arguments: list[ArgumentNode], names: Iterable[str]) -> dict[str, Any]:
        among = GraphQLField(field.type, {name: field.args[name] for name in names})
        values = get_argument_values(among, FieldNode(name=node.name, arguments=tuple(arguments)))
        return {name: converters[name](value) for name, value in values.items()}

    fixed = {
        python_names[name]: value
        for name, value in converted([nodes[name] for name in literals if name in nodes], literals).items()
    }
    optional = [name for name in variables if not is_required_argument(field.args[name])]
    defaults = converted([], optional)
    nullable = {name: not is_non_null_type(field.args[name].type) for name in variables}

    def standard(sources: VariableValues | None) -> dict[str, Any]:
        """Coerce as graphql-core does, which alone says what is wrong."""
        if sources is None:
            raise NotCompilable
        return get_argument_values(field, node, sources)

    def arguments(values: Mapping[str, Any], sources: VariableValues | None = None) -> dict[str, Any]:
        keywords = dict(fixed)
        for name, variable in variables.items():
            if variable not in values and name in optional:
                if name in defaults:
                    keywords[python_names[name]] = defaults[name]
            elif values[variable] is None and not nullable[name]:
                standard(sources)
                raise NotCompilable
            else:
                keywords[python_names[name]] = converters[name](values[variable])
        if composed:
            coerced = standard(sources)
            keywords |= {python_names[name]: converters[name](coerced[name]) for name in composed if name in coerced}
        return keywords

    return arguments


def composed_arguments(node: FieldNode) -> list[str]:
    """Return the names of arguments that have a variable within a list or an object."""
    values = {argument.name.value: argument.value for argument in node.arguments or ()}
    return [name for name, value in values.items() if not isinstance(value, VariableNode) and _has_variable(value)]


def _has_variable(value: ValueNode) -> bool:
    match value:
        case VariableNode():
            return True
        case ListValueNode():
            return any(map(_has_variable, value.values))
        case ObjectValueNode():
            return any(_has_variable(field.value) for field in value.fields)
    return False
