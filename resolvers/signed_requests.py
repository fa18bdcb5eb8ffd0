"""Who has signed a request with an API key: checked against its secret, and once only."""

import hmac
import re
import time
from collections.abc import Callable
from typing import Final

from resolvers.api_keys import Encryption
from resolvers.auth import Unauthenticated
from resolvers.key_use import KeyUse
from resolvers.seen_nonces import SeenNonces
from resolvers.signatures import signature_1
from schema.transport.errors import bad_request
from schema.transport.rest.endpoint import SignedIn
from schema.transport.rest.requests import Credentials, Pairs, SignedRequest, decoded_pairs, not_utf_8, undecoded_pairs
from storage.api_keys import APIKey, APIKeys, caller_of
from storage.caller import STRANGERS
from storage.carehq.live.account import signature_2
from storage.errors import NonceUsed
from storage.instants import clock
from storage.nonces import SKEW, Nonce

READ: Final = "GET"
SKEW_SECONDS: Final = int(SKEW.total_seconds())

_MISMATCH: Final = "The signature does not match. Check the account ID, the key and its secret."
_UNSIGNED: Final = "Sign the request: send the headers X-CareHQ-AccountId, -APIKey, -Timestamp and -Signature, each once."
_NO_NONCE: Final = "Send X-CareHQ-Nonce with each request: 16 to 64 letters, digits or signs, another one each time."
_CLOCK: Final = f"X-CareHQ-Timestamp must be the present, in seconds since 1970, within {SKEW_SECONDS} of them. Check the clock."

_is_key = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_is_nonce = re.compile(r"[A-Za-z0-9_.~+/=-]{16,64}").fullmatch
_is_whole = re.compile(r"[0-9]{1,12}").fullmatch
# Old clients send the text of a float.
_is_number = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?").fullmatch


class SignatureVerifier:
    """Checks signed requests. `use` keeps when each key was last used."""

    def __init__(self, keys: APIKeys, encryption: Encryption, use: KeyUse, *, now: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._encryption = encryption
        self._use = use
        self._now = now
        self._nonces = SeenNonces(now=now)
        # Those that have signed something here: their look-ups do not wait for those of strangers.
        self._subjects: dict[str, str] = {}

    def require_credentials(self, credentials: Credentials) -> None:
        """Raise Unauthenticated, or RequestError (400) for a version that there is not."""
        version = _version(credentials)
        if None in (credentials.account_id, credentials.key, credentials.timestamp, credentials.signature):
            raise Unauthenticated(_UNSIGNED, reason="missing")
        timestamp = credentials.timestamp or ""
        is_readable = _is_whole(timestamp) if version == 2 else _is_number(timestamp)
        if not is_readable or abs(self._now() - float(timestamp)) > SKEW_SECONDS:
            raise Unauthenticated(_CLOCK, reason="timestamp")
        if version == 2 and not _is_nonce(credentials.nonce or ""):
            raise Unauthenticated(_NO_NONCE, reason="nonce")

    async def sign_in(self, request: SignedRequest, change: str) -> SignedIn:
        """Return who has signed a request, by headers as they are required, that makes this change.

        Raises Unauthenticated, or RequestError (400) where nobody can have signed what is no UTF-8.
        """
        version = _version(request.credentials)
        key = await self._key(request.credentials)
        secret = self._encryption.decrypted(key.secret)
        if secret is None:
            raise Unauthenticated(_MISMATCH, reason="key encrypted under another secret")
        pairs = _signed_pairs(request, version, secret)
        if version == 1 and not key.allows_signature_1:
            raise Unauthenticated("This key takes signatures of version 2 only.", reason="signature version 1")
        nonce = _nonce(request, version, key, change)
        if nonce is not None and not self._nonces.use(nonce, float(request.credentials.timestamp or 0) + SKEW_SECONDS):
            raise Unauthenticated(str(NonceUsed()), reason="nonce used before")
        self._subjects[key.key] = key.subject
        self._use.note(key.key, clock())
        return SignedIn(caller_of(key), key.key, pairs, None if request.method == READ else nonce)

    async def _key(self, credentials: Credentials) -> APIKey:
        # How long this takes tells whether there is a key, which nobody can guess: so nothing is checked where there is none.
        text = credentials.key or ""
        key = await self._keys.find(text, self._subjects.get(text, STRANGERS)) if _is_key(text) else None
        if key is None:
            raise Unauthenticated(_MISMATCH, reason="unknown key")
        if not _equal(key.account_id, credentials.account_id):
            raise Unauthenticated(_MISMATCH, reason="wrong account")
        return key


def _version(credentials: Credentials) -> int:
    match credentials.version:
        case "2.0" | "2":
            return 2
        case None | "1.0" | "1":
            return 1
    raise bad_request("X-CareHQ-Signature-Version must be 2.0; without that header, the signature is one of version 1.")


def _signed_pairs(request: SignedRequest, version: int, secret: str) -> Pairs:
    """Return the parameters as they were signed: decoded, or as they were sent by clients that do not encode a form."""
    undecoded = undecoded_pairs(request.text)
    decoded = decoded_pairs(undecoded)
    for pairs in [decoded] if request.method == READ else [decoded, undecoded]:
        if pairs is not None and _equal(_signature(request, version, secret, pairs), request.credentials.signature):
            return pairs
    if decoded is None:
        raise not_utf_8()
    raise Unauthenticated(_MISMATCH, reason="wrong signature")


def _signature(request: SignedRequest, version: int, secret: str, pairs: Pairs) -> str:
    timestamp = request.credentials.timestamp or ""
    if version == 1:
        return signature_1(secret, timestamp, pairs)
    return signature_2(secret, timestamp, request.credentials.nonce or "", request.method, request.path, pairs)


def _nonce(request: SignedRequest, version: int, key: APIKey, change: str) -> Nonce | None:
    """Return what must not come twice: of version 1, which has no nonce, the change itself, for reads may well be alike."""
    if version == 2:
        return Nonce(key.key, request.credentials.nonce or "")
    # However its path is written: the signature does not cover that.
    return None if request.method == READ else Nonce(key.key, f"{request.credentials.signature} {change}"[:255])


def _equal(one: str, other: str | None) -> bool:
    return hmac.compare_digest(one.encode(), (other or "").encode(errors="surrogateescape"))
