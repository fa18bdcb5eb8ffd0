"""The CareHQ-compatible API on a server of its own over the world, and requests signed as the vendor's clients sign them."""

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from resolvers.api_keys import Encryption, new_key
from resolvers.live import Live
from resolvers.operations import operations_of
from resolvers.rest import Rest, rest_of
from schema.execution.limits import Limits
from schema.server.settings import Settings
from schema.transport.concurrency import ConcurrencyLimiter
from schema.transport.http.clients import ClientAddresses
from schema.transport.http.connections import HTTPLimits
from schema.transport.operations import RequestRecord
from storage.api_keys import APIKeys
from storage.caller import Caller
from storage.database import Database
from storage.events.feed import Feed
from storage.instants import clock
from tests import world
from tests.asking import shared_engine

KEYS_SECRET = secrets.token_urlsafe(48)
FORM = "application/x-www-form-urlencoded"
VISITS = "/v1/home-visits"

Pairs = Iterable[tuple[str, str]]


class Key(NamedTuple):
    account_id: str
    key: str
    secret: str


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    json: Any


def sign(
    key: Key, method: str, path: str, pairs: Pairs = (), *, timestamp: str | None = None, nonce: str | None = None
) -> dict[str, str]:
    """Return the headers of version 2, as the vendor's Python client 0.1.3 makes them."""
    timestamp, nonce = timestamp or str(int(time.time())), nonce or secrets.token_urlsafe(16)
    canonical = "\n".join(f"{name}={value}" for name, value in sorted(pairs))
    text = f"{timestamp}\n{nonce}\n{method}\n{path}\n{canonical}"
    return {
        "X-CareHQ-AccountId": key.account_id,
        "X-CareHQ-APIKey": key.key,
        "X-CareHQ-Nonce": nonce,
        "X-CareHQ-Signature": hmac.new(key.secret.encode(), text.encode(), hashlib.sha256).hexdigest(),
        "X-CareHQ-Signature-Version": "2.0",
        "X-CareHQ-Timestamp": timestamp,
    }


def sign_1(key: Key, pairs: Pairs = (), *, timestamp: str | None = None) -> dict[str, str]:
    """Return the headers of version 1, as the vendor's Python client 0.0.5 makes them."""
    timestamp = timestamp or str(time.time())
    body = "".join(part for pair in pairs for part in pair)
    return {
        "X-CareHQ-AccountId": key.account_id,
        "X-CareHQ-APIKey": key.key,
        "X-CareHQ-Signature": hashlib.sha1((timestamp + body + key.secret).encode()).hexdigest(),  # noqa: S324 - the vendor's own
        "X-CareHQ-Timestamp": timestamp,
    }


@dataclass
class Gateway:
    """`records` are of the requests that were answered."""

    database: Database
    origin: str
    session: aiohttp.ClientSession
    rest: Rest
    records: list[RequestRecord] = field(default_factory=list)

    async def key(
        self, caller: Caller = world.EVERYBODY, *, allows_signature_1: bool = False, encrypted_under: str = KEYS_SECRET
    ) -> Key:
        """Make a key for a caller."""
        new = new_key(Encryption(encrypted_under), caller, clock(), allows_signature_1=allows_signature_1)
        key = Key(new.record.account_id, new.record.key, new.secret)
        await APIKeys(self.database, clock).add(new.record)
        return key

    async def call(self, key: Key, method: str, path: str, pairs: Pairs = (), **signing: str) -> Answer:
        """Sign and send a request, its parameters where clients put them."""
        pairs = list(pairs)
        return await self.send(method, path, pairs, sign(key, method, path, pairs, **signing))

    async def send(self, method: str, path: str, pairs: Pairs, headers: Mapping[str, str]) -> Answer:
        encoded = urlencode(list(pairs))
        if method == "GET":
            return await self.send_raw(method, f"{path}?{encoded}" if encoded else path, b"", headers)
        form = {"Content-Type": FORM} if encoded else {}
        return await self.send_raw(method, path, encoded.encode(), {**form, **headers})

    async def send_raw(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send bytes as they are."""
        url = URL(self.origin + target, encoded=True)
        skip = ["Content-Type"]
        async with self.session.request(
            method, url, data=body or None, headers=headers, skip_auto_headers=skip, allow_redirects=False
        ) as response:
            return Answer(response.status, response.headers, json.loads(await response.read()))


@asynccontextmanager
async def gateway_over(
    database: Database,
    *,
    rate: int = 10_000,
    limits: HTTPLimits | None = None,
    answers: Limits | None = None,
    is_draining: bool = False,
    now: Callable[[], float] = time.time,
    live: Live | None = None,
) -> AsyncIterator[Gateway]:
    """Serve the API as a server does, all but what starts processes.

    `answers` limits what one request may ask for; `now` is the clock that requests are signed by; `live` is what follows an
    account.
    """
    http = limits or HTTPLimits()
    settings = Settings(_env_file=None, keys_secret=KEYS_SECRET, keys_rate=rate, http=http, limits=answers or Limits())
    records: list[RequestRecord] = []
    metrics: Any = _Records(records)
    feed = Feed(database, queue=10)
    operations = operations_of(settings, shared_engine(planned=True), database, feed, metrics, ConcurrencyLimiter(), None, live)
    rest = rest_of(settings, operations, database, ClientAddresses(), lambda: is_draining, now=now)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", rest.endpoint.handle)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield Gateway(database, f"http://{server.host}:{server.port}", session, rest, records)


class _Records:
    """Takes records as metrics do."""

    def __init__(self, records: list[RequestRecord]) -> None:
        self.record = records.append
