"""What is no call of any client's: each is the sender's mistake, answered in JSON and soon, and nothing comes of it."""

import time
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from schema.transport.http.connections import HTTPLimits
from storage.database import Database
from tests.databases import path_of
from tests.inspection import inspect
from tests.resolvers.carehq import FORM, VISITS, Gateway, Key, gateway_over, sign
from tests.world import FOR_WILLOWS, PENDING

ONE = f"{VISITS}/{PENDING}"
LONG = "x" * 65_536
BOOKING = f"care_enquiry={FOR_WILLOWS}&date_time=2030-11-03+11:00:00&host=manager&visit_type=in_person"


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Gateway]:
    async with gateway_over(database) as gateway:
        yield gateway


def many(number: int) -> str:
    return "&".join(f"argument{n}={n}" for n in range(number))


BODIES: dict[str, tuple[str, bytes, int]] = {
    "notes of 64 KB": (FORM, f"{BOOKING}&notes={LONG}".encode(), 400),
    "a host of 64 KB": (FORM, BOOKING.replace("manager", LONG).encode(), 400),
    "a name of 64 KB": (FORM, f"{BOOKING}&{LONG}=1".encode(), 400),
    "an ID of 64 KB": (FORM, BOOKING.replace(FOR_WILLOWS, LONG).encode(), 400),
    "an idempotency key of 64 KB": (FORM, f"{BOOKING}&idempotency_key={LONG}".encode(), 400),
    "10,000 parameters": (FORM, many(10_000).encode(), 400),
    "999 parameters": (FORM, many(999).encode(), 400),
    "250,000 marks": (FORM, b"&" * 250_000, 400),
    "the same key twice": (FORM, f"{BOOKING}&host=nurse".encode(), 400),
    "Latin 1": (FORM, f"{BOOKING}&notes=caf".encode() + b"\xe9", 400),
    "percent-encoded Latin 1": (FORM, f"{BOOKING}&notes=caf%E9".encode(), 400),
    "a percent-encoded half of a surrogate pair": (FORM, f"{BOOKING}&notes=%ED%A0%80".encode(), 400),
    "NUL": (FORM, f"{BOOKING}&notes=%00".encode(), 400),
    "another charset": (f"{FORM}; charset=iso-8859-1", BOOKING.encode(), 400),
    "JSON": ("application/json", b'{"host": "manager"}', 400),
    "multipart": ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--', 400),
    "no type": ("", BOOKING.encode(), 400),
    "JSON as a form": (FORM, b'{"host": "manager"}', 401),
    "brackets": (FORM, f"{BOOKING}&notes[]=x".encode(), 400),
    "more than a body may have": (FORM, b"notes=" + b"x" * 262_144, 413),
}


