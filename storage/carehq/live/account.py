"""A live account, and how a request to it is signed."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from typing import NamedTuple

BASE = "/v1/"

Pairs = Sequence[tuple[str, str]]


class Account(NamedTuple):
    """Where a live account is, without a slash at the end, and the key that it is called with."""

    url: str
    account_id: str
    key: str
    secret: str

    def __str__(self) -> str:
        return f"the CareHQ account {self.account_id} at {self.url}"

    def __repr__(self) -> str:
        return f"Account({self.url!r}, {self.account_id!r})"

    def signed_headers(self, method: str, path: str, pairs: Pairs, timestamp: int) -> dict[str, str]:
        """Return the headers that sign a request, of which each has a nonce of its own."""
        nonce = secrets.token_urlsafe(16)
        return {
            "X-CareHQ-AccountId": self.account_id,
            "X-CareHQ-APIKey": self.key,
            "X-CareHQ-Timestamp": str(timestamp),
            "X-CareHQ-Signature-Version": "2.0",
            "X-CareHQ-Nonce": nonce,
            "X-CareHQ-Signature": signature_2(self.secret, str(timestamp), nonce, method, BASE + path, pairs),
        }


def signature_2(secret: str, timestamp: str, nonce: str, method: str, path: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Return the HMAC of method, path and all values: what a request does cannot be changed without it."""
    canonical = "\n".join(f"{key}={value}" for key, value in sorted(pairs))
    text = f"{timestamp}\n{nonce}\n{method}\n{path}\n{canonical}"
    return hmac.new(secret.encode(), text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()
