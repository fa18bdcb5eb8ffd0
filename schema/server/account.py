"""The CareHQ account that the settings name, and what does not go together with following one."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from schema.server.settings import PREFIX, Settings, Unstartable
from storage.api_keys import APIKeys
from storage.carehq.live.account import Account
from storage.carehq.live.followed import end, followed
from storage.database import Database
from storage.instants import clock

T = TypeVar("T")

BESIDE: Final = ("carehq_account_id", "carehq_key", "carehq_secret")
# What an account that is followed does itself.
OF_THE_ACCOUNT: Final = {
    "smtp_url": "CareHQ itself sends the emails of an account that is followed",
    "anonymize_older_than_days": "Personal data of an account that is followed are wiped in CareHQ",
}


def followed_account(settings: Settings) -> Account | None:
    """Return the account that is followed; raise Unstartable where the settings do not go together."""
    values = {name: _text(settings, name) for name in BESIDE}
    if settings.carehq_url is None:
        if any(values.values()):
            raise Unstartable(f"{_some(values, are_set=True)} set, and {_name('carehq_url')} is not: {_ALL_OR_NONE}.")
        return None
    if not all(values.values()):
        raise Unstartable(f"{_name('carehq_url')} is set, and {_some(values, are_set=False)} not: {_ALL_OR_NONE}.")
    for name, value in values.items():
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise Unstartable(f"{_name(name)} has a character that is in none: copy it as CareHQ shows it.")
    for name, sentence in OF_THE_ACCOUNT.items():
        if getattr(settings, name) is not None:
            raise Unstartable(f"{sentence}: unset {_name(name)}, or {_name('carehq_url')}.")
    return Account(settings.carehq_url, *values.values())


def account_to_follow(settings: Settings) -> Account:
    account = followed_account(settings)
    if account is None:
        raise Unstartable(f"No CareHQ account is set up to be followed: {_ALL_OR_NONE}.")
    return account


async def check_account(database: Database, account: Account | None) -> None:
    """Raise Unstartable where a database follows another account than the settings name, or would follow itself."""
    stored = await followed(database)
    if stored is not None and (account is None or stored != account.account_id):
        names = f"{_name('carehq_account_id')} names another one" if account else f"{_name('carehq_url')} is not set"
        raise Unstartable(
            f"{database} follows the CareHQ account {stored}, and {names}: set it as it was, or another "
            f"{_name('database_url')}. To keep its visits here from now on, unset {_name('carehq_url')} and run follow --end."
        )
    if account and any(key.key == account.key for key in await APIKeys(database, clock).list()):
        raise Unstartable(
            f"{_name('carehq_key')} is a key of {database} itself, which cannot follow itself: set the key of another account, "
            f"or another {_name('database_url')}."
        )


def kept_here(work: Callable[[Database], Awaitable[T]]) -> Callable[[Database], Awaitable[T]]:
    """Return what does `work` in a database that follows no account, and raises Unstartable for any other."""

    async def checked(database: Database) -> T:
        await check_account(database, None)
        return await work(database)

    return checked


async def end_following(database: Database, now: datetime) -> None:
    """Keep visits here from now on; raise Unstartable while a process follows."""
    if not await database.write(partial(end, now=now)):
        raise Unstartable("A process follows this account just now: stop it first, or wait for a minute if it was killed.")


def refuse_while_following(settings: Settings, sentence: str) -> None:
    """Raise Unstartable for what is not done here while an account is followed; the sentence says where it is."""
    if settings.carehq_url is not None:
        raise Unstartable(f"{sentence}, whose account is followed here. Where that is over, unset {_name('carehq_url')}.")


def _text(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    return "" if value is None else value if isinstance(value, str) else str(value.get_secret_value())


def _some(values: dict[str, str], *, are_set: bool) -> str:
    names = [_name(name) for name, value in values.items() if bool(value) is are_set]
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _name(setting: str) -> str:
    return f"{PREFIX}{setting}".upper()


_ALL_OR_NONE = f"set all four, {_name('carehq_url')} and {', '.join(map(_name, BESIDE))}, or none"
