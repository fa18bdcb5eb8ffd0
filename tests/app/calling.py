"""HTTP requests to a server as users start it, and tokens to send with them."""

import http.client
import json
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from resolvers.tokens import TokenRules, mint
from storage.caller import Caller, Role
from storage.instants import clock

SECRET = secrets.token_urlsafe(48)
COUNT = "{ homeVisits { totalCount } }"
INTROSPECTION = "{ __schema { queryType { name } } }"


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def token(*roles: Role, subject: str = "amy", secret: str = SECRET) -> str:
    return mint(TokenRules(secret), Caller(subject, frozenset(roles)), timedelta(hours=1), clock())


def call(port: int, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def ask(
    port: int,
    document: str,
    variables: Mapping[str, Any] | None = None,
    *,
    bearer: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send a document as most clients do."""
    all_headers = {"Content-Type": "application/json", **(headers or {})}
    if bearer is not None:
        all_headers["Authorization"] = f"Bearer {bearer}"
    return call(port, "POST", "/graphql", json.dumps({"query": document, "variables": variables}).encode(), all_headers)


def get(port: int, path: str, **headers: str) -> Answer:
    return call(port, "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
