"""Literals of the wrong type, told in time linear to the length of a document."""

from contextlib import suppress

from graphql import (
    SKIP,
    GraphQLError,
    GraphQLInputType,
    ValueNode,
    ValuesOfCorrectTypeRule,
    VisitorAction,
    validate_input_literal,
)

# For each field that is unknown the library prints the whole object that has it, however long it is.
ERRORS_OF_ONE = 3


class LiteralsOfCorrectTypeRule(ValuesOfCorrectTypeRule):
    """The library's rule, which looks no further in a value once it has told so many errors of it."""

    def is_valid_value_node(self, node: ValueNode, input_type: GraphQLInputType | None) -> VisitorAction:
        if input_type is None:
            return SKIP
        errors = 0

        def on_error(error: GraphQLError, _path: list[str | int]) -> None:
            nonlocal errors
            errors += 1
            self.report_error(error)
            if errors == ERRORS_OF_ONE:
                raise _EnoughErrors

        with suppress(_EnoughErrors):
            validate_input_literal(node, input_type, on_error, None, None, self.context.hide_suggestions)
        return SKIP


class _EnoughErrors(Exception):
    pass
