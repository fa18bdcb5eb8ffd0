"""Keys of the CareHQ-compatible API: made for a caller, and their secrets encrypted under one of ours."""

import base64
import secrets
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from resolvers.key_sets import require_strong
from resolvers.tokens import SUBJECT_LENGTH
from storage.api_keys import APIKey
from storage.caller import Caller
from storage.identifiers import is_identifier, new_identifier

# Each takes half a kilobyte.
CACHED_SECRETS: Final = 1_000


class NewKey(NamedTuple):
    """What the holder of a key is shown once, and the record of the key."""

    secret: str
    record: APIKey


class Encryption:
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


def new_key(encryption: Encryption, caller: Caller, now: datetime, *, allows_signature_1: bool) -> NewKey:
    """Make a key for a caller; without a subject, it is the key itself. Raises ValueError for a name or location that is none."""
    if not (caller.subject.isprintable() and caller.subject == caller.subject.strip() and len(caller.subject) <= SUBJECT_LENGTH):
        raise ValueError(f"a name has 1 to {SUBJECT_LENGTH} printable characters, and no spaces around them")
    if not all(map(is_identifier, caller.locations or ())):
        raise ValueError("a location is known by its ID, 24 hexadecimal characters")
    key, secret = secrets.token_urlsafe(24), secrets.token_urlsafe(32)
    record = APIKey(
        key=key,
        account_id=new_identifier(now),
        subject=caller.subject or key,
        secret=encryption.encrypted(secret),
        roles=sorted(caller.roles),
        locations=None if caller.locations is None else sorted(caller.locations),
        allows_signature_1=allows_signature_1,
        created=now,
    )
    return NewKey(secret, record)
