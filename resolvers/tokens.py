"""Verifies bearer tokens, and caches the caller of each until it expires."""

import re
import sys
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import jwt

from resolvers.auth import Forbidden, SignInUnavailable, Unauthenticated
from resolvers.key_sets import PUBLISHED_ALGORITHMS, REFRESH_SECONDS, KeysUnavailable, PublishedKeys, UnknownKey, secret_key
from storage.caller import Caller, Role
from storage.identifiers import is_identifier

MAX_TOKENS: Final = 2_000
MAX_BYTES: Final = 8 << 20
# What an entry takes beside the texts and sets in it.
ENTRY_BYTES: Final = 400
HEADER_LENGTH: Final = 16_384
SUBJECT_LENGTH: Final = 255
# Where issuers name the program that a token was issued to (RFC 9068, OpenID Connect); else the issuer is known.
APPLICATION_CLAIMS: Final = ("client_id", "azp", "iss")

_ABSENT: Final = object()
_is_bearer = re.compile(r"(?i:Bearer) +([\w-]+\.[\w-]+\.[\w-]+)", re.ASCII).fullmatch

_SENTENCES: Final[dict[type[jwt.PyJWTError], str]] = {
    jwt.ExpiredSignatureError: "The token has expired. Sign in again for a new one.",
    jwt.ImmatureSignatureError: "The token is not valid yet. Wait for its time, or set the clock of its issuer right.",
    jwt.InvalidIssuerError: "The token comes from an issuer that is not trusted here. Sign in with the one that is.",
    jwt.InvalidAudienceError: "The token was made for another audience. Ask its issuer for one made for this API.",
    jwt.MissingRequiredClaimError: "The token lacks one of the claims that are needed here: {claims}. Ask its issuer for them.",
    jwt.InvalidSignatureError: "The token was not signed by an issuer that is trusted here. Sign in again.",
}
_REASONS: Final[dict[type[jwt.PyJWTError], str]] = {
    jwt.ExpiredSignatureError: "expired",
    jwt.ImmatureSignatureError: "not valid yet",
    jwt.InvalidIssuerError: "wrong issuer",
    jwt.InvalidAudienceError: "wrong audience",
    jwt.MissingRequiredClaimError: "missing claim",
    jwt.InvalidSignatureError: "wrong key",
}
_UNREADABLE: Final = "The token cannot be read. Sign in again for a new one, and send it as it was given to you."
_UNKNOWN_KEY: Final = "The token was signed with a key that is not known here. Sign in again for a new one."


@dataclass(frozen=True, slots=True)
class TokenRules:
    """How tokens are verified, and which of their claims hold roles and locations.

    `leeway` is how far clocks may be apart, `refresh_seconds` how old published keys may be before they are fetched anew.
    """

    secret: str | None = field(default=None, repr=False)
    jwks_url: str | None = None
    issuer: str | None = None
    audience: str | None = None
    roles_claim: str = "roles"
    locations_claim: str = "locations"
    leeway: int = 30
    refresh_seconds: float = REFRESH_SECONDS

    @property
    def required(self) -> list[str]:
        return ["exp", "iat", "sub", *(["iss"] if self.issuer else []), *(["aud"] if self.audience else [])]


class _Verified(NamedTuple):
    caller: Caller
    until: float
    key: jwt.PyJWK
    size: int


class Tokens:
    """Verifies tokens by `rules`, and caches their callers. Raises ValueError for rules with neither secret nor `jwks_url`."""

    def __init__(self, rules: TokenRules, *, now: Callable[[], float] = time.time) -> None:
        if rules.secret is None and rules.jwks_url is None:
            raise ValueError("Nobody can sign in: give a secret for tokens, or the address of their issuer's keys.")
        self._rules = rules
        self._now = now
        self._secret = None if rules.secret is None else secret_key(rules.secret)
        self._published = _published(rules, self._forget)
        self._verified: dict[str | None, _Verified] = {}
        self._size = 0

    def cached(self, authorization: str | None) -> Caller | None:
        """Return the caller of a header that was verified before, while its token is valid."""
        verified = self._verified.get(authorization)
        if verified is None or verified.until <= self._now():
            return None
        return verified.caller

    def seconds_left(self, authorization: str | None) -> float:
        """Return how long a header that was verified stays valid; 0 for one that is not kept: it has to be verified again."""
        verified = self._verified.get(authorization)
        return max(0.0, verified.until - self._now()) if verified else 0.0

    def authenticate(self, authorization: str | None) -> Caller | Awaitable[Caller]:
        """Return the caller at once where it is cached, else what to await."""
        return self.cached(authorization) or self.caller(authorization)

    async def caller(self, authorization: str | None) -> Caller:
        """Return whom the header names; raise Unauthenticated, Forbidden (no role) or SignInUnavailable."""
        cached = self.cached(authorization)
        if cached is not None:
            return cached
        token = _bearer(authorization)
        try:
            key = await self._key(jwt.get_unverified_header(token))
            claims = _claims(token, key, self._rules)
        except jwt.PyJWTError as refusal:
            raise Unauthenticated(_sentence(refusal, self._rules), reason=_REASONS.get(type(refusal), "malformed")) from None
        caller = _named(claims, self._rules)
        self._remember(
            authorization, _Verified(caller, int(claims["exp"]) + self._rules.leeway, key, _size(authorization, caller))
        )
        return caller

    async def close(self) -> None:
        """Stop keeping the keys fresh."""
        if self._published is not None:
            await self._published.close()

    async def _key(self, header: dict[str, Any]) -> jwt.PyJWK:
        algorithm = header.get("alg")
        if self._secret is not None and algorithm == "HS256":
            return self._secret
        if self._published is None or algorithm not in list(PUBLISHED_ALGORITHMS.values()):
            raise Unauthenticated(_UNKNOWN_KEY, reason="wrong key")
        try:
            return await self._published.key(header.get("kid"), algorithm)
        except UnknownKey:
            raise Unauthenticated(_UNKNOWN_KEY, reason="wrong key") from None
        except KeysUnavailable:
            raise SignInUnavailable from None

    def _remember(self, authorization: str | None, verified: _Verified) -> None:
        self._drop(authorization)
        while self._verified and (len(self._verified) >= MAX_TOKENS or self._size + verified.size > MAX_BYTES):
            self._drop(next(iter(self._verified)))
        self._verified[authorization] = verified
        self._size += verified.size

    def _drop(self, authorization: str | None) -> None:
        verified = self._verified.pop(authorization, None)
        if verified is not None:
            self._size -= verified.size

    def _forget(self, withdrawn: Collection[jwt.PyJWK]) -> None:
        for header in [header for header, verified in self._verified.items() if verified.key in withdrawn]:
            self._drop(header)


