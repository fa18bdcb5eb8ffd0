"""Changes of a live account's visits: asked of the account first, then what it answers is stored here.

Our own rules refuse before the account is asked. No transaction is open while it is, and once asked, a change goes on to its
end, whether its caller still waits or not.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlmodel import Session, col, select

from storage import lifecycle
from storage.carehq.documents import Document
from storage.carehq.live import intents, lists
from storage.carehq.live.client import Answer, CareHQ
from storage.carehq.live.intents import Intent
from storage.carehq.live.lists import VISITS
from storage.carehq.live.references import References
from storage.carehq.live.refusals import refusal_of
from storage.carehq.merging import merge
from storage.conflicts import Conflicts
from storage.database import Database
from storage.errors import (
    HomeVisitNotFound,
    HomeVisitNotPending,
    IdempotencyConflict,
    NotHere,
    UpstreamInDoubt,
    UpstreamRefused,
    UpstreamThrottled,
    UpstreamUnavailable,
)
from storage.events.appending import Origin
from storage.identifiers import new_identifier
from storage.lifecycle import BookingInput
from storage.models import ConfirmationStatus, HomeVisit, HomeVisitEvent, HomeVisitEventType
from storage.repository import INSERT_KEY, HomeVisits
from storage.writes import WriteState

SUPPRESS = "suppress_email"
# So far may the account's clock be behind ours by what it shows.
SECONDS_SHOWN = timedelta(seconds=2)
LOOKED_AT = 100

Pairs = list[tuple[str, str]]


class Link:
    """What the changes of all callers share: the client, what they refer to, and those that run."""

    def __init__(self, database: Database, carehq: CareHQ, clock: Callable[[], datetime]) -> None:
        self.carehq = carehq
        self.clock = clock
        self.references = References(database, carehq, self._store)
        self._database = database
        self._running: set[asyncio.Task[Any]] = set()

    async def run_to_its_end(self, change: Coroutine[Any, Any, HomeVisit]) -> HomeVisit:
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

    async def _store(self, kind: Any, documents: Sequence[Document]) -> None:
        await self._database.write(lambda session: merge(session, kind, documents, self.clock()))


class _Outcome(NamedTuple):
    """How a change is told: its type, what has become of the confirmation, and the key that it is safe to repeat with."""

    type: HomeVisitEventType
    confirmation: ConfirmationStatus = ConfirmationStatus.NOT_REQUIRED
    conflicts: Conflicts | None = None


class LiveHomeVisits(HomeVisits):
    """The visits of a live account that `caller` may see, read here and changed there.

    Besides the refusals of HomeVisits a change raises UpstreamUnavailable where nothing was changed, UpstreamRefused for what
    the account alone refuses, UpstreamInDoubt, and NotHere.
    """

    def __init__(self, link: Link, *repository: Any) -> None:
        super().__init__(*repository)
        self._link = link

    async def book(
        self,
        booking: BookingInput,
        *,
        suppress_confirmation: bool = False,
        idempotency_key: str | None = None,
        conflicts: Conflicts | None = None,
    ) -> HomeVisit:
        fingerprint = lifecycle.fingerprint(booking.values() | {"suppress_confirmation": suppress_confirmation})
        await self._fetch_unknown(booking)

        def begin(session: Session) -> HomeVisit | Intent | None:
            if visit := self._find_idempotent_booking(session, idempotency_key, fingerprint):
                return visit
            self._bookable_enquiry(session, booking, idempotency_key)
            if idempotency_key and (intent := intents.of_key(session, self._caller.subject, idempotency_key)):
                if intent.fingerprint != fingerprint:
                    raise IdempotencyConflict(idempotency_key)
                return intent
            return None

        begun = await self._database.write(begin)
        if isinstance(begun, HomeVisit):
            return begun
        confirmation = ConfirmationStatus.SUPPRESSED if suppress_confirmation else ConfirmationStatus.NOT_REQUIRED
        outcome = _Outcome(HomeVisitEventType.BOOKED, confirmation, conflicts)
        started = begun.started if begun else self._clock()
        intent = Intent(
            id=new_identifier(started),
            subject=self._caller.subject,
            key=idempotency_key,
            fingerprint=fingerprint,
            care_enquiry=booking.care_enquiry,
            started=started,
        )
        return await self._link.run_to_its_end(self._book(begun or intent, booking, outcome, is_repeated=begun is not None))

    async def _book(self, intent: Intent, booking: BookingInput, outcome: _Outcome, *, is_repeated: bool) -> HomeVisit:
        if is_repeated:
            if document := await self._sent_before(intent, booking):
                return await self._store(intent, document, outcome)
            if not intents.is_settled(intent, self._clock()):
                raise UpstreamInDoubt
        intent = await self._declare(intent, is_repeated=is_repeated)
        pairs = _pairs(booking.values(), suppressed=outcome.confirmation is ConfirmationStatus.SUPPRESSED)
        try:
            answer = await self._ask(intent, lambda: self._link.carehq.put(lists.path_of(VISITS), pairs))
        except UpstreamUnavailable as failure:
            if not failure.may_be_done:
                raise
            if document := await self._sent_before(intent, booking):
                return await self._store(intent, document, outcome)
            raise UpstreamInDoubt from failure
        return await self._store(intent, _document(answer), outcome)

    async def update(
        self,
        id: str,
        changes: Mapping[str, Any],
        *,
        suppress_confirmation: bool = False,
        expected_version: int | None = None,
        conflicts: Conflicts | None = None,
    ) -> HomeVisit:
        if changes.get("assigned_to"):
            await self._link.references.fetch({"users": {str(changes["assigned_to"])}})

        def begin(session: Session) -> tuple[HomeVisit, dict[str, Any]]:
            visit = self._locked_pending(session, id, expected_version)
            accepted = self._checked_changes(session, visit, changes)
            return visit, {name: value for name, value in accepted.items() if value != getattr(visit, name)}

        visit, changed = await self._database.write(begin)
        if not changed:
            return visit
        outcome = _Outcome(HomeVisitEventType.UPDATED, conflicts=conflicts)
        sent = {name: changes[name] for name in changed}
        change = self._change_there(visit, "", _pairs(sent, suppressed=suppress_confirmation), changed, outcome, expected_version)
        return await self._link.run_to_its_end(change)

    async def _end(
        self, id: str, field: str, type: HomeVisitEventType, expected_version: int | None, notify_care_seeker: bool = False
    ) -> HomeVisit:
        if notify_care_seeker:
            raise NotHere("CareHQ itself tells families of what is cancelled: leave out `notifyCareSeeker`.")
        visit = await self._database.write(lambda session: self._locked_pending(session, id, expected_version))
        action = "/cancel" if field == "cancelled" else "/complete"
        change = self._change_there(visit, action, [], {field: None}, _Outcome(type), expected_version)
        return await self._link.run_to_its_end(change)

    async def _change_there(
        self,
        visit: HomeVisit,
        action: str,
        pairs: Pairs,
        changed: Mapping[str, Any],
        outcome: _Outcome,
        expected_version: int | None,
    ) -> HomeVisit:
        path = f"{lists.path_of(VISITS)}/{visit.id}"
        if expected_version is not None:
            await self._require_version(path, visit, expected_version)
        now = self._clock()
        intent = Intent(id=new_identifier(now), subject=self._caller.subject, home_visit=visit.id, started=now)
        intent = await self._declare(intent)
        try:
            answer = await self._ask(intent, lambda: self._link.carehq.patch(path + action, pairs))
        except UpstreamRefused as refused:
            raise await self._refusal(path, refused) from None
        except UpstreamUnavailable as failure:
            if not failure.may_be_done:
                raise
            document = await self._as_it_is(path)
            if document is None or not _is_done(document, changed):
                raise UpstreamInDoubt from failure
            return await self._store(intent, document, outcome)
        return await self._store(intent, _document(answer), outcome)

    async def _require_version(self, path: str, visit: HomeVisit, expected: int) -> None:
        """Raise VersionConflict where the account has changed it since: what remains is a race of one round trip."""
        try:
            document = _document(await self._link.carehq.get(path))
        except UpstreamRefused as refused:
            raise await self._refusal(path, refused) from None

        def work(session: Session) -> None:
            merge(session, VISITS, [document], self._clock())
            now = session.exec(select(HomeVisit).where(HomeVisit.id == visit.id)).one()
            lifecycle.require_version(now, expected)

        await self._write_all(work)

    async def _write_all(self, work: Callable[[Session], None]) -> None:
        """Commit what is stored, also where the work ends in a refusal."""
        failures: list[Exception] = []

        def kept(session: Session) -> None:
            failures.clear()
            try:
                work(session)
            except Exception as failure:  # noqa: BLE001 - raised again once what was read is committed
                failures.append(failure)

        await self._database.write(kept)
        if failures:
            raise failures[0]

    async def _refusal(self, path: str, refused: UpstreamRefused) -> Exception:
        """Return what the refusal of a change means: the visit is read again, and stored, where it may have been closed."""
        if refused.status == 404:
            return HomeVisitNotFound(path.rpartition("/")[2])
        if refused.status == 400 and not refused.arg_errors and (document := await self._as_it_is(path)):
            visit = await self._stored(document)
            if visit.status is not lifecycle.HomeVisitStatus.PENDING:
                return HomeVisitNotPending(visit)
        return refusal_of(refused)

    async def _as_it_is(self, path: str) -> Document | None:
        try:
            return _document(await self._link.carehq.get(path))
        except (UpstreamUnavailable, UpstreamRefused, UpstreamThrottled):
            return None

    async def _ask(self, intent: Intent, request: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """Ask the account; where nothing was changed, the intent is withdrawn."""
        state = self._write_state or WriteState()
        state.begin()
        try:
            return await request()
        except UpstreamThrottled as throttled:
            reason = f"it asks us to wait for {throttled.seconds:.0f} s"
            failure = UpstreamUnavailable(reason, may_be_done=False)
        except UpstreamUnavailable as unavailable:
            if unavailable.may_be_done:
                raise
            failure = unavailable
        except UpstreamRefused as refused:
            await self._withdraw(intent, state)
            if intent.home_visit is None:
                raise refusal_of(refused) from None
            raise
        await self._withdraw(intent, state)
        raise failure

    async def _withdraw(self, intent: Intent, state: WriteState) -> None:
        state.rolled_back()
        await self._database.write(lambda session: intents.withdraw(session, intent.id))

    async def _declare(self, intent: Intent, *, is_repeated: bool = False) -> Intent:
        """Commit an intent before anything is asked; raise UpstreamInDoubt where somebody else does the same just now."""
        now = self._clock()

        def work(session: Session) -> Intent:
            stored = intents.of_key(session, intent.subject, intent.key) if intent.key else None
            if stored is not None and not (is_repeated and stored.started == intent.started):
                raise UpstreamInDoubt
            if stored is not None:
                intents.withdraw(session, stored.id)
                session.flush()
            new = Intent(**intent.model_dump() | {"id": new_identifier(now), "started": now})
            session.add(new)
            return new

        return await self._change_signed(work)

    async def _sent_before(self, intent: Intent, booking: BookingInput) -> Document | None:
        """Return the visit that an earlier request has booked, if the account has it."""
        since = intent.started - SECONDS_SHOWN
        pairs = [("attributes", name) for name in lists.attributes_to_ask(VISITS)]
        pairs += [("filters-care_enquiry", booking.care_enquiry), ("filters-modified_after", lists.written(since))]
        pairs += [("per_page", str(LOOKED_AT)), ("sort", "-created")]
        try:
            page = await self._link.carehq.page(lists.path_of(VISITS), pairs)
        except (UpstreamUnavailable, UpstreamRefused, UpstreamThrottled) as failure:
            raise UpstreamInDoubt from failure
        documents: list[Any] = lists.read(VISITS, page.items)[0]
        same = [
            document
            for document in documents
            if document.created >= since.replace(microsecond=0) and _is_done(document, _asked(booking))
        ]
        known = await self._database.write(lambda session: _booked_here(session, [document.id for document in same]))
        return next((document for document in same if document.id not in known), None)

    async def _store(self, intent: Intent, document: Document, outcome: _Outcome) -> HomeVisit:
        """Store what the account has made of a change, with the event that tells of it."""
        await self._link.references.fetch_for(VISITS, [document])

        def work(session: Session) -> HomeVisit:
            now = self._clock()
            origin = Origin(self._caller.subject, outcome.type)
            merge(session, VISITS, [document], now, origin=origin, confirmation=outcome.confirmation)
            session.flush()
            visit = session.exec(select(HomeVisit).where(HomeVisit.id == document.id)).one()
            if intent.key:
                INSERT_KEY(
                    session,
                    {
                        "subject": intent.subject,
                        "key": intent.key,
                        "fingerprint": intent.fingerprint,
                        "home_visit": visit.id,
                        "created": now,
                    },
                )
            intents.withdraw(session, intent.id)
            return visit

        conflicts = outcome.conflicts
        visit = await self._database.write(conflicts.read_after(work) if conflicts else work)
        if self._write_state is not None:
            self._write_state.committed()
        return visit

    async def _stored(self, document: Document) -> HomeVisit:
        def work(session: Session) -> HomeVisit:
            merge(session, VISITS, [document], self._clock())
            session.flush()
            return session.exec(select(HomeVisit).where(HomeVisit.id == document.id)).one()

        return await self._database.write(work)

    async def _fetch_unknown(self, booking: BookingInput) -> None:
        ids = {"care_enquiries": {booking.care_enquiry}}
        if booking.service_user_contact:
            ids["service_user_contacts"] = {booking.service_user_contact}
        if booking.assigned_to:
            ids["users"] = {booking.assigned_to}
        try:
            await self._link.references.fetch(ids)
        except UpstreamThrottled as throttled:
            raise UpstreamUnavailable(f"it asks us to wait for {throttled.seconds:.0f} s", may_be_done=False) from None


def _pairs(values: Mapping[str, Any], *, suppressed: bool) -> Pairs:
    """Return values as the account's own clients write them; an empty text sets back what is not set."""
    pairs = [(name, _written(value)) for name, value in values.items() if value is not None or name in ("assigned_to", "notes")]
    return [*pairs, (SUPPRESS, "true")] if suppressed else pairs


def _written(value: Any) -> str:
    if isinstance(value, datetime):
        return lists.written(value)
    return "" if value is None else str(value).lower() if hasattr(value, "name") else str(value)


def _asked(booking: BookingInput) -> dict[str, Any]:
    return {name: getattr(booking, name) for name in ("date_time", "host", "notes", "visit_type", "service_user_contact")}


def _is_done(document: Any, changed: Mapping[str, Any]) -> bool:
    """Tell whether a visit is as a change would have made it; of what ends it only that it has, not when."""
    return all(getattr(document, name) == value or (value is None and getattr(document, name)) for name, value in changed.items())


def _document(answer: Answer) -> Document:
    documents, refused = lists.read(VISITS, [answer.document])
    if refused:
        raise UpstreamUnavailable("it answers a visit in a form that is not CareHQ's", may_be_done=True)
    return documents[0]


def _booked_here(session: Session, ids: Sequence[str]) -> set[str]:
    """Return those that a change through this server has booked."""
    booked = select(HomeVisitEvent.home_visit).where(
        col(HomeVisitEvent.home_visit).in_(ids), HomeVisitEvent.type == HomeVisitEventType.BOOKED
    )
    return set(session.exec(booked))
