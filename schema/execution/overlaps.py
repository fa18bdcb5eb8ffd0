"""Whether fields of one name in an answer can be merged, in time linear to the fields: the library compares each with each."""

from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLNamedType,
    GraphQLOutputType,
    InlineFragmentNode,
    ListValueNode,
    NamedTypeNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
    ValueNode,
    get_named_type,
    is_composite_type,
    is_interface_type,
    is_object_type,
    print_ast,
)

from schema.execution.limits import spreads


class _Field(NamedTuple):
    """A field as it is selected: `parent` is the type that has it, `type` its own, each None where the document is wrong."""

    node: FieldNode
    parent: GraphQLNamedType | None
    type: GraphQLOutputType | None


Fields = list[_Field]


class _Conflict(NamedTuple):
    """A response name, and why these two of its fields cannot be merged."""

    name: str
    reason: str
    nodes: tuple[FieldNode, FieldNode]


class MergeableFieldsRule(ValidationRule):
    """Report the first fields that cannot be merged, with the words of the library's rule.

    Fields of one response name need one shape, whatever objects have them; and one name and one set of arguments, where
    one object can have them all. Both hold for all pairs of a set where they hold for its first field and each other one.
    """

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._visited: set[str] = set()

    def enter_document(self, document: DocumentNode, *_: Any) -> None:
        if _has_cycle(document):
            return  # another rule reports it
        definitions = [
            node for node in document.definitions if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode)
        ]
        # What operations spread is seen with them.
        for node in sorted(definitions, key=lambda node: isinstance(node, FragmentDefinitionNode)):
            on: GraphQLNamedType | None
            if isinstance(node, OperationDefinitionNode):
                on = self.context.schema.get_root_type(node.operation)
            elif node.name.value in self._visited:
                continue
            else:
                on = self._type(node.type_condition)
            fields: Fields = []
            self._collect(fields, set(), node.selection_set, on)
            if conflict := self._conflict_of_names(fields) or self._conflict_of_shapes(fields):
                self._report(conflict)
                return

    def _report(self, conflict: _Conflict) -> None:
        message = (
            f"Fields '{conflict.name}' conflict because {conflict.reason}. "
            "Use different aliases on the fields to fetch both if this was intentional."
        )
        self.report_error(GraphQLError(message, list(conflict.nodes)))

    def _conflict_of_shapes(self, fields: Fields) -> _Conflict | None:
        for name, same in _by_response_name(fields):
            first = next((field for field in same if field.type), None)
            for other in same:
                if first and first.type and other.type and not _have_one_shape(first.type, other.type):
                    reason = f"they return conflicting types '{first.type}' and '{other.type}'"
                    return _Conflict(name, reason, (first.node, other.node))
            if conflict := self._conflict_of_shapes(self._selected(same)):
                return _of_subfields(same, conflict)
        return None

    def _conflict_of_names(self, fields: Fields) -> _Conflict | None:
        for name, same in _by_response_name(fields):
            for group in _groups_of_one_object(same):
                first, *others = group
                for other in others:
                    if reason := _difference(first.node, other.node):
                        return _Conflict(name, reason, (first.node, other.node))
                if conflict := self._conflict_of_names(self._selected(group)):
                    return _of_subfields(group, conflict)
        return None

    def _selected(self, fields: Fields) -> Fields:
        """Return what is selected of fields of one name, all that is merged into one object."""
        merged: Fields = []
        spread: set[str] = set()
        for node, _, type in fields:
            if node.selection_set:
                self._collect(merged, spread, node.selection_set, get_named_type(type) if type else None)
        return merged

    def _collect(self, fields: Fields, spread: set[str], selection_set: SelectionSetNode, on: GraphQLNamedType | None) -> None:
        """Add the fields of a selection set with its fragments, each fragment once."""
        for node in selection_set.selections:
            if isinstance(node, FieldNode):
                fields.append(_Field(node, on, _type_of(node, on)))
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                self._collect(fields, spread, node.selection_set, self._type(condition) if condition else on)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in spread:
                spread.add(node.name.value)
                self._visited.add(node.name.value)
                if fragment := self.context.get_fragment(node.name.value):
                    self._collect(fields, spread, fragment.selection_set, self._type(fragment.type_condition))

    def _type(self, condition: NamedTypeNode) -> GraphQLNamedType | None:
        return self.context.schema.get_type(condition.name.value)


def _has_cycle(document: DocumentNode) -> bool:
    fragments = (node for node in document.definitions if isinstance(node, FragmentDefinitionNode))
    try:
        TopologicalSorter({node.name.value: set(spreads(node.selection_set)) for node in fragments}).prepare()
    except CycleError:
        return True
    return False


def _by_response_name(fields: Fields) -> Iterator[tuple[str, Fields]]:
    """Yield the fields of each response name that more than one field may fill, or that may do so below."""
    by_name: dict[str, Fields] = {}
    for field in fields:
        by_name.setdefault(_response_name(field.node), []).append(field)
    for name, same in by_name.items():
        if len(same) > 1 or same[0].node.selection_set:
            yield name, same


def _response_name(node: FieldNode) -> str:
    return (node.alias or node.name).value


def _groups_of_one_object(fields: Fields) -> Iterator[Fields]:
    """Yield fields of each type of object together with those of interfaces and the like, which any object may have."""
    by_type: dict[str, Fields] = {}
    anywhere: Fields = []
    for field in fields:
        if is_object_type(field.parent):
            by_type.setdefault(field.parent.name, []).append(field)
        else:
            anywhere.append(field)
    if not by_type:
        yield anywhere
    for own in by_type.values():
        yield own + anywhere


def _type_of(node: FieldNode, on: GraphQLNamedType | None) -> GraphQLOutputType | None:
    if not (is_object_type(on) or is_interface_type(on)):
        return None
    field = on.fields.get(node.name.value)
    return field.type if field else None


def _have_one_shape(one: GraphQLOutputType, other: GraphQLOutputType) -> bool:
    one_named, other_named = get_named_type(one), get_named_type(other)
    same_leaf = one_named is other_named or (is_composite_type(one_named) and is_composite_type(other_named))
    return same_leaf and str(one).replace(one_named.name, "") == str(other).replace(other_named.name, "")


def _difference(one: FieldNode, other: FieldNode) -> str | None:
    if one.name.value != other.name.value:
        return f"'{one.name.value}' and '{other.name.value}' are different fields"
    if _arguments(one.arguments) != _arguments(other.arguments):
        return "they have differing arguments"
    return None


def _arguments(arguments: Iterable[ArgumentNode] | None) -> dict[str, Any]:
    return {argument.name.value: _comparable(argument.value) for argument in arguments or ()}


def _comparable(value: ValueNode) -> Any:
    """Return the literal so that those that mean the same are equal: the fields of an object in whatever order."""
    if isinstance(value, ObjectValueNode):
        return {field.name.value: _comparable(field.value) for field in value.fields}
    if isinstance(value, ListValueNode):
        return [_comparable(item) for item in value.values]
    return print_ast(value)


def _of_subfields(merged: Fields, conflict: _Conflict) -> _Conflict:
    """Return the conflict as that of the fields that are merged, where it is not one field's own."""
    if len(merged) == 1:
        return conflict
    reason = f"subfields '{conflict.name}' conflict because {conflict.reason}"
    return conflict._replace(name=_response_name(merged[0].node), reason=reason)
