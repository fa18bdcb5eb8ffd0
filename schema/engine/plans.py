"""Plans: what a selection asks of a kind of object, compiled once into closures that turn records into answers.

A plan serves what is plain: attributes, values derived at once, and references to records, which are read together before
anything is built. Whatever is unusual (a resolver, an argument, a null where none may be, an error) raises, and the standard
executor serves it instead: it alone says what an error is.
"""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLObjectType,
    GraphQLOutputType,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from strawberry.types.field import StrawberryField

from schema.context import Context
from schema.types import Derived, Reference
from storage.records import Record

# (source, context) to the value in the answer
Getter = Callable[[Any, Context], Any]
# the class of sources to what reads one of its fields
Maker = Callable[[type], Getter]
# the selected fields of an object type below these: response key to field nodes with details
Collect = Callable[[GraphQLObjectType, list[Any]], dict[str, list[Any]]]


STORED_AS_ANSWERED = frozenset(("ID", "String", "Int", "TimeZone", "DateTime"))


class Unusual(Exception):
    """Not served by a plan."""


class Plan:
    """How objects of one type answer one selection. `rest` are the fields that only the standard executor can serve."""

    def __init__(self, type: GraphQLObjectType, fields: dict[str, list[Any]], collect: Collect) -> None:
        self.rest: dict[str, list[Any]] = {}
        self._names = tuple(fields)
        self._makers: list[Maker] = []
        self._getters: dict[Any, list[Getter]] = {}
        self._references: list[tuple[Reference, Plan]] = []
        self._nested: list[tuple[Callable[[Any], Any], Plan]] = []
        for name, details in fields.items():
            try:
                self._makers.append(self._maker(type, details, collect))
            except Unusual:
                self.rest[name] = details
                self._makers.append(lambda _source_class: _nothing)

    @property
    def serves(self) -> bool:
        return len(self.rest) < len(self._names)

    @property
    def reads(self) -> bool:
        """Whether anything has to be read before answers can be built."""
        return bool(self._references or self._nested)

    def build(self, source: Any, context: Context) -> dict[str, Any]:
        getters = self._getters.get(source.__class__)
        if getters is None:
            getters = self._getters[source.__class__] = [make(source.__class__) for make in self._makers]
        return dict(zip(self._names, [get(source, context) for get in getters], strict=True))

    async def read(self, sources: Iterable[Any], context: Context) -> None:
        """Read, level by level, all the records that the answers for these sources will show."""
        sources = list(sources)
        for reference, plan in self._references:
            ids = {id for id in map(attrgetter(reference.holder), sources) if id is not None}
            known = await context.records(reference.kind, ids, by_id=reference.by_id)
            if plan.reads:
                await plan.read((known[id] for id in ids if known[id] is not None), context)
        for children, plan in self._nested:
            await plan.read((child for source in sources for child in children(source)), context)

    def _maker(self, type: GraphQLObjectType, details: list[Any], collect: Collect) -> Maker:
        name = details[0].node.name.value
        if name == "__typename":
            return lambda _source_class: lambda _source, _context: type.name
        field = type.fields[name]
        definition = field.extensions.get("strawberry-definition")
        if field.args or not isinstance(definition, StrawberryField):
            raise Unusual
        way = definition.metadata.get("plan")
        if isinstance(way, Reference):
            get = self._reference(way, field.type, collect(_object(field.type), details), collect)
            return lambda _source_class: get
        completed, plan = _completer(field.type, details, collect)
        if isinstance(way, Derived) and not (plan and plan.reads):
            value = way.value
            return lambda _source_class: lambda source, context: completed(value(source, context), context)
        if definition.base_resolver is not None:
            raise Unusual
        attribute = definition.python_name
        if plan and plan.reads:
            self._nested.append((_children(attribute), plan))
        return lambda source_class: _stored(source_class, attribute, field.type) or _read(attribute, completed)

    def _reference(self, way: Reference, type: GraphQLOutputType, fields: dict[str, list[Any]], collect: Collect) -> Getter:
        named, required, id_of = _object(type), is_non_null_type(type), attrgetter(way.holder)
        selected = {name: details[0].node.name.value for name, details in fields.items()}
        if not way.by_id and set(selected.values()) <= {"id", "__typename"}:
            # The ID is all that is asked for, and the record that refers has it.
            parts = {name: None if field == "id" else named.name for name, field in selected.items()}

            def only_id(source: Any, _context: Context) -> Any:
                id = id_of(source)
                if id is None:
                    return _null(required)
                return {name: part or id for name, part in parts.items()}

            return only_id
        plan = Plan(named, fields, collect)
        if plan.rest:
            raise Unusual
        self._references.append((way, plan))

        def referred(source: Any, context: Context) -> Any:
            id = id_of(source)
            record = None if id is None else context.known(way.kind, by_id=way.by_id)[id]
            return _null(required) if record is None else plan.build(record, context)

        return referred


def _completer(type: GraphQLOutputType, details: list[Any], collect: Collect) -> tuple[Getter, Plan | None]:
    """Return what turns a value of this type into the answer, and the plan of the objects in it."""
    if is_non_null_type(type):
        complete, plan = _completer(type.of_type, details, collect)
        return lambda value, context: _required(complete(value, context)), plan
    if is_list_type(type):
        complete, plan = _completer(type.of_type, details, collect)
        return lambda value, context: None if value is None else [complete(item, context) for item in _list(value)], plan
    if is_leaf_type(type):
        coerce = type.coerce_output_value
        return lambda value, _context: None if value is None else coerce(value), None
    if not is_object_type(type):
        raise Unusual
    plan = Plan(type, collect(type, details), collect)
    if plan.rest:
        raise Unusual
    build = plan.build
    return lambda value, context: None if value is None else build(value, context), plan


def _stored(source_class: type, attribute: str, type: GraphQLOutputType) -> Getter | None:
    """Return what reads a column of a record as it is stored, where that is how the answer has it."""
    if not issubclass(source_class, Record) or attribute not in source_class.columns:
        return None
    index = source_class.columns.index(attribute)
    required = is_non_null_type(type)
    leaf: Any = type.of_type if is_non_null_type(type) else type
    if isinstance(leaf, GraphQLEnumType):
        names: dict[Any, Any] = {value.value: name for name, value in leaf.values.items()} | ({} if required else {None: None})
        return lambda record, _context: names[record[index]]
    if leaf.name not in STORED_AS_ANSWERED:
        return None
    if attribute in source_class.instants:
        # As text, it lacks only the Z of RFC 3339.
        if required:
            return lambda record, _context: record[index] + "Z"
        return lambda record, _context: None if record[index] is None else record[index] + "Z"
    return (lambda record, _context: _required(record[index])) if required else (lambda record, _context: record[index])


def _read(attribute: str, complete: Getter) -> Getter:
    get = attrgetter(attribute)
    return lambda source, context: complete(get(source), context)


def _children(attribute: str) -> Callable[[Any], Iterable[Any]]:
    get = attrgetter(attribute)

    def children(source: Any) -> Iterable[Any]:
        value = get(source)
        if value is None:
            return ()
        return value if isinstance(value, list) else (value,)

    return children


def _object(type: GraphQLOutputType) -> GraphQLObjectType:
    named = type.of_type if is_non_null_type(type) else type
    if not is_object_type(named):
        raise Unusual
    return named


def _required(value: Any) -> Any:
    if value is None:
        raise Unusual
    return value


def _null(required: bool) -> None:
    if required:
        raise Unusual


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Unusual
    return value


def _nothing(_source: Any, _context: Context) -> None:
    """Hold the place of a field that the standard executor serves."""
