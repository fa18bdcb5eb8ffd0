"""Who signs in by a signature, and who does not: 401 says no more than a stranger may know, and nothing is done."""

import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from resolvers.api_keys import Encryption, new_key
from resolvers.key_sets import WeakSecret
from storage.api_keys import APIKeys
from storage.caller import Role
from storage.database import Database
from storage.instants import clock
from tests import world
from tests.resolvers.carehq import FORM, KEYS_SECRET, VISITS, Gateway, gateway_over, sign, sign_1
from tests.resolvers.test_signatures import VECTORS, pairs_of
from tests.world import CANCELLED, FOR_WILLOWS, PENDING

MISMATCH = {"hint": "The signature does not match. Check the account ID, the key and its secret.", "arg_errors": None}
CLOCK = "X-CareHQ-Timestamp must be the present, in seconds since 1970, within 300 of them. Check the clock."
ONE = f"{VISITS}/{PENDING}"
BOOKING = [
    ("care_enquiry", FOR_WILLOWS),
    ("date_time", "2030-11-03 11:00:00"),
    ("host", "manager"),
    ("visit_type", "in_person"),
]


@pytest.fixture
async def gateway(database: Database) -> AsyncIterator[Gateway]:
    async with gateway_over(database) as gateway:
        yield gateway


async def test_a_signature_stands_for_the_caller_of_its_key(gateway: Gateway) -> None:
    key = await gateway.key()

    answer = await gateway.call(key, "GET", ONE)

    assert (answer.status, answer.json["_id"]) == (200, PENDING)
    [record] = gateway.records
    assert (record.caller, record.operation_name, record.operation_type, record.outcome) == (
        "everybody",
        "homeVisit",
        "rest",
        "ok",
    )


@pytest.mark.parametrize("part", ["account_id", "key", "secret"])
async def test_a_key_that_is_wrong_in_any_part_gives_one_same_answer(gateway: Gateway, part: str) -> None:
    key = await gateway.key()
    other = key._replace(**{part: secrets.token_urlsafe(24)})

    answer = await gateway.call(other, "GET", ONE)

    assert (answer.status, answer.json, answer.headers["WWW-Authenticate"]) == (401, MISMATCH, "CareHQ")
    assert "X-CareHQ-RateLimit-Limit" not in answer.headers
    assert gateway.records[0].caller is None


async def test_a_key_that_was_revoked_is_unknown(gateway: Gateway) -> None:
    key, keys = await gateway.key(), APIKeys(gateway.database, clock)

    revoked = await keys.revoke(key.key), await keys.revoke(key.key)
    answer = await gateway.call(key, "GET", ONE)

    assert revoked == (True, False)
    assert (answer.status, answer.json) == (401, MISMATCH)


async def test_a_key_that_was_encrypted_under_another_secret_is_unknown(gateway: Gateway) -> None:
    key = await gateway.key(encrypted_under=secrets.token_urlsafe(48))

    answer = await gateway.call(key, "GET", ONE)

    assert (answer.status, answer.json) == (401, MISMATCH)
    assert gateway.records[0].reason == "key encrypted under another secret"


@pytest.mark.parametrize(
    "change",
    ["another value", "another path", "another method", "one value more", "another nonce", "another time"],
)
async def test_what_differs_from_what_was_signed_is_refused(gateway: Gateway, change: str) -> None:
    key = await gateway.key()
    headers = sign(key, "PATCH", ONE, [("notes", "as agreed")])
    method, path, pairs = "PATCH", ONE, [("notes", "as agreed")]
    match change:
        case "another value":
            pairs = [("notes", "as they like")]
        case "another path":
            path = f"{VISITS}/{CANCELLED}"
        case "another method":
            method = "PUT"
        case "one value more":
            pairs = [*pairs, ("host", "nurse")]
        case "another nonce":
            headers["X-CareHQ-Nonce"] = secrets.token_urlsafe(16)
        case "another time":
            headers["X-CareHQ-Timestamp"] = str(int(headers["X-CareHQ-Timestamp"]) - 1)

    answer = await gateway.send(method, path, pairs, headers)

    assert (answer.status, answer.json) == (401, MISMATCH)
    assert gateway.database.transaction_count == 1  # the key itself


@pytest.mark.parametrize("timestamp", ["nan", "1e9", "-1", "", "١٢٣", "1730476800.5", "9" * 400])
async def test_a_timestamp_that_is_no_whole_number_is_refused(gateway: Gateway, timestamp: str) -> None:
    key = await gateway.key()
    headers = sign(key, "GET", ONE) | {"X-CareHQ-Timestamp": timestamp}

    answer = await gateway.send("GET", ONE, [], headers)

    assert (answer.status, answer.json["hint"]) == (401, CLOCK)


