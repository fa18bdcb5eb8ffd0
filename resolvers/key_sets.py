"""The keys that tokens are signed with: a shared secret, or the public keys that an issuer publishes at an address."""

import asyncio
import contextvars
import logging
import re
import time
from collections.abc import Callable, Collection
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import jwt
import orjson
from jwt.utils import base64url_encode

SECRET_BYTES: Final = 32
REFRESH_SECONDS: Final = 600.0
# How soon a key that is not known is looked for again: anybody can make up the names of keys.
PAUSE_SECONDS: Final = 30.0
RETRY_SECONDS: Final = 5.0
FETCH_SECONDS: Final = 5.0
DOCUMENT_BYTES: Final = 256 * 1024

# An algorithm belongs to one kind of key, so that no token can choose to have a public key taken for a secret.
PUBLISHED_ALGORITHMS: Final = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
_PUBLIC_MEMBERS: Final = ("kty", "crv", "n", "e", "x", "y", "kid", "alg")

# The key of a tutorial that many have followed: long enough, and known to everybody.
_WELL_KNOWN: Final = {"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"}
_WORDS: Final = re.compile(
    r"secret|password|change[-_ ]?me|example|placeholder|development|production|at[-_ ]?least|characters|your|super|token|long",
    re.IGNORECASE,
)

_log = logging.getLogger(__name__)


