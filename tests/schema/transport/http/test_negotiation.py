"""Which answer a client can take, by its headers."""

from collections.abc import Callable

import pytest

from schema.transport.http.negotiation import GRAPHQL_RESPONSE as MODERN
from schema.transport.http.negotiation import JSON as LEGACY
from schema.transport.http.negotiation import is_json, response_type, takes_gzip, takes_html
from tests.memory import kept_memory


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        # What clients send: none, curl, fetch, Apollo, urql and Relay, axios, GraphiQL.
        ("", LEGACY),
        ("*/*", LEGACY),
        ("application/json", LEGACY),
        ("application/graphql-response+json", MODERN),
        ("application/graphql-response+json,application/json;q=0.9", MODERN),
        (
            "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed",
            MODERN,
        ),
        ("application/json, text/plain, */*", LEGACY),
        ("application/json, multipart/mixed", LEGACY),
        # The weight decides, then who names the newer type.
        ("application/json, application/graphql-response+json", MODERN),
        ("application/json;q=0.9, application/graphql-response+json;q=0.8", LEGACY),
        ("application/graphql-response+json;q=0.8, */*;q=0.1", MODERN),
        ("application/graphql-response+json;q=0.8, */*", LEGACY),
        ("application/*", LEGACY),
        # 0 forbids, and the exact goes before the general.
        ("application/graphql-response+json;q=0, */*", LEGACY),
        ("application/json;q=0, */*", MODERN),
        ("application/json;q=0, application/*;q=0.5", MODERN),
        ("application/*;q=0, application/json", LEGACY),
        ("application/*;q=0, */*", None),
        ("application/json;q=0.000", None),
        # Letters, spaces and other parameters do not matter.
        ("APPLICATION/GraphQL-Response+JSON", MODERN),
        (" application/json ; charset=utf-8 ; Q=1.0 ,, text/html", LEGACY),
        # Neither, or nonsense.
        ("text/html", None),
        ("image/*", None),
        ("application/jsonx", None),
        ("application/json;q=2", None),
        ("application/json;q=0.1234", None),
        ("application/json;q=-1", None),
        (";q=1", None),
    ],
)
def test_the_answer_is_of_the_type_that_the_client_prefers(accept: str, chosen: str | None) -> None:
    assert response_type(accept) == chosen


@pytest.mark.parametrize(
    ("content_type", "is_it"),
    [
        ("application/json", True),
        ("application/json; charset=utf-8", True),
        ('Application/JSON;charset="UTF-8"', True),
        ("application/json; charset=utf8; profile=a", True),
        ("application/json; charset=latin-1", False),
        ("application/json; charset=", False),
        ("application/json; charset=utf-8; charset=utf-7", False),
        ("application/problem+json", False),
        ("text/json", False),
        ("", False),
    ],
)
def test_only_json_in_utf_8_is_json(content_type: str, is_it: bool) -> None:
    assert is_json(content_type) is is_it


@pytest.mark.parametrize(
    ("accept_encoding", "takes_it"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1.0, GZIP;q=0.2", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0", False),
        ("x-gzipped", False),
    ],
)
def test_only_who_asks_for_gzip_gets_it(accept_encoding: str, takes_it: bool) -> None:
    assert takes_gzip(accept_encoding) is takes_it


@pytest.mark.parametrize(
    ("accept", "takes_it"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/html;q=0.1", True),
        ("text/html;q=0", False),
        ("*/*", False),
        ("application/json", False),
        ("", False),
    ],
)
def test_only_a_browser_names_html(accept: str, takes_it: bool) -> None:
    assert takes_html(accept) is takes_it


@pytest.mark.parametrize("parse", [response_type, takes_html, takes_gzip, is_json])
def test_a_thousand_long_headers_leave_nothing_behind(parse: Callable[[str], object]) -> None:
    with kept_memory() as kept:
        for number in range(1_000):
            parse(f"{number}/{'x' * 4_000}")

    assert kept.bytes < 20_000


@pytest.mark.parametrize("parse", [response_type, takes_html, takes_gzip, is_json])
def test_a_thousand_short_headers_leave_a_few_behind(parse: Callable[[str], object]) -> None:
    with kept_memory() as kept:
        for number in range(1_000):
            parse(f"{number}/{'x' * 240}")

    assert 50_000 < kept.bytes < 200_000
