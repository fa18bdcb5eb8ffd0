"""How many values a list may have: longer ones are refused before any value in them is looked at."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    ListValueNode,
    ValidationContext,
    ValidationRule,
    get_named_type,
    get_nullable_type,
    is_input_object_type,
    is_list_type,
)

Check = Callable[[Any], None]


class ListLengths(NamedTuple):
    """The longest list there may be, and those of certain types by the name of the type of their values."""

    longest: int = 250
    longest_of: Mapping[str, int] = MappingProxyType({})

    def allowed(self, type: Any) -> int:
        return self.longest_of.get(get_named_type(type).name, self.longest)


DEFAULT_LENGTHS = ListLengths()


def list_length_check(type: Any, lengths: ListLengths) -> Check | None:
    """Return what raises a GraphQLError for a value of this type with a list that is too long; None where it can have no list.

    What else is wrong with a value is not looked at.
    """
    if not has_list(type):
        return None
    type = get_nullable_type(type)
    return _check_of_object(type, lengths) if is_input_object_type(type) else _check_of_list(type, lengths)


def _check_of_list(type: Any, lengths: ListLengths) -> Check:
    allowed, check_item = lengths.allowed(type), list_length_check(type.of_type, lengths)

    def check(value: Any) -> None:
        items = value if isinstance(value, list) else (value,)
        if len(items) > allowed:
            raise list_too_long(len(items), allowed)
        if check_item:
            for item in items:
                check_item(item)

    return check


def _check_of_object(type: GraphQLInputObjectType, lengths: ListLengths) -> Check:
    # Found out when a value is first met: a type may have fields of its own type.
    checks: dict[str, Check | None] = {}

    def check(value: Any) -> None:
        if not isinstance(value, dict):
            return
        if not checks:
            checks.update({name: list_length_check(field.type, lengths) for name, field in type.fields.items()})
        for name, item in value.items():
            if check_field := checks.get(name):
                check_field(item)

    return check


def has_list(type: Any) -> bool:
    """Tell whether a value of this type may have a list in it."""
    seen: set[GraphQLInputObjectType] = set()
    unread = [type]
    while unread:
        type = get_nullable_type(unread.pop())
        if is_list_type(type):
            return True
        if is_input_object_type(type) and type not in seen:
            seen.add(type)
            unread += [field.type for field in type.fields.values()]
    return False


def list_length_rule(lengths: ListLengths) -> type[ValidationRule]:
    """Return the rule that no list in a document is too long."""

    class ListLengthRule(ValidationRule):
        context: ValidationContext

        def enter_list_value(self, node: ListValueNode, *_: Any) -> None:
            type = self.context.get_parent_input_type()
            allowed = lengths.allowed(type) if type else lengths.longest
            if len(node.values) > allowed:
                self.report_error(list_too_long(len(node.values), allowed, node))

    return ListLengthRule


def list_too_long(count: int, allowed: int, node: ListValueNode | None = None) -> GraphQLError:
    message = f"A list may have at most {allowed} values here: this one has {count}. Send fewer, or split the request."
    return GraphQLError(message, node, extensions={"code": "BAD_USER_INPUT"})
