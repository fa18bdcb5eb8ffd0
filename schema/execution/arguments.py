"""The arguments of a root field, compiled: what no variable changes is converted once, the rest by closures at each call."""

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
from schema.execution.internals import StrawberryField, converter

# the coerced values of variables to the keyword arguments of a resolver
Arguments = Callable[[Mapping[str, Any]], dict[str, Any]]


def compile_arguments(field: GraphQLField, definition: StrawberryField, node: FieldNode) -> Arguments:
    """Return what makes the keyword arguments of a call; raise NotCompilable for a variable within a list or an object."""
    converters = {name: converter(argument.type) for name, argument in zip(field.args, definition.arguments, strict=True)}
    python_names = {name: argument.python_name for name, argument in zip(field.args, definition.arguments, strict=True)}
    nodes = {argument.name.value: argument for argument in node.arguments or ()}
    variables = {name: part.value.name.value for name, part in nodes.items() if isinstance(part.value, VariableNode)}
    literals = [part for name, part in nodes.items() if name not in variables]
    if any(_has_variable(part.value) for part in literals):
        raise NotCompilable

    def converted(arguments: list[ArgumentNode], names: Iterable[str]) -> dict[str, Any]:
        among = GraphQLField(field.type, {name: field.args[name] for name in names})
        values = get_argument_values(among, FieldNode(name=node.name, arguments=tuple(arguments)))
        return {name: converters[name](value) for name, value in values.items()}

    fixed = {python_names[n]: v for n, v in converted(literals, [name for name in field.args if name not in variables]).items()}
    optional = [name for name in variables if not is_required_argument(field.args[name])]
    defaults = converted([], optional)
    nullable = {name: not is_non_null_type(field.args[name].type) for name in variables}

    def arguments(values: Mapping[str, Any]) -> dict[str, Any]:
        keywords = dict(fixed)
        for name, variable in variables.items():
            if variable not in values and name in optional:
                if name in defaults:
                    keywords[python_names[name]] = defaults[name]
            elif values[variable] is None and not nullable[name]:
                raise NotCompilable
            else:
                keywords[python_names[name]] = converters[name](values[variable])
        return keywords

    return arguments


def _has_variable(value: ValueNode) -> bool:
    match value:
        case VariableNode():
            return True
        case ListValueNode():
            return any(map(_has_variable, value.values))
        case ObjectValueNode():
            return any(_has_variable(field.value) for field in value.fields)
    return False
