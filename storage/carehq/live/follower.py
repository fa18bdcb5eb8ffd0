"""The follower of an account: reads what has changed there, and stores it with how far it has come.

One process at a time follows, by a lease. Each page is stored in a transaction with the walk that it belongs to, and storing it
again changes nothing: so whatever ends a process, the next one goes on, and nothing is lost or told twice.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlmodel import Session, select

from storage.carehq.documents import Document, Kind
from storage.carehq.importing import ImportReport
from storage.carehq.live import intents, lists
from storage.carehq.live.client import CareHQ, Page
from storage.carehq.live.comparing import Comparison, compare
from storage.carehq.live.lists import REFERENCES, VISITS
from storage.carehq.live.progress import FollowedAccount, Walk, lead, resign
from storage.carehq.live.references import References
from storage.carehq.live.unknown import unknown
from storage.carehq.merging import Tally, merge
from storage.database import Database
from storage.errors import UpstreamRefused

log = logging.getLogger(__name__)

# Once a day what is known of people and homes is read anew, and all IDs are compared.
COMPARE_EVERY = timedelta(hours=24)
# Enquiries and contacts that no visit names yet are looked for.
NEWEST_EVERY = timedelta(minutes=5)
WAIT_SECONDS = 0.1
NEWEST = tuple(kind for kind in REFERENCES if kind.name in ("care_enquiries", "service_user_contacts"))
# So many times a list is walked that becomes shorter meanwhile: what is missed then is found when all is compared.
MAX_WALKS = 3


class _State(NamedTuple):
    account: FollowedAccount
    walks: dict[str, Walk]


class Follower:
    """Follows one account into one database. `clock` is ours; `report` has what became of documents since the start."""

    def __init__(
        self,
        database: Database,
        carehq: CareHQ,
        clock: Callable[[], datetime],
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.report = ImportReport()
        self.vanished = 0
        self._database = database
        self._carehq = carehq
        self._clock = clock
        self._pause = pause
        self.name = secrets.token_hex(8)
        self._references = References(database, carehq, self._merge)
        self._looked: datetime | None = None
        # While this process follows.
        self._state: _State | None = None

    @property
    def leads(self) -> bool:
        """Tell whether this process follows, for all that it knows."""
        return self._state is not None

    async def follow_once(self) -> datetime:
        """Read what has changed since the last time; return when this began, by our clock.

        Raises NotTheFollower, the refusals of the client, and DatabaseUnusable; what was read before stays stored.
        """
        try:
            return await self._follow()
        except BaseException:
            # Another process may go on meanwhile.
            self._state = None
            raise

    async def resign(self) -> None:
        """Let another process follow at once."""
        if self._state is None:
            return
        self._state = None
        await self._database.write(lambda session: resign(session, self.name))

    async def _follow(self) -> datetime:
        if self._state is None:
            self._state = await self._database.write(self._begin)
        account, walks = self._state
        began = self._clock()
        is_due = account.compared is None or not account.compared <= began < account.compared + COMPARE_EVERY
        if is_due:
            for kind in REFERENCES:
                await self._walk(walks, kind)
        else:
            await self._look_for_newest()
        await self._walk(walks, VISITS, synced=began)
        if is_due:
            await self._compare()
            account.compared = began
            await self._database.write(self._end_comparison)
        return began

    def _end_comparison(self, session: Session) -> None:
        self._lead(session)
        intents.delete_old(session, self._clock())

    def _begin(self, session: Session) -> "_State":
        account = self._lead(session)
        walks = {walk.kind: walk for walk in session.exec(select(Walk))}
        return _State(account, {kind.name: walks.get(kind.name) or Walk(kind=kind.name) for kind in (*REFERENCES, VISITS)})

    def _lead(self, session: Session) -> FollowedAccount:
        url, account_id = self._carehq.account[:2]
        account = lead(session, url, account_id, self.name, self._clock())
        if self._state is not None:
            account.compared, account.last_synced = self._state.account.compared, self._state.account.last_synced
        return account

    async def _walk(self, walks: dict[str, Walk], kind: Kind, synced: datetime | None = None) -> None:
        """Walk through a list to its end, from where it was left; where it became shorter meanwhile, walk again."""
        attributes = lists.attributes_to_ask(kind)
        for turn in range(MAX_WALKS):
            while True:
                walk = walks[kind.name]
                page, attributes = await self._page(walk, kind, attributes)
                if walk.began is None:
                    walks[kind.name] = walk = lists.begun(walk, page)
                    if lists.is_by_time(walk):
                        continue
                after = lists.advanced(walk, page, list(lists.modified_of(page.items)))
                is_ended = lists.is_ended(after, page)
                is_whole = is_ended and (not after.has_shrunk or turn == MAX_WALKS - 1)
                if is_ended:
                    after = lists.ended(after, is_whole=is_whole)
                await self._store(kind, page.items, after, synced if is_whole else None)
                walks[kind.name] = after
                if is_ended:
                    break
            if is_whole:
                break

    async def _page(self, walk: Walk, kind: Kind, attributes: list[str]) -> tuple[Page, list[str]]:
        """Return the next page, and the attributes that the account has: it refuses those that it does not know."""
        try:
            return await self._carehq.page(lists.path_of(kind), lists.pairs_of(walk, attributes)), attributes
        except UpstreamRefused as refused:
            certain = lists.attributes_to_ask(kind, certain_only=True)
            if "attributes" not in refused.arg_errors or attributes == certain:
                raise
            return await self._carehq.page(lists.path_of(kind), lists.pairs_of(walk, certain)), certain

    async def _store(self, kind: Kind, items: Sequence[Any], walk: Walk | None = None, synced: datetime | None = None) -> None:
        documents, refused = lists.read(kind, items)
        for sentence in refused:
            log.warning("A document of CareHQ's %s cannot be used, and is left out. %s", kind.name, sentence)
        await self._references.fetch_for(kind, documents)
        if synced is not None and self._state is not None:
            self._state.account.last_synced = synced
        tally = await self._merge(kind, documents, walk)
        tally.refused += len(refused)
        self.report.tallies.setdefault(kind.name, Tally()).add(tally)

    async def _merge(self, kind: Kind, documents: Sequence[Document], walk: Walk | None = None) -> Tally:
        """Store documents, the walk that they belong to, and how far the account is followed."""

        def work(session: Session) -> Tally | None:
            self._lead(session)
            if kind is VISITS and intents.are_concerned(session, documents, self._clock()):
                return None
            if walk is not None:
                session.merge(walk)
            return merge(session, kind, documents, self._clock()) if documents else Tally()

        while (tally := await self._database.write(work)) is None:
            # Who makes a change stores it, with the event that tells of it.
            await self._pause(WAIT_SECONDS)
        return tally

    async def _look_for_newest(self) -> None:
        """Store enquiries and contacts that were made since: they are to be booked for before a visit names them."""
        now = self._clock()
        if self._looked is not None and now - self._looked < NEWEST_EVERY:
            return
        for kind in NEWEST:
            page, is_new = 1, True
            while is_new:
                pairs = [("attributes", name) for name in lists.attributes_to_ask(kind, certain_only=True)]
                pairs += [("page", str(page)), ("per_page", str(lists.PER_PAGE)), ("sort", "-_id")]
                found = await self._carehq.page(lists.path_of(kind), pairs)
                ids = [item["_id"] for item in found.items if isinstance(item, dict) and isinstance(item.get("_id"), str)]
                new = await unknown(self._database, kind, ids)
                await self._store(kind, [item for item in found.items if isinstance(item, dict) and item.get("_id") in new])
                is_new, page = len(new) == len(ids) > 0 and page < found.page_count, page + 1
        self._looked = now

    async def _compare(self) -> None:
        """Look for what vanished, which is told and not deleted, and for what was missed, which is stored."""
        comparison = await compare(self._database, self._carehq)
        for id in comparison.missing:
            answer = await self._carehq.get(f"{lists.path_of(VISITS)}/{id}")
            await self._store(VISITS, [answer.document])
        await self._tell_vanished(comparison)

    async def _tell_vanished(self, comparison: Comparison) -> None:
        self.vanished = len(comparison.vanished)
        if comparison.vanished:
            some = " ".join(sorted(comparison.vanished)[:20])
            log.warning("CareHQ does not list %d visits that are kept here; nothing was deleted: %s", self.vanished, some)
