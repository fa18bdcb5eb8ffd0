"""Signatures of the CareHQ API, of both versions, to the letter of the vendor's clients."""

import hashlib
import hmac

from schema.transport.rest.requests import Pairs, values_of


def signature_2(secret: str, timestamp: str, nonce: str, method: str, path: str, pairs: Pairs) -> str:
    """Return the HMAC of method, path and all values: what a request does cannot be changed without it."""
    canonical = "\n".join(f"{key}={value}" for key, value in sorted(pairs))
    text = f"{timestamp}\n{nonce}\n{method}\n{path}\n{canonical}"
    return hmac.new(secret.encode(), text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def signature_1(secret: str, timestamp: str, pairs: Pairs) -> str:
    """Return the hash of the values in the order in which they were sent. It covers neither method nor path."""
    body = "".join(part for key, values in values_of(pairs).items() for part in (key, *values))
    return hashlib.sha1((timestamp + body + secret).encode(errors="surrogatepass")).hexdigest()  # noqa: S324 - the vendor's own
