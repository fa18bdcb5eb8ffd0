"""A cache of prepared documents: parsed, limited, validated and priced once, bounded by the bytes that they take."""

import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from graphql import (
    ASTValidationRule,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    OverlappingFieldsCanBeMergedRule,
    ValuesOfCorrectTypeRule,
    VariableNode,
    Visitor,
    specified_rules,
    validate,
    visit,
)

from schema.execution.coercion import Coercions
from schema.execution.deprecations import DeprecatedUse
from schema.execution.internals import Fragments
from schema.execution.limits import Limits, PageSizes, Price, measure, parse_within
from schema.execution.lists import DEFAULT_LENGTHS, ListLengths, list_length_rule
from schema.execution.literals import LiteralsOfCorrectTypeRule
from schema.execution.overlaps import MergeableFieldsRule
from schema.execution.variables import Variables

# The library's compare each field with each other one, and print a value again for each error in it: 400 equal objects take half
# a second, 640 unknown fields a tenth.
LINEAR: dict[type[ASTValidationRule], type[ASTValidationRule]] = {
    OverlappingFieldsCanBeMergedRule: MergeableFieldsRule,
    ValuesOfCorrectTypeRule: LiteralsOfCorrectTypeRule,
}
RULES = [LINEAR.get(rule, rule) for rule in specified_rules]
MAX_ERRORS = 10
VARIANTS = 16
# Bytes, measured and rounded up: nobody may fill the memory with short documents, long names or plans for every variable.
MAX_SIZE = 32_000_000
MAX_REFUSED_SIZE = 4_000_000
PER_DOCUMENT = 3_000
PER_TOKEN = 700
PER_PLANNED_FIELD = 2_200
PER_ANSWER = 300_000
INTROSPECTION = frozenset(("__schema", "__type"))
# What is quoted is the client's own, to its end or that of the message.
_QUOTED_OR_PYTHON = re.compile(r"""'(?:[^'\\]|\\.)*('|$)|"(?:[^"\\]|\\.)*("|$)|\b(?:None|True|False)\b""", re.DOTALL)
_IN_JSON = {"None": "null", "True": "true", "False": "false"}


class NotExecuted(Exception):
    """The document is not run; `errors` say why, each with a code."""

    def __init__(self, *errors: GraphQLError) -> None:
        super().__init__(errors)
        self.errors = list(errors)


class Operation:
    """One operation of a document. `constant`: it has the same answer each time, which `answer` keeps once it was run.

    `deferred` is how many more requests are not tried to be answered at once; `has_waited`: the last that was tried had to wait.
    """

    def __init__(self, node: OperationDefinitionNode, price: Price, prepared: "Prepared") -> None:
        self.node = node
        self.price = price
        self.prepared = prepared
        self.is_query = node.operation is OperationType.QUERY
        selections = node.selection_set.selections
        introspects = all(isinstance(part, FieldNode) and part.name.value in INTROSPECTION for part in selections)
        self.constant = introspects and not node.variable_definitions
        self.answer: dict[str, Any] | None = None
        self.deprecated_use: DeprecatedUse | None = None
        self.deferred = 0
        self.has_waited = False
        self._plans: dict[tuple[Any, ...], dict[Any, Any]] = {}
        self._planned = 0
        self._variables: Variables | None = None

    def variables(self, schema: GraphQLSchema, coercions: Coercions) -> Variables:
        if self._variables is None:
            self._variables = Variables(schema, self.node, coercions)
        return self._variables

    def plans(self, variables: Mapping[str, Any]) -> dict[Any, Any]:
        """Return the plans for these values of the variables that `@skip` and `@include` name: others decide nothing."""
        switches = tuple(variables.get(name) for name in self.prepared.switches)
        if switches not in self._plans and len(self._plans) >= VARIANTS:
            self._plans.clear()
            self.count_planned(-self._planned)
        return self._plans.setdefault(switches, {})

    def count_planned(self, fields: int) -> None:
        """Count the memory that plans of so many fields take."""
        self._planned += fields
        self.prepared.grow(fields * PER_PLANNED_FIELD)

    def keep_constant(self, answer: dict[str, Any]) -> None:
        """Keep the answer where it is constant."""
        if self.constant and self.answer is None:
            self.answer = answer
            self.prepared.grow(PER_ANSWER)


