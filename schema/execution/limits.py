"""Limits of a document: how deep, wide and costly it may be, measured once, before validation, in time linear to its length."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    ExecutableDefinitionNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    parse,
)

from schema.execution.cost import PageSizes, Price, PriceList
from schema.execution.internals import unchain_tokens

__all__ = ["Limits", "PageSizes", "Price", "answer_too_large", "measure", "parse_within", "require_affordable"]

LARGEST_ANSWER = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of each thing one request may ask for."""

    characters: int = 20_000
    tokens: int = 2_000
    depth: int = 10
    aliases: int = 30
    directives: int = 20
    fields: int = 400
    root_fields: int = 20
    mutation_root_fields: int = 5
    operations: int = 10
    cost: int = 10_000
    answer_bytes: int = LARGEST_ANSWER


# Introspection is priced apart, in objects of a nominal schema: a large one, so that the price depends on the document alone.
# The whole schema, as explorers and code generators ask for it, comes to about 60,000.
INTROSPECTION_COST = 100_000
INTROSPECTION_LISTS = {
    "types": 100,
    "directives": 10,
    "fields": 10,
    "inputFields": 10,
    "enumValues": 10,
    "args": 3,
    "interfaces": 3,
    "possibleTypes": 3,
}

_REFUSALS = {
    "characters": "The document has {count:,} characters; {allowed:,} are allowed. Send values as variables, or split it.",
    "tokens": "The document has more than {allowed:,} tokens. Send values as variables, or split it.",
    "operations": "The document has {count:,} operations; {allowed:,} are allowed. Send only those that are to run.",
    "depth": "Fields are nested {count:,} deep; {allowed:,} is allowed. Ask for what lies deeper in another request, by its ID.",
    "aliases": "{count:,} fields have an alias; {allowed:,} may. Ask for several objects through a list, or in several requests.",
    "directives": "{count:,} directives are used; {allowed:,} are allowed. Leave fields out instead of skipping them.",
    "fields": "{count:,} fields are selected; {allowed:,} are allowed. Select only what is shown, or ask in several requests.",
    "root_fields": "{count:,} fields are selected at the root; {allowed:,} are allowed. Ask in several requests.",
    "mutation_root_fields": "{count:,} mutations are asked for at once; {allowed:,} are allowed. Send several requests.",
    "introspection_cost": "Introspection comes to {count:,} objects; {allowed:,} are allowed. Ask for the schema once.",
    "cost": "The answer may cost {count:,}; {allowed:,} is allowed. Ask for smaller pages, nest less, filter more, select less.",
    "answer_bytes": "The answer has more than {allowed:,} bytes. Ask for smaller pages, or for fewer long texts.",
}


def parse_within(text: str, limits: Limits) -> DocumentNode:
    """Parse a document that is not too long; deep nesting is a syntax error to the parser."""
    if len(text) > limits.characters:
        raise _refusal("characters", len(text), limits.characters)
    try:
        document = parse(text, max_lexical_tokens=limits.tokens)
    except GraphQLSyntaxError as error:
        if error.description.startswith("Document contains more than"):
            where = {"source": error.source, "positions": error.positions}
            raise _refusal("tokens", limits.tokens + 1, limits.tokens, **where) from None
        error.extensions = {"code": "GRAPHQL_PARSE_FAILED"}
        raise
    unchain_tokens(document)
    return document


def measure(document: DocumentNode, schema: GraphQLSchema, limits: Limits, page_sizes: PageSizes) -> dict[str | None, Price]:
    """Price each operation by its name, or refuse the document for the first limit that it passes.

    The document may be invalid. Fragments are counted wherever they are spread, but measured once, after those that they spread
    themselves; what closes a cycle, or is unknown, counts nothing.
    """
    definitions = [node for node in document.definitions if isinstance(node, ExecutableDefinitionNode)]
    operations = [node for node in definitions if isinstance(node, OperationDefinitionNode)]
    if len(operations) > limits.operations:
        raise _refusal("operations", len(operations), limits.operations, nodes=operations[limits.operations])
    fragments = [node for node in definitions if isinstance(node, FragmentDefinitionNode)]
    extents: dict[str, _Extent] = {}
    price_list = PriceList(schema, page_sizes)
    for fragment in _innermost_first(fragments):
        extents[fragment.name.value] = _extent(fragment, extents)
        _require_within(limits, fragment, extents[fragment.name.value])
        price_list.add(fragment)
    operation_extents = [_extent(operation, extents) for operation in operations]
    for operation, extent in zip(operations, operation_extents, strict=True):
        _require_within(limits, operation, extent)
    unused = _unused(operations, fragments)
    _require_few_fields(limits, [*operation_extents, *(extents[fragment.name.value] for fragment in unused)], definitions)
    names = (operation.name.value if operation.name else None for operation in operations)
    return {name: _price_within(limits, operation, price_list) for name, operation in zip(names, operations, strict=True)}


def _require_few_fields(limits: Limits, extents: Iterable["_Extent"], nodes: list[ExecutableDefinitionNode]) -> None:
    """Refuse many fields over the whole document: validation looks at all, also at what is not run."""
    count = sum(extent.fields for extent in extents)
    if count > limits.fields:
        raise _refusal("fields", count, limits.fields, nodes=nodes)


def _unused(
    operations: Iterable[OperationDefinitionNode], fragments: Iterable[FragmentDefinitionNode]
) -> list[FragmentDefinitionNode]:
    selections = {fragment.name.value: fragment.selection_set for fragment in fragments}
    used: set[str] = set()
    unread = [name for operation in operations for name in spreads(operation.selection_set)]
    while unread:
        name = unread.pop()
        if name in selections and name not in used:
            used.add(name)
            unread += spreads(selections[name])
    return [fragment for fragment in fragments if fragment.name.value not in used]


