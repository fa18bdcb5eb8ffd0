"""How far an account is followed, kept with what was read of it: a process that is killed goes on where it was."""

from datetime import datetime, timedelta

from sqlmodel import Field, Session, SQLModel, col, update

from storage.errors import DatabaseUnusable
from storage.instants import Instant

# Longer than a request to the account may take.
LEASE = timedelta(seconds=60)
# Clocks of those who follow may be so far apart; a lease that lasts for longer was taken while one was wrong.
CLOCK_SKEW = timedelta(minutes=5)


class FollowedAccount(SQLModel, table=True):
    """The one account that a database follows, and who follows it just now: `holder`, until `held_until`.

    `last_synced` is when the last walk to its end began, `compared` when all IDs were last compared, by our clock.
    """

    __tablename__ = "carehq_account"

    id: int = Field(default=1, primary_key=True)
    url: str
    account_id: str
    holder: str | None = None
    held_until: datetime | None = Field(default=None, sa_type=Instant)
    last_synced: datetime | None = Field(default=None, sa_type=Instant)
    compared: datetime | None = Field(default=None, sa_type=Instant)


class Walk(SQLModel, table=True):
    """How far the documents of a kind were read.

    What was modified before `watermark` is here. A walk that began when the account's clock showed `began` has stored the pages
    up to `page`, of those modified after `since`; `item_count` is the least that a page of it told.
    """

    __tablename__ = "carehq_walks"

    kind: str = Field(primary_key=True)
    watermark: datetime | None = Field(default=None, sa_type=Instant)
    began: datetime | None = Field(default=None, sa_type=Instant)
    since: datetime | None = Field(default=None, sa_type=Instant)
    page: int = 0
    item_count: int | None = None
    has_shrunk: bool = False


class NotTheFollower(Exception):
    """Another process follows the account just now."""


def lead(session: Session, url: str, account_id: str, holder: str, now: datetime) -> FollowedAccount:
    """Become, or stay, the one that follows.

    Raises NotTheFollower, and DatabaseUnusable where another account is followed into this database.
    """
    account = session.get(FollowedAccount, 1, with_for_update=True)
    if account is None:
        account = FollowedAccount(url=url, account_id=account_id)
        session.add(account)
    if account.account_id != account_id:
        raise DatabaseUnusable(
            f"This database follows the CareHQ account {account.account_id}: use another database for {account_id}."
        )
    if account.holder != holder and is_held(account.held_until, now):
        raise NotTheFollower
    account.url, account.holder, account.held_until = url, holder, now + LEASE
    session.flush()
    return account


def is_held(held_until: datetime | None, now: datetime) -> bool:
    """Tell whether a lease lasts."""
    return held_until is not None and now < held_until <= now + LEASE + CLOCK_SKEW


def resign(session: Session, holder: str) -> None:
    """Let others follow at once."""
    session.exec(update(FollowedAccount).where(col(FollowedAccount.holder) == holder).values(holder=None, held_until=None))
