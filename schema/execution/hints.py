"""What a type says about its fields so that plans can serve them, and what plans ask of records and of the context."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeGuard

from graphql import FieldNode

# the values of a column, as they are stored or as they are answered
Values = Sequence[Any]
# the name of a scalar to what makes answered values of stored ones; null stays null
StoredScalars = Mapping[str, Callable[[Iterable[Any]], Values]]

_KEY = "hint"


class NotCompilable(Exception):
    """A plan does not serve this: the standard executor has to."""


class FieldFailed(Exception):
    """A resolver, a loader or an attribute raised: the standard executor says so at the field's place."""


# What a compiled field leaves to the standard executor. Any other exception is a fault of ours.
LEFT_TO_EXECUTOR = (NotCompilable, FieldFailed)


@dataclass(frozen=True, slots=True)
class Derived:
    """A field computed, for many records at once, from their attributes `needs` and from the context."""

    values: Callable[[Sequence[Any], Any], Values]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Awaited:
    """A field that `load` gets ready on a source, which has it as `attribute` from then on.

    `load` is awaited again where it failed: it must raise the same again without doing the same again.
    """

    load: Callable[[Any], Awaitable[Any]]
    attribute: str


# IDs of records to the records, None where there is none
RecordsLoader = Callable[[Collection[str]], Awaitable[Mapping[str, Any]]]
# the IDs of parents to their pages
PagesLoader = Callable[[Collection[str]], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Reference:
    """A field that is a record, whose ID the attribute `id_attribute` has; those of many are read together.

    `loader` takes the context, and the attributes that will be read of the records. What it returns must raise the same again for
    the same records. `by_id`: that the ID is there does not show the record.
    """

    loader: Callable[[Any, frozenset[str]], RecordsLoader]
    id_attribute: str
    by_id: bool = False


@dataclass(frozen=True, slots=True)
class NestedPages:
    """A field that is a page for each parent, which the attribute `id_attribute` tells apart; those of many are read together.

    `loader` takes the context, the attributes that will be read of the pages and of what they hold (None: any), and the arguments
    of the field. What it returns must raise the same again for the same parent.
    """

    loader: Callable[..., PagesLoader]
    id_attribute: str = "id"


Hint = Reference | Derived | Awaited | NestedPages


def hinted(hint: Hint) -> dict[str, Hint]:
    """Return the metadata of a Strawberry field that is served by this hint."""
    return {_KEY: hint}


def hint_in(metadata: Mapping[Any, Any]) -> Hint | None:
    return metadata.get(_KEY)


class Row(Protocol):
    """A class of records that are tuples: a value for each of `columns`, as it is stored.

    `instants` are decoded when they are read by name. `never_null` are those that the database keeps from being null.
    """

    columns: ClassVar[tuple[str, ...]]
    instants: ClassVar[frozenset[str]]
    never_null: ClassVar[frozenset[str]]


def is_row(source_class: Any) -> TypeGuard[type[Row]]:
    return issubclass(source_class, tuple) and hasattr(source_class, "never_null")


def selects_only_id(fields: Iterable[FieldNode]) -> bool:
    """Tell whether these fields select no more of an object than its ID, without looking into fragments."""
    parts = [field.selection_set for field in fields]
    return all(
        isinstance(selection, FieldNode) and selection.name.value in ("id", "__typename")
        for part in parts
        if part
        for selection in part.selections
    )
