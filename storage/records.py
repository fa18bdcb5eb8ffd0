"""Records to read: a row as the database returned it, with a name for each column, and decoded only where it is read by name."""

import json
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlmodel import SQLModel

from storage.instants import Instant, instant
from storage.models import (
    CareEnquiry,
    DerivedAttributes,
    HomeVisit,
    HomeVisitEvent,
    Location,
    ServiceUserContact,
    User,
    table_of,
)

T = TypeVar("T", bound=SQLModel)


class Record(tuple[Any, ...]):
    """A row with an attribute for each of its `columns`, in their order. `instants` are decoded when they are read by name.

    `never_null` are those that the database keeps from being null. `model` is the class whose columns they are.
    """

    __slots__ = ()
    columns: tuple[str, ...]
    instants: frozenset[str]
    never_null: frozenset[str]
    model: type | None = None


def _decoded(index: int) -> Callable[[Record], Any]:
    def value(record: Record) -> Any:
        text = record[index]
        return None if text is None else instant(text)

    return value


def _reader(column: sa.Column[Any], index: int) -> Callable[[Any], Any]:
    if isinstance(column.type, sa.JSON):
        return _parsed(index)
    return _decoded(index) if isinstance(column.type, Instant) else itemgetter(index)


def _parsed(index: int) -> Callable[[Record], Any]:
    def value(record: Record) -> Any:
        text = record[index]
        return None if text is None else json.loads(text)

    return value


def record_of(model: type[T], names: Iterable[str] | None = None) -> Callable[[Iterable[Any]], T]:
    """Make the class of records with columns of `model`: it reads like an instance of it, and costs a tenth of one."""
    table = table_of(model)
    columns = [table.c[name] for name in (table.c.keys() if names is None else names)]
    members: dict[str, Any] = {"__slots__": (), "columns": tuple(column.name for column in columns), "model": model}
    members["instants"] = frozenset(column.name for column in columns if isinstance(column.type, Instant))
    members["never_null"] = frozenset(column.name for column in columns if not column.nullable)
    for index, column in enumerate(columns):
        members[column.name] = property(_reader(column, index))
    bases = (DerivedAttributes, Record) if issubclass(model, DerivedAttributes) else (Record,)
    return cast("Callable[[Iterable[Any]], T]", type(f"{model.__name__}Record", bases, members))


UserRecord = record_of(User)
LocationRecord = record_of(Location)
CareEnquiryRecord = record_of(CareEnquiry)
ServiceUserContactRecord = record_of(ServiceUserContact)
HomeVisitRecord = record_of(HomeVisit, [name for name in HomeVisit.model_fields if name not in ("number", "notes_folded")])
HomeVisitEventRecord = record_of(HomeVisitEvent, [name for name in HomeVisitEvent.model_fields if name != "number"])
