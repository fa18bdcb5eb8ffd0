"""The price of an answer: one for each object in it, as a function of the variables."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_leaf_type,
    is_list_type,
)


class PageSizes(NamedTuple):
    """How many objects a page has without `first` and `last`, and how many it may have at most."""

    default: int = 10
    largest: int = 100


class Page(NamedTuple):
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


@dataclass(frozen=True, slots=True)
class Price:
    """How many objects an answer may have: a number, and products of numbers with page sizes."""

    fixed: int
    terms: tuple[tuple[int, tuple[Page, ...]], ...]
    defaults: Mapping[str, int | None]

    def of(self, variables: Mapping[str, Any]) -> int:
        """Return the price for these values of the variables, coerced or as they came."""
        total = self.fixed
        values = {**self.defaults, **variables} if self.defaults else variables
        for times, pages in self.terms:
            product = times
            for page in pages:
                product *= page.size(values)
            total += product
        return total


class _Selection(NamedTuple):
    """Where a selection set stands: on which type, how often in an answer, and the size of its lists."""

    selection_set: SelectionSetNode
    on: GraphQLNamedType | None
    times: int
    pages: tuple[Page, ...]
    size: int | Page


# The page that a fragment is spread in, known only where it is spread.
_SURROUNDING = Page((), None, 0, 0)


class PriceList:
    """Prices the definitions of a document; a fragment comes before those that spread it.

    An object is counted each time it is selected, and on each type it may have: an answer never has more.
    A list without a page size counts as a page of the default size. What is unknown costs nothing.
    """

    def __init__(self, schema: GraphQLSchema, page_sizes: PageSizes) -> None:
        self._schema = schema
        self._sizes = page_sizes
        self._fragments: dict[str, Counter[tuple[Page, ...]]] = {}

    def add(self, fragment: FragmentDefinitionNode) -> None:
        """Price a fragment, once for all places."""
        on = self._schema.get_type(fragment.type_condition.name.value)
        self._fragments[fragment.name.value] = self._costs(_Selection(fragment.selection_set, on, 1, (), _SURROUNDING))

    def price(self, operation: OperationDefinitionNode) -> Price:
        """Price an operation."""
        on = self._schema.get_root_type(operation.operation)
        costs = self._costs(_Selection(operation.selection_set, on, 1, (), self._sizes.default))
        fixed = costs.pop((), 0)
        used = {name for pages in costs for page in pages for name, _ in page.variables}
        defaults = {
            node.variable.name.value: self._literal(node.default_value)
            for node in operation.variable_definitions or ()
            if node.default_value and node.variable.name.value in used
        }
        return Price(fixed, tuple((times, pages) for pages, times in costs.items()), defaults)

    def _costs(self, root: _Selection) -> Counter[tuple[Page, ...]]:
        costs: Counter[tuple[Page, ...]] = Counter()
        unread = [root]
        while unread:
            selection = unread.pop()
            for node in selection.selection_set.selections:
                if isinstance(node, FragmentSpreadNode):
                    self._spread(node, selection, costs)
                elif isinstance(node, InlineFragmentNode):
                    on = self._schema.get_type(node.type_condition.name.value) if node.type_condition else selection.on
                    unread.append(selection._replace(selection_set=node.selection_set, on=on))
                elif isinstance(node, FieldNode) and (inner := self._inner(node, selection)):
                    costs[inner.pages] += inner.times
                    unread.append(inner)
        return costs

    def _spread(self, node: FragmentSpreadNode, selection: _Selection, costs: Counter[tuple[Page, ...]]) -> None:
        for pages, times in self._fragments.get(node.name.value, {}).items():
            spread = selection._replace(times=selection.times * times)
            for page in pages:
                spread = _repeated(spread, selection.size if page is _SURROUNDING else page)
            costs[spread.pages] += spread.times

    def _inner(self, node: FieldNode, selection: _Selection) -> _Selection | None:
        field = _field(self._schema, selection.on, node.name.value)
        if field is None or node.selection_set is None or is_leaf_type(get_named_type(field.type)):
            return None
        page = self._page_of(node, field)
        if is_list_type(get_nullable_type(field.type)):
            selection = _repeated(selection, selection.size if page is None else page)
            page = None
        size = self._sizes.default if page is None else page
        return _Selection(node.selection_set, get_named_type(field.type), selection.times, selection.pages, size)

    def _page_of(self, node: FieldNode, field: GraphQLField) -> int | Page | None:
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
        page = Page(tuple(variables), literal, self._sizes.default, self._sizes.largest)
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


def _repeated(selection: _Selection, size: int | Page) -> _Selection:
    if isinstance(size, Page):
        return selection._replace(pages=(*selection.pages, size))
    return selection._replace(times=selection.times * size)


def _field(schema: GraphQLSchema, on: GraphQLNamedType | None, name: str) -> GraphQLField | None:
    if not is_composite_type(on) or name.startswith("__"):
        return None
    return schema.get_field(on, name)
