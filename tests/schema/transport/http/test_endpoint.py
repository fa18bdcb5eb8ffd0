"""What a client gets over HTTP: data, errors, the status and the headers of each."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from graphql import GraphQLError
from multidict import CIMultiDict

from schema.execution.engine import Request, Result
from schema.transport.http.negotiation import GRAPHQL_RESPONSE as MODERN
from schema.transport.http.negotiation import JSON as LEGACY
from schema.transport.operations import RequestRecord
from schema.transport.requests import TrustedDocuments
from storage.caller import Caller
from tests.schema.transport.http.served import AMY, CANARY, HELLO, served


async def test_a_query_is_answered_with_its_data() -> None:
    async with served() as server:
        response = await server.ask(X_Request_Id="req-1")

    assert response.status == 200
    assert await response.json() == {"data": {"hello": "Hello, world!"}}
    assert {name: value for name, value in response.headers.items() if name != "Date"} == {
        "Cache-Control": "no-store",
        "Content-Length": "34",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Content-Type": "application/json; charset=utf-8",
        "Referrer-Policy": "no-referrer",
        "Server": "home-visits",
        "Vary": "Accept, Accept-Encoding, Origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "X-Request-ID": "req-1",
    }


async def test_variables_and_the_operation_name_reach_the_operation() -> None:
    body = {
        "query": "query A { hello } query B($name: String) { hello(name: $name) }",
        "operationName": "B",
        "variables": {"name": "Zoë 🏡"},
        "extensions": {"anything": 1},
        "unknown": "ignored",
    }

    async with served() as server:
        response = await server.ask(body)

    assert await response.json() == {"data": {"hello": "Hello, Zoë 🏡!"}}


@pytest.mark.parametrize("accept", [MODERN, LEGACY])
@pytest.mark.parametrize(
    ("query", "members"),
    [("{ hello }", ["data"]), ("{ hello broken }", ["errors", "data"]), ("{ unknown }", ["errors"]), ("{", ["errors"])],
)
async def test_a_response_has_its_cost_beside_what_else_it_has(accept: str, query: str, members: list[str]) -> None:
    async with served() as server:
        bodies = [
            await (await server.ask({"query": query, "extensions": {"cost": cost}}, Accept=accept)).json(content_type=accept)
            for cost in (True, False, 1, "true", None)
        ]

    assert [list(body) for body in bodies] == [[*members, "extensions"], *[members] * 4]
    assert bodies[0]["extensions"]["cost"].keys() == {"requested", "limit", "share"}


async def test_an_accept_in_two_lines_is_one() -> None:
    async with served() as server:
        accept = CIMultiDict([("Accept", "text/html"), ("Accept", MODERN)])
        response = await server.client.post("/graphql", json=HELLO, headers=accept)

    assert (response.status, response.content_type) == (200, MODERN)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"query": "{"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "\u0000"}, "GRAPHQL_PARSE_FAILED"),
        ({"query": "{ unknown }"}, "GRAPHQL_VALIDATION_FAILED"),
        ({"query": "query A { hello } query B { hello }"}, "OPERATION_RESOLUTION_FAILURE"),
        ({"query": "query A($c: Int!) { long(characters: $c) }", "variables": {"c": None}}, "BAD_USER_INPUT"),
    ],
)
async def test_a_document_that_cannot_run_is_400_by_the_newer_media_type_and_200_by_the_older(body: object, code: str) -> None:
    async with served() as server:
        modern, legacy = await server.ask(body, Accept=MODERN), await server.ask(body, Accept=LEGACY)
        answers = [await modern.json(), await legacy.json()]

    assert [modern.status, legacy.status] == [400, 200]
    assert [list(answer) for answer in answers] == [["errors"], ["errors"]]
    assert [answer["errors"][0]["extensions"]["code"] for answer in answers] == [code, code]
    assert [record.outcome for record in server.records] == [code, code]


@pytest.mark.parametrize(
    ("query", "data"), [("{ hello broken }", {"hello": "Hello, world!", "broken": None}), ("{ required }", None)]
)
async def test_data_with_errors_is_a_partial_success_by_the_newer_media_type_and_200_by_the_older(
    query: str, data: object
) -> None:
    async with served() as server:
        modern, legacy = await server.ask({"query": query}, Accept=MODERN), await server.ask({"query": query}, Accept=LEGACY)
        bodies = [await modern.json(), await legacy.json()]

    assert [(modern.status, modern.reason), (legacy.status, legacy.reason)] == [(294, "Partial Success"), (200, "OK")]
    assert [body["data"] for body in bodies] == [data, data]
    assert [len(body["errors"]) for body in bodies] == [1, 1]


async def test_an_exception_behind_a_field_is_masked_and_recorded() -> None:
    async with served() as server:
        response = await server.ask({"query": "{ broken }"}, X_Request_Id="req-1")
        text = await response.text()

    assert json.loads(text)["errors"] == [
        {"message": "Unexpected error.", "extensions": {"code": "INTERNAL_SERVER_ERROR", "requestId": "req-1"}}
    ]
    assert CANARY not in text
    assert [(record.outcome, repr(record.failure)) for record in server.records] == [
        ("INTERNAL_SERVER_ERROR", f"RuntimeError({CANARY!r})")
    ]


@pytest.mark.parametrize(
    "failure", [RuntimeError(CANARY), TimeoutError(CANARY), RecursionError(CANARY), asyncio.CancelledError(CANARY)]
)
async def test_an_exception_of_the_engine_is_a_masked_500(failure: BaseException) -> None:
    async def fail(request: Request, context: object, _faults: list[Exception]) -> Result:
        raise failure

    async with served(execute=fail) as server:
        response = await server.ask(X_Request_Id="req-1")
        body = await response.json()

    assert response.status == 500
    assert body == {
        "errors": [{"message": "Unexpected error.", "extensions": {"code": "INTERNAL_SERVER_ERROR", "requestId": "req-1"}}]
    }
    assert [(record.outcome, record.status, record.failure is not None) for record in server.records] == [
        ("INTERNAL_SERVER_ERROR", 500, True)
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "PROPFIND"])
async def test_only_post_asks(method: str) -> None:
    async with served() as server:
        response = await server.client.request(method, "/graphql", params={"query": "{ hello }"})
        text = await response.text()

    assert (response.status, response.headers["Allow"]) == (405, "POST, OPTIONS")
    assert text == "" or json.loads(text)["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert server.work.ran == []


@pytest.mark.parametrize(
    ("id", "echoed"),
    [
        ("a", True),
        ("A-z_0.9", True),
        ("x" * 64, True),
        ("x" * 65, False),
        ("", False),
        ("a b", False),
        ("a;b", False),
        ("ä", False),
    ],
)
async def test_a_request_keeps_its_id_if_it_is_a_sane_one(id: str, echoed: bool) -> None:
    async with served() as server:
        response = await server.ask(X_Request_Id=id)

    sent_back = response.headers["X-Request-Id"]
    assert (sent_back == id) is echoed
    assert len(sent_back) == (len(id) if echoed else 16)
    assert [record.request_id for record in server.records] == [sent_back]


async def test_each_request_without_an_id_gets_its_own() -> None:
    async with served() as server:
        ids = {(await server.ask()).headers["X-Request-Id"] for _ in range(20)}

    assert len(ids) == 20


@pytest.mark.parametrize(
    ("code", "sent", "status", "advice"),
    [
        ("UNAUTHENTICATED", {}, 401, {"WWW-Authenticate": "Bearer"}),
        ("UNAUTHENTICATED", {"Authorization": "Bearer x"}, 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'}),
        ("FORBIDDEN", {"Authorization": "Bearer x"}, 403, {}),
        ("OVERLOADED", {"Authorization": "Bearer x"}, 503, {"Retry-After": "1"}),
    ],
)
@pytest.mark.parametrize("accept", [MODERN, LEGACY])
async def test_a_refused_caller_gets_the_status_in_both_media_types(
    code: str, sent: dict[str, str], status: int, advice: dict[str, str], accept: str
) -> None:
    def refuse(authorization: str | None) -> Caller:
        assert authorization == sent.get("Authorization")
        raise GraphQLError("No.", extensions={"code": code})

    async with served(authenticate=refuse) as server:
        response = await server.ask(**sent, Accept=accept, X_Request_Id="req-1")
        body = await response.json(content_type=accept)

    assert response.status == status
    assert body == {"errors": [{"message": "No.", "extensions": {"code": code, "requestId": "req-1"}}]}
    assert {name: response.headers[name] for name in ("WWW-Authenticate", "Retry-After") if name in response.headers} == advice
    assert server.work.ran == []
    assert [(record.caller, record.outcome, record.status) for record in server.records] == [(None, code, status)]


async def awaited(authorization: str | None) -> Caller:
    await asyncio.sleep(0)
    return AMY


@pytest.mark.parametrize("authenticate", [lambda _authorization: AMY, awaited])
async def test_a_caller_is_authenticated_at_once_or_awaited(
    authenticate: Callable[[str | None], Caller | Awaitable[Caller]],
) -> None:
    contexts: list[object] = []

    async def execute(request: Request, context: object, _faults: list[Exception]) -> Result:
        contexts.append(context)
        return Result({}, [], True, None)

    async with served(authenticate=authenticate, execute=execute, make_context=lambda *arguments: arguments) as server:
        response = await server.ask(X_Request_Id="req-1")

    assert response.status == 200
    assert contexts == [(AMY, "req-1")]


async def test_an_exception_is_recorded_before_what_a_client_may_know() -> None:
    async with served() as server:
        await server.ask({"query": "{ refused broken other: refused }"})

    assert [(record.outcome, repr(record.failure)) for record in server.records] == [
        ("INTERNAL_SERVER_ERROR", f"RuntimeError({CANARY!r})")
    ]


async def test_what_a_client_may_know_is_no_failure() -> None:
    async with served() as server:
        await server.ask({"query": "{ refused }"})

    assert [(record.outcome, record.failure) for record in server.records] == [("FORBIDDEN", None)]


async def test_a_request_is_recorded_once_with_what_it_was() -> None:
    async with served() as server:
        await server.ask({"query": "query Greeting { hello }"}, X_Request_Id="req-1")

    assert [record._replace(seconds=0) for record in server.records] == [
        RequestRecord("req-1", "amy", "Greeting", "query", "ok", 200, 0, None, client="127.0.0.1")
    ]
    assert 0 < server.records[0].seconds < 10


async def test_a_record_that_fails_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_record: RequestRecord) -> None:
        raise OSError("no space left on device")

    async with served(record=fail) as server:
        response = await server.ask()

    assert response.status == 200
    assert [(record.levelname, record.message) for record in caplog.records] == [("ERROR", "a request was not recorded")]


async def test_a_document_that_cannot_be_parsed_is_recorded_by_the_name_of_its_operation() -> None:
    async with served() as server:
        await server.ask({"query": "{", "operationName": "Greeting"}, X_Request_Id="req-1", Accept=MODERN)

    assert [record._replace(seconds=0) for record in server.records] == [
        RequestRecord("req-1", "amy", "Greeting", None, "GRAPHQL_PARSE_FAILED", 400, 0, None, client="127.0.0.1")
    ]


TRUSTED = TrustedDocuments({"sha256:aa": "{ hello }", "bb": "mutation Book { book }"})


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"documentId": "aa"}, 200, None),
        ({"documentId": "sha256:aa"}, 200, None),
        ({"documentId": "bb"}, 200, None),
        ({"documentId": "sha256:bb"}, 200, None),
        ({"query": "{ hello }"}, 200, None),
        ({"query": "{  hello }"}, 403, "FORBIDDEN"),
        ({"query": "{ __typename }"}, 403, "FORBIDDEN"),
        ({"documentId": "cc"}, 400, "BAD_REQUEST"),
    ],
)
async def test_where_documents_are_trusted_no_others_run(body: object, status: int, code: str | None) -> None:
    async with served(trusted=TRUSTED) as server:
        response = await server.ask(body)
        answer = await response.json()

    assert response.status == status
    assert [error["extensions"]["code"] for error in answer.get("errors", [])] == ([code] if code else [])
