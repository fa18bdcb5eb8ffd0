"""The CareHQ-compatible API as the settings have it: its endpoint, and its keys as the command line makes and lists them."""

import time
from collections.abc import Callable, Collection
from datetime import datetime
from typing import NamedTuple

from resolvers.api_keys import Encryption, new_key
from resolvers.carehq_api import CareHQAPI
from resolvers.key_use import KeyUse
from resolvers.signed_requests import SignatureVerifier
from schema.server.background import BackgroundTask
from schema.server.settings import Settings, Unstartable, naming_the_setting
from schema.transport.http.clients import ClientAddresses
from schema.transport.operations import Operations
from schema.transport.rest.endpoint import RestEndpoint
from storage.api_keys import APIKey, APIKeys
from storage.caller import Caller
from storage.database import Database
from storage.instants import clock, rfc3339

SECRET = "HOME_VISITS_KEYS_SECRET"  # noqa: S105 - the name of the setting


class Rest(NamedTuple):
    endpoint: RestEndpoint
    background: BackgroundTask


def rest_of(
    settings: Settings,
    operations: Operations[Caller],
    database: Database,
    clients: ClientAddresses,
    is_draining: Callable[[], bool],
    *,
    now: Callable[[], float] = time.time,
) -> Rest:
    """Put the API together; raise Unstartable where its secret could be guessed. `now` is the clock of signatures and rates."""
    keys = APIKeys(database, clock)
    use = KeyUse(keys)
    api = CareHQAPI(SignatureVerifier(keys, _encryption(settings), use, now=now), keys, use, settings.limits)
    endpoint = RestEndpoint(
        operations, api, limits=settings.http, rate=settings.keys_rate, clients=clients, is_draining=is_draining, now=now
    )
    return Rest(endpoint, BackgroundTask("use of API keys", use.keep))


class KeyMaker:
    """Makes a key for a caller; all of a database have one account ID.

    Raises Unstartable where no secret is set, or it could be guessed.
    """

    def __init__(self, settings: Settings, caller: Caller, *, allows_signature_1: bool) -> None:
        with naming_the_setting("The key cannot be made"):
            self._new = new_key(_encryption(settings), caller, clock(), allows_signature_1=allows_signature_1)

    async def __call__(self, database: Database) -> list[str]:
        """Return its account ID, the key and its secret, which is shown this once."""
        account_id = await APIKeys(database, clock).add_to_account(self._new.record)
        return [account_id, self._new.record.key, self._new.secret]


async def list_keys(database: Database) -> list[str]:
    """Return a line for each key."""
    return [_line(key) for key in await APIKeys(database, clock).list()]


async def revoke_key(database: Database, key: str) -> None:
    """End a key; raise Unstartable where there is none to be ended."""
    if not await APIKeys(database, clock).revoke(key):
        raise Unstartable("There is no such key, or it was revoked before: `key --list` shows those that there are.")


def _encryption(settings: Settings) -> Encryption:
    if settings.keys_secret is None:
        raise Unstartable(f"Secrets of API keys are kept encrypted under {SECRET}: set it to 32 random bytes or more.")
    with naming_the_setting(SECRET):
        return Encryption(settings.keys_secret.get_secret_value())


def _line(key: APIKey) -> str:
    parts = [
        f"{key.key} of {key.subject}",
        f"account {key.account_id}",
        " ".join(key.roles),
        "all locations" if key.locations is None else f"locations {_joined(key.locations)}",
        "signatures 1 and 2" if key.allows_signature_1 else "signature 2",
        f"made {rfc3339(key.created)}",
        _at("last used", key.last_used) or "never used",
        _at("revoked", key.revoked),
    ]
    return ", ".join(filter(None, parts))


def _at(what: str, instant: datetime | None) -> str:
    return "" if instant is None else f"{what} {rfc3339(instant)}"


def _joined(ids: Collection[str]) -> str:
    return " ".join(ids) or "none"
