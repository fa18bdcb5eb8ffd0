"""Stored documents as clients with automatic persisted queries ask for them: by a hash, alone or with the text."""

import hashlib
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from schema.transport.http.negotiation import GRAPHQL_RESPONSE as MODERN
from schema.transport.http.negotiation import JSON as LEGACY
from schema.transport.requests import TrustedDocuments
from tests.schema.transport.http.served import served

HELLO = "query Hello { hello }"
BOOK = "mutation Book { book }"
BOTH = f"{HELLO} {BOOK}"
BROKEN = "{"
OTHER = "{ hello }"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


TRUSTED = TrustedDocuments({sha256(HELLO): HELLO, f"sha256:{sha256(BOOK)}": BOOK, "both": BOTH, "broken": BROKEN})


def persisted(hash: object, **members: object) -> dict[str, object]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash}}, **members}


def in_url(hash: object, **parameters: str) -> str:
    extensions = json.dumps(persisted(hash)["extensions"])
    return f"/graphql?{urlencode({'extensions': extensions, **parameters})}"


NOT_SUPPORTED = ("PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED")
NOT_FOUND = ("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND")


def error_of(answer: Any) -> tuple[str, str]:
    (error,) = answer["errors"]
    return error["message"], error["extensions"]["code"]


@pytest.mark.parametrize("trusted", [None, TRUSTED], ids=["none stored", "stored"])
@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(("media_type", "status"), [(LEGACY, 200), (MODERN, 400)])
async def test_an_unknown_hash_is_answered_so_that_clients_send_the_text(
    trusted: TrustedDocuments | None, method: str, media_type: str, status: int
) -> None:
    async with served(trusted=trusted) as server:
        if method == "POST":
            response = await server.ask(persisted("0" * 64, operationName="V", variables={}), Accept=media_type)
        else:
            response = await server.client.get(in_url("0" * 64, operationName="V"), headers={"Accept": media_type})
        answer = await response.json(content_type=None)

    assert (response.status, response.content_type) == (status, media_type)
    assert error_of(answer) == (NOT_FOUND if trusted else NOT_SUPPORTED)


@pytest.mark.parametrize(
    ("request_body", "data"),
    [
        (persisted(sha256(HELLO)), {"hello": "Hello, world!"}),
        (persisted(f"sha256:{sha256(HELLO)}"), {"hello": "Hello, world!"}),
        (persisted(sha256(BOOK)), {"book": None}),
        (persisted("both", operationName="Hello"), {"hello": "Hello, world!"}),
        (persisted(sha256(HELLO), query=HELLO), {"hello": "Hello, world!"}),
        (persisted(sha256(BOTH), query=BOTH, operationName="Hello"), {"hello": "Hello, world!"}),
        (persisted("both", query=BOTH, operationName="Hello"), {"hello": "Hello, world!"}),
        (persisted(sha256(HELLO).upper(), query=HELLO), {"hello": "Hello, world!"}),
    ],
)
async def test_where_documents_are_trusted_the_hash_is_an_id(request_body: object, data: dict[str, str | None]) -> None:
    async with served(trusted=TRUSTED) as server:
        response = await server.ask(request_body)
        answer = await response.json()

    assert (response.status, answer) == (200, {"data": data})


ANOTHER = "`sha256Hash` is the hash of another document than `query`. Send one of them, or both of one document."
FORM = "Send `extensions.persistedQuery` with `version` 1 and the document's hash as `sha256Hash`."
UNTRUSTED = "Only trusted documents run here. Register this one, or ask for another by its `documentId`."


@pytest.mark.parametrize(
    ("request_body", "status", "error"),
    [
        (persisted(sha256(OTHER), query=OTHER), 403, (UNTRUSTED, "FORBIDDEN")),
        (persisted(sha256(HELLO), query=OTHER), 400, (ANOTHER, "BAD_REQUEST")),
        (persisted(sha256(HELLO), query=BOOK), 400, (ANOTHER, "BAD_REQUEST")),
        (persisted("0", query="\ud800"), 400, None),
        (persisted(5), 400, (FORM, "BAD_REQUEST")),
        (persisted(None), 400, (FORM, "BAD_REQUEST")),
        ({"extensions": {"persistedQuery": {"version": 2, "sha256Hash": sha256(HELLO)}}}, 400, (FORM, "BAD_REQUEST")),
        ({"extensions": {"persistedQuery": sha256(HELLO)}}, 400, (FORM, "BAD_REQUEST")),
        ({"extensions": {"persistedQuery": None}}, 400, (FORM, "BAD_REQUEST")),
    ],
)
async def test_where_documents_are_trusted_a_hash_lets_no_other_text_run(
    request_body: object, status: int, error: tuple[str, str] | None
) -> None:
    async with served(trusted=TRUSTED) as server:
        response = await server.ask(request_body)
        answer = await response.json()

    assert response.status == status
    assert error is None or error_of(answer) == error
    assert server.work.ran == []


async def test_a_text_runs_beside_any_hash_where_none_are_stored() -> None:
    async with served() as server:
        response = await server.ask(persisted("whatever", query=HELLO))

    assert await response.json() == {"data": {"hello": "Hello, world!"}}


@pytest.mark.parametrize(
    ("url", "data"),
    [
        (in_url(sha256(HELLO)), {"hello": "Hello, world!"}),
        (in_url(sha256(HELLO), operationName="Hello", variables="{}"), {"hello": "Hello, world!"}),
        (in_url(sha256(HELLO), operationName="", variables=""), {"hello": "Hello, world!"}),
        (in_url("both", operationName="Hello"), {"hello": "Hello, world!"}),
    ],
)
async def test_a_stored_query_is_answered_by_get(url: str, data: dict[str, str | None]) -> None:
    async with served(trusted=TRUSTED) as server:
        response = await server.client.get(url)

    assert (response.status, await response.json()) == (200, {"data": data})


@pytest.mark.parametrize(
    ("url", "status"),
    [
        (in_url(sha256(BOOK)), 405),
        (in_url(sha256(BOOK), operationName="Book"), 405),
        (in_url("both"), 405),
        (in_url("both", operationName="Book"), 405),
        (in_url("broken"), 405),
        (in_url(sha256(HELLO), operationName="Book"), 405),
        (in_url(sha256(HELLO), query=HELLO), 405),
        (f"/graphql?{urlencode({'query': HELLO})}", 405),
        ("/graphql", 405),
        (in_url(sha256(HELLO), variables="{"), 400),
        (in_url(sha256(HELLO), variables="5"), 400),
        ("/graphql?extensions=%7B%7D", 400),
        ("/graphql?extensions=", 400),
        ("/graphql?extensions=%FF", 400),
    ],
)
async def test_nothing_else_is_run_by_get(url: str, status: int) -> None:
    async with served(trusted=TRUSTED) as server:
        response = await server.client.get(url)

    assert response.status == status
    assert (response.headers.get("Allow") == "POST, OPTIONS") == (status == 405)
    assert server.work.ran == []
