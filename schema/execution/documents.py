"""Documents prepared once: parsed, limited, validated and priced, and kept for as long as there is room."""

import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    VariableNode,
    Visitor,
    validate,
    visit,
)
from graphql.execution.collect_fields import FragmentDetails

from schema.execution.limits import Limits, Price, measure, parse_within
from schema.execution.variables import Variables

ERRORS_TOLD = 10
VARIANTS = 16
# Bytes, measured and rounded up: nobody may fill the memory with short documents, long names or plans for every variable.
ROOM = 32_000_000
PER_DOCUMENT = 3_000
PER_TOKEN = 700
PER_PLANNED_FIELD = 2_000
PER_ANSWER = 250_000
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
    """One operation of a document. `constant`: its answer, once known, is the same for as long as the schema is."""

    def __init__(self, node: OperationDefinitionNode, price: Price, prepared: "Prepared") -> None:
        self.node = node
        self.price = price
        self.prepared = prepared
        selected = node.selection_set.selections
        introspects = all(isinstance(part, FieldNode) and part.name.value in INTROSPECTION for part in selected)
        self.constant = introspects and not node.variable_definitions
        self.answer: dict[str, Any] | None = None
        self._plans: dict[tuple[Any, ...], dict[Any, Any]] = {}
        self._planned = 0
        self._variables: Variables | None = None

    def variables(self, schema: GraphQLSchema) -> Variables:
        if self._variables is None:
            self._variables = Variables(schema, self.node)
        return self._variables

    def plans(self, variables: Mapping[str, Any]) -> dict[Any, Any]:
        """Return what was planned for these values of the variables that `@skip` and `@include` name: others decide nothing."""
        deciding = tuple(variables.get(name) for name in self.prepared.deciding)
        if deciding not in self._plans and len(self._plans) >= VARIANTS:
            self._plans.clear()
            self.planned(-self._planned)
        return self._plans.setdefault(deciding, {})

    def planned(self, fields: int) -> None:
        """Count the room that plans take."""
        self._planned += fields
        self.prepared.grow(fields * PER_PLANNED_FIELD)

    def answered(self, answer: dict[str, Any]) -> None:
        """Keep the answer where it is constant."""
        if self.constant and self.answer is None:
            self.answer = answer
            self.prepared.grow(PER_ANSWER)


class Prepared:
    """A document that may be run, with its operations by name. `size` is what it keeps in memory; `grown` is told of more."""

    def __init__(
        self, text: str, node: DocumentNode, prices: Mapping[str | None, Price], grown: Callable[["Prepared", int], None]
    ) -> None:
        self.text = text
        # A string in a document is kept three times: in the text, by its token, by its node.
        self.size = PER_DOCUMENT + PER_TOKEN * (node.token_count or 0) + 3 * sys.getsizeof(text)
        self._grown = grown
        fragments = [part for part in node.definitions if isinstance(part, FragmentDefinitionNode)]
        self.fragment_definitions = {part.name.value: part for part in fragments}
        self.fragments = {name: FragmentDetails(part) for name, part in self.fragment_definitions.items()}
        seen = _Seen()
        visit(node, seen)
        self.introspects = seen.introspects
        self.deciding = tuple(sorted(seen.deciding))
        operations = [part for part in node.definitions if isinstance(part, OperationDefinitionNode)]
        named = {part.name.value if part.name else None: part for part in operations}
        self.operations = {name: Operation(part, prices[name], self) for name, part in named.items()}

    def grow(self, bytes: int) -> None:
        self.size += bytes
        self._grown(self, bytes)

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


class _Seen(Visitor):
    """What matters of all the nodes of a document."""

    def __init__(self) -> None:
        super().__init__()
        self.introspects = False
        self.deciding: set[str] = set()

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self.introspects |= node.name.value in INTROSPECTION

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        values = (argument.value for argument in node.arguments or ())
        self.deciding |= {value.name.value for value in values if isinstance(value, VariableNode)}


class Documents:
    """Prepared documents by their text, the ones asked for last: as many as have `room` bytes together."""

    def __init__(self, schema: GraphQLSchema, limits: Limits, *, room: int = ROOM, suggest: bool = True) -> None:
        self._schema = schema
        self._limits = limits
        self._suggest = suggest
        self._room = room
        self._kept: OrderedDict[str, Prepared] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def prepare(self, text: str) -> Prepared:
        """Return the document; raise NotExecuted where it may not be run."""
        kept = self._kept.get(text)
        if kept is not None:
            self._kept.move_to_end(text)
            return kept
        prepared = self._kept[text] = self._prepare(text)
        self._count(prepared, prepared.size)
        return prepared

    def _count(self, prepared: Prepared, bytes: int) -> None:
        # One that runs may have been forgotten meanwhile.
        if self._kept.get(prepared.text) is prepared:
            self.size += bytes
        while self.size > self._room:
            _, forgotten = self._kept.popitem(last=False)
            self.size -= forgotten.size

    def _prepare(self, text: str) -> Prepared:
        try:
            document = parse_within(text, self._limits)
            prices = measure(document, self._schema, self._limits)
        except GraphQLError as error:
            raise NotExecuted(error) from None
        errors = validate(self._schema, document, max_errors=ERRORS_TOLD, hide_suggestions=not self._suggest)
        if errors:
            raise NotExecuted(*(coded(error, "GRAPHQL_VALIDATION_FAILED") for error in errors[:ERRORS_TOLD]))
        return Prepared(text, document, prices, self._count)


def coded(error: GraphQLError, code: str) -> GraphQLError:
    """Give the library's error a code, and its message the client's words instead of Python's."""
    error.extensions = {"code": code, **(error.extensions or {})}
    message = _QUOTED_OR_PYTHON.sub(lambda found: _IN_JSON.get(found[0], found[0]), error.message)
    error.message = message if message.endswith((".", "?")) else f"{message}."
    return error
