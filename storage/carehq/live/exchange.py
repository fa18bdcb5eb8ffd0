"""One change of a live account: its intent, the request, and what is stored of the answer."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlmodel import Session, select

from storage.caller import Caller
from storage.carehq.documents import Document, HomeVisitDocument, Kind
from storage.carehq.live import intents, lists
from storage.carehq.live.client import Answer, CareHQ, Page
from storage.carehq.live.intents import Intent
from storage.carehq.live.lists import VISITS
from storage.carehq.live.references import References
from storage.carehq.merging import merge
from storage.conflicts import Conflicts
from storage.database import Database
from storage.errors import UpstreamInDoubt, UpstreamRefused, UpstreamThrottled, UpstreamUnavailable
from storage.events.appending import IMPORT, Origin
from storage.identifiers import new_identifier
from storage.models import ConfirmationStatus, HomeVisit, HomeVisitEventType
from storage.nonces import Nonce, use_nonce
from storage.repository import INSERT_KEY
from storage.writes import WriteState

# How the account calls it that it sends no email is not known; ours takes any name that begins so.
SUPPRESS = "suppress_email"

Pairs = list[tuple[str, str]]
Change = Coroutine[Any, Any, HomeVisit]
Method = Callable[[str, Pairs], Coroutine[Any, Any, Answer]]


class Link:
    """What the changes of all callers share: the client, what they refer to, and those that run."""

    def __init__(self, database: Database, carehq: CareHQ, clock: Callable[[], datetime]) -> None:
        self.carehq = carehq
        self._database = database
        self._clock = clock
        self._references = References(database, carehq, self._store)
        self._running: set[asyncio.Task[Any]] = set()

    async def fetch_unknown(self, ids: dict[str, set[str]]) -> None:
        """Store what is not known here of these IDs, by the names of their kinds; raise UpstreamUnavailable."""
        try:
            await self._references.fetch(ids)
        except UpstreamThrottled as throttled:
            raise unavailable_for_now(throttled) from None

    async def fetch_for(self, document: Document) -> None:
        await self._references.fetch_for(VISITS, [document])

    async def run_to_its_end(self, change: Change) -> HomeVisit:
        """Return what becomes of a change, which goes on where its caller does not wait any more."""
        task = asyncio.ensure_future(change)
        self._running.add(task)
        task.add_done_callback(self._end)
        return await asyncio.shield(task)

    async def finish(self) -> None:
        while self._running:
            await asyncio.wait(self._running)

    def _end(self, task: "asyncio.Task[Any]") -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # asyncio logs one that nobody has looked at, which nobody does when the caller is gone

    async def _store(self, kind: Kind, documents: Sequence[Document]) -> None:
        await self._database.write(lambda session: merge(session, kind, documents, self._clock()))


class Outcome(NamedTuple):
    """How a change is told: its type, what has become of its confirmation, and what takes up the conflicts."""

    type: HomeVisitEventType
    confirmation: ConfirmationStatus = ConfirmationStatus.NOT_REQUIRED
    conflicts: Conflicts | None = None


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
        self._database = database
        self._state = state or WriteState(caller.subject)
        self._nonce = nonce

    async def declare(self, intent: Intent, *, replaces: Intent | None = None) -> Intent:
        """Commit an intent before anything is asked; raise NonceUsed, or UpstreamInDoubt where somebody does the same now."""

        def work(session: Session) -> Intent:
            now = self.clock()
            if self._nonce is not None:
                use_nonce(session, self._nonce, now)
            stored = intents.of_key(session, intent.subject, intent.key) if intent.key else None
            if stored is not None:
                if replaces is None or stored.id != replaces.id:
                    raise UpstreamInDoubt
                intents.withdraw(session, stored.id)
            declared = Intent(**intent.model_dump() | {"id": new_identifier(now), "started": now})
            session.add(declared)
            return declared

        return await self._database.write(work)

    async def ask(
        self, intent: Intent, method: Callable[[str, Pairs], Coroutine[Any, Any, Answer]], path: str, pairs: Pairs
    ) -> Any:
        """Return the document that the account answers. Unless it may have changed something, the intent is withdrawn.

        Raises UpstreamRefused and UpstreamUnavailable.
        """
        self._state.begin()
        try:
            return document_of(await method(path, pairs))
        except UpstreamUnavailable as failure:
            if not failure.may_be_done:
                await self._withdraw(intent)
            raise
        except UpstreamThrottled as throttled:
            await self._withdraw(intent)
            raise unavailable_for_now(throttled) from None
        except UpstreamRefused:
            await self._withdraw(intent)
            raise

    async def as_it_is(self, path: str) -> Any:
        """Return a visit as the account has it, None where that cannot be had."""
        try:
            return document_of(await self.link.carehq.get(path))
        except (UpstreamUnavailable, UpstreamRefused, UpstreamThrottled):
            return None

    async def look(self, pairs: Pairs) -> Page:
        """Return a page of the account's visits; raise UpstreamInDoubt where it cannot be had."""
        try:
            return await self.link.carehq.page(lists.path_of(VISITS), pairs)
        except (UpstreamUnavailable, UpstreamRefused, UpstreamThrottled) as failure:
            raise UpstreamInDoubt from failure

    async def read(self, statement: Any) -> set[Any]:
        return await self._database.write(lambda session: set(session.exec(statement)))

    async def keep(self, document: Document, then: Callable[[HomeVisit], None] = lambda _: None) -> HomeVisit:
        """Store a visit that was read; then look at it as it is now, which may raise."""

        def work(session: Session) -> HomeVisit:
            return _merged(session, document, self.clock(), IMPORT)

        visit = await self._database.write(work)
        then(visit)
        return visit

    async def store(self, intent: Intent, document: Document, outcome: Outcome) -> HomeVisit:
        """Store what the account has made of a change, with the event that tells of it."""
        await self.link.fetch_for(document)

        def work(session: Session) -> HomeVisit:
            now = self.clock()
            visit = _merged(session, document, now, Origin(self.subject, outcome.type), outcome.confirmation)
            if intent.key:
                key = {"subject": intent.subject, "key": intent.key, "fingerprint": intent.fingerprint}
                INSERT_KEY(session, key | {"home_visit": visit.id, "created": now})
            intents.withdraw(session, intent.id)
            return visit

        visit = await self._database.write(outcome.conflicts.read_after(work) if outcome.conflicts else work)
        self._state.committed()
        return visit

    async def _withdraw(self, intent: Intent) -> None:
        self._state.rolled_back()
        await self._database.write(lambda session: intents.withdraw(session, intent.id))