class WeakSecret(ValueError):
    """Anybody could guess the secret, and sign tokens or read keys with it."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"The secret {reason}. Set one of at least {SECRET_BYTES} random bytes, such as this prints: "
            'python -c "import secrets; print(secrets.token_urlsafe(48))"'
        )


class InsecureAddress(ValueError):
    """Whoever answers in the place of the issuer could sign tokens."""


class UnusableKeys(Exception):
    """What an address published is not a set of keys; the message says why."""


class UnknownKey(Exception):
    """The issuer publishes no such key."""


class KeysUnavailable(Exception):
    """No such key is known, and the issuer cannot be asked for it now."""


def secret_key(secret: str) -> jwt.PyJWK:
    """Return the key that signs and verifies with a secret; raise WeakSecret where it could be guessed."""
    require_strong(secret)
    text = secret.encode(errors="surrogateescape")
    try:
        jwt.get_algorithm_by_name("HS256").prepare_key(text)
    except jwt.InvalidKeyError:
        raise WeakSecret("is a public key, a certificate or a JSON Web Key, which others can read") from None
    return jwt.PyJWK({"kty": "oct", "k": base64url_encode(text).decode()}, "HS256")


def require_strong(secret: str) -> None:
    """Raise WeakSecret where a secret could be guessed."""
    text = secret.encode(errors="surrogateescape")
    if len(text) < SECRET_BYTES:
        raise WeakSecret(f"has only {len(text)} bytes")
    if secret in (secret + secret)[1:-1] or len(set(secret)) < 8:
        raise WeakSecret("repeats itself")
    if secret in _WELL_KNOWN or len(_WORDS.sub("", secret)) < SECRET_BYTES:
        raise WeakSecret("is a well-known one, or made of well-known words")


def published_keys(document: bytes) -> dict[bytes, jwt.PyJWK]:
    """Read a JSON Web Key Set: each key that tokens may be signed with, by what tells it from any other."""
    try:
        members = orjson.loads(document)["keys"]
    except (ValueError, TypeError, KeyError):
        raise UnusableKeys("it is not a JSON Web Key Set") from None
    keys = dict(filter(None, map(_published_key, members if isinstance(members, list) else [])))
    if not keys:
        raise UnusableKeys("it holds no public key for RS256 (2048 bits or more), ES256 or EdDSA")
    return keys


def _published_key(jwk: Any) -> tuple[bytes, jwt.PyJWK] | None:
    # A private key that everybody can read signs nothing worth believing.
    if not isinstance(jwk, dict) or "d" in jwk or jwk.get("use") not in (None, "sig"):
        return None
    public = {name: jwk[name] for name in _PUBLIC_MEMBERS if jwk.get(name) is not None}
    if not all(isinstance(value, str) for value in public.values()):
        return None
    algorithm = PUBLISHED_ALGORITHMS.get((public.get("kty", ""), public.get("crv")))
    if algorithm is None or public.get("alg", algorithm) != algorithm:
        return None
    try:
        key = jwt.PyJWK(public, algorithm)
    except (jwt.PyJWTError, ValueError):
        return None
    if key.Algorithm.check_key_length(key.key):
        return None
    return orjson.dumps(public, option=orjson.OPT_SORT_KEYS), key


class PublishedKeys:
    """Fetches the keys at an address when they are first needed, and refreshes them in the background from then on.

    `withdrawn` is called with the keys that a newer set no longer has. `fetches` counts the requests to the address.
    """

    def __init__(
        self,
        address: str,
        withdrawn: Callable[[Collection[jwt.PyJWK]], None],
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        fetch_seconds: float = FETCH_SECONDS,
    ) -> None:
        self.fetches = 0
        self._address = address
        self._host = _secure_host(address)
        self._withdrawn = withdrawn
        self._refresh_seconds = refresh_seconds
        self._pause_seconds = pause_seconds
        self._retry_seconds = retry_seconds
        self._timeout = aiohttp.ClientTimeout(total=fetch_seconds)
        self._keys: dict[bytes, jwt.PyJWK] = {}
        self._failed = False
        self._next_search = 0.0
        self._fetching: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None

    async def key(self, id: str | None, algorithm: str) -> jwt.PyJWK:
        """Return the one key of this name for this algorithm; without a name, the only key for the algorithm.

        Raise UnknownKey where there is none, and KeysUnavailable where that cannot be said for now.
        """
        key = self._find(id, algorithm)
        if key is None and self._worth_a_fetch():
            # Others wait for the same fetch: a caller that goes away must not end it.
            await asyncio.shield(self._fetch())
            key = self._find(id, algorithm)
        if key is not None:
            return key
        raise KeysUnavailable if self._failed else UnknownKey

    async def close(self) -> None:
        """Stop keeping the keys fresh."""
        tasks = [task for task in (self._refreshing, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _find(self, id: str | None, algorithm: str) -> jwt.PyJWK | None:
        matches = [key for key in self._keys.values() if key.algorithm_name == algorithm and id in (None, key.key_id)]
        return matches[0] if len(matches) == 1 else None

    def _worth_a_fetch(self) -> bool:
        return self._is_fetching() or time.monotonic() >= self._next_search

    def _is_fetching(self) -> bool:
        return self._fetching is not None and not self._fetching.done()

    def _fetch(self) -> "asyncio.Task[None]":
        # What is logged in the background belongs to no request, not even to the one that came first.
        context = contextvars.Context()
        if self._refreshing is None:
            self._refreshing = asyncio.create_task(self._refresh(), context=context)
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._replace(), context=context)
        return self._fetching

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(self._pause_seconds if self._failed else self._refresh_seconds)
            await self._fetch()

    async def _replace(self) -> None:
        try:
            keys = published_keys(await self._download())
        except Exception as error:  # noqa: BLE001 - whatever is wrong at the other end, the last good keys stay in use
            self._failed = True
            reason = str(error) if isinstance(error, UnusableKeys) else type(error).__name__
            _log.warning("Keys for tokens were not fetched from %s: %s. Those known stay in use.", self._host, reason)
        else:
            self._failed = False
            self._accept(keys)
        self._next_search = time.monotonic() + (self._pause_seconds if self._keys else self._retry_seconds)

    async def _download(self) -> bytes:
        self.fetches += 1
        # Nothing is unpacked, so that what is read is what is counted.
        session = aiohttp.ClientSession(timeout=self._timeout, auto_decompress=False, headers={"Accept-Encoding": "identity"})
        async with session, session.get(self._address, allow_redirects=False) as response:
            if response.status != 200:
                raise UnusableKeys(f"the answer has the status {response.status}")
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > DOCUMENT_BYTES:
                    raise UnusableKeys(f"the answer has more than {DOCUMENT_BYTES} bytes")
            return bytes(body)

    def _accept(self, keys: dict[bytes, jwt.PyJWK]) -> None:
        withdrawn = [key for text, key in self._keys.items() if text not in keys]
        self._keys = {text: self._keys.get(text, key) for text, key in keys.items()}
        if withdrawn:
            self._withdrawn(withdrawn)


def _secure_host(address: str) -> str:
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
        if re.search(r"\s", address):
            raise ValueError("a space in an address")
    except ValueError:
        raise InsecureAddress("The address of the keys cannot be read. Write it like https://issuer.example/keys.") from None
    if host and (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))):
        return host
    raise InsecureAddress("The address of the keys must begin with https:// (or http:// for a server on this machine).")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
