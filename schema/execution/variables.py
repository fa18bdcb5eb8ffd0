"""The values of variables, with their types looked up once for each operation and not at each request."""

from collections.abc import Mapping
from typing import Any

from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    GraphQLBoolean,
    GraphQLError,
    GraphQLID,
    GraphQLInt,
    GraphQLSchema,
    GraphQLString,
    OperationDefinitionNode,
    Undefined,
    get_nullable_type,
    is_non_null_type,
)

from schema.execution.internals import coerce_input_value, get_variable_signature, get_variable_values
from schema.execution.lists import DEFAULT_LENGTHS, ListLengths, list_length_check

# of which graphql-core makes no other value
PLAIN: dict[Any, type] = {GraphQLID: str, GraphQLString: str, GraphQLBoolean: bool, GraphQLInt: int}
INTS = range(GRAPHQL_MIN_INT, GRAPHQL_MAX_INT + 1)


class Variables:
    """Coerces the variables of one operation, which must be valid."""

    def __init__(self, schema: GraphQLSchema, operation: OperationDefinitionNode, lengths: ListLengths = DEFAULT_LENGTHS) -> None:
        definitions = operation.variable_definitions or ()
        signatures = [get_variable_signature(schema, definition) for definition in definitions]
        self._types = {signature.name: signature.type for signature in signatures if not isinstance(signature, GraphQLError)}
        checks = {name: list_length_check(type, lengths) for name, type in self._types.items()}
        self._list_checks = {name: check for name, check in checks.items() if check}
        self._plain = {name: PLAIN.get(get_nullable_type(type)) for name, type in self._types.items()}
        with_default = [definition for definition in definitions if definition.default_value]
        defaults = get_variable_values(schema, with_default, {})
        self._defaults = {} if isinstance(defaults, list) else defaults.coerced
        self._required = [name for name, type in self._types.items() if is_non_null_type(type) and name not in self._defaults]

    def require_short_lists(self, raw: Mapping[str, Any]) -> None:
        """Raise a GraphQLError where a list in a value is too long."""
        for name, check in self._list_checks.items():
            if name in raw:
                check(raw[name])

    def coerced(self, raw: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the values, or None where one is wrong: graphql-core says what is wrong with it."""
        if any(name not in raw for name in self._required):
            return None
        values = dict(self._defaults)
        for name, plain in self._plain.items():
            if name not in raw:
                continue
            value = raw[name]
            if type(value) is not plain or (plain is int and value not in INTS):
                value = coerce_input_value(value, self._types[name])
                if value is Undefined:
                    return None
            values[name] = value
        return values