@pytest.mark.parametrize(("seconds", "status"), [(-310, 401), (-290, 200), (290, 200), (310, 401)])
async def test_clocks_may_be_300_seconds_apart(gateway: Gateway, seconds: int, status: int) -> None:
    key = await gateway.key(allows_signature_1=True)
    timestamp = int(time.time()) + seconds

    second = await gateway.call(key, "GET", ONE, timestamp=str(timestamp))
    first = await gateway.send("GET", ONE, [], sign_1(key, timestamp=f"{timestamp}.25"))

    assert (second.status, first.status) == (status, status)


@pytest.mark.parametrize("name", ["AccountId", "APIKey", "Timestamp", "Signature", "Nonce"])
async def test_each_header_is_needed(gateway: Gateway, name: str) -> None:
    key = await gateway.key()
    headers = {header: value for header, value in sign(key, "GET", ONE).items() if header != f"X-CareHQ-{name}"}

    answer = await gateway.send("GET", ONE, [], headers)

    assert (answer.status, "X-CareHQ-" in answer.json["hint"]) == (401, True)


async def test_a_version_that_there_is_not_is_the_callers_mistake(gateway: Gateway) -> None:
    key = await gateway.key()

    answer = await gateway.send("GET", ONE, [], sign(key, "GET", ONE) | {"X-CareHQ-Signature-Version": "3.0"})

    assert (answer.status, answer.json["hint"].partition(";")[0]) == (400, "X-CareHQ-Signature-Version must be 2.0")


async def test_version_1_is_for_keys_that_allow_it(gateway: Gateway) -> None:
    key, old = await gateway.key(), await gateway.key(allows_signature_1=True)

    refused = await gateway.send("GET", ONE, [], sign_1(key))
    taken = await gateway.send("GET", ONE, [], sign_1(old))
    newer = await gateway.call(old, "GET", ONE)

    assert (refused.status, refused.json["hint"]) == (401, "This key takes signatures of version 2 only.")
    assert (taken.status, newer.status) == (200, 200)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("notes", ["1+1 = 100% é\nof it, %20 and all", "100%certain", "50%deposit", "%ff", "5%off now", "%C3%A9"])
async def test_a_form_that_ruby_does_not_encode_is_taken_as_it_was_signed(gateway: Gateway, version: int, notes: str) -> None:
    key = await gateway.key(allows_signature_1=True)
    pairs = [*BOOKING, ("notes", notes)]
    headers = sign_1(key, pairs) if version == 1 else sign(key, "PUT", VISITS, pairs)
    body = "&".join(f"{name}={value}" for name, value in pairs)

    answer = await gateway.send_raw("PUT", VISITS, body.encode(), headers | {"Content-Type": FORM})

    assert (answer.status, answer.json["notes"]) == (200, notes)


async def test_who_has_signed_what_is_no_utf_8_is_told_so_and_strangers_are_not(gateway: Gateway) -> None:
    key, body = await gateway.key(), b"notes=caf%E9"
    answers = [
        await gateway.send_raw("PATCH", ONE, body, sign(one, "PATCH", ONE) | {"Content-Type": FORM})
        for one in (key, key._replace(key=secrets.token_urlsafe(24)))
    ]

    assert [(answer.status, answer.json["hint"]) for answer in answers] == [
        (400, "Parameters must be in UTF-8."),
        (401, MISMATCH["hint"]),
    ]


async def test_parameters_that_nobody_signs_are_refused(gateway: Gateway) -> None:
    key = await gateway.key()

    # PHP, with the method in lower case, signs nothing of a query.
    unsigned = await gateway.send("GET", VISITS, [("per_page", "1")], sign(key, "GET", VISITS))
    beside = await gateway.send_raw("PATCH", f"{ONE}/cancel?x=1", b"", sign(key, "PATCH", f"{ONE}/cancel"))

    assert (unsigned.status, beside.status) == (401, 400)


