"""The price of an answer, as a function of the variables: one for each object in it, and more for what is dear besides."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from graphql import (
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_leaf_type,
    is_list_type,
)

# A context and the arguments of a field to how many objects its list may have.
SizeOfList = Callable[[Any, Mapping[str, Any]], int]
# Under which the context stands among the values of variables: no variable has this name.
CONTEXT = ""

# How deep lists and objects stand in the arguments that tell the size of a list.
DEPTH = 3

# What a page below an object costs besides the objects in it: each parent has one, however small it is.
PAGE_BELOW = 2


class PageSizes(NamedTuple):
    """How many objects a page has without `first` and `last`, and how many it may have at most.

    `of_lists` tells, of a context and of the arguments as they came, the size of a list without pages, by its name like
    `Type.field`. `leaves` is how many leaves of an object its own price covers.
    """

    default: int = 10
    largest: int = 100
    of_lists: Mapping[str, SizeOfList] = MappingProxyType({})
    leaves: int = 20


class PageSize(NamedTuple):
    """A page size that is known only with the variables."""

    variables: tuple[tuple[str, int | None], ...]
    literal: int | None
    default: int
    most: int

    def size(self, values: Mapping[str, Any]) -> int:
        """Return how many objects the page may have, by the larger of `first` and `last`."""
        size = self.literal
        for name, default in self.variables:
            value = values.get(name, default)
            if value is None:
                continue
            # 100.0 is an Int to GraphQL, and what is none at all is refused later.
            if type(value) is not int:
                return self.most
            if size is None or value > size:
                size = value
        return self.default if size is None else min(max(size, 0), self.most)


@dataclass(frozen=True, eq=False, slots=True)
class ListSize:
    """The size of a list without pages, known only with the context and with the variables that its arguments name."""

    of: SizeOfList
    arguments: Mapping[str, ValueNode]

    def size(self, values: Mapping[str, Any]) -> int:
        arguments = {name: _untyped(node, values) for name, node in self.arguments.items()}
        return self.of(values.get(CONTEXT), arguments)


Size = PageSize | ListSize

# how often what is multiplied by the same pages is in an answer
Costs = Counter[tuple[Size, ...]]


@dataclass(frozen=True, slots=True)
class Price:
    """What an answer may cost: a number, and products of numbers with sizes, of which some need the context."""

    fixed: int
    terms: tuple[tuple[int, tuple[Size, ...]], ...]
    defaults: Mapping[str, Any]
    needs_context: bool = False

    def of(self, variables: Mapping[str, Any], context: Any = None) -> int:
        """Return the price for these values of the variables, coerced or as they came."""
        total = self.fixed
        values = {**self.defaults, **variables} if self.defaults else variables
        if self.needs_context:
            values = {**values, CONTEXT: context}
        for times, sizes in self.terms:
            product = times
            for size in sizes:
                product *= size.size(values)
            total += product
        return total


class _Selection(NamedTuple):
    """Where a selection set stands: on which type, how often in an answer, and the size of its lists.

    `leaves` are the keys of the leaves of its object, wherever they are selected.
    """

    selection_set: SelectionSetNode
    on: GraphQLNamedType | None
    times: int
    pages: tuple[Size, ...]
    size: int | Size
    leaves: set[str]


# The page that a fragment is spread in, known only where it is spread.
_SURROUNDING = PageSize((), None, 0, 0)


class PriceList:
    """Prices the definitions of a document; a fragment comes before those that spread it.

    An object is counted each time it is selected, and on each type it may have: an answer never has more. Leaves of an object
    beyond those that its price covers cost one each, an alias included. A page below an object costs `PAGE_BELOW` besides.
    A list without a page size counts as a page of the default size. What is unknown costs nothing.
    """

    def __init__(self, schema: GraphQLSchema, page_sizes: PageSizes) -> None:
        self._schema = schema
        self._sizes = page_sizes
        self._fragments: dict[str, tuple[Costs, set[str]]] = {}

    def add(self, fragment: FragmentDefinitionNode) -> None:
        """Price a fragment, once for all places."""
        on = self._schema.get_type(fragment.type_condition.name.value)
        leaves: set[str] = set()
        costs = self._costs(_Selection(fragment.selection_set, on, 1, (), _SURROUNDING, leaves))
        self._fragments[fragment.name.value] = costs, leaves

    def price(self, operation: OperationDefinitionNode) -> Price:
        """Price an operation."""
        on = self._schema.get_root_type(operation.operation)
        root = _Selection(operation.selection_set, on, 1, (), self._sizes.default, set())
        costs = self._costs(root)
        self._add_leaves(root, costs)
        fixed = costs.pop((), 0)
        sizes = {size for sizes in costs for size in sizes}
        lists = any(isinstance(size, ListSize) for size in sizes)
        used = {name for size in sizes if isinstance(size, PageSize) for name, _ in size.variables}
        defaults = {
            node.variable.name.value: self._literal(value) if node.variable.name.value in used else _untyped(value, {})
            for node in operation.variable_definitions or ()
            if (value := node.default_value) and (lists or node.variable.name.value in used)
        }
        return Price(fixed, tuple((times, sizes) for sizes, times in costs.items()), defaults, lists)

    def _costs(self, root: _Selection) -> Costs:
        costs: Costs = Counter()
        unread, objects = [root], []
        while unread:
            selection = unread.pop()
            for node in selection.selection_set.selections:
                if isinstance(node, FragmentSpreadNode):
                    self._spread(node, selection, costs)
                elif isinstance(node, InlineFragmentNode):
                    on = self._schema.get_type(node.type_condition.name.value) if node.type_condition else selection.on
                    unread.append(selection._replace(selection_set=node.selection_set, on=on))
                elif isinstance(node, FieldNode) and node.selection_set is None:
                    selection.leaves.add(node.alias.value if node.alias else node.name.value)
                elif isinstance(node, FieldNode) and (inner := self._inner(node, selection, costs)):
                    costs[inner.pages] += inner.times
                    unread.append(inner)
                    objects.append(inner)
        for selection in objects:
            self._add_leaves(selection, costs)
        return costs

    def _add_leaves(self, selection: _Selection, costs: Costs) -> None:
        uncovered = len(selection.leaves) - self._sizes.leaves
        if uncovered > 0:
            costs[selection.pages] += selection.times * uncovered

    def _spread(self, node: FragmentSpreadNode, selection: _Selection, costs: Costs) -> None:
        if node.name.value not in self._fragments:
            return
        spread_costs, leaves = self._fragments[node.name.value]
        selection.leaves.update(leaves)
        for pages, times in spread_costs.items():
            spread = selection._replace(times=selection.times * times)
            for page in pages:
                spread = _repeated(spread, selection.size if page is _SURROUNDING else page)
            costs[spread.pages] += spread.times

    def _inner(self, node: FieldNode, selection: _Selection, costs: Costs) -> _Selection | None:
        field = _field(self._schema, selection.on, node.name.value)
        if field is None or node.selection_set is None or is_leaf_type(get_named_type(field.type)):
            return None
        page = self._page_of(node, field)
        if page is not None and selection.on is not self._schema.query_type:
            costs[selection.pages] += selection.times * PAGE_BELOW
        if is_list_type(get_nullable_type(field.type)):
            size = self._size_of_list(node, selection) if page is None else page
            selection, page = _repeated(selection, size), None
        size = self._sizes.default if page is None else page
        return _Selection(node.selection_set, get_named_type(field.type), selection.times, selection.pages, size, set())

    def _size_of_list(self, node: FieldNode, selection: _Selection) -> int | Size:
        size_of = self._sizes.of_lists.get(f"{selection.on.name if selection.on else None}.{node.name.value}")
        if size_of is None:
            return selection.size
        return ListSize(size_of, {argument.name.value: argument.value for argument in node.arguments or ()})

    def _page_of(self, node: FieldNode, field: GraphQLField) -> int | PageSize | None:
        arguments = [(name, field.args[name]) for name in ("first", "last") if name in field.args]
        if not arguments:
            return None
        values = {argument.name.value: argument.value for argument in node.arguments or ()}
        variables: list[tuple[str, int | None]] = []
        literals: list[int | None] = []
        for name, argument in arguments:
            value = values.get(name)
            if isinstance(value, VariableNode):
                variables.append((value.name.value, self._default(argument)))
            else:
                literals.append(self._literal(value) if value else self._default(argument))
        literal = max((size for size in literals if size is not None), default=None)
        page = PageSize(tuple(variables), literal, self._sizes.default, self._sizes.largest)
        return page if variables else page.size({})

    def _default(self, argument: GraphQLArgument) -> int | None:
        default = argument.default
        if default and default.literal:
            return self._literal(default.literal)
        value = default.value if default else argument.default_value
        return value if isinstance(value, int) else None

    def _literal(self, value: ValueNode) -> int | None:
        if isinstance(value, NullValueNode):
            return None
        # As many digits as tell that it is too large: Python refuses to read thousands.
        return int(value.value[:11]) if isinstance(value, IntValueNode) else self._sizes.largest


def _repeated(selection: _Selection, size: int | Size) -> _Selection:
    if not isinstance(size, int):
        return selection._replace(pages=(*selection.pages, size))
    return selection._replace(times=selection.times * size)


def _field(schema: GraphQLSchema, on: GraphQLNamedType | None, name: str) -> GraphQLField | None:
    if not is_composite_type(on) or name.startswith("__"):
        return None
    return schema.get_field(on, name)


def _untyped(node: ValueNode, values: Mapping[str, Any], depth: int = DEPTH) -> Any:
    """Return what a value says, numbers and truths left out: None, as is what stands too deep in others."""
    if isinstance(node, VariableNode):
        return values.get(node.name.value)
    if isinstance(node, StringValueNode | EnumValueNode):
        return node.value
    if isinstance(node, ListValueNode) and depth:
        return [_untyped(item, values, depth - 1) for item in node.values]
    if isinstance(node, ObjectValueNode) and depth:
        return {field.name.value: _untyped(field.value, values, depth - 1) for field in node.fields}
    return None
