"""Who signs requests with an API key: makes keys, keeps their secrets encrypted, and checks what was signed with them."""

import asyncio
import base64
import contextlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from resolvers.auth import Unauthenticated
from resolvers.key_sets import require_strong
from resolvers.signatures import signature_1, signature_2
from resolvers.tokens import SUBJECT_LENGTH
from schema.transport.errors import bad_request
from schema.transport.rest.endpoint import SignedIn
from schema.transport.rest.requests import Credentials, Pairs, SignedRequest
from storage.api_keys import APIKey, APIKeys, caller_of
from storage.caller import Caller
from storage.errors import DatabaseUnusable
from storage.identifiers import is_identifier, new_identifier
from storage.instants import clock
from storage.nonces import Nonce

SKEW_SECONDS: Final = 300
FLUSH_SECONDS: Final = 10.0
# Each takes half a kilobyte.
CACHED_SECRETS: Final = 1_000
READ: Final = "GET"

_MISMATCH: Final = "The signature does not match. Check the account ID, the key and its secret."
_UNSIGNED: Final = "Sign the request: send the headers X-CareHQ-AccountId, -APIKey, -Timestamp and -Signature, each once."
_NO_NONCE: Final = "Send X-CareHQ-Nonce with each request: 16 to 64 letters, digits or signs, another one each time."
_CLOCK: Final = f"X-CareHQ-Timestamp must be the present, in seconds since 1970, within {SKEW_SECONDS} of them. Check the clock."

_is_key = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_is_nonce = re.compile(r"[A-Za-z0-9_.~+/=-]{16,64}").fullmatch
_is_whole = re.compile(r"[0-9]{1,12}").fullmatch
# Old clients send the text of a float.
_is_number = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?").fullmatch


class NewKey(NamedTuple):
    """What the holder of a key is given once, and the key as it is kept."""

    secret: str
    kept: APIKey


class Secrets:
    """Encrypts the secrets of keys under one of our own. Raises WeakSecret where that could be guessed."""

    def __init__(self, secret: str) -> None:
        require_strong(secret)
        derived = HKDF(SHA256(), 32, salt=None, info=b"home-visits api keys").derive(secret.encode(errors="surrogateescape"))
        self._fernet = Fernet(base64.urlsafe_b64encode(derived))
        self.decrypted = lru_cache(CACHED_SECRETS)(self._decrypted)

    def encrypted(self, secret: str) -> str:
        return self._fernet.encrypt(secret.encode()).decode()

    def _decrypted(self, secret: str) -> str | None:
        """Return the secret; None where it was encrypted under another one of ours."""
        try:
            return self._fernet.decrypt(secret).decode()
        except InvalidToken:
            return None


def new_key(encryption: Secrets, caller: Caller, now: datetime, *, allows_signature_1: bool) -> NewKey:
    """Make a key for a caller; without a subject, it is the account ID. Raises ValueError for a name or location that is none."""
    if not (caller.subject.isprintable() and caller.subject == caller.subject.strip() and len(caller.subject) <= SUBJECT_LENGTH):
        raise ValueError(f"a name has 1 to {SUBJECT_LENGTH} printable characters, and no spaces around them")
    if not all(map(is_identifier, caller.locations or ())):
        raise ValueError("a location is known by its ID, 24 hexadecimal characters")
    account_id, secret = new_identifier(now), secrets.token_urlsafe(32)
    kept = APIKey(
        key=secrets.token_urlsafe(24),
        account_id=account_id,
        subject=caller.subject or account_id,
        secret=encryption.encrypted(secret),
        roles=sorted(caller.roles),
        locations=None if caller.locations is None else sorted(caller.locations),
        allows_signature_1=allows_signature_1,
        created=now,
    )
    return NewKey(secret, kept)


