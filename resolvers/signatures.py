"""The first version of CareHQ's signatures, to the letter of the vendor's clients."""

import hashlib

from schema.transport.rest.requests import Pairs, values_of


def signature_1(secret: str, timestamp: str, pairs: Pairs) -> str:
    """Return the hash of the values in the order in which they were sent. It covers neither method nor path."""
    body = "".join(part for key, values in values_of(pairs).items() for part in (key, *values))
    return hashlib.sha1((timestamp + body + secret).encode(errors="surrogatepass")).hexdigest()  # noqa: S324 - the vendor's own