def require_affordable(price: Price, variables: Mapping[str, Any], limits: Limits, context: Any = None) -> int:
    """Return the price with these values of the variables; refuse an operation whose answer may cost too much."""
    count = price.of(variables, context)
    if count > limits.cost:
        raise _refusal("cost", count, limits.cost)
    return count


def answer_too_large(limits: Limits) -> GraphQLError:
    return _refusal("answer_bytes", limits.answer_bytes + 1, limits.answer_bytes)


def _refusal(limit: str, count: int, allowed: int, **where: Any) -> GraphQLError:
    message = _REFUSALS[limit].format(count=count, allowed=allowed)
    extensions = {"code": "QUERY_TOO_COMPLEX", "limit": limit, "allowed": allowed, "asked": count}
    return GraphQLError(message, extensions=extensions, **where)


def _innermost_first(fragments: Iterable[FragmentDefinitionNode]) -> list[FragmentDefinitionNode]:
    graph: dict[str, set[str]] = {}
    for fragment in fragments:
        graph.setdefault(fragment.name.value, set()).update(spreads(fragment.selection_set))
    sorter = TopologicalSorter(graph)
    # Cycles are for validation to tell; what has no part in one is still sorted.
    with suppress(CycleError):
        sorter.prepare()
    rank: dict[str, int] = {}
    while ready := sorter.get_ready():
        rank.update((name, len(rank)) for name in ready)
        sorter.done(*ready)
    return sorted(fragments, key=lambda fragment: rank.get(fragment.name.value, len(rank)))


def spreads(selection_set: SelectionSetNode) -> Iterator[str]:
    """Yield the names of the fragments that are spread in a selection set, at whatever depth."""
    unread = [selection_set]
    while unread:
        for node in unread.pop().selections:
            if isinstance(node, FragmentSpreadNode):
                yield node.name.value
            elif inner := _selection_set(node):
                unread.append(inner)


def _selection_set(node: SelectionNode) -> SelectionSetNode | None:
    return node.selection_set if isinstance(node, FieldNode | InlineFragmentNode) else None


class _Level(NamedTuple):
    """Where a selection set is: how deep, and of how many objects of introspection it is selected (0: it is outside)."""

    depth: int
    introspected: int

    def below(self, field: str) -> "_Level":
        if self.introspected:
            return self._replace(introspected=self.introspected * INTROSPECTION_LISTS.get(field, 1))
        return _Level(self.depth + 1, int(field in {"__schema", "__type"}))


_ROOT = _Level(0, 0)


@dataclass(slots=True)
class _Extent:
    """How much a definition asks for, with its fragments spread out."""

    depth: int = 0
    aliases: int = 0
    directives: int = 0
    fields: int = 0
    root_fields: int = 0
    introspection_cost: int = 0

    def add_field(self, node: FieldNode, level: _Level) -> _Level:
        below = level.below(node.name.value)
        self.depth = max(self.depth, below.depth)
        self.aliases += node.alias is not None
        self.fields += 1
        self.root_fields += level == _ROOT
        self.introspection_cost += below.introspected if node.selection_set else 0
        return below

    def add_spread(self, spread: "_Extent", level: _Level) -> None:
        self.depth = max(self.depth, level.depth + spread.depth)
        self.aliases += spread.aliases
        self.directives += spread.directives
        self.fields += spread.fields
        self.root_fields += spread.root_fields if level == _ROOT else 0
        self.introspection_cost += max(level.introspected, 1) * spread.introspection_cost


def _extent(definition: ExecutableDefinitionNode, fragments: Mapping[str, _Extent]) -> _Extent:
    extent = _Extent(directives=len(definition.directives or ()))
    for variable in definition.variable_definitions or ():
        extent.directives += len(variable.directives or ())
    introspects = isinstance(definition, FragmentDefinitionNode) and definition.type_condition.name.value.startswith("__")
    unread = [(definition.selection_set, _Level(0, int(introspects)))]
    while unread:
        selection_set, level = unread.pop()
        for node in selection_set.selections:
            extent.directives += len(node.directives or ())
            if isinstance(node, FragmentSpreadNode):
                extent.add_spread(fragments.get(node.name.value, _Extent()), level)
                continue
            below = extent.add_field(node, level) if isinstance(node, FieldNode) else level
            if inner := _selection_set(node):
                unread.append((inner, below))
    return extent


def _require_within(limits: Limits, definition: ExecutableDefinitionNode, extent: _Extent) -> None:
    for limit, count, allowed in (
        ("depth", extent.depth, limits.depth),
        ("aliases", extent.aliases, limits.aliases),
        ("directives", extent.directives, limits.directives),
        ("fields", extent.fields, limits.fields),
        *_root_fields(limits, definition, extent),
        ("introspection_cost", extent.introspection_cost, INTROSPECTION_COST),
    ):
        if count > allowed:
            raise _refusal(limit, count, allowed, nodes=definition)


def _root_fields(limits: Limits, definition: ExecutableDefinitionNode, extent: _Extent) -> Iterator[tuple[str, int, int]]:
    if not isinstance(definition, OperationDefinitionNode):
        return
    if definition.operation is OperationType.MUTATION:
        yield "mutation_root_fields", extent.root_fields, limits.mutation_root_fields
    else:
        yield "root_fields", extent.root_fields, limits.root_fields


def _price_within(limits: Limits, operation: OperationDefinitionNode, price_list: PriceList) -> Price:
    price = price_list.price(operation)
    if price.fixed > limits.cost:
        raise _refusal("cost", price.fixed, limits.cost, nodes=operation)
    return price