def mint(rules: TokenRules, caller: Caller, lifetime: timedelta, now: datetime) -> str:
    """Return a token that these rules find to name this caller; raise ValueError where they could not."""
    if rules.secret is None:
        raise ValueError("Tokens are signed with a secret, and none is set. Ask the issuer whose keys are used for one.")
    claims: dict[str, Any] = {"sub": caller.subject, "iat": int(now.timestamp()), "exp": int((now + lifetime).timestamp())}
    claims |= {name: value for name, value in (("iss", rules.issuer), ("aud", rules.audience)) if value}
    claims[rules.roles_claim] = sorted(caller.roles)
    if caller.locations is not None:
        claims[rules.locations_claim] = sorted(caller.locations)
    try:
        _named(claims, rules)
    except (Unauthenticated, Forbidden) as refusal:
        raise ValueError(refusal.message) from None
    return jwt.encode(claims, secret_key(rules.secret), "HS256")


def _published(rules: TokenRules, withdrawn: Callable[[Collection[jwt.PyJWK]], None]) -> PublishedKeys | None:
    if rules.jwks_url is None:
        return None
    return PublishedKeys(rules.jwks_url, withdrawn, refresh_seconds=rules.refresh_seconds)


def _size(authorization: str | None, caller: Caller) -> int:
    parts = (authorization, caller.subject, caller.application, caller.roles, caller.locations, *(caller.locations or ()))
    return ENTRY_BYTES + sum(map(sys.getsizeof, parts))


def _bearer(authorization: str | None) -> str:
    if not authorization:
        raise Unauthenticated(
            "Sign in first: send the header `Authorization: Bearer`, then a space and your token.", reason="missing"
        )
    match = _is_bearer(authorization) if len(authorization) <= HEADER_LENGTH else None
    if match is None:
        raise Unauthenticated(
            "The Authorization header must be `Bearer`, a space and a token, sent as it was given to you.", reason="malformed"
        )
    return match[1]


def _claims(token: str, key: jwt.PyJWK, rules: TokenRules) -> dict[str, Any]:
    return jwt.decode(
        token,
        key,
        algorithms=[key.algorithm_name],
        audience=rules.audience,
        issuer=rules.issuer,
        leeway=rules.leeway,
        options={"require": rules.required, "verify_sub": False},
    )


def _sentence(refusal: jwt.PyJWTError, rules: TokenRules) -> str:
    return _SENTENCES.get(type(refusal), _UNREADABLE).format(claims=", ".join(rules.required))


def _named(claims: dict[str, Any], rules: TokenRules) -> Caller:
    return Caller(
        _subject(claims["sub"]),
        _roles(_claim(claims, rules.roles_claim)),
        _locations(_claim(claims, rules.locations_claim), rules.locations_claim),
        next((claims[name] for name in APPLICATION_CLAIMS if _is_name(claims.get(name))), None),
    )


def _claim(claims: dict[str, Any], name: str) -> Any:
    """Return the claim of this name, or the one that its dots lead to: names have dots of their own, as in addresses."""
    if name in claims:
        return claims[name]
    for dot in (at for at, letter in enumerate(name) if letter == "."):
        outer = claims.get(name[:dot])
        value = _claim(outer, name[dot + 1 :]) if isinstance(outer, dict) else _ABSENT
        if value is not _ABSENT:
            return value
    return _ABSENT


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable() and len(value) <= SUBJECT_LENGTH


def _subject(value: Any) -> str:
    if isinstance(value, str) and _is_name(value):
        return value
    message = f"The token's `sub` must be a text of 1 to {SUBJECT_LENGTH} printable characters. Ask its issuer."
    raise Unauthenticated(message, reason="unusable claim")


def _roles(value: Any) -> frozenset[Role]:
    names = value.split() if isinstance(value, str) else value
    roles = frozenset(role for role in Role if isinstance(names, list) and role in names)
    if not roles:
        raise Forbidden(f"You have none of the roles {', '.join(Role)}. Ask whoever manages your account for one.")
    return roles


def _locations(value: Any, claim: str) -> frozenset[str] | None:
    if value is _ABSENT:
        return None
    identifiers = [item.lower() for item in value if isinstance(item, str)] if isinstance(value, list) else None
    if identifiers is None or len(identifiers) != len(value) or not all(map(is_identifier, identifiers)):
        message = f"The token's `{claim}` must be a list of location IDs, 24 hexadecimal characters each, or absent."
        raise Unauthenticated(message, reason="unusable claim")
    return frozenset(identifiers)
