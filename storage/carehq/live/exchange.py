"""One change of a live account: its intent, the request, and what is stored of the answer."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any, TypeVar

from sqlmodel import Session

from storage.caller import Caller
from storage.carehq.documents import HomeVisitDocument
from storage.carehq.live import intents, lists
from storage.carehq.live.answers import Answer, Page
from storage.carehq.live.intents import Intent
from storage.carehq.live.link import Link, unavailable_for_now
from storage.carehq.live.lists import VISITS
from storage.carehq.live.outcomes import Outcome, merged, store_outcome
from storage.carehq.live.refusals import REFUSES
from storage.conflicts import Conflicts
from storage.database import Database
from storage.errors import (
    DatabaseUnusable,
    HomeVisitNotFound,
    UpstreamInDoubt,
    UpstreamRefused,
    UpstreamThrottled,
    UpstreamUnavailable,
)
from storage.events.appending import IMPORT
from storage.models import HomeVisit
from storage.nonces import Nonce, use_nonce
from storage.writes import WriteState, WriteWithdrawn

# Somebody waits for what is read of the account before or after a change, and for another change of the same.
READ_SECONDS = 10.0
WAIT_SECONDS = 3.0
PAUSE_SECONDS = 0.05
# What an answer that leaves it out has not changed.
MAY_BE_LEFT_OUT = ("anonymized", "assigned_to", "notes", "service_user_contact")
NOT_A_VISIT = "it answers a visit in a form that is not CareHQ's"

T = TypeVar("T")
Pairs = list[tuple[str, str]]
Method = Callable[[str, Pairs], Coroutine[Any, Any, Answer]]


class Exchange:
    """One change for a caller. `nonce` is that of a signed request, `state` says how far the change has come."""

    def __init__(
        self,
        link: Link,
        database: Database,
        caller: Caller,
        clock: Callable[[], datetime],
        state: WriteState | None,
        nonce: Nonce | None,
    ) -> None:
        self.link = link
        self.subject = caller.subject
        self.clock = clock
        self.state = state or WriteState(caller.subject)
        self._caller = caller
        self._database = database
        self._nonce = nonce

    async def check(self, work: Callable[[Session], T]) -> T:
        """Run what our own rules say, which may declare an intent, in a transaction that keeps the nonce; raise NonceUsed."""
        nonce = None if self.state.has_kept_nonce else self._nonce

        def signed(session: Session) -> T:
            if nonce is not None:
                use_nonce(session, nonce, self.clock())
            return work(session)

        result = await self._database.write(signed)
        self.state.has_kept_nonce = True
        return result

    async def ask(
        self, intent: Intent, method: Method, path: str, pairs: Pairs, read: Callable[[Answer], HomeVisitDocument]
    ) -> HomeVisitDocument:
        """Return the document that the account answers. Unless it may have changed something, the intent is withdrawn.

        `read` raises UpstreamUnavailable for an answer that is not to this request. Raises UpstreamRefused and
        UpstreamUnavailable.
        """
        try:
            self.state.begin()
            document = read(await method(path, pairs))
        except WriteWithdrawn:
            await self.withdraw(intent)
            raise
        except UpstreamUnavailable as failure:
            if not failure.may_be_done:
                await self._not_done(intent)
            raise
        except UpstreamThrottled as throttled:
            await self._not_done(intent)
            raise unavailable_for_now(throttled) from None
        except UpstreamRefused as refused:
            if refused.status not in REFUSES:
                raise UpstreamUnavailable(f"it answers {refused.status}", may_be_done=True) from None
            await self._not_done(intent)
            raise
        self.state.committed()
        return document

    async def _not_done(self, intent: Intent) -> None:
        self.state.rolled_back()
        await self.withdraw(intent)

    async def withdraw(self, intent: Intent) -> None:
        """Delete an intent; where that cannot be, a retry of its key waits until it is settled."""
        try:
            await self._database.write(lambda session: intents.withdraw(session, intent.id))
        except DatabaseUnusable:
            return

    async def current(self, path: str, visit: HomeVisit) -> HomeVisitDocument:
        """Return a visit as the account has it. Raises UpstreamRefused and UpstreamUnavailable."""
        try:
            async with asyncio.timeout(READ_SECONDS):
                answer = await self.link.carehq.get(path)
            return document_of(answer, visit)
        except TimeoutError:
            raise UpstreamUnavailable("it does not answer in time", may_be_done=False) from None
        except UpstreamThrottled as throttled:
            raise unavailable_for_now(throttled) from None

    async def look(self, pairs: Pairs) -> Page:
        """Return a page of the account's visits; raise UpstreamInDoubt where it cannot be had."""
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await self.link.carehq.page(lists.path_of(VISITS), pairs)
        except (TimeoutError, UpstreamUnavailable, UpstreamRefused, UpstreamThrottled) as failure:
            raise UpstreamInDoubt from failure

    async def has_become(self, condition: Callable[[Session], bool]) -> bool:
        """Wait a moment for what other changes have to do first; return whether it is so."""
        give_up = asyncio.get_running_loop().time() + WAIT_SECONDS
        while not await self._database.write(condition):
            if asyncio.get_running_loop().time() > give_up or self.state.is_withdrawn:
                return False
            await asyncio.sleep(PAUSE_SECONDS)
        return True

    async def read(self, work: Callable[[Session], T]) -> T:
        return await self._database.write(work)

    async def keep(self, document: HomeVisitDocument, intent: Intent, conflicts: Conflicts | None = None) -> HomeVisit:
        """Store a visit that was read, once nobody else changes it; raise HomeVisitNotFound where it is out of sight by now."""
        await self.link.fetch_for(document)

        def is_free(session: Session) -> bool:
            return not intents.are_concerned(session, [document], self.clock(), apart_from=intent.id)

        def work(session: Session) -> HomeVisit:
            return merged(session, document, self.clock(), IMPORT)

        # Who makes a change stores it, with the event that tells of it.
        await self.has_become(is_free)
        visit = await self._database.write(conflicts.read_after(work) if conflicts else work)
        if self._caller.locations is not None and visit.location not in self._caller.locations:
            raise HomeVisitNotFound(visit.id)
        return visit

    async def store(self, intent: Intent, document: HomeVisitDocument, outcome: Outcome) -> HomeVisit:
        """Store what the account has made of a change, with the event that tells of it.

        Raises UpstreamInDoubt where that is what another change has booked.
        """
        self.state.committed()
        await self.link.fetch_for(document)

        def work(session: Session) -> HomeVisit:
            return store_outcome(session, intent, document, outcome, self.clock())

        try:
            return await self._database.write(outcome.conflicts.read_after(work) if outcome.conflicts else work)
        except UpstreamInDoubt:
            await self.doubt(intent)
            raise

    async def doubt(self, intent: Intent) -> None:
        """Note that nobody can say what came of a request. Of an intent without a key nobody asks for it either."""
        self.state.in_doubt()
        if intent.key is None:
            await self.withdraw(intent)


def document_of(answer: Answer, visit: HomeVisit, changes: Mapping[str, Any] | None = None) -> HomeVisitDocument:
    """Return the document that an answer about a visit is; raise UpstreamUnavailable where it is none.

    What it leaves out is as the visit is known here, and as the changes are.
    """
    document = read_visit(answer)
    if document.id != visit.id:
        raise UpstreamUnavailable(NOT_A_VISIT, may_be_done=True)
    return completed(document, {name: getattr(visit, name) for name in MAY_BE_LEFT_OUT} | dict(changes or {}))


def read_visit(answer: Answer) -> HomeVisitDocument:
    documents, refused = lists.read(VISITS, [answer.document])
    if refused or not isinstance(documents[0], HomeVisitDocument):
        raise UpstreamUnavailable(NOT_A_VISIT, may_be_done=True)
    return documents[0]


def completed(document: HomeVisitDocument, values: Mapping[str, Any]) -> HomeVisitDocument:
    """Return a document with what it leaves out: the account's answers to changes lack some fields."""
    absent = [name for name in MAY_BE_LEFT_OUT if name in values and name not in document.model_fields_set]
    return document.model_copy(update={name: values[name] for name in absent}) if absent else document
