"""What careful clients never send and common ones do: it has one meaning, so it is taken."""

import pytest

from tests.schema.transport.http.served import served

HELLO = '{"query":"{ hello }"}'
_JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\xef\xbb\xbf" + HELLO.encode(), {}),
        (HELLO.encode(), {"Content-Encoding": "identity"}),
        (HELLO.encode(), {"Content-Encoding": " Identity"}),
        (HELLO.encode(), {"Content-Encoding": ""}),
        (b'{"query":"{ hello }","variables":[]}', {}),
        (b'{"query":"{ hello }","variables":""}', {}),
        (b'{"query":"{ hello }","variables":null}', {}),
        (b'{"query":"{ hello }","extensions":[]}', {}),
        (b'{"query":"{ hello }","extensions":""}', {}),
        (b'{"query":"{ hello }","operationName":""}', {}),
    ],
)
async def test_a_body_is_taken_that_can_mean_only_one_request(body: bytes, headers: dict[str, str]) -> None:
    async with served() as server:
        response = await server.client.post("/graphql", data=body, headers=_JSON | headers)
        answer = await response.json()

    assert (response.status, answer) == (200, {"data": {"hello": "Hello, world!"}})
