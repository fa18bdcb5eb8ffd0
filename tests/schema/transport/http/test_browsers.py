"""What browsers get: the page, and CORS for scripts of listed sites, and for no others."""

import pytest
from multidict import CIMultiDictProxy

from schema.transport.http.negotiation import GRAPHQL_RESPONSE as MODERN
from schema.transport.http.negotiation import JSON as LEGACY
from tests.schema.transport.http.served import served

PAGE = (b"<!doctype html>", {"Content-Security-Policy": "default-src 'self'", "Cache-Control": "no-cache"})


async def test_a_browser_gets_the_page_with_the_policy_it_needs() -> None:
    async with served(page=PAGE) as server:
        response = await server.client.get("/graphql", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
        text = await response.text()

    assert (response.status, text) == (200, "<!doctype html>")
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.headers["Content-Security-Policy"] == "default-src 'self'"
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Vary"] == "Accept"


@pytest.mark.parametrize("accept", [MODERN, LEGACY, "*/*", "text/html;q=0"])
async def test_who_is_no_browser_gets_no_page(accept: str) -> None:
    async with served(page=PAGE) as server:
        response = await server.client.get("/graphql", headers={"Accept": accept})

    assert response.status == 405


LISTED = "https://app.example"
ORIGINS = frozenset({LISTED})
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


def permission(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("Access-Control-")}


async def test_a_script_of_a_listed_site_may_send_requests() -> None:
    async with served(origins=ORIGINS) as server:
        response = await server.client.options("/graphql", headers=PREFLIGHT | {"Origin": LISTED})

    assert (response.status, response.headers["Vary"]) == (204, "Origin")
    assert permission(response.headers) == {
        "Access-Control-Allow-Origin": LISTED,
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "Authorization, *",
        "Access-Control-Expose-Headers": "RateLimit, RateLimit-Policy, Retry-After, X-Request-Id",
        "Access-Control-Max-Age": "7200",
    }


@pytest.mark.parametrize("origin", ["https://evil.example", "http://app.example", "https://app.example.evil", "null", "*", ""])
async def test_a_script_of_any_other_site_may_not(origin: str) -> None:
    async with served(origins=ORIGINS) as server:
        preflight = await server.client.options("/graphql", headers=PREFLIGHT | {"Origin": origin})
        response = await server.ask(Origin=origin)

    assert (preflight.status, permission(preflight.headers)) == (204, {})
    assert permission(response.headers) == {}


async def test_where_no_site_is_listed_none_may_send_requests() -> None:
    async with served() as server:
        response = await server.client.options("/graphql", headers=PREFLIGHT | {"Origin": LISTED})

    assert (response.status, permission(response.headers)) == (204, {})


@pytest.mark.parametrize("body", [{"query": "{ hello }"}, {"query": ""}])
async def test_a_script_of_a_listed_site_can_read_answers_and_errors(body: object) -> None:
    async with served(origins=ORIGINS) as server:
        response = await server.ask(body, Origin=LISTED)

    assert permission(response.headers) == {
        "Access-Control-Allow-Origin": LISTED,
        "Access-Control-Expose-Headers": "RateLimit, RateLimit-Policy, Retry-After, X-Request-Id",
    }


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_a_page_can_send_without_asking_leave_runs_nothing(content_type: str) -> None:
    async with served(origins=ORIGINS) as server:
        headers = {"Content-Type": content_type, "Origin": "https://evil.example"}
        response = await server.client.post("/graphql", data=b'{"query":"mutation { book }"}', headers=headers)

    assert response.status == 415
    assert server.work.ran == []
