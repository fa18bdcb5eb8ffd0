"""An issuer of tokens for tests: real keys, and a real server that publishes them or answers whatever it is told to."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from resolvers.tokens import TokenRules, Tokens

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
SIGNING = {"RS256": RSA_KEY, "ES256": EC_KEY, "EdDSA": ED_KEY}


def public_jwk(key: Any, algorithm: str, **members: Any) -> dict[str, Any]:
    return jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True) | members


# One key of each kind, named after its algorithm.
PUBLISHED = [public_jwk(key, algorithm, kid=algorithm) for algorithm, key in SIGNING.items()]


def document(*jwks: Any) -> bytes:
    return json.dumps({"keys": jwks}).encode()


@dataclass(frozen=True)
class In:
    """A time so many seconds from when the test runs."""

    seconds: int


def claims(**others: Any) -> dict[str, Any]:
    """Return what a token says of Amy; `...` leaves a claim out."""
    now = int(time.time())
    said = {"sub": "amy", "iat": now, "exp": now + 3600, "roles": ["COORDINATOR"]} | others
    return {name: now + value.seconds if isinstance(value, In) else value for name, value in said.items() if value is not ...}


def signed(payload: dict[str, Any], algorithm: str, key: Any = None, **header: Any) -> str:
    key = SIGNING[algorithm] if key is None else key
    return jwt.encode(payload, key, algorithm, headers={"kid": algorithm} | header)


def forged(header: object, payload: object, secret: bytes = b"") -> str:
    """Sign anything by HMAC, or nothing without a secret: PyJWT makes no token that it would not read."""
    text = b".".join(_base64(json.dumps(part).encode()) for part in (header, payload))
    signature = hmac.digest(secret, text, hashlib.sha256) if secret else b"none"
    return (text + b"." + _base64(signature)).decode()


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def opened(rules: TokenRules) -> AsyncIterator[Tokens]:
    tokens = Tokens(rules)
    try:
        yield tokens
    finally:
        await tokens.close()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


class Issuer:
    """Counts how often it was `asked`; `answer`, where set, answers in the place of the keys."""

    def __init__(self) -> None:
        self.requests = 0
        self.jwks: list[Any] = list(PUBLISHED)
        self.answer: Answer | None = None
        app = web.Application()
        app.router.add_get("/keys", self._keys)
        self._server = TestServer(app)

    @property
    def address(self) -> str:
        return str(self._server.make_url("/keys"))

    async def _keys(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if self.answer is not None:
            return await self.answer(request)
        return web.Response(body=document(*self.jwks), content_type="application/json")

    async def __aenter__(self) -> "Issuer":
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()
