"""Documents drawn at random over a whole schema, valid as a rule, with the values of their variables.

One response key always means one field with one set of arguments and one type, so that whatever is drawn can be merged.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInputType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_composite_type,
    is_enum_type,
    is_input_object_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
    is_required_input_field,
)
from hypothesis import strategies as st

DEEPEST = 7
LARGEST = 60
# What no type takes as it is, or some other type than it seems: a list of one, a whole number, an ID.
ODD = [
    None,
    True,
    0,
    7,
    1.0,
    1.5,
    10**12,
    "",
    "MANAGER",
    "nonsense",
    [],
    [None],
    ["2024-11-04", 7],
    {},
    {"field": "ID"},
    {"no": 1},
]
SWITCH_TYPES = ("Boolean!", "Boolean! = true", "Boolean = false")


class Drawn(NamedTuple):
    document: str
    name: str | None
    variables: dict[str, Any]


class Name(str):
    """The name of an enum's value: a literal has it bare, JSON as a string."""

    __slots__ = ()


class Variable(NamedTuple):
    name: str
    type: str
    value: Any


# Values for scalars by the name of their type and, where it matters, of the argument (`homeVisit.id`) or the input field.
Values = dict[str, st.SearchStrategy[Any]]


def documents(schema: GraphQLSchema, values: Values, *, kind: str = "query") -> st.SearchStrategy[Drawn]:
    return st.composite(lambda draw: _Drawing(draw, schema, values).document(kind))()


