"""The values of variables, with their types looked up once for each operation and not at each request."""

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError, GraphQLSchema, OperationDefinitionNode, Undefined, is_non_null_type

from schema.execution.coercion import Coercions
from schema.execution.internals import get_variable_signature, get_variable_values
from schema.execution.lists import list_length_check


class Variables:
    """Coerces the variables of one operation, which must be valid."""

    def __init__(self, schema: GraphQLSchema, operation: OperationDefinitionNode, coercions: Coercions) -> None:
        definitions = operation.variable_definitions or ()
        signatures = [get_variable_signature(schema, definition) for definition in definitions]
        types = {signature.name: signature.type for signature in signatures if not isinstance(signature, GraphQLError)}
        checks = {name: list_length_check(type, coercions.lengths) for name, type in types.items()}
        self._list_checks = {name: check for name, check in checks.items() if check}
        self._coercions = {name: coercions.compiled(type) for name, type in types.items()}
        with_default = [definition for definition in definitions if definition.default_value]
        defaults = get_variable_values(schema, with_default, {})
        self._defaults = {} if isinstance(defaults, list) else defaults.coerced
        self._required = [name for name, type in types.items() if is_non_null_type(type) and name not in self._defaults]

    def require_short_lists(self, raw: Mapping[str, Any]) -> None:
        """Raise a GraphQLError where a list in a value is too long."""
        for name, check in self._list_checks.items():
            if name in raw:
                check(raw[name])

    def coerced(self, raw: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the values, or None where one is wrong: graphql-core says what is wrong with it.

        Raises a GraphQLError for a list that is too long, where nothing before it is wrong.
        """
        for name in self._required:
            if name not in raw:
                return None
        values = dict(self._defaults)
        for name, coerce in self._coercions.items():
            if name in raw:
                value = values[name] = coerce(raw[name])
                if value is Undefined:
                    return None
        return values
