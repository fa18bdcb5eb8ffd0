"""Which deprecated parts of a schema a request uses: found once for a document, and not at all where nothing is deprecated."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from graphql import (
    ArgumentNode,
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    ObjectFieldNode,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    type_from_ast,
    visit,
)

Part = GraphQLField | GraphQLArgument | GraphQLInputField | GraphQLEnumValue


class DeprecatedUse(NamedTuple):
    """What an operation uses, by its coordinates, such as `HomeVisit.host`; and its variables whose values may use more."""

    coordinates: frozenset[str]
    variables: Mapping[str, Any]


NO_USE = DeprecatedUse(frozenset(), {})


class Deprecations:
    """Finds the deprecated parts of a schema that operations use. `any`: there are such parts."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        deprecated = {name for name, type in schema.type_map.items() if any(_deprecated_parts(type))}
        self.any = bool(deprecated)
        # A deprecated part may lie several inputs down.
        self._inputs = {name for name, type in schema.type_map.items() if deprecated & _reachable_inputs(type)}

    def of(self, operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]) -> DeprecatedUse:
        """Return what an operation uses, the fragments that it spreads included."""
        if not self.any:
            return NO_USE
        finder = _Finder(TypeInfo(self._schema))
        visited = set[str]()
        pending: list[OperationDefinitionNode | FragmentDefinitionNode] = [operation]
        while pending:
            visit(pending.pop(), TypeInfoVisitor(finder.types, finder))
            new = finder.spreads - visited
            visited |= new
            pending += [fragments[name] for name in sorted(new)]
        declared = {
            variable.variable.name.value: type_from_ast(self._schema, variable.type)
            for variable in operation.variable_definitions or ()
        }
        variables = {name: type for name, type in declared.items() if type and get_named_type(type).name in self._inputs}
        return DeprecatedUse(frozenset(finder.found), variables)


def deprecated_uses(use: DeprecatedUse, variables: Mapping[str, Any]) -> list[str]:
    """Return the coordinates of what one request uses, with the values of its variables."""
    if not use.variables:
        return sorted(use.coordinates)
    of_values = (found for name, type in use.variables.items() for found in _in_value(variables.get(name), type))
    return sorted(use.coordinates.union(of_values))


class _Finder(Visitor):
    """Collects the coordinates of deprecated parts, and the fragments that are spread."""

    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self.types = types
        self.found: set[str] = set()
        self.spreads: set[str] = set()
        self._field = ""

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
        self.spreads.add(node.name.value)

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        parent = self.types.get_parent_type()
        self._field = f"{parent.name if parent else ''}.{node.name.value}"
        self._note(self._field, self.types.get_field_def())

    def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
        if self.types.get_directive() is None:
            self._note(f"{self._field}({node.name.value}:)", self.types.get_argument())

    def enter_object_field(self, node: ObjectFieldNode, *_: Any) -> None:
        parent = get_named_type(self.types.get_parent_input_type())
        if isinstance(parent, GraphQLInputObjectType):
            self._note(f"{parent.name}.{node.name.value}", parent.fields.get(node.name.value))

    def enter_enum_value(self, node: EnumValueNode, *_: Any) -> None:
        type = get_named_type(self.types.get_input_type())
        self._note(f"{type.name if type else ''}.{node.value}", self.types.get_enum_value())

    def _note(self, coordinate: str, part: Part | None) -> None:
        if part is not None and part.deprecation_reason is not None:
            self.found.add(coordinate)


def _in_value(value: Any, type: Any) -> Iterator[str]:
    """Yield the coordinates of what a variable's value uses. What does not fit its type is refused elsewhere."""
    while isinstance(type, GraphQLNonNull):
        type = type.of_type
    if isinstance(type, GraphQLList):
        for item in value if isinstance(value, list) else [value]:
            yield from _in_value(item, type.of_type)
    elif isinstance(type, GraphQLEnumType) and isinstance(value, str):
        chosen = type.values.get(value)
        if chosen is not None and chosen.deprecation_reason is not None:
            yield f"{type.name}.{value}"
    elif isinstance(type, GraphQLInputObjectType) and isinstance(value, dict):
        for name in value.keys() & type.fields.keys():
            if type.fields[name].deprecation_reason is not None:
                yield f"{type.name}.{name}"
            yield from _in_value(value[name], type.fields[name].type)


def _deprecated_parts(type: Any) -> Iterator[Part]:
    parts: list[Part] = []
    if isinstance(type, GraphQLObjectType | GraphQLInterfaceType) and not type.name.startswith("__"):
        for field in type.fields.values():
            parts += [field, *field.args.values()]
    elif isinstance(type, GraphQLInputObjectType):
        parts += type.fields.values()
    elif isinstance(type, GraphQLEnumType):
        parts += type.values.values()
    return (part for part in parts if part.deprecation_reason is not None)


def _reachable_inputs(type: Any) -> set[str]:
    """Return the names of an input type or enum, and of all those that it contains."""
    if not isinstance(type, GraphQLInputObjectType | GraphQLEnumType):
        return set()
    names, pending = {type.name}, [type]
    while pending:
        inner = pending.pop()
        for field in inner.fields.values() if isinstance(inner, GraphQLInputObjectType) else ():
            part = get_named_type(field.type)
            if isinstance(part, GraphQLInputObjectType | GraphQLEnumType) and part.name not in names:
                names.add(part.name)
                pending.append(part)
    return names