class _Drawing:
    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any], schema: GraphQLSchema, values: Values) -> None:
        self._draw = draw
        self._schema = schema
        self._values = values
        self._fragments: dict[str, tuple[str, str]] = {}
        self._variables: dict[str, Variable] = {}
        self._plain: dict[str, tuple[str, str]] = {}
        self._keys: dict[tuple[str, str, str], str] = {}
        self._parts = 0
        self._fixed = False

    def document(self, kind: str) -> Drawn:
        root = self._schema.mutation_type if kind == "mutation" else self._schema.query_type
        assert root is not None
        names = self._one_of([[None], [None], ["A"], ["A", "B"]])
        bodies = {name: self._selection(root, 0, most=3) for name in names}
        operations = [self._operation(kind, name, body) for name, body in bodies.items()]
        # Those that no operation reaches are not valid.
        used = set[str]().union(*(self._reached(body) for body in bodies.values()))
        fragments = [f"fragment {name} on {on} {body}" for name, (on, body) in self._fragments.items() if name in used]
        variables = {one.name: one.value for one in self._variables.values() if one.value is not ...}
        if self._chance(20):
            variables["unknown"] = True
        return Drawn(" ".join([*operations, *fragments]), self._one_of([*names, *names, "Z"]), variables)

    def _operation(self, kind: str, name: str | None, body: str) -> str:
        text = " ".join([body, *(self._fragments[fragment][1] for fragment in self._reached(body))])
        used = dict.fromkeys(re.findall(r"\$(\w+)", text))
        declared = ", ".join(f"${variable}: {self._variables[variable].type}" for variable in used)
        return f"{kind} {name or ''}{f'({declared})' if declared else ''} {body}"

    def _reached(self, body: str) -> set[str]:
        reached: set[str] = set()
        unread = [body]
        while unread:
            found = set(re.findall(r"\.\.\.(F\d+)", unread.pop())) - reached
            reached |= found
            unread += [self._fragments[name][1] for name in found]
        return reached

    def _selection(self, type: Any, depth: int, *, most: int = 4) -> str:
        parts = [self._part(type, depth) for _ in range(self._draw(st.integers(1, most)))]
        return "{ " + " ".join(parts) + " }"

    def _part(self, type: Any, depth: int) -> str:
        self._parts += 1
        way = self._draw(st.integers(0, 11))
        if depth > DEEPEST or self._parts > LARGEST or (way < 7 and not is_abstract_type(type)):
            return self._field(type, depth)
        if way == 11:
            return f"...{self._switch()} {self._selection(type, depth + 1, most=2)}"
        if way > 8:
            return f"...{self._fragment(type, depth)}{self._switch()}"
        on = self._one_of(self._overlapping(type))
        return f"... on {on.name}{self._switch()} {self._selection(on, depth + 1, most=3)}"

    def _overlapping(self, type: Any) -> list[Any]:
        if not is_abstract_type(type):
            return [type, *type.interfaces]
        possible = self._schema.get_possible_types(type)
        shared = [one for one in self._schema.type_map.values() if is_abstract_type(one) and one is not type]
        return [*possible, type, *(one for one in shared if set(self._schema.get_possible_types(one)) & set(possible))]

    def _fragment(self, type: Any, depth: int) -> str:
        fitting = [name for name, (on, _) in self._fragments.items() if on in {one.name for one in self._overlapping(type)}]
        if fitting and self._draw(st.booleans()):
            return self._one_of(fitting)
        on = self._one_of(self._overlapping(type))
        # Named when it is whole: it cannot spread itself.
        body = self._selection(on, depth + 1, most=3)
        name = f"F{len(self._fragments)}"
        self._fragments[name] = (on.name, body)
        return name

    def _field(self, type: Any, depth: int) -> str:
        fields = getattr(type, "fields", {})
        leaves = [name for name, field in fields.items() if is_leaf_type(get_named_type(field.type)) and not field.args]
        inner = [name for name in fields if name not in leaves]
        goes_on = depth <= DEEPEST and self._parts <= LARGEST
        choices = [*(inner * 2 if goes_on else []), *leaves]
        if not choices or self._chance(10):
            return f"{self._one_of(['', 'kind: '])}__typename{self._switch()}"
        name = self._one_of(choices)
        field = fields[name]
        arguments = self._arguments(name, field)
        key = self._key(name, arguments, str(field.type))
        below = self._selection(get_named_type(field.type), depth + 1) if is_composite_type(get_named_type(field.type)) else ""
        return f"{key}{arguments}{self._switch()} {below}"

    def _key(self, name: str, arguments: str, type: str) -> str:
        """Return the field's name, with an alias where the bare name means something else here, and sometimes anyway."""
        bare = self._plain.setdefault(name, (arguments, type)) == (arguments, type)
        if bare and not self._chance(4):
            return name
        alias = self._keys.setdefault((name, arguments, type), f"{name}_{len(self._keys)}")
        return f"{alias}: {name}"

    def _switch(self) -> str:
        if not self._chance(6):
            return ""
        directive = self._one_of(["skip", "include"])
        condition = self._one_of(["true", "false"]) if self._draw(st.booleans()) else f"${self._switch_variable()}"
        return f" @{directive}(if: {condition})"

    def _switch_variable(self) -> str:
        name = f"s{self._draw(st.integers(0, 2))}"
        if name not in self._variables:
            type = self._one_of(SWITCH_TYPES)
            values: list[Any] = [True, False] if type == "Boolean!" else [True, False, ...]
            # Where a default makes up for it, null may be given, and is an error only where it is met.
            values += [None] if type.startswith("Boolean =") else []
            self._variables[name] = Variable(name, type, self._one_of(values))
        return name

    def _arguments(self, field_name: str, field: GraphQLField) -> str:
        values = [
            f"{name}: {self._value(f'{field_name}.{name}', argument)}"
            for name, argument in field.args.items()
            if is_required_argument(argument) or self._chance(4)
        ]
        return f"({', '.join(values)})" if values else ""

    def _value(self, name: str, argument: GraphQLArgument) -> str:
        return f"${self._variable(name, argument.type)}" if self._chance(3) else self._literal(name, argument.type)

    def _variable(self, name: str, type: Any) -> str:
        variable = f"v{len(self._variables)}"
        self._variables[variable] = Variable(variable, "", None)
        declared, value = self._declared(name, type)
        self._variables[variable] = Variable(variable, declared, value)
        return variable

    def _declared(self, name: str, type: Any) -> tuple[str, Any]:
        """Draw the type of a variable, and its value or that there is none."""
        if is_non_null_type(type) and self._chance(4):
            # Where a default makes up for it, null may be given, and is an error only where it is met.
            default = self._constant(name, type)
            return f"{type.of_type} = {default}", self._one_of([..., None, self._json(name, type)])
        if not is_non_null_type(type) and self._chance(5):
            return str(type), ...
        return str(type), self._json(name, type)

    def _constant(self, name: str, type: GraphQLInputType) -> str:
        """Draw a literal without variables."""
        self._fixed = True
        literal = self._literal(name, type)
        self._fixed = False
        return literal

    def _literal(self, name: str, type: GraphQLInputType) -> str:
        """Draw a literal; what is inside it may be a variable."""
        if not is_non_null_type(type) and self._chance(12):
            return "null"
        type = get_nullable_type(type)
        if is_list_type(type):
            items = [self._literal(name, type.of_type) for _ in range(self._draw(st.integers(0, 2)))]
            return f"[{', '.join(items)}]"
        if is_input_object_type(type):
            parts = [f"{key}: {self._inside(key, field.type)}" for key, field in self._drawn_fields(type)]
            return "{" + ", ".join(parts) + "}"
        value = self._leaf(name, type)
        return value if isinstance(value, Name) else json.dumps(value, ensure_ascii=False)

    def _inside(self, name: str, type: GraphQLInputType) -> str:
        return self._literal(name, type) if self._fixed or not self._chance(6) else f"${self._variable(name, type)}"

    def _json(self, name: str, type: Any) -> Any:
        if not is_non_null_type(type) and self._chance(12):
            return None
        if self._chance(25):
            return self._one_of(ODD)
        type = get_nullable_type(type)
        if is_list_type(type):
            return [self._json(name, type.of_type) for _ in range(self._draw(st.integers(0, 2)))]
        if is_input_object_type(type):
            return {key: self._json(key, field.type) for key, field in self._drawn_fields(type) if not self._chance(40)}
        return self._leaf(name, type)

    def _drawn_fields(self, type: Any) -> list[tuple[str, Any]]:
        return [(name, field) for name, field in type.fields.items() if is_required_input_field(field) or self._chance(6)]

    def _leaf(self, name: str, type: Any) -> Any:
        if is_enum_type(type):
            return Name(self._one_of(list(type.values)))
        return self._draw(self._values[name if name in self._values else type.name])

    def _chance(self, among: int) -> bool:
        """Tell whether the one case among so many is drawn: the usual ones come first, and are what examples shrink to."""
        return bool(self._draw(st.integers(1, among)) == among)

    def _one_of(self, choices: list[Any]) -> Any:
        return self._draw(st.sampled_from(choices))
