"""The values of one field of many sources at once: read from rows as they are stored, or by name, and made what is answered."""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter, itemgetter
from types import NoneType
from typing import Any

from graphql import GraphQLEnumType, GraphQLLeafType, GraphQLOutputType, is_non_null_type

from schema.execution.hints import FieldFailed, NotCompilable, StoredScalars, Values, is_row

# sources of one class, and the run, to the values of one field in the answers, in the order of the sources
Column = Callable[[Sequence[Any], Any], Values]

# what graphql-core's own scalars make no other value of
UNCHANGED_TYPES = {
    "ID": frozenset((str, NoneType)),
    "String": frozenset((str, NoneType)),
    "Boolean": frozenset((bool, NoneType)),
}


def unchanged(values: Iterable[Any]) -> Values:
    return list(values)


# A row holds text, whole numbers and nulls: these are answered as they are stored.
STORED: StoredScalars = {"ID": unchanged, "String": unchanged, "Int": unchanged}


def stored_column(source_class: type, attribute: str, type: GraphQLOutputType, scalars: StoredScalars) -> Column | None:
    """Return what reads a column of rows, where answers can be made of what is stored."""
    if not is_row(source_class) or attribute not in source_class.columns:
        return None
    get = itemgetter(source_class.columns.index(attribute))
    required = is_non_null_type(type)
    leaf: Any = type.of_type if is_non_null_type(type) else type
    if isinstance(leaf, GraphQLEnumType):
        return _enum(get, {value.value: name for name, value in leaf.values.items()} | ({} if required else {None: None}))
    convert = scalars.get(leaf.name)
    if convert is None:
        return None
    doubtful = required and attribute not in source_class.never_null
    if not doubtful:
        return lambda rows, _run: convert(map(get, rows))
    return lambda rows, _run: checked(convert(map(get, rows)), True)


def _enum(get: Callable[[Any], Any], names: dict[Any, Any]) -> Column:
    def column(rows: Sequence[Any], _run: Any) -> Values:
        try:
            return [names[value] for value in map(get, rows)]
        except KeyError:
            # A later version may have stored it.
            raise NotCompilable from None

    return column


def getter(source_class: type, attribute: str) -> Callable[[Any], Any]:
    """Return what gets an attribute, from rows by its place where that is all there is to it."""
    if not is_row(source_class) or attribute not in source_class.columns or attribute in source_class.instants:
        return attrgetter(attribute)
    return itemgetter(source_class.columns.index(attribute))


def read(source_class: type, attribute: str, complete: Column) -> Column:
    """Return what reads an attribute and completes its values."""
    get = getter(source_class, attribute)
    if is_row(source_class):
        # A row that lacks what a plan reads of it is a fault.
        return lambda rows, run: complete(list(map(get, rows)), run)

    def column(sources: Sequence[Any], run: Any) -> Values:
        try:
            values = list(map(get, sources))
        except Exception as error:
            raise FieldFailed from error
        return complete(values, run)

    return column


def leaves(leaf: GraphQLLeafType) -> Column:
    """Return what completes values as a scalar or an enum does."""
    coerce = leaf.coerce_output_value
    unchanged_types = UNCHANGED_TYPES.get(leaf.name, frozenset())

    def completed(value: Any) -> Any:
        try:
            answer = coerce(value)
        except Exception:  # noqa: BLE001 - whatever a scalar raises, the standard executor says so
            raise NotCompilable from None
        if answer is None:
            raise NotCompilable
        return answer

    def column(values: Values, _run: Any) -> Values:
        if unchanged_types.issuperset(map(type, values)):
            return values
        return [None if value is None else completed(value) for value in values]

    return column


def checked(values: Values, required: bool) -> Values:
    """Return the values; raise NotCompilable for a null where none may be."""
    if required and None in values:
        raise NotCompilable
    return values


def list_of(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise NotCompilable
    return value
