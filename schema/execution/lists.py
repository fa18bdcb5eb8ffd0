"""How many values a list may have: longer ones are refused before any value in them is looked at."""

from collections.abc import Mapping
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


class ListLengths(NamedTuple):
    """The longest list there may be, and those of certain types by the name of the type of their values."""

    longest: int = 250
    longest_of: Mapping[str, int] = MappingProxyType({})

    def allowed(self, type: Any) -> int:
        return self.longest_of.get(get_named_type(type).name, self.longest)


DEFAULT_LENGTHS = ListLengths()


def require_short(value: Any, type: Any, lengths: ListLengths) -> None:
    """Raise a GraphQLError for a list in the value of a variable that is too long; what is wrong otherwise is not looked at."""
    unread = [(value, type)]
    while unread:
        value, type = unread.pop()
        type = get_nullable_type(type)
        if is_list_type(type):
            if not isinstance(value, list):
                value = [value]
            elif len(value) > lengths.allowed(type):
                raise _refusal(len(value), lengths.allowed(type))
            if has_list(type.of_type):
                unread += [(item, type.of_type) for item in value]
        elif is_input_object_type(type) and isinstance(value, dict):
            unread += [(value[name], field.type) for name, field in type.fields.items() if name in value and has_list(field.type)]


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
                self.report_error(_refusal(len(node.values), allowed, node))

    return ListLengthRule


def _refusal(count: int, allowed: int, node: ListValueNode | None = None) -> GraphQLError:
    message = f"A list may have at most {allowed} values here: this one has {count}. Send fewer, or split the request."
    return GraphQLError(message, node, extensions={"code": "BAD_USER_INPUT"})
