"""Plans: what a selection asks of a kind of object, compiled once into closures that turn records into answers.

The closures go through a list of records field by field: a call for each field of a list, not for each field of each record.

A plan serves what is plain: attributes, values derived at once, and references to records, which are read together before
anything is built. Whatever is unusual (a resolver, an argument, a null where none may be, an error) raises, and the standard
executor serves it instead: it alone says what an error is.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter, itemgetter
from types import NoneType
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLLeafType,
    GraphQLObjectType,
    GraphQLOutputType,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from strawberry.types.field import StrawberryField

from schema.context import Context
from schema.types import Awaited, Derived, Reference, selects_only_id
from storage.records import Record

# sources of one class to the values of one field in the answers, in the order of the sources
Column = Callable[[Sequence[Any], Context], Sequence[Any]]
# the class of sources to what reads one of their fields
Maker = Callable[[type], Column]
# the selected fields of an object type below these: response key to field nodes with details
Collect = Callable[[GraphQLObjectType, list[Any]], dict[str, list[Any]]]

CLASSES = 8
# what graphql-core's own scalars make no other value of
LEFT_AS_THEY_ARE = {
    "ID": frozenset((str, NoneType)),
    "String": frozenset((str, NoneType)),
    "Boolean": frozenset((bool, NoneType)),
}
STORED_AS_ANSWERED = frozenset(("ID", "String", "Int", "TimeZone", "DateTime"))


class NotCompilable(Exception):
    """Not served by a plan."""


class Plan:
    """How objects of one type answer one selection. `rest` are the fields that only the standard executor can serve.

    `size` is the number of planned fields, `wanted` the attributes that are read of the sources and of what they hold, not of
    what they refer to. Raises NotCompilable where there would be no field.
    """

    def __init__(self, type: GraphQLObjectType, details: list[Any], collect: Collect) -> None:
        fields = _collected(type, details, collect)
        self.size = len(fields)
        self.wanted: set[str] = set()
        self.uncompiled: dict[str, list[Any]] = {}
        self._names = tuple(fields)
        self._makers: list[Maker] = []
        self._columns: dict[Any, list[Column]] = {}
        self._awaited: list[Awaited] = []
        self._references: list[tuple[Reference, Plan]] = []
        self._nested: list[tuple[str, Plan]] = []
        for name, parts in fields.items():
            try:
                self._makers.append(self._maker(type, parts, collect))
            except NotCompilable:
                self.uncompiled[name] = parts
                self._makers.append(lambda _source_class: _nothing)
        if fields and len(self.uncompiled) == len(fields):
            raise NotCompilable

    @property
    def reads(self) -> bool:
        """Whether anything has to be read before answers can be built."""
        return bool(self._awaited or self._references or self._nested)

    def build(self, sources: Sequence[Any], context: Context) -> list[dict[str, Any]]:
        """Return the answers for these sources, in their order."""
        if not sources:
            return []
        kind, *others = set(map(type, sources))
        if others:
            return [self.build((source,), context)[0] for source in sources]
        columns = [column(sources, context) for column in self._columns_of(kind)]
        if len(sources) == 1:
            return [{name: value for name, (value,) in zip(self._names, columns, strict=True)}]
        answers: list[dict[str, Any]] = [{} for _ in sources]
        for name, values in zip(self._names, columns, strict=True):
            for answer, value in zip(answers, values):  # noqa: B905 - each column is as long as the sources
                answer[name] = value
        return answers

    async def read(self, sources: Sequence[Any], context: Context) -> None:
        """Read, level by level, all the records that the answers for these sources will show."""
        for awaited in self._awaited:
            for source in sources:
                await awaited.read(source)
        for reference, plan in self._references:
            ids = {id for id in map(attrgetter(reference.holder), sources) if id is not None}
            known = await context.records(reference.kind, ids, by_id=reference.by_id)
            if plan.reads:
                await plan.read([known[id] for id in ids if known[id] is not None], context)
        for attribute, plan in self._nested:
            await plan.read([child for source in sources for child in _children(getattr(source, attribute))], context)

    def _columns_of(self, kind: type) -> list[Column]:
        columns = self._columns.get(kind)
        if columns is None:
            if len(self._columns) >= CLASSES:
                # Records of few columns have a class for each choice of them, which may be made anew.
                self._columns.clear()
            columns = self._columns[kind] = [make(kind) for make in self._makers]
        return columns

    def _maker(self, type: GraphQLObjectType, details: list[Any], collect: Collect) -> Maker:
        name = details[0].node.name.value
        if name == "__typename":
            return lambda _source_class: lambda sources, _context: [type.name] * len(sources)
        field = type.fields[name]
        definition = field.extensions.get("strawberry-definition")
        if field.args or not isinstance(definition, StrawberryField) or definition.extensions:
            raise NotCompilable
        way = definition.metadata.get("plan")
        if isinstance(way, Reference):
            self.wanted.add(way.holder)
            return self._reference(way, field.type, details, collect)
        completed, plan = _completer(field.type, details, collect)
        if plan:
            self.size += plan.size
            self.wanted |= plan.wanted
        if isinstance(way, Derived) and not (plan and plan.reads):
            derive = way.values
            self.wanted |= set(way.needs)
            return lambda _source_class: lambda sources, context: completed(derive(sources, context), context)
        if isinstance(way, Awaited):
            self._awaited.append(way)
            return lambda _source_class: _read(way.held, completed)
        if definition.base_resolver is not None:
            raise NotCompilable
        attribute = definition.python_name
        self.wanted.add(attribute)
        if plan and plan.reads:
            self._nested.append((attribute, plan))
        return lambda source_class: _stored(source_class, attribute, field.type) or _read(attribute, completed, source_class)

    def _reference(self, way: Reference, type: GraphQLOutputType, details: list[Any], collect: Collect) -> Maker:
        named, required = _object(type), is_non_null_type(type)
        if not way.by_id and selects_only_id(part.node for part in details):
            # The record that refers has all that is asked for.
            selected = {name: parts[0].node.name.value for name, parts in _collected(named, details, collect).items()}
            self.size += len(selected)
            answered = {name: None if field == "id" else named.name for name, field in selected.items()}
            return lambda source_class: _only_id(answered, _getter(source_class, way.holder), required)
        plan = Plan(named, details, collect)
        if plan.uncompiled:
            raise NotCompilable
        self.size += plan.size
        self._references.append((way, plan))

        def column(sources: Sequence[Any], context: Context) -> Sequence[Any]:
            ids = list(map(attrgetter(way.holder), sources))
            known = context.known(way.kind, by_id=way.by_id)
            # One that many refer to is built once.
            records = {id: known[id] for id in ids if id is not None and known[id] is not None}
            built = dict(zip(records, plan.build(list(records.values()), context), strict=True))
            return _checked([built.get(id) for id in ids], required)

        return lambda _source_class: column


def _collected(type: GraphQLObjectType, details: list[Any], collect: Collect) -> dict[str, list[Any]]:
    try:
        return collect(type, details)
    except GraphQLError:
        # A variable of `@skip` is null: told for each object that is met, and for none where there is none.
        raise NotCompilable from None


def _only_id(parts: dict[str, str | None], id_of: Callable[[Any], Any], required: bool) -> Column:
    if list(parts.values()) == [None]:
        (name,) = parts
        return lambda sources, _context: _checked([None if id is None else {name: id} for id in map(id_of, sources)], required)

    def column(sources: Sequence[Any], _context: Context) -> Sequence[Any]:
        ids = map(id_of, sources)
        return _checked([None if id is None else {name: part or id for name, part in parts.items()} for id in ids], required)

    return column


def _completer(type: GraphQLOutputType, details: list[Any], collect: Collect) -> tuple[Column, Plan | None]:
    """Return what turns values of this type into answers, and the plan of the objects in it."""
    if is_non_null_type(type):
        complete, plan = _completer(type.of_type, details, collect)
        return lambda values, context: _checked(complete(values, context), True), plan
    if is_list_type(type):
        complete, plan = _completer(type.of_type, details, collect)
        return lambda values, context: [None if value is None else complete(_list(value), context) for value in values], plan
    if is_leaf_type(type):
        return _leaves(type), None
    if not is_object_type(type):
        raise NotCompilable
    plan = Plan(type, details, collect)
    if plan.uncompiled:
        raise NotCompilable
    build = plan.build

    def objects(values: Sequence[Any], context: Context) -> Sequence[Any]:
        if None not in values:
            return build(values, context)
        built = iter(build([value for value in values if value is not None], context))
        return [None if value is None else next(built) for value in values]

    return objects, plan


def _leaves(leaf: GraphQLLeafType) -> Column:
    coerce = leaf.coerce_output_value
    as_they_are = LEFT_AS_THEY_ARE.get(leaf.name, frozenset())

    def leaves(values: Sequence[Any], _context: Context) -> Sequence[Any]:
        if as_they_are.issuperset(map(type, values)):
            return values
        return [None if value is None else _required(coerce(value)) for value in values]

    return leaves


def _stored(source_class: type, attribute: str, type: GraphQLOutputType) -> Column | None:
    """Return what reads a column of records as it is stored, where that is how the answer has it."""
    if not issubclass(source_class, Record) or attribute not in source_class.columns:
        return None
    get = itemgetter(source_class.columns.index(attribute))
    required = is_non_null_type(type)
    leaf: Any = type.of_type if is_non_null_type(type) else type
    if isinstance(leaf, GraphQLEnumType):
        names: dict[Any, Any] = {value.value: name for name, value in leaf.values.items()} | ({} if required else {None: None})
        return lambda records, _context: [names[value] for value in map(get, records)]
    if leaf.name not in STORED_AS_ANSWERED:
        return None
    if attribute in source_class.instants:
        # As text, it lacks only the Z of RFC 3339.
        if required:
            return lambda records, _context: [value + "Z" for value in map(get, records)]
        return lambda records, _context: [None if value is None else value + "Z" for value in map(get, records)]
    doubtful = required and attribute not in source_class.never_null
    return lambda records, _context: _checked(list(map(get, records)), doubtful)


def _getter(source_class: type, attribute: str) -> Callable[[Any], Any]:
    """Return what gets an attribute, from records by its place where that is all there is to it."""
    if not issubclass(source_class, Record) or attribute not in source_class.columns or attribute in source_class.instants:
        return attrgetter(attribute)
    return itemgetter(source_class.columns.index(attribute))


def _read(attribute: str, complete: Column, source_class: type = object) -> Column:
    get = _getter(source_class, attribute)
    return lambda sources, context: complete(list(map(get, sources)), context)


def _children(value: Any) -> Iterable[Any]:
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)


def _object(type: GraphQLOutputType) -> GraphQLObjectType:
    named = type.of_type if is_non_null_type(type) else type
    if not is_object_type(named):
        raise NotCompilable
    return named


def _checked(values: Sequence[Any], required: bool) -> Sequence[Any]:
    if required and None in values:
        raise NotCompilable
    return values


def _required(value: Any) -> Any:
    if value is None:
        raise NotCompilable
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise NotCompilable
    return value


def _nothing(sources: Sequence[Any], _context: Context) -> Sequence[Any]:
    """Hold the place of a field that the standard executor serves."""
    return [None] * len(sources)