def _merged(
    session: Session,
    document: Document,
    now: datetime,
    origin: Origin,
    confirmation: ConfirmationStatus = ConfirmationStatus.NOT_REQUIRED,
) -> HomeVisit:
    merge(session, VISITS, [document], now, origin=origin, confirmation=confirmation)
    session.flush()
    return session.exec(select(HomeVisit).where(HomeVisit.id == document.id)).one()


def document_of(answer: Answer) -> HomeVisitDocument:
    """Return the visit that an answer is; raise UpstreamUnavailable where it is none."""
    documents, refused = lists.read(VISITS, [answer.document])
    if refused or not isinstance(documents[0], HomeVisitDocument):
        raise UpstreamUnavailable("it answers a visit in a form that is not CareHQ's", may_be_done=True)
    return documents[0]


def unavailable_for_now(throttled: UpstreamThrottled) -> UpstreamUnavailable:
    return UpstreamUnavailable(f"it asks us to wait for {throttled.seconds:.0f} s", may_be_done=False)


def pairs_of(values: Mapping[str, Any], *, suppressed: bool) -> Pairs:
    """Return values as the account's own clients write them; an empty text takes back what was set."""
    pairs = [(name, _written(value)) for name, value in values.items()]
    return [*pairs, (SUPPRESS, "true")] if suppressed else pairs


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return lists.written(value)
    return value.lower() if hasattr(value, "name") else str(value)


def has(document: HomeVisitDocument, values: Mapping[str, Any]) -> bool:
    """Tell whether a visit has all of these values."""
    return all(getattr(document, name) == value for name, value in values.items())
