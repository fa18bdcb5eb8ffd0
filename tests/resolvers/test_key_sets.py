"""Keys: which secrets, which published keys and which addresses are good enough."""

import json
import random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from resolvers.key_sets import InsecureAddress, PublishedKeys, UnusableKeys, WeakSecret, published_keys, secret_key
from tests.resolvers.issuer import EC_KEY, ED_KEY, PUBLISHED, RSA_KEY, document, public_jwk

PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        ("", "has only 0 bytes"),
        ("secret", "has only 6 bytes"),
        ("your-256-bit-secret", "has only 19 bytes"),
        ("Kq3-xW9_pZr7TfLm2Vb8NcYd5HgJs1A", "has only 31 bytes"),
        ("é" * 15, "has only 30 bytes"),
        ("x" * 64, "repeats itself"),
        ("0123456789abcdef" * 2, "repeats itself"),
        ("changeme" * 4 + "!", "is a well-known one"),
        ("abababababababababababababababababab-abc", "repeats itself"),
        ("change-me-change_me-Change Me-CHANGEME", "is a well-known one"),
        ("a-string-secret-at-least-256-bits-long", "is a well-known one"),
        ("your-secret-key-at-least-32-characters-long", "is a well-known one"),
        ("your-super-secret-jwt-token-with-at-least-32-characters-long", "is a well-known one"),
        ("09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7", "is a well-known one"),
        pytest.param(PEM, "is a public key", id="PEM"),
        pytest.param(json.dumps(PUBLISHED[0]), "is a public key", id="JWK"),
    ],
)
def test_a_secret_that_can_be_guessed_is_refused_with_what_to_do(secret: str, reason: str) -> None:
    with pytest.raises(WeakSecret) as refused:
        secret_key(secret)

    message = str(refused.value)
    assert message.startswith(f"The secret {reason}")
    assert message.endswith('python -c "import secrets; print(secrets.token_urlsafe(48))"')
    assert len(secret) < 10 or secret not in message


@pytest.mark.parametrize(
    "secret",
    [
        "prod-secret-" + "8f14e45fceea167a5a36dedd4bea2543",
        "Kq3-xW9_pZr7TfLm2Vb8NcYd5HgJs1A!",
        "\udcff" + "8f14e45fceea167a5a36dedd4bea2543",
    ],
)
def test_a_secret_that_cannot_be_guessed_is_taken(secret: str) -> None:
    key = secret_key(secret)

    assert (key.algorithm_name, key.key) == ("HS256", secret.encode(errors="surrogateescape"))


def test_random_secrets_are_taken() -> None:
    chance = random.Random(4)  # noqa: S311 - the same ones each time

    refused = [text for text in (chance.randbytes(16).hex() for _ in range(2_000)) if not _is_taken(text)]

    assert refused == []


def _is_taken(secret: str) -> bool:
    try:
        return bool(secret_key(secret))
    except WeakSecret:
        return False


@pytest.mark.parametrize(
    ("jwk", "algorithm"),
    [
        (public_jwk(RSA_KEY, "RS256", kid="a"), "RS256"),
        (public_jwk(RSA_KEY, "RS256", kid="a", use="sig", alg="RS256", x5t="thumb"), "RS256"),
        (public_jwk(EC_KEY, "ES256", kid="a"), "ES256"),
        (public_jwk(ED_KEY, "EdDSA", kid="a", alg="EdDSA"), "EdDSA"),
    ],
)
def test_a_published_key_signs_with_the_one_algorithm_of_its_kind(jwk: dict[str, Any], algorithm: str) -> None:
    found = published_keys(document(jwk))

    assert [(key.key_id, key.algorithm_name) for key in found.values()] == [("a", algorithm)]


@pytest.mark.parametrize(
    "jwk",
    [
        None,
        5,
        {},
        {"kty": ["RSA"]},
        {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "alg": "HS256"},
        {"kty": "RSA", "n": "!", "e": "AQAB"},
        {"kty": "RSA", "n": 5, "e": "AQAB"},
        public_jwk(RSA_KEY, "RS256", kid=7),
        public_jwk(RSA_KEY, "RS256", alg="RS512"),
        public_jwk(RSA_KEY, "RS256", alg="PS256"),
        public_jwk(RSA_KEY, "RS256", alg="HS256"),
        public_jwk(RSA_KEY, "RS256", alg="none"),
        public_jwk(RSA_KEY, "RS256", use="enc"),
        public_jwk(RSA_KEY, "RS256", d="AQAB"),
        public_jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024), "RS256"),  # noqa: S505 - weak on purpose
        public_jwk(ec.generate_private_key(ec.SECP384R1()), "ES384"),
        public_jwk(EC_KEY, "ES256", y="A" * 43),
        public_jwk(ed448.Ed448PrivateKey.generate(), "EdDSA"),
    ],
)  # fmt: skip
def test_a_published_key_that_nothing_should_be_signed_with_is_passed_over(jwk: object) -> None:
    good = public_jwk(EC_KEY, "ES256", kid="good")

    found = published_keys(document(jwk, good))

    assert [key.key_id for key in found.values()] == ["good"]


NOT_KEYS = [b"", b"null", b"5", b"[]", b"{}", b'{"keys": 5}', b'{"keys": []}', b"<html>", b'{"keys": ["\xff"]}', b"[" * 50_000]


@pytest.mark.parametrize("body", NOT_KEYS, ids=range(len(NOT_KEYS)))
def test_what_is_no_set_of_keys_is_refused(body: bytes) -> None:
    with pytest.raises(UnusableKeys):
        published_keys(body)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "AQAB"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)
JWK = st.builds(
    lambda jwk, changes: jwk | changes,
    st.sampled_from(PUBLISHED),
    st.dictionaries(
        st.sampled_from(["kty", "crv", "n", "e", "x", "y", "kid", "alg", "use", "d"]),
        JSON | st.text("AEQ_-", max_size=50),
        max_size=3,
    ),
)


@given(st.lists(JWK | JSON, max_size=3))
@settings(max_examples=300, deadline=None)
def test_whatever_is_published_is_a_set_of_keys_or_refused(jwks: list[Any]) -> None:
    body = document(*jwks)

    try:
        found = {type(key).__name__ for key in published_keys(body).values()}
    except UnusableKeys:
        found = {"PyJWK"}

    assert found == {"PyJWK"}


@pytest.mark.parametrize(
    "address", ["https://issuer.example/keys", "http://localhost:8080/keys", "http://127.0.0.9/keys", "http://[::1]:9/keys"]
)
def test_an_address_that_nobody_else_can_answer_for_is_taken(address: str) -> None:
    published = PublishedKeys(address, lambda _: None)

    assert published.fetches == 0


@pytest.mark.parametrize(
    "address",
    [
        "",
        "issuer.example/keys",
        "https://",
        "https://[::1",
        "https://issuer.example:port/keys",
        "https://issuer.example:70000/keys",
        "https://issuer example/keys",
        "https://issuer.example/\nkeys",
        "http://issuer.example/keys",
        "http://localhost.evil.example/keys",
        "http://127.0.0.1@evil.example/keys",
        "http://10.0.0.1/keys",
        "file:///etc/passwd",
        "ftp://localhost/keys",
    ],
)
def test_an_address_that_somebody_else_could_answer_for_is_refused(address: str) -> None:
    with pytest.raises(InsecureAddress) as refused:
        PublishedKeys(address, lambda _: None)

    assert "https://" in str(refused.value)
