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
from storage.carehq.live.answers import Page
from storage.carehq.live.client import CareHQ
from storage.carehq.live.comparing import MOST_LOOKED_AT, compare
from storage.carehq.live.lists import REFERENCES, VISITS, Rows
from storage.carehq.live.progress import FollowedAccount, Walk, lead, resign
from storage.carehq.live.references import References
from storage.carehq.live.stored import changed_since, people_to_wipe
from storage.carehq.live.unknown import unknown
from storage.carehq.merging import Tally, merge
from storage.database import Database
from storage.errors import UpstreamRefused, UpstreamUnavailable
from storage.identifiers import is_identifier

log = logging.getLogger(__name__)

# Once a day what is known of people and homes is read anew, and all IDs are compared.
COMPARE_EVERY = timedelta(hours=24)
# What our clock counts in.
TICK = timedelta(milliseconds=1)
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
        # Kinds that were read anew since all was compared.
        self._walked: set[str] = set()
        self.pages_stored = 0
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
        self._state = None
        await self._database.write(lambda session: resign(session, self.name))

    async def _follow(self) -> datetime:
        if self._state is None:
            self._state = await self._database.write(self._begin)
        account, walks = self._state
        began = self._clock()
        is_due = account.compared is None or not account.compared <= began < account.compared + COMPARE_EVERY
        if is_due:
            await self._walk_references(walks)
        else:
            await self._look_for_newest()
        await self._walk(walks, VISITS, synced=began)
        if is_due:
            await self._compare(walks)
            account.compared = began
            await self._database.write(self._end_comparison)
            self._walked.clear()
        return began

    async def _walk_references(self, walks: dict[str, Walk]) -> None:
        """Read all people and homes anew, once, however often what comes after it is broken off."""
        for kind in REFERENCES:
            if kind.name not in self._walked:
                await self._walk(walks, kind)
                self._walked.add(kind.name)

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
            rows = Rows()
            while True:
                walk, requested_at = walks[kind.name], self._clock()
                page, attributes = await self._page(walk, kind, attributes)
                if walk.began is None:
                    is_set_back = lists.set_back(walk, page)
                    walks[kind.name] = walk = is_set_back or lists.begun(walk, page)
                    if is_set_back or lists.is_by_time(walk):
                        continue
                rows.add(walk, page)
                after = lists.advanced(walk, page, list(lists.modified_of(page.items)))
                is_ended = lists.is_ended(after, page)
                is_whole = is_ended and ((not after.has_shrunk and rows.are_all()) or turn == MAX_WALKS - 1)
                if is_ended:
                    after = lists.ended(after, is_whole=is_whole)
                await self._store(kind, page.items, requested_at, after, synced if is_whole else None)
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

    async def _store(
        self, kind: Kind, items: Sequence[Any], requested_at: datetime, walk: Walk | None = None, synced: datetime | None = None
    ) -> None:
        """Store documents of an answer to a request of that time."""
        documents = self._read(kind, items)
        await self._references.fetch_for(kind, documents)
        if kind is VISITS:
            await self._wipe_people(documents)
        if synced is not None and self._state is not None:
            self._state.account.last_synced = synced
        tally = await self._merge(kind, documents, walk, requested_at)
        self._tally(kind).add(tally)
        self.pages_stored += 1

    def _read(self, kind: Kind, items: Sequence[Any]) -> list[Document]:
        documents, refused = lists.read(kind, items)
        for sentence in refused:
            log.warning("A document of CareHQ's %s cannot be used, and is left out. %s", kind.name, sentence)
        self._tally(kind).refused += len(refused)
        return documents

    def _tally(self, kind: Kind) -> Tally:
        return self.report.tallies.setdefault(kind.name, Tally())

    async def _wipe_people(self, documents: Sequence[Document]) -> None:
        """Read those people anew whose visits have been anonymized: their own lists are read once a day only."""
        wiped = [document.id for document in documents if getattr(document, "anonymized", None) is not None]
        if wiped:
            await self._references.fetch_anew(await self._database.write(lambda session: people_to_wipe(session, wiped)))

    async def _merge(
        self, kind: Kind, documents: Sequence[Document], walk: Walk | None = None, requested_at: datetime | None = None
    ) -> Tally:
        """Store documents, the walk that they belong to, and how far the account is followed."""
        request_times = {document.id: requested_at for document in documents if requested_at is not None and kind is VISITS}

        def work(session: Session) -> Tally | dict[str, datetime] | None:
            self._lead(session)
            if kind is VISITS and intents.are_concerned(session, documents, self._clock()):
                return None
            if outdated := changed_since(session, request_times):
                return outdated
            if walk is not None:
                session.merge(walk)
            return merge(session, kind, documents, self._clock()) if documents else Tally()

        while not isinstance(tally := await self._database.write(work), Tally):
            if tally is None:
                # Who makes a change stores it, with the event that tells of it.
                await self._pause(WAIT_SECONDS)
            else:
                requested_at = self._clock()
                again = [document for id in sorted(tally) for document in await self._single(id)]
                documents = [document for document in documents if document.id not in tally] + again
                # What was seen before it was asked again is in its answer, whatever the clock showed: it may be set back.
                request_times |= {id: max(requested_at, at + TICK) for id, at in tally.items()}
        return tally

    async def _single(self, id: str) -> list[Document]:
        """Return a visit as it is now, none where it is gone or cannot be used."""
        try:
            answer = await self._carehq.get(f"{lists.path_of(VISITS)}/{id}")
        except UpstreamRefused as refused:
            if refused.status != 404:
                raise
            return []
        if answer.document.get("_id") != id:
            raise UpstreamUnavailable("it answers a document in a form that is not CareHQ's", may_be_done=True)
        return self._read(VISITS, [answer.document])

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
                requested_at = self._clock()
                found = await self._carehq.page(lists.path_of(kind), pairs)
                ids = [item["_id"] for item in found.items if isinstance(item, dict) and is_identifier(str(item.get("_id")))]
                new = await unknown(self._database, kind, ids)
                items = [item for item in found.items if isinstance(item, dict) and item.get("_id") in new]
                await self._store(kind, items, requested_at)
                is_new, page = len(new) == len(ids) > 0 and page < found.page_count, page + 1
        self._looked = now

    async def _compare(self, walks: dict[str, Walk]) -> None:
        """Look for what vanished, which is told and not deleted, and for what was missed, which is stored."""
        comparison = await compare(self._database, self._carehq)
        if len(comparison.missed) > MOST_LOOKED_AT:
            walks[VISITS.name] = Walk(kind=VISITS.name)
            await self._walk(walks, VISITS)
        else:
            for id in sorted(comparison.missed):
                requested_at = self._clock()
                documents = await self._single(id)
                await self._references.fetch_for(VISITS, documents)
                self._tally(VISITS).add(await self._merge(VISITS, documents, requested_at=requested_at))
        self.vanished = len(comparison.vanished)
        _tell("CareHQ does not list %d visits that are kept here; nothing was deleted: %s", comparison.vanished)
        _tell("CareHQ has %d visits as they were before what is kept here; nothing was changed: %s", comparison.older)


def _tell(sentence: str, ids: set[str]) -> None:
    if ids:
        log.warning(sentence, len(ids), " ".join(sorted(ids)[:20]))
