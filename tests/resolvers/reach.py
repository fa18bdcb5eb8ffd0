"""Documents made from the schema itself, so that a field which is new tomorrow is asked for tomorrow."""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from graphql import (
    GraphQLInputType,
    GraphQLObjectType,
    OperationType,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_enum_type,
    is_input_object_type,
    is_introspection_type,
    is_leaf_type,
    is_list_type,
    is_object_type,
    is_required_argument,
    is_required_input_field,
)

from schema.execution.internals import core_schema
from tests.asking import schema

SCHEMA = core_schema(schema())
ROOTS = {kind: root for kind in OperationType if (root := SCHEMA.get_root_type(kind))}
LITERALS = {
    "ID": json.dumps("f" * 24),
    "DateTime": '"2024-11-20T14:00:00Z"',
    "Int": "1",
    "String": '""',
    "Boolean": "true",
    "TimeZone": '"UTC"',
}


def smallest(type: GraphQLInputType) -> str:
    """Return a literal of a type that is valid, and has no more than it must."""
    type = get_nullable_type(type)
    if is_list_type(type):
        return "[]"
    if is_input_object_type(type):
        needed = [f"{name}: {smallest(field.type)}" for name, field in type.fields.items() if is_required_input_field(field)]
        return "{" + ", ".join(needed) + "}"
    return next(iter(type.values)) if is_enum_type(type) else LITERALS[str(type)]


def document_of(kind: OperationType, name: str) -> str:
    """Return a document that asks for one root field."""
    arguments = ROOTS[kind].fields[name].args.items()
    needed = [f"{name}: {smallest(argument.type)}" for name, argument in arguments if is_required_argument(argument)]
    return f"{kind.value} {{ {name}{'(' + ', '.join(needed) + ')' if needed else ''} {{ __typename }} }}"


def everything(type: Any, above: tuple[str, ...] = ()) -> str:
    """Return a selection of all that leads on from a type; of one that has led there, only what leads nowhere."""
    if is_abstract_type(type):
        members = SCHEMA.get_possible_types(type)
        return "{ __typename " + " ".join(f"... on {one.name} {everything(one, above)}" for one in members) + " }"
    parts = ["__typename"]
    for name, field in type.fields.items():
        below = get_named_type(field.type)
        # One key has one type: where types differ by the type that the field is of, its name tells which.
        key = f"{type.name}_{name}: {name}"
        if is_leaf_type(below):
            parts.append(key)
        elif type.name not in above:
            size = "(first: 100)" if "first" in field.args else ""
            # What an edge leads to, `nodes` beside it leads to as well.
            beside = (get_named_type(below.fields["node"].type).name,) if name == "edges" else ()
            parts.append(f"{key}{size} {everything(below, (*above, type.name, *beside))}")
    return "{ " + " ".join(parts) + " }"


def fields() -> set[str]:
    """Return all that can be asked for below the roots, as `Type.field`."""
    types = [type for type in SCHEMA.type_map.values() if is_object_type(type) and not is_introspection_type(type)]
    return {f"{type.name}.{name}" for type in types if not _is_root(type) for name in type.fields}


def _is_root(type: GraphQLObjectType) -> bool:
    return type in ROOTS.values()


def met(data: Any) -> Iterator[str]:
    """Yield each field that an answer to `everything` has, as `Type.field`."""
    if isinstance(data, dict):
        yield from (key.replace("_", ".", 1) for key in data if not key.startswith("__"))
    if isinstance(data, dict | list):
        yield from chain.from_iterable(map(met, data.values() if isinstance(data, dict) else data))


def legible(data: Any) -> str:
    """Return an answer as text, with what its cursors hold."""
    text = json.dumps(data)
    for opaque in re.findall(r'"([\w=-]{24,})"', text):
        try:
            text += base64.urlsafe_b64decode(opaque).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return text
