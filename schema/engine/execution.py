"""Documents prepared once (parsed, limited, validated), and run."""

from typing import Any, NamedTuple

from graphql import GraphQLError, OperationDefinitionNode


class Request(NamedTuple):
    """What a client asks: a document, which of its operations, and the values of its variables."""

    document: str
    operation_name: str | None
    variables: dict[str, Any]


class Answer(NamedTuple):
    """`executed` is False for a request error: nothing was run, and the response has no `data`."""

    data: dict[str, Any] | None
    errors: list[GraphQLError]
    executed: bool
    operation: OperationDefinitionNode | None