class Signatures:
    """Checks signed requests, and keeps when each key was last used."""

    def __init__(self, keys: APIKeys, encryption: Secrets, *, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._encryption = encryption
        self._now = now
        self._used: dict[str, datetime] = {}
        # To check a signature of a key that is not there takes as long as any.
        self._nobody = secrets.token_urlsafe(32)

    async def sign_in(self, request: SignedRequest) -> SignedIn:
        """Return who has signed a request; raise Unauthenticated, or RequestError (400) for a version that there is not."""
        credentials = request.credentials
        version = _version(credentials)
        self._require_present(credentials, version)
        key = await self._keys.find(credentials.key) if credentials.key and _is_key(credentials.key) else None
        secret = self._encryption.decrypted(key.secret) if key else None
        pairs = _signed_pairs(request, version, secret or self._nobody)
        if key is None or secret is None:
            raise Unauthenticated(_MISMATCH, reason="unknown key" if key is None else "key encrypted under another secret")
        if not _equal(key.account_id, credentials.account_id):
            raise Unauthenticated(_MISMATCH, reason="wrong account")
        if pairs is None:
            raise Unauthenticated(_MISMATCH, reason="wrong signature")
        if version == 1 and not key.allows_signature_1:
            raise Unauthenticated("This key takes signatures of version 2 only.", reason="signature version 1")
        self._used[key.key] = clock()
        return SignedIn(caller_of(key), key.key, pairs, _nonce(request, version, key))

    async def keep_used(self, interval_seconds: float = FLUSH_SECONDS) -> None:
        """Write down when keys were used, and delete old nonces, once an interval and at the end."""
        try:
            while True:
                await asyncio.sleep(interval_seconds)
                with contextlib.suppress(DatabaseUnusable):
                    await self._write_used()
                    await self._keys.delete_old_nonces()
        finally:
            with contextlib.suppress(DatabaseUnusable):
                await self._write_used()

    async def _write_used(self) -> None:
        if used := self._used:
            self._used = {}
            await self._keys.note_used(used)

    def _require_present(self, credentials: Credentials, version: int) -> None:
        if None in (credentials.account_id, credentials.key, credentials.timestamp, credentials.signature):
            raise Unauthenticated(_UNSIGNED, reason="missing")
        timestamp = credentials.timestamp or ""
        is_readable = _is_whole(timestamp) if version == 2 else _is_number(timestamp)
        if not is_readable or abs(self._now() - float(timestamp)) > SKEW_SECONDS:
            raise Unauthenticated(_CLOCK, reason="timestamp")
        if version == 2 and not _is_nonce(credentials.nonce or ""):
            raise Unauthenticated(_NO_NONCE, reason="nonce")


def _version(credentials: Credentials) -> int:
    match credentials.version:
        case "2.0" | "2":
            return 2
        case None | "1.0" | "1":
            return 1
    raise bad_request("X-CareHQ-Signature-Version must be 2.0; without that header, the signature is one of version 1.")


def _signed_pairs(request: SignedRequest, version: int, secret: str) -> Pairs | None:
    """Return the parameters as they were signed: decoded, or as they were sent by clients that do not encode a form."""
    choices = [request.pairs] if request.method == READ else [request.pairs, request.undecoded]
    matching = [pairs for pairs in choices if _equal(_signature(request, version, secret, pairs), request.credentials.signature)]
    return matching[0] if matching else None


def _signature(request: SignedRequest, version: int, secret: str, pairs: Pairs) -> str:
    timestamp = request.credentials.timestamp or ""
    if version == 1:
        return signature_1(secret, timestamp, pairs)
    return signature_2(secret, timestamp, request.credentials.nonce or "", request.method, request.path, pairs)


def _nonce(request: SignedRequest, version: int, key: APIKey) -> Nonce | None:
    """Return what must not come twice: of version 1, which has no nonce, the change itself, for reads may well be alike."""
    if version == 2:
        return Nonce(key.key, request.credentials.nonce or "")
    if request.method == READ:
        return None
    return Nonce(key.key, f"{request.credentials.signature} {request.method} {request.path}"[:255])


def _equal(one: str, other: str | None) -> bool:
    return hmac.compare_digest(one.encode(), (other or "").encode(errors="surrogateescape"))
