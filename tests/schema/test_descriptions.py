"""Everything in the schema says what it is: the documentation that a frontend developer reads is nowhere else."""

import re
from collections.abc import Iterator

from graphql import (
    GraphQLSchema,
    is_enum_type,
    is_input_object_type,
    is_interface_type,
    is_introspection_type,
    is_object_type,
    is_specified_scalar_type,
)


def described(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """Yield the place and the description of all that a schema has of its own."""
    yield "schema", schema.description
    for name, type in schema.type_map.items():
        if is_introspection_type(type) or is_specified_scalar_type(type):
            continue
        yield name, type.description
        if is_enum_type(type):
            yield from ((f"{name}.{value_name}", value.description) for value_name, value in type.values.items())
        if is_object_type(type) or is_interface_type(type) or is_input_object_type(type):
            yield from ((f"{name}.{field_name}", field.description) for field_name, field in type.fields.items())
        if is_object_type(type) or is_interface_type(type):
            yield from (
                (f"{name}.{field_name}({argument_name})", argument.description)
                for field_name, field in type.fields.items()
                for argument_name, argument in field.args.items()
            )


def test_every_type_field_argument_input_field_and_enum_value_has_a_description(exported: GraphQLSchema) -> None:
    descriptions = dict(described(exported))

    bare = [place for place, description in descriptions.items() if not (description or "").strip()]

    assert bare == []
    # One of each kind: none is passed over.
    assert {"schema", "Query", "HomeVisit.notes", "Query.homeVisits(first)", "HomeVisitFilter.keyword", "VisitHost.NURSE"} <= set(
        descriptions
    )


def test_every_description_is_a_sentence(exported: GraphQLSchema) -> None:
    descriptions = {place: description.strip() for place, description in described(exported) if description}

    unfinished = [place for place, text in descriptions.items() if not re.fullmatch(r"[A-Z`].*[.`]", text, re.DOTALL)]

    assert unfinished == []