ARGUMENTS = "One or more arguments are not valid."
NOT_A_FORM = f"Send parameters in UTF-8 with Content-Type: {FORM}."
NOT_UTF_8 = "Parameters must be in UTF-8."
TOO_MANY = "Send 1,000 parameters at most."
HINTS = {
    "notes of 64 KB": ARGUMENTS,
    "a host of 64 KB": ARGUMENTS,
    "a name of 64 KB": ARGUMENTS,
    "an ID of 64 KB": ARGUMENTS,
    "an idempotency key of 64 KB": ARGUMENTS,
    "10,000 parameters": TOO_MANY,
    "999 parameters": ARGUMENTS,
    "250,000 marks": TOO_MANY,
    "the same key twice": ARGUMENTS,
    "Latin 1": NOT_UTF_8,
    "percent-encoded Latin 1": NOT_UTF_8,
    "a percent-encoded half of a surrogate pair": NOT_UTF_8,
    "NUL": ARGUMENTS,
    "another charset": NOT_A_FORM,
    "JSON": NOT_A_FORM,
    "multipart": NOT_A_FORM,
    "no type": NOT_A_FORM,
    "JSON as a form": "The signature does not match. Check the account ID, the key and its secret.",
    "brackets": ARGUMENTS,
    "more than a body may have": "The body is larger than 262,144 bytes. Split the request.",
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_cannot_be_used_changes_nothing(gateway: Gateway, name: str) -> None:
    content_type, body, status = BODIES[name]
    key = await gateway.key()
    text = body.decode(errors="replace")
    pairs = [(part.partition("=")[0], part.partition("=")[2].replace("+", " ")) for part in text.split("&") if part]
    decoded = [(field, value.replace("%00", "\0")) for field, value in pairs]
    headers = sign(key, "PUT", VISITS, [] if name == "JSON as a form" else decoded)
    before = inspect(path_of(gateway.database)).records("home_visits")

    started = time.thread_time()
    answer = await gateway.send_raw("PUT", VISITS, body, headers | ({"Content-Type": content_type} if content_type else {}))
    seconds = time.thread_time() - started

    assert (answer.status, list(answer.json), answer.json["hint"]) == (status, ["hint", "arg_errors"], HINTS[name])
    assert len(str(answer.json)) < 3_000
    assert inspect(path_of(gateway.database)).records("home_visits") == before
    print(f"{name}: {seconds * 1000:.0f} ms, with what sends it")
    assert seconds < 0.1  # ten times what is usual, at least


async def test_a_compressed_body_is_refused_unread(gateway: Gateway) -> None:
    key = await gateway.key()
    headers = sign(key, "PUT", VISITS) | {"Content-Type": FORM, "Content-Encoding": "gzip"}

    answer = await gateway.send_raw("PUT", VISITS, b"\x1f\x8b", headers)

    assert answer.status == 415


async def test_a_body_of_a_smaller_limit_is_refused(database: Database) -> None:
    async with gateway_over(database, limits=HTTPLimits(body=10)) as gateway:
        headers = sign(await gateway.key(), "PUT", VISITS) | {"Content-Type": FORM}
        answer = await gateway.send_raw("PUT", VISITS, b"notes=12345", headers)

    assert (answer.status, answer.json["hint"]) == (413, "The body is larger than 10 bytes. Split the request.")


@pytest.mark.parametrize("name", ["AccountId", "APIKey", "Timestamp", "Signature", "Signature-Version", "Nonce"])
@pytest.mark.parametrize("value", ["", "é", "\xff", "x" * 7_000, "' OR 1=1 --", "%00"])
async def test_a_header_that_is_none_of_any_client_is_refused(gateway: Gateway, name: str, value: str) -> None:
    key = await gateway.key()

    answer = await gateway.send("GET", ONE, [], sign(key, "GET", ONE) | {f"X-CareHQ-{name}": value})

    assert (answer.status, answer.json["arg_errors"]) == (400 if name == "Signature-Version" else 401, None)


async def test_a_header_that_comes_twice_is_refused(gateway: Gateway) -> None:
    key = await gateway.key()
    headers = [*sign(key, "GET", ONE).items(), ("X-CareHQ-APIKey", key.key)]

    async with gateway.session.get(gateway.origin + ONE, headers=headers) as response:
        status, body = response.status, await response.json()

    assert (status, body["hint"]) == (400, "Send each X-CareHQ header once.")


@pytest.mark.parametrize(
    ("target", "status", "names"),
    [
        (f"{VISITS}?{'a&' * 1000}", 400, None),
        (f"{VISITS}?attributes=%FF", 400, None),
        (f"{VISITS}?per_page", 400, ["per_page"]),
        (f"{VISITS}?filters-q={quote('é' * 101)}", 400, ["filters-q"]),
        (f"{VISITS}?" + "&".join(f"filters-ids={n}" for n in range(251)), 400, ["filters-ids"]),
        (f"{VISITS}?" + "&".join(["sort=date_time"] * 9), 400, ["sort"]),
        ("/%761/home-visits", 404, None),
        ("/v2/home-visits", 404, None),
        ("/v1//home-visits", 404, None),
        (f"{VISITS}//", 404, None),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_a_target_that_is_none_of_any_client_is_refused(
    gateway: Gateway, target: str, status: int, names: list[str] | None
) -> None:
    key = await gateway.key()
    path, _, query = target.partition("?")
    pairs = [(part.partition("=")[0], part.partition("=")[2]) for part in query.split("&") if part]
    decoded = [(name, "é" * 101 if value.startswith("%C3") else value) for name, value in pairs]

    answer = await gateway.send_raw("GET", target, b"", sign(key, "GET", path, decoded))

    assert (answer.status, answer.json["arg_errors"] and list(answer.json["arg_errors"])) == (status, names)


async def test_marks_with_nothing_between_them_are_no_parameters(gateway: Gateway) -> None:
    key = await gateway.key()

    answer = await gateway.send_raw("GET", f"{VISITS}?&&&", b"", sign(key, "GET", VISITS))

    assert (answer.status, answer.json["page"]) == (200, 1)


async def test_what_goes_wrong_inside_is_said_in_general_and_logged(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    key = await gateway.key()

    async def fail(*_arguments: object) -> None:
        raise RuntimeError("postgresql://root:hunter2@db")

    monkeypatch.setattr("storage.repository.HomeVisits.get", fail)

    answer = await gateway.call(key, "GET", ONE)

    assert (answer.status, "hunter2" in str(answer)) == (500, False)
    assert answer.json["hint"].startswith("Something went wrong on our side, and it has been noted.")
    assert isinstance(gateway.records[0].failure, RuntimeError)


async def least_cost(gateway: Gateway, body: bytes, headers: dict[str, str], status: int) -> float:
    """Return the least CPU seconds that such a request takes here, with what sends it."""
    seconds = []
    for _ in range(7):
        started = time.thread_time()
        answer = await gateway.send_raw("PUT", VISITS, body, headers)
        seconds.append(time.thread_time() - started)
        assert answer.status == status
    return min(seconds)


@pytest.mark.parametrize("unit", ["%41", "a&", "&", "=", "+", "%C3%A9", "%", "é"])
async def test_what_a_stranger_sends_is_not_decoded(gateway: Gateway, unit: str) -> None:
    headers = sign(Key("a" * 24, "nobody", "secret"), "PUT", VISITS) | {"Content-Type": FORM}
    body = ("notes=" + unit * 262_000).encode()[:262_000]
    body = body[: body.rindex(unit.encode())]

    letters = await least_cost(gateway, b"notes=" + b"a" * 261_900, headers, 401)
    units = await least_cost(gateway, body, headers, 400 if "&" in unit else 401)

    assert units < 4 * letters  # decoded, some take twenty times as long


async def test_who_has_no_clock_has_nothing_read(gateway: Gateway) -> None:
    headers = sign(Key("a" * 24, "nobody", "secret"), "PUT", VISITS, timestamp="1") | {"Content-Type": FORM}
    before = gateway.database.statement_count

    late = await gateway.send_raw("PUT", VISITS, b"&" * 250_000, headers)
    unsigned = await gateway.send_raw("PUT", VISITS, b"&" * 250_000, {"Content-Type": FORM})

    # In a body that is read they would be too many.
    assert (late.status, unsigned.status, gateway.database.statement_count) == (401, 401, before)
