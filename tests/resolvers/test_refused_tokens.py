"""Refused tokens: each reason has its code and its sentence, and nothing else ever comes of a token."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from graphql import GraphQLError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from resolvers.tokens import TokenRules, Tokens
from tests.resolvers.issuer import OTHER_RSA_KEY, PUBLISHED, RSA_KEY, In, Issuer, claims, forged, opened, public_jwk, signed

SECRET = secrets.token_urlsafe(48)
KEY = SECRET.encode()
RULES = TokenRules(secret=SECRET)
STRICT = TokenRules(secret=SECRET, issuer="https://issuer.example", audience="home-visits")
ELSEWHERE = TokenRules(secret=SECRET, roles_claim="realm_access.roles")
LOCATION = "5f3a0c1d2e4b6a7c8d9e0f1a"
# What everybody can read of a key: the texts that a forger would try to have taken for a secret.
PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
MODULUS = base64.urlsafe_b64decode(PUBLISHED[0]["n"] + "==")

MISSING = "Sign in first: send the header `Authorization: Bearer`, then a space and your token."
NOT_BEARER = "The Authorization header must be `Bearer`, a space and a token, sent as it was given to you."
UNREADABLE = "The token cannot be read. Sign in again for a new one, and send it as it was given to you."
UNKNOWN_KEY = "The token was signed with a key that is not known here. Sign in again for a new one."
NOT_SIGNED = "The token was not signed by an issuer that is trusted here. Sign in again."
EXPIRED = "The token has expired. Sign in again for a new one."
EARLY = "The token is not valid yet. Wait for its time, or set the clock of its issuer right."
ISSUER = "The token comes from an issuer that is not trusted here. Sign in with the one that is."
AUDIENCE = "The token was made for another audience. Ask its issuer for one made for this API."
LACKING = "The token lacks one of the claims that are needed here: exp, iat, sub. Ask its issuer for them."
LACKING_STRICT = "The token lacks one of the claims that are needed here: exp, iat, sub, iss, aud. Ask its issuer for them."
SUBJECT = "The token's `sub` must be a text of 1 to 255 printable characters. Ask its issuer."
LOCATIONS = "The token's `locations` must be a list of location IDs, 24 hexadecimal characters each, or absent."
NO_ROLE = "You have none of the roles VIEWER, COORDINATOR, ADMIN. Ask whoever manages your account for one."
UNAVAILABLE = "Tokens cannot be checked at the moment: the keys of their issuer cannot be fetched. Try again in a moment."


async def refusal(tokens: Tokens, authorization: str | None) -> tuple[str, str]:
    """Return the code and the message of a refusal, which is remembered as nobody."""
    with pytest.raises(GraphQLError) as refused:
        await tokens.caller(authorization)
    assert tokens.cached(authorization) is None
    return refused.value.extensions["code"], refused.value.message


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with Issuer() as running:
        yield running


HEADERS = {
    "none": (None, MISSING),
    "empty": ("", MISSING),
    "blank": (" ", NOT_BEARER),
    "scheme alone": ("Bearer", NOT_BEARER),
    "scheme and space": ("Bearer ", NOT_BEARER),
    "another scheme": ("Basic YW15OnNlY3JldA==", NOT_BEARER),
    "two parts": ("Bearer a.b", NOT_BEARER),
    "empty signature": ("Bearer a.b.", NOT_BEARER),
    "four parts": ("Bearer a.b.c.d", NOT_BEARER),
    "padding": ("Bearer a.b.c=", NOT_BEARER),
    "two tokens": ("Bearer a.b.c, Bearer a.b.c", NOT_BEARER),
    "line feed": ("Bearer a.b.c\n", NOT_BEARER),
    "NUL": ("Bearer a.\x00.c", NOT_BEARER),
    "not ASCII": ("Bearer é.b.c", NOT_BEARER),
    "lone surrogate": ("Bearer \udcff.b.c", NOT_BEARER),
    "all dots": ("Bearer " + "a." * 100_000, NOT_BEARER),
    "too long": ("Bearer a.b." + "c" * 16_384, NOT_BEARER),
    "not base64": ("Bearer a.b.c", UNREADABLE),
    "lists": ("Bearer W10.W10.W10", UNREADABLE),
    "no algorithm": ("Bearer " + forged({}, claims()), UNKNOWN_KEY),
    "key named by a number": ("Bearer " + forged({"alg": "HS256", "kid": 5}, claims(), KEY), UNREADABLE),
    "critical unknown": ("Bearer " + forged({"alg": "HS256", "crit": ["exp"]}, claims(), KEY), UNREADABLE),
    "detached": ("Bearer " + forged({"alg": "HS256", "b64": False, "crit": ["b64"]}, claims(), KEY), UNREADABLE),
    "claims are a list": ("Bearer " + forged({"alg": "HS256"}, [1], KEY), UNREADABLE),
}


@pytest.mark.parametrize(("authorization", "message"), HEADERS.values(), ids=HEADERS)
async def test_a_header_that_holds_no_token_is_refused(authorization: str | None, message: str) -> None:
    tokens = Tokens(RULES)

    refused = await refusal(tokens, authorization)

    assert refused == ("UNAUTHENTICATED", message)


@pytest.mark.parametrize(
    ("rules", "others", "message"),
    [
        (RULES, {"exp": In(-31)}, EXPIRED),
        (RULES, {"exp": 0}, EXPIRED),
        (RULES, {"exp": True}, EXPIRED),
        (RULES, {"exp": "soon"}, UNREADABLE),
        (RULES, {"exp": float("inf")}, UNREADABLE),
        (RULES, {"exp": float("nan")}, UNREADABLE),
        (RULES, {"exp": {}}, UNREADABLE),
        (RULES, {"exp": None}, LACKING),
        (RULES, {"exp": ...}, LACKING),
        (RULES, {"iat": In(90)}, EARLY),
        (RULES, {"iat": []}, UNREADABLE),
        (RULES, {"iat": ...}, LACKING),
        (RULES, {"nbf": In(90)}, EARLY),
        (RULES, {"nbf": "x"}, UNREADABLE),
        (RULES, {"sub": ...}, LACKING),
        (RULES, {"aud": "another-api"}, AUDIENCE),
        (STRICT, {}, LACKING_STRICT),
        (STRICT, {"iss": "https://issuer.example"}, LACKING_STRICT),
        (STRICT, {"aud": "home-visits"}, LACKING_STRICT),
        (STRICT, {"iss": "https://issuer.example.evil", "aud": "home-visits"}, ISSUER),
        (STRICT, {"iss": "https://issuer.example/", "aud": "home-visits"}, ISSUER),
        (STRICT, {"iss": ["https://issuer.example"], "aud": "home-visits"}, ISSUER),
        (STRICT, {"iss": "https://issuer.example", "aud": "home-visit"}, AUDIENCE),
        (STRICT, {"iss": "https://issuer.example", "aud": ["a", "b"]}, AUDIENCE),
        (STRICT, {"iss": "https://issuer.example", "aud": ["home-visits", 5]}, AUDIENCE),
        (RULES, {"sub": ""}, SUBJECT),
        (RULES, {"sub": "  "}, SUBJECT),
        (RULES, {"sub": 5}, SUBJECT),
        (RULES, {"sub": ["amy"]}, SUBJECT),
        (RULES, {"sub": "x" * 256}, SUBJECT),
        (RULES, {"sub": "amy\x00"}, SUBJECT),
        (RULES, {"sub": "amy\nlevel=info"}, SUBJECT),
        (RULES, {"sub": "\ud800"}, SUBJECT),
        (RULES, {"locations": None}, LOCATIONS),
        (RULES, {"locations": LOCATION}, LOCATIONS),
        (RULES, {"locations": {LOCATION: True}}, LOCATIONS),
        (RULES, {"locations": [LOCATION, 5]}, LOCATIONS),
        (RULES, {"locations": [LOCATION, None]}, LOCATIONS),
        (RULES, {"locations": [LOCATION[:-1]]}, LOCATIONS),
        (RULES, {"locations": [LOCATION[:-1] + "g"]}, LOCATIONS),
        (RULES, {"locations": ["*"]}, LOCATIONS),
        (RULES, {"locations": [""]}, LOCATIONS),
    ],
)
async def test_a_token_that_says_the_wrong_things_is_refused(rules: TokenRules, others: dict[str, Any], message: str) -> None:
    token = forged({"alg": "HS256"}, claims(**others), KEY)

    refused = await refusal(Tokens(rules), f"Bearer {token}")

    assert refused == ("UNAUTHENTICATED", message)


@pytest.mark.parametrize(
    ("rules", "others"),
    [
        (RULES, {"roles": ...}),
        (RULES, {"roles": []}),
        (RULES, {"roles": ""}),
        (RULES, {"roles": "viewer"}),
        (RULES, {"roles": "VIEWERS"}),
        (RULES, {"roles": ["admin", "Viewer"]}),
        (RULES, {"roles": 5}),
        (RULES, {"roles": None}),
        (RULES, {"roles": {"VIEWER": True}}),
        (RULES, {"roles": [["VIEWER"]]}),
        (ELSEWHERE, {"roles": ["ADMIN"]}),
        (ELSEWHERE, {"realm_access": 5}),
        (ELSEWHERE, {"realm_access": {}}),
        (ELSEWHERE, {"realm_access": ["roles", "ADMIN"]}),
    ],
)
async def test_a_caller_with_no_role_that_exists_here_is_told_which_do(rules: TokenRules, others: dict[str, Any]) -> None:
    token = forged({"alg": "HS256"}, claims(**others), KEY)

    refused = await refusal(Tokens(rules), f"Bearer {token}")

    assert refused == ("FORBIDDEN", NO_ROLE)


BOTH, KEYS, ALONE = "secret and keys", "keys", "secret"
CONFUSED = {
    "unsigned": (BOTH, forged({"alg": "none", "kid": "RS256"}, claims()), UNKNOWN_KEY),
    "unsigned, in capitals": (BOTH, forged({"alg": "NONE"}, claims()), UNKNOWN_KEY),
    "algorithm is null": (BOTH, forged({"alg": None}, claims()), UNKNOWN_KEY),
    "algorithm is a list": (BOTH, forged({"alg": ["HS256"]}, claims(), KEY), UNKNOWN_KEY),
    "HS512 by the secret": (BOTH, forged({"alg": "HS512"}, claims(), KEY), UNKNOWN_KEY),
    "HS256 by the public key": (BOTH, forged({"alg": "HS256", "kid": "RS256"}, claims(), PEM), NOT_SIGNED),
    "HS256 by the modulus": (BOTH, forged({"alg": "HS256", "kid": "RS256"}, claims(), MODULUS), NOT_SIGNED),
    "HS256 by another secret": (BOTH, forged({"alg": "HS256"}, claims(), KEY[::-1]), NOT_SIGNED),
    "RS256 by the secret": (BOTH, forged({"alg": "RS256", "kid": "RS256"}, claims(), KEY), NOT_SIGNED),
    "ES256 by the secret": (BOTH, forged({"alg": "ES256", "kid": "ES256"}, claims(), KEY), NOT_SIGNED),
    "EdDSA by the secret": (BOTH, forged({"alg": "EdDSA", "kid": "EdDSA"}, claims(), KEY), NOT_SIGNED),
    "another key": (BOTH, signed(claims(), "RS256", OTHER_RSA_KEY), NOT_SIGNED),
    "a key it brings": (BOTH, signed(claims(), "RS256", OTHER_RSA_KEY, jwk=public_jwk(OTHER_RSA_KEY, "RS256")), NOT_SIGNED),
    "a key it says where to find": (BOTH, signed(claims(), "RS256", OTHER_RSA_KEY, jku="http://127.0.0.1:9/"), NOT_SIGNED),
    "name of another key": (BOTH, signed(claims(), "RS256", kid="ES256"), UNKNOWN_KEY),
    "name is a path": (BOTH, signed(claims(), "RS256", kid="../../dev/null"), UNKNOWN_KEY),
    "name is empty": (BOTH, signed(claims(), "RS256", kid=""), UNKNOWN_KEY),
    "PS256": (BOTH, jwt.encode(claims(), RSA_KEY, "PS256", headers={"kid": "RS256"}), UNKNOWN_KEY),
    "RS512": (BOTH, jwt.encode(claims(), RSA_KEY, "RS512", headers={"kid": "RS256"}), UNKNOWN_KEY),
    "HS256 by the public key, without a secret": (KEYS, forged({"alg": "HS256", "kid": "RS256"}, claims(), PEM), UNKNOWN_KEY),
    "HS256 without a secret": (KEYS, forged({"alg": "HS256"}, claims(), KEY), UNKNOWN_KEY),
    "RS256 without keys": (ALONE, signed(claims(), "RS256"), UNKNOWN_KEY),
}


@pytest.mark.parametrize(("configured", "token", "message"), CONFUSED.values(), ids=CONFUSED)
async def test_an_algorithm_only_goes_with_its_own_kind_of_key(issuer: Issuer, configured: str, token: str, message: str) -> None:
    rules = TokenRules(
        secret=None if configured == KEYS else SECRET,
        jwks_url=None if configured == ALONE else issuer.address,
    )

    async with opened(rules) as tokens:
        refused = await refusal(tokens, f"Bearer {token}")

    assert refused == ("UNAUTHENTICATED", message)


async def test_while_keys_cannot_be_fetched_nobody_is_told_to_sign_in_again(issuer: Issuer) -> None:
    async def down(_: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    issuer.answer = down
    async with opened(TokenRules(jwks_url=issuer.address)) as tokens:
        refused = await refusal(tokens, "Bearer " + signed(claims(), "RS256"))

    assert refused == ("OVERLOADED", UNAVAILABLE)


async def test_a_hundred_tokens_with_made_up_keys_ask_the_issuer_once(issuer: Issuer) -> None:
    headers = ["Bearer " + signed(claims(), "EdDSA", kid=f"made up {n}") for n in range(100)]

    async with opened(TokenRules(jwks_url=issuer.address)) as tokens:
        refused = await asyncio.gather(*(refusal(tokens, header) for header in headers))

    assert refused == [("UNAUTHENTICATED", UNKNOWN_KEY)] * 100
    assert issuer.requests == 1


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_token_that_was_changed_anywhere_names_nobody_and_is_not_repeated(data: st.DataObject) -> None:
    token = forged({"alg": "HS256"}, claims(), KEY)
    start = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(start, min(len(token), start + 5)))
    changed = token[:start] + data.draw(st.text(max_size=5) | st.text("abcXYZ019-_.=", max_size=5)) + token[end:]
    assume(changed.strip(" ") != token)

    code, message = asyncio.run(refusal(Tokens(RULES), f"Bearer {changed}"))

    assert code == "UNAUTHENTICATED"
    assert [part for part in changed.split(".") if len(part) > 8 and part in message] == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["ADMIN", LOCATION, "HS256"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
CLAIMS = st.sampled_from(["exp", "iat", "nbf", "sub", "iss", "aud", "jti", "roles", "locations"])
HEADER = st.sampled_from(["kid", "typ", "crit", "b64", "jwk", "cty"])


@given(st.dictionaries(CLAIMS, JSON), st.dictionaries(HEADER, JSON))
@settings(max_examples=400, deadline=None)
def test_whatever_a_signed_token_says_it_names_a_caller_or_is_refused_by_code(
    others: dict[str, Any], header: dict[str, Any]
) -> None:
    token = forged(header | {"alg": "HS256"}, claims(**others), KEY)

    try:
        outcome = type(asyncio.run(Tokens(RULES).caller(f"Bearer {token}"))).__name__
    except GraphQLError as refused:
        outcome = refused.extensions["code"]

    assert outcome in {"Caller", "UNAUTHENTICATED", "FORBIDDEN"}
