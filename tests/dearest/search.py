"""Requests composed over the schema within the limits, wide where that is dear: aliases, large pages, long lists, many keys."""

import base64
import json
from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_enum_type,
    is_leaf_type,
    is_required_argument,
)
from hypothesis import strategies as st

from tests.dearest.cases import KEYWORDS, ORDER, Case
from tests.dearest.databases import home, visit

DEPTH = 9
ALIASES = 30
FIELDS = 380

IDS = [home(0), home(1), visit(0), f"2{0:023x}", f"3{0:023x}", f"4{0:023x}"]
CURSOR = base64.b64encode(f"di|2020-01-01T00:00:00|{visit(0)}".encode()).decode()
FILTERS: list[dict[str, Any]] = [{"keyword": keyword} for keyword in KEYWORDS.values()] + [
    {},
    {"location": [home(n) for n in range(250)]},
    {"location": [home(n) for n in range(50)]},
    {"ids": [visit(n) for n in range(250)]},
    {"status": ["PENDING"], "host": ["NURSE"] * 250},
    {"startDate": "2018-01-01", "endDate": "2020-01-01", "anonymized": False},
    {"modifiedAfter": "2019-01-01T00:00:00Z", "visitType": ["VIRTUAL"]},
]
PEOPLE: list[dict[str, Any]] = [{"search": text} for text in ("smith", "a", "07700 900", "of the the of", "zz")]
PEOPLE += [{}, {"ids": [f"3{n:023x}" for n in range(250)]}]
EVENTS: list[dict[str, Any]] = [
    {},
    {"type": ["CANCELLED", "BOOKED"], "actor": ["a", "b"]},
    {"location": [home(n) for n in range(250)], "atFrom": "2018-01-01T00:00:00Z"},
    {"homeVisit": [visit(n) for n in range(250)]},
]
BY_NAME = [{"field": "NAME", "direction": "DESC"}, {"field": "ID"}]
SIZES = st.sampled_from([1, 2, 5, 10, 20, 25, 50, 99, 100])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "id": st.sampled_from(IDS),
    "first": SIZES,
    "last": SIZES,
    "after": st.sampled_from([CURSOR, "nonsense"]),
    "before": st.just(CURSOR),
    "groupBy": st.sampled_from([["DAY", "ASSIGNED_TO"], ["LOCATION", "DAY"], ["STATUS"], ["HOST", "VISIT_TYPE"]]),
    "timeZone": st.sampled_from(["Europe/London", "Australia/Lord_Howe"]),
    "location": st.sampled_from(IDS),
    "dateTime": st.just("2020-01-01T00:00:00Z"),
    "host": st.just("MANAGER"),
    "assignedTo": st.sampled_from(IDS),
    "name": st.sampled_from(["HomeVisit", "Query"]),
    "includeDeprecated": st.booleans(),
}
# Of arguments that are sent as variables, by their type.
VARIABLES: dict[str, st.SearchStrategy[Any]] = {
    "HomeVisitFilter": st.sampled_from(FILTERS) | st.tuples(*[st.sampled_from(FILTERS)] * 2).map(lambda pair: pair[0] | pair[1]),
    "HomeVisitOrder": st.integers(1, len(ORDER)).map(lambda length: ORDER[:length]),
    "HomeVisitEventFilter": st.sampled_from(EVENTS),
    "CareEnquiryFilter": st.sampled_from(PEOPLE),
    "CareEnquiryOrder": st.just(BY_NAME),
    "LocationFilter": st.sampled_from(PEOPLE),
    "LocationOrder": st.just(BY_NAME),
    "UserFilter": st.sampled_from(PEOPLE),
    "UserOrder": st.just(BY_NAME),
}


def requests(schema: GraphQLSchema) -> st.SearchStrategy[Case]:
    return st.composite(lambda draw: _Composition(draw, schema).query())()


class _Composition:
    """One document while it is composed: what is left of its aliases and fields, and its variables so far."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any], schema: GraphQLSchema) -> None:
        self._draw = draw
        self._schema = schema
        self._aliases = ALIASES
        self._fields = FIELDS
        self._variables: dict[str, tuple[str, Any]] = {}

    def query(self) -> Case:
        assert self._schema.query_type is not None
        body = self._selection(self._schema.query_type, 1, 20)
        declared = ", ".join(f"${name}: {type}" for name, (type, _) in self._variables.items())
        variables = {name: value for name, (_, value) in self._variables.items()}
        return Case("drawn", f"query Q{f'({declared})' if declared else ''} {body}", variables)

    def _selection(self, type: GraphQLNamedType, depth: int, share: int) -> str:
        """Compose a selection set of so many fields at most, of an object that an answer may have many times."""
        if is_abstract_type(type):
            possible = self._schema.get_possible_types(type)
            chosen = possible[self._draw(st.integers(0, len(possible) - 1))]
            return f"{{ ... on {chosen.name} {self._selection(chosen, depth, share)} }}"
        fields: dict[str, GraphQLField] = getattr(type, "fields", {})
        names = [name for name, field in fields.items() if depth < DEPTH or is_leaf_type(get_named_type(field.type))]
        if not names:
            return "{ __typename }"
        chosen_names = self._draw(st.lists(st.sampled_from(names), min_size=1, max_size=min(share, 14), unique=True))
        parts = [self._field(name, fields[name], depth) for name in chosen_names if self._fields > 0]
        return "{ " + " ".join(parts or ["__typename"]) + " }"

    def _field(self, name: str, field: GraphQLField, depth: int) -> str:
        """Compose a field, or the same by a number of aliases."""
        self._fields -= 1
        inner = "" if is_leaf_type(get_named_type(field.type)) else self._selection(get_named_type(field.type), depth + 1, 6)
        content = f"{name}{self._arguments(field)} {inner}"
        if self._aliases < 2 or self._draw(st.integers(0, 3)):
            return content
        times = self._draw(st.integers(2, self._aliases))
        within = inner.count(":") + 1
        times = min(times, self._aliases // within, self._fields // (content.count(" ") // 2 + 1))
        if times < 2:
            return content
        self._aliases -= times * within
        self._fields -= (times - 1) * (content.count(" ") // 2 + 1)
        return " ".join(f"{name}_{self._aliases}_{number}: {content}" for number in range(times))

    def _arguments(self, field: GraphQLField) -> str:
        names = [name for name, argument in field.args.items() if is_required_argument(argument) or self._draw(st.booleans())]
        # Both at once are refused.
        chosen = [name for name in names if name != "last" or "first" not in names]
        values = [(name, self._value(name, field.args[name])) for name in chosen]
        written = ", ".join(f"{name}: {value}" for name, value in values if value)
        return f"({written})" if written else ""

    def _value(self, name: str, argument: GraphQLArgument) -> str | None:
        """Return a value of an argument as it is written; None: it is left out."""
        if (drawn := VARIABLES.get(get_named_type(argument.type).name)) is not None:
            return f"${self._variable(str(argument.type), self._draw(drawn))}"
        if name not in VALUES:
            return None
        written = json.dumps(self._draw(VALUES[name]))
        return written.replace('"', "") if is_enum_type(get_named_type(argument.type)) else written

    def _variable(self, type: str, value: Any) -> str:
        same = next((name for name, of in self._variables.items() if of == (type, value)), None)
        variable = same or f"v{len(self._variables)}"
        self._variables[variable] = (type, value)
        return variable