@pytest.mark.parametrize("mount", ["", "/", "/crm", "/api/v2"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_mount_is_not_signed_and_a_slash_at_the_end_is(gateway: Gateway, mount: str, slash: str) -> None:
    key = await gateway.key()

    answer = await gateway.send("GET", f"{mount}{ONE}{slash}", [], sign(key, "GET", f"{ONE}{slash}"))

    assert answer.status == 200


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_no_path_below_another_is_taken_for_it(gateway: Gateway, method: str) -> None:
    key, nested = await gateway.key(), f"/v1/users/x{ONE}"

    inner = await gateway.send(method, nested, [], sign(key, method, ONE))
    outer = await gateway.send(method, nested, [], sign(key, method, nested))

    assert (inner.status, outer.status) == (401, 404)


async def test_more_than_the_rate_is_429_until_the_second_is_over(database: Database) -> None:
    now = time.time()
    async with gateway_over(database, rate=2, now=lambda: now) as gateway:
        key, other = await gateway.key(), await gateway.key()

        answers = [await gateway.call(key, "GET", ONE) for _ in range(3)]
        others = await gateway.call(other, "GET", "/v1/nothing")

    rates = [[answer.headers[f"X-CareHQ-RateLimit-{name}"] for name in ("Limit", "Remaining")] for answer in (*answers, others)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert rates == [["2", "1"], ["2", "0"], ["2", "0"], ["2", "1"]]
    assert answers[2].json["hint"] == "Too many requests: wait until X-CareHQ-RateLimit-Reset."
    assert int(answers[2].headers["X-CareHQ-RateLimit-Reset"]) == int(now) + 1


async def test_a_secret_is_kept_encrypted(gateway: Gateway) -> None:
    key = await gateway.key()

    kept = await APIKeys(gateway.database, clock).find(key.key)

    assert kept is not None
    assert key.secret not in "".join(str(value) for value in tuple(kept))
    assert Encryption("another " + secrets.token_urlsafe(48)).decrypted(kept.secret) is None


def test_a_secret_of_ours_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(WeakSecret, match="The secret has only 6 bytes"):
        Encryption("secret")


async def test_a_key_that_only_reads_may_not_change_anything(gateway: Gateway) -> None:
    reader = await gateway.key(world.limited_to(world.WILLOWS, role=Role.VIEWER))

    read = await gateway.call(reader, "GET", ONE)
    answers = [await gateway.call(reader, "PATCH", f"{ONE}/cancel"), await gateway.call(reader, "PUT", VISITS, BOOKING)]

    assert [answer.status for answer in (read, *answers)] == [200, 403, 403]
    assert answers[0].json["hint"] == "This needs a key with the role COORDINATOR. Ask whoever makes keys for one."


async def test_a_server_that_stops_closes_its_connections(database: Database) -> None:
    async with gateway_over(database, is_draining=True) as gateway:
        answer = await gateway.call(await gateway.key(), "GET", ONE)

    assert (answer.status, answer.headers["Connection"]) == (200, "close")


def recorded(vector: dict[str, Any], version: str, key: str) -> dict[str, str]:
    """Return the headers of a vector, with a key of its own: all have one nonce, and the key is not signed."""
    names = {"AccountId": "acc", "APIKey": key, "Timestamp": vector["timestamp"], "Signature": vector[version]}
    second = {"Signature-Version": "2.0", "Nonce": vector["nonce"]} if version == "v2" else {}
    return {f"X-CareHQ-{name}": value for name, value in {**names, **second}.items()}


ENCODINGS: dict[str, Callable[[str], str]] = {
    "Python, PHP and JavaScript": quote_plus,
    "C#": lambda text: re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quote(text, safe="")),
    "Ruby": lambda text: text,
}


@pytest.mark.parametrize("client", ENCODINGS)
@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_what_was_recorded_of_other_clients_signs_in(database: Database, version: str, client: str) -> None:
    encryption, subjects = Encryption(KEYS_SECRET), []

    async with gateway_over(database, now=lambda: float(VECTORS[0]["timestamp"])) as gateway:
        for number, vector in enumerate(VECTORS):
            method, target = vector["method"], vector["path"]
            new = new_key(encryption, world.EVERYBODY, clock(), allows_signature_1=True).record
            new.key, new.account_id, new.secret = f"key{number}", "acc", encryption.encrypted(vector["secret"])
            await APIKeys(database, clock).add(new)
            # In a query Ruby encodes as all do.
            encode = quote_plus if method == "GET" else ENCODINGS[client]
            text = "&".join(f"{encode(name)}={encode(value)}" for name, value in pairs_of(vector))
            headers = recorded(vector, version, new.key) | ({"Content-Type": FORM} if text and method != "GET" else {})
            if method == "GET":
                await gateway.send_raw(method, f"{target}?{text}" if text else target, b"", headers)
            else:
                await gateway.send_raw(method, target, text.encode(), headers)
            # The client's own mistake: nobody could tell what it has signed.
            subjects.append(None if client == "Ruby" and "&" in str(vector["values"]) else "everybody")

    assert [record.caller for record in gateway.records] == subjects
    assert subjects.count("everybody") >= len(VECTORS) - 1
