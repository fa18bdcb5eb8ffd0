"""Plans: a selection on a kind of object, compiled once into closures that turn a list of sources into a list of answers.

The closures go through the sources field by field: a call for each field of a list, not for each field of each source.

A plan serves what is plain: attributes, values derived at once, references to records and pages below objects, which are loaded
together before anything is built. What it cannot serve (a resolver, a null where none may be) raises NotCompilable, and what
raises in a loader or an attribute is FieldFailed: the standard executor serves either, and alone says what an error is.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple

from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLOutputType,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)

from schema.execution.arguments import compile_arguments
from schema.execution.assembly import assembler
from schema.execution.columns import Column, getter, leaves, list_of, read, stored_column
from schema.execution.hints import (
    Awaited,
    Derived,
    FieldFailed,
    NestedPages,
    NotCompilable,
    Reference,
    StoredScalars,
    Values,
    hint_in,
    is_row,
)
from schema.execution.internals import FieldSet, StrawberryField, definition_of
from schema.execution.nested_pages import NestedPagesField
from schema.execution.references import ReferenceField, only_id, shows_only_id
from schema.execution.runs import Run
from schema.execution.sizes import PER_VALUE, ColumnSize, Counted, ObjectSizes, leaf_size, outer_size

# the class of sources to what reads one of their fields
Maker = Callable[[type], Column]

CLASSES = 8


class Compilation(NamedTuple):
    """What compiling needs to know: the fields selected of an object type, and how stored scalars are answered."""

    collect: Callable[[GraphQLObjectType, list[Any]], FieldSet]
    scalars: StoredScalars


class Plan:
    """How objects of one type answer one selection. `uncompiled` are the fields that only the standard executor can serve.

    `size` is the number of compiled fields, `columns` the attributes that are read of the sources and of what they hold, not
    of what they refer to. Raises NotCompilable where no field can be compiled.
    """

    def __init__(self, type: GraphQLObjectType, details: list[Any], compilation: Compilation) -> None:
        self._compilation = compilation
        fields = compilation.collect(type, details)
        self.size = len(fields)
        self.columns: set[str] = set()
        self.uncompiled: FieldSet = {}
        self._makers: list[Maker] = []
        self._readers: dict[Any, list[Column]] = {}
        self._awaited: list[Awaited] = []
        self._references: list[ReferenceField] = []
        self._nested: list[tuple[str, Plan]] = []
        self._pages: list[NestedPagesField] = []
        # the number of the column that a field is read of: leaves that are selected under several names share one
        leaves: dict[str, int] = {}
        numbers = [self._number(type, name, parts, leaves) for name, parts in fields.items()]
        if fields and len(self.uncompiled) == len(fields):
            raise NotCompilable
        self._numbers = numbers if len(self._makers) < len(fields) else None
        self._sizes = ObjectSizes({name: self._column_size(type, parts) for name, parts in fields.items()})
        self._assemble = assembler(tuple(fields))

    @property
    def loads(self) -> bool:
        """Whether anything has to be loaded before answers can be built."""
        return bool(self._awaited or self._references or self._nested or self._pages)

    def build(self, sources: Sequence[Any], run: Any) -> list[dict[str, Any]]:
        """Return the answers for these sources, in their order."""
        if not sources:
            return []
        kinds = set(map(type, sources))
        if len(kinds) > 1:
            return [self.build((source,), run)[0] for source in sources]
        kind = kinds.pop()
        columns = [column(sources, run) for column in self._readers.get(kind) or self._readers_of(kind)]
        if self._numbers is not None:
            columns = [columns[number] for number in self._numbers]
        self._sizes.add(run.size, columns, len(sources))
        return self._assemble(*columns) if columns else [{} for _ in sources]

    async def load(self, sources: Sequence[Any], run: Run) -> None:
        """Load, level by level, all the records that the answers for these sources show; raise FieldFailed."""
        for awaited in self._awaited:
            for source in sources:
                try:
                    await awaited.load(source)
                except Exception as error:
                    raise FieldFailed from error
        below: list[tuple[Plan, list[Any]]] = []
        for reference in self._references:
            records = await reference.load(sources, run)
            if reference.plan.loads:
                below.append((reference.plan, records))
        for plan, records_below in below:
            await plan.load(records_below, run)
        for pages in self._pages:
            await pages.load(sources, run)
        for attribute, plan in self._nested:
            await plan.load(_children(attribute, sources), run)

    def _readers_of(self, kind: type) -> list[Column]:
        if len(self._readers) >= CLASSES:
            # Records of few columns have a class for each choice of them, which may be made anew.
            self._readers.clear()
        readers = self._readers[kind] = [make(kind) for make in self._makers]
        return readers

    def _number(self, type: GraphQLObjectType, name: str, details: list[Any], leaves: dict[str, int]) -> int:
        field, is_leaf = details[0].node.name.value, details[0].node.selection_set is None
        if is_leaf and field in leaves:
            return leaves[field]
        try:
            maker = self._maker(type, details)
            if is_leaf:
                leaves[field] = len(self._makers)
        except NotCompilable:
            self.uncompiled[name] = details
            maker = _nothing_of
        self._makers.append(maker)
        return len(self._makers) - 1

    def _column_size(self, type: GraphQLObjectType, details: list[Any]) -> ColumnSize:
        name = details[0].node.name.value
        if name == "__typename":
            return ColumnSize(Counted.VALUES)
        field = type.fields[name]
        if is_leaf_type(get_named_type(field.type)):
            return leaf_size(field.type, self._compilation.scalars)
        definition = definition_of(field)
        if definition and shows_only_id(hint_in(definition.metadata), details):
            names = self._compilation.collect(get_named_type(field.type), details)
            return ColumnSize(Counted.VALUES, 1 + sum(len(name) + 4 + PER_VALUE for name in names))
        return outer_size(field.type)

    def _maker(self, type: GraphQLObjectType, details: list[Any]) -> Maker:
        name = details[0].node.name.value
        if name == "__typename":
            return lambda _source_class: lambda sources, _run: [type.name] * len(sources)
        field = type.fields[name]
        definition = definition_of(field)
        if definition is None or definition.extensions:
            raise NotCompilable
        hint = hint_in(definition.metadata)
        if isinstance(hint, NestedPages):
            return self._nested_pages(hint, field, definition, details)
        if field.args:
            raise NotCompilable
        if isinstance(hint, Reference):
            self.columns.add(hint.id_attribute)
            return self._reference(hint, field.type, details)
        complete, plan = _completer(field.type, details, self._compilation)
        if plan:
            self.size += plan.size
            self.columns |= plan.columns
        if isinstance(hint, Derived) and not (plan and plan.loads):
            derive = hint.values
            self.columns |= set(hint.needs)
            return lambda _source_class: lambda sources, run: complete(derive(sources, run.context), run)
        if isinstance(hint, Awaited):
            awaited = hint.attribute
            self._awaited.append(hint)
            return lambda source_class: read(source_class, awaited, complete)
        if definition.base_resolver is not None:
            raise NotCompilable
        return self._attribute(definition.python_name, field.type, complete, plan)

    def _attribute(self, attribute: str, type: GraphQLOutputType, complete: Column, plan: "Plan | None") -> Maker:
        scalars = self._compilation.scalars
        self.columns.add(attribute)
        if plan and plan.loads:
            self._nested.append((attribute, plan))
        return lambda source_class: (
            stored_column(source_class, attribute, type, scalars) or read(source_class, attribute, complete)
        )

    def _nested_pages(self, hint: NestedPages, field: GraphQLField, definition: StrawberryField, details: list[Any]) -> Maker:
        node = details[0].node
        plan = Plan(_object(field.type), details, self._compilation)
        if plan.uncompiled:
            raise NotCompilable
        arguments = compile_arguments(field, definition, node)
        pages = NestedPagesField(hint, node, arguments, plan, frozenset(plan.columns), is_non_null_type(field.type))
        self.size += plan.size
        self.columns.add(hint.id_attribute)
        self._pages.append(pages)
        return lambda _source_class: pages.column

    def _reference(self, hint: Reference, type: GraphQLOutputType, details: list[Any]) -> Maker:
        named, required, id_attribute = _object(type), is_non_null_type(type), hint.id_attribute
        if shows_only_id(hint, details):
            # The record that refers has all that is selected.
            selected = {key: parts[0].node.name.value for key, parts in self._compilation.collect(named, details).items()}
            self.size += len(selected)
            answers = {key: None if field == "id" else named.name for key, field in selected.items()}
            return lambda source_class: only_id(answers, getter(source_class, id_attribute), required)
        plan = Plan(named, details, self._compilation)
        if plan.uncompiled:
            raise NotCompilable
        self.size += plan.size
        field = ReferenceField(hint, plan, frozenset(plan.columns), required)
        self._references.append(field)
        return lambda _source_class: field.column


def _completer(type: GraphQLOutputType, details: list[Any], compilation: Compilation) -> tuple[Column, Plan | None]:
    """Return what turns values of this type into answers, and the plan of the objects in it."""
    if is_non_null_type(type):
        complete, plan = _completer(type.of_type, details, compilation)
        return _required(complete), plan
    if is_list_type(type):
        complete, plan = _completer(type.of_type, details, compilation)
        return _lists(complete), plan
    if is_leaf_type(type):
        return leaves(type), None
    plan = Plan(_object(type), details, compilation)
    if plan.uncompiled:
        raise NotCompilable
    build = plan.build

    def objects(values: Values, run: Any) -> Values:
        if None not in values:
            return build(values, run)
        built = iter(build([value for value in values if value is not None], run))
        return [None if value is None else next(built) for value in values]

    return objects, plan


def _lists(complete: Column) -> Column:
    """Complete the items of all lists together: to build those of each list apart costs more than the items."""

    def column(values: Values, run: Any) -> Values:
        answers = complete([item for value in values if value is not None for item in list_of(value)], run)
        if len(values) == 1:
            return [None if values[0] is None else answers]
        rest = iter(answers)
        return [None if value is None else list(islice(rest, len(value))) for value in values]

    return column


def _required(complete: Column) -> Column:
    def column(values: Values, run: Any) -> Values:
        answers = complete(values, run)
        if None in answers:
            raise NotCompilable
        return answers

    return column


def _children(attribute: str, sources: Sequence[Any]) -> list[Any]:
    try:
        values = list(map(attrgetter(attribute), sources))
    except Exception as error:
        if all(map(is_row, map(type, sources))):
            raise
        raise FieldFailed from error
    return [child for value in values for child in _several(value)]


def _several(value: Any) -> Iterable[Any]:
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)


def _object(type: GraphQLOutputType) -> GraphQLObjectType:
    named = type.of_type if is_non_null_type(type) else type
    if not is_object_type(named):
        raise NotCompilable
    return named


def _nothing_of(_source_class: type) -> Column:
    """Hold the place of a field that the standard executor serves."""
    return lambda sources, _run: [None] * len(sources)
