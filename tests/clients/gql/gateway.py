"""Asks the gateway with the documents of the visits screen."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from gql import Client, GraphQLRequest
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.websockets import WebsocketsTransport
from gql.utilities import update_schema_scalar
from graphql import GraphQLScalarType, parse, separate_operations

HERE = Path(__file__).parent
SCHEMA = HERE.parents[2] / "schema" / "schema.graphql"
DOCUMENTS = [(HERE.parent / name).read_text() for name in ("visits.graphql", "changes.graphql")]
# Each with the fragments that it uses: a document may have ten operations.
OPERATIONS = separate_operations(parse("".join(DOCUMENTS)))
DATE_TIME = GraphQLScalarType("DateTime", serialize=datetime.isoformat, parse_value=datetime.fromisoformat)


def connect(*, by_websocket: bool = False) -> Client:
    """Return a client that checks documents against the schema before it sends them, and speaks `datetime`."""
    url, token = os.environ.get("HOME_VISITS_URL", "http://127.0.0.1:8080/graphql"), os.environ.get("HOME_VISITS_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = (
        WebsocketsTransport(url.replace("http", "ws", 1), init_payload=headers)
        if by_websocket
        else AIOHTTPTransport(url, headers=headers)
    )
    client = Client(schema=SCHEMA.read_text(), transport=transport, serialize_variables=True, parse_results=True)
    assert client.schema
    update_schema_scalar(client.schema, "DateTime", DATE_TIME)
    return client


def operation(name: str, **variables: Any) -> GraphQLRequest:
    """Return one of the operations of the visits screen, with its variables."""
    return GraphQLRequest(OPERATIONS[name], variable_values=variables or None, operation_name=name)