class Prepared:
    """A document that may be run, with its operations by name. `size` is its memory in bytes; `on_growth` is called with more."""

    def __init__(
        self, text: str, node: DocumentNode, prices: Mapping[str | None, Price], on_growth: Callable[["Prepared", int], None]
    ) -> None:
        self.text = text
        # A string in a document is kept three times: in the text, by its token, by its node.
        self.size = PER_DOCUMENT + PER_TOKEN * (node.token_count or 0) + 3 * sys.getsizeof(text)
        self._on_growth = on_growth
        self.fragments = Fragments(part for part in node.definitions if isinstance(part, FragmentDefinitionNode))
        survey = _Survey()
        visit(node, survey)
        self.introspects = survey.introspects
        self.switches = tuple(sorted(survey.switches))
        operations = [part for part in node.definitions if isinstance(part, OperationDefinitionNode)]
        named = {part.name.value if part.name else None: part for part in operations}
        self.operations = {name: Operation(part, prices[name], self) for name, part in named.items()}

    def grow(self, bytes: int) -> None:
        self.size += bytes
        self._on_growth(self, bytes)

    def operation(self, name: str | None) -> Operation:
        """Return the one to run; raise NotExecuted where the document does not tell which."""
        if not name and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        if name in self.operations:
            return self.operations[name]
        names = ", ".join(sorted(filter(None, self.operations)))
        if not names:
            message = "The operation of the document has no name: leave operationName out."
            raise NotExecuted(GraphQLError(message, extensions={"code": "OPERATION_RESOLUTION_FAILURE"}))
        problem = f"The document has no operation named {name!r}" if name else "The document has several operations"
        message = f"{problem}: name one of them as operationName ({names})."
        raise NotExecuted(GraphQLError(message, extensions={"code": "OPERATION_RESOLUTION_FAILURE"}))


class _Survey(Visitor):
    """Finds whether a document introspects, and the variables of its directives."""

    def __init__(self) -> None:
        super().__init__()
        self.introspects = False
        self.switches: set[str] = set()

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self.introspects |= node.name.value in INTROSPECTION

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        values = (argument.value for argument in node.arguments or ())
        self.switches |= {value.name.value for value in values if isinstance(value, VariableNode)}


class Documents:
    """Prepared documents by their text, the least recently used dropped where they pass `max_size` bytes together."""

    def __init__(
        self,
        schema: GraphQLSchema,
        limits: Limits,
        *,
        max_size: int = MAX_SIZE,
        suggest: bool = True,
        page_sizes: PageSizes = PageSizes(),  # noqa: B008 - it cannot be changed
        lengths: ListLengths = DEFAULT_LENGTHS,
    ) -> None:
        self._rules = [*RULES, list_length_rule(lengths)]
        self._schema = schema
        self._limits = limits
        self._suggest = suggest
        self._page_sizes = page_sizes
        self._max_size = max_size
        self._documents: OrderedDict[str, Prepared] = OrderedDict()
        self._refused: OrderedDict[str, list[GraphQLError]] = OrderedDict()
        self._refused_size = 0
        self.size = 0

    def __len__(self) -> int:
        return len(self._documents)

    def cached(self, text: str) -> Prepared | None:
        """Return the document where it is kept; never prepare it."""
        return self._documents.get(text)

    def prepare(self, text: str) -> Prepared:
        """Return the document; raise NotExecuted where it may not be run."""
        cached = self._documents.get(text)
        if cached is not None:
            self._documents.move_to_end(text)
            return cached
        if text in self._refused:
            raise NotExecuted(*self._refused[text])
        try:
            prepared = self._prepare(text)
        except NotExecuted as refusal:
            self._remember_refusal(text, refusal.errors)
            raise
        self._documents[text] = prepared
        self._count(prepared, prepared.size)
        return prepared

    def _count(self, prepared: Prepared, bytes: int) -> None:
        # One that runs may have been evicted meanwhile.
        if self._documents.get(prepared.text) is prepared:
            self.size += bytes
        while self.size > self._max_size:
            _, evicted = self._documents.popitem(last=False)
            self.size -= evicted.size

    def _remember_refusal(self, text: str, errors: list[GraphQLError]) -> None:
        # Without their nodes: those would keep the whole document.
        kept = [_without_nodes(error) for error in errors]
        if len(text) > self._limits.characters:
            return
        self._refused[text] = kept
        self._refused_size += _refusal_size(text, kept)
        while self._refused_size > MAX_REFUSED_SIZE:
            evicted, its_errors = self._refused.popitem(last=False)
            self._refused_size -= _refusal_size(evicted, its_errors)

    def _prepare(self, text: str) -> Prepared:
        try:
            document = parse_within(text, self._limits)
            prices = measure(document, self._schema, self._limits, self._page_sizes)
        except GraphQLError as error:
            raise NotExecuted(error) from None
        errors = validate(self._schema, document, self._rules, max_errors=MAX_ERRORS, hide_suggestions=not self._suggest)
        if errors:
            raise NotExecuted(*(coded(error, "GRAPHQL_VALIDATION_FAILED") for error in errors[:MAX_ERRORS]))
        return Prepared(text, document, prices, self._count)


def _without_nodes(error: GraphQLError) -> GraphQLError:
    return GraphQLError(error.message, source=error.source, positions=error.positions, extensions=error.extensions)


def _refusal_size(text: str, errors: list[GraphQLError]) -> int:
    return PER_DOCUMENT + 2 * sys.getsizeof(text) + sum(1_000 + sys.getsizeof(error.message) for error in errors)


def coded(error: GraphQLError, code: str) -> GraphQLError:
    """Give the library's error a code, and its message the client's words instead of Python's."""
    error.extensions = {"code": code, **(error.extensions or {})}
    message = _QUOTED_OR_PYTHON.sub(lambda found: _IN_JSON.get(found[0], found[0]), error.message)
    error.message = message if message.endswith((".", "?")) else f"{message}."
    return error
