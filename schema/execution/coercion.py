"""Input values coerced by closures, compiled once for each type: graphql-core finds out for each value what its type has.

Lists that are too long are refused on the way, before any value in them is looked at.
"""

from collections.abc import Callable
from typing import Any

from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    GraphQLBoolean,
    GraphQLID,
    GraphQLInputObjectType,
    GraphQLInt,
    GraphQLString,
    Undefined,
    is_input_object_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
)

from schema.execution.internals import coerce_default_value
from schema.execution.lists import DEFAULT_LENGTHS, ListLengths, list_too_long

# the value of a variable to the coerced one; Undefined where it is wrong
Coerce = Callable[[Any], Any]

# of which graphql-core makes no other value
PLAIN: dict[Any, type] = {GraphQLID: str, GraphQLString: str, GraphQLBoolean: bool}


class Coercions:
    """Coerces as graphql-core's `coerce_input_value`, and raises a GraphQLError for a list that is too long."""

    def __init__(self, lengths: ListLengths = DEFAULT_LENGTHS) -> None:
        self.lengths = lengths
        self._objects: dict[GraphQLInputObjectType, _Object] = {}

    def compiled(self, type_: Any) -> Coerce:
        """Return what coerces the values of a type; input object types are compiled once."""
        if is_non_null_type(type_):
            nullable = self.compiled(type_.of_type)
            return lambda value: Undefined if value is None else nullable(value)
        if is_list_type(type_):
            return _list(self.compiled(type_.of_type), self.lengths.allowed(type_))
        if is_input_object_type(type_):
            # A type may have fields of its own type.
            if type_ not in self._objects:
                self._objects[type_] = _Object(type_)
                self._objects[type_].compile_fields(self)
            return self._objects[type_]
        return _leaf(type_)


def _leaf(type_: Any) -> Coerce:
    coerce, plain = type_.coerce_input_value, PLAIN.get(type_)

    def checked(value: Any) -> Any:
        if value is None:
            return None
        try:
            return coerce(value)
        except Exception:  # noqa: BLE001 - whatever a scalar raises, graphql-core says what is wrong with the value
            return Undefined

    if type_ is GraphQLInt:
        return lambda value: value if type(value) is int and GRAPHQL_MIN_INT <= value <= GRAPHQL_MAX_INT else checked(value)
    return checked if plain is None else lambda value: value if type(value) is plain else checked(value)


def _list(coerce: Coerce, allowed: int) -> Coerce:
    def coerced(value: Any) -> Any:
        if value is None:
            return None
        items = value if isinstance(value, list) else [value]
        if len(items) > allowed:
            raise list_too_long(len(items), allowed)
        values: list[Any] = []
        for item in items:
            coerced_item = coerce(item)
            if coerced_item is Undefined:
                return Undefined
            values.append(coerced_item)
        return values

    return coerced


class _Object:
    """Coerces the values of one input object type: the fields that are there, then the defaults of those that are not."""

    def __init__(self, type_: GraphQLInputObjectType) -> None:
        self._type = type_
        self._fields: dict[str, tuple[str, Coerce]] = {}

    def compile_fields(self, coercions: Coercions) -> None:
        fields = self._type.fields
        for name, field in fields.items():
            self._fields[name] = (field.out_name or name, coercions.compiled(field.type))
        self._required = [name for name, field in fields.items() if is_required_input_field(field)]
        defaults = {name: coerce_default_value(field) for name, field in fields.items() if name not in self._required}
        self._defaults = [(name, self._fields[name][0], value) for name, value in defaults.items() if value is not Undefined]

    def __call__(self, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict) or not self._fields.keys() >= value.keys():
            return Undefined
        values = self._coerced(value)
        if self._type.is_one_of and values is not Undefined and (len(value) != 1 or next(iter(values.values())) is None):
            return Undefined
        return values if values is Undefined else self._type.out_type(values)

    def _coerced(self, value: dict[str, Any]) -> Any:
        values = {out_name: default for name, out_name, default in self._defaults if name not in value}
        for name in self._required:
            if name not in value:
                return Undefined
        for name, item in value.items():
            out_name, coerce = self._fields[name]
            coerced = values[out_name] = coerce(item)
            if coerced is Undefined:
                return Undefined
        return values
