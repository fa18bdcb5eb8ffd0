"""Changes of a live account's visits: asked of the account first, then what it answers is stored here.

Our own rules refuse before the account is asked. No transaction is open while it is, and once asked, a change goes on to its end,
whether its caller still waits or not.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlmodel import Session

from storage import lifecycle
from storage.carehq.live import intents
from storage.carehq.live.booking import Attempt, book_there
from storage.carehq.live.changing import Declared, end_there, update_there
from storage.carehq.live.exchange import Exchange
from storage.carehq.live.intents import Intent
from storage.carehq.live.link import Link
from storage.carehq.live.outcomes import Outcome
from storage.conflicts import Conflicts
from storage.errors import IdempotencyConflict, InvalidInput, NotHere
from storage.identifiers import identifier, new_identifier
from storage.lifecycle import BookingInput
from storage.models import ConfirmationStatus, HomeVisit, HomeVisitEventType
from storage.repository import HomeVisits

# The kind of records that a refused value may name which is new in the account.
KIND_OF = {"care_enquiry": "care_enquiries", "service_user_contact": "service_user_contacts", "assigned_to": "users"}

Values = Mapping[str, Any]


class LiveHomeVisits(HomeVisits):
    """The visits of a live account that `caller` may see, read here and changed there.

    Besides the refusals of HomeVisits a change raises UpstreamUnavailable where nothing was changed, UpstreamInDoubt, and NotHere
    for what the account alone does, or refuses.
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
        exchange = self._exchange()

        def declare(session: Session, replaced: Intent | None) -> HomeVisit | Attempt:
            if visit := self._find_idempotent_booking(session, idempotency_key, fingerprint):
                return conflicts.read_after(lambda _: visit)(session) if conflicts else visit
            enquiry = self._bookable_enquiry(session, booking, idempotency_key)
            user = booking.assigned_to or enquiry.assigned_to
            if idempotency_key and (before := intents.of_key(session, self._caller.subject, idempotency_key)):
                if before.fingerprint != fingerprint:
                    raise IdempotencyConflict(idempotency_key)
                if replaced is None or before.id != replaced.id:
                    return Attempt(before, is_new=False, assigned_to=user)
                intents.withdraw(session, before.id)
            # A hash that nobody compares is not kept: from that of a form its values can be guessed.
            key = {"key": idempotency_key, "fingerprint": fingerprint} if idempotency_key else {}
            return Attempt(self._declared(session, care_enquiry=booking.care_enquiry, **key), is_new=True, assigned_to=user)

        confirmation = ConfirmationStatus.SUPPRESSED if suppress_confirmation else ConfirmationStatus.NOT_REQUIRED
        outcome = Outcome(HomeVisitEventType.BOOKED, confirmation, conflicts)

        async def book() -> HomeVisit:
            try:
                return await book_there(exchange, declare, booking, outcome)
            except InvalidInput as refusal:
                await self._fetch_unknown(refusal, booking.values())
            return await book_there(exchange, declare, booking, outcome)

        return await self._link.run(book(), exchange.state)

    async def update(
        self,
        id: str,
        changes: Mapping[str, Any],
        *,
        suppress_confirmation: bool = False,
        expected_version: int | None = None,
        conflicts: Conflicts | None = None,
    ) -> HomeVisit:
        declare = self._declare_change(id, expected_version, changes)
        if not changes and expected_version is None:
            return await self._unchanged(id, conflicts)
        exchange, outcome = self._exchange(), Outcome(HomeVisitEventType.UPDATED, conflicts=conflicts)

        async def update() -> HomeVisit:
            how: Any = {"suppressed": suppress_confirmation, "outcome": outcome, "expected_version": expected_version}
            how["reset"] = frozenset(name for name, value in changes.items() if value is None)
            try:
                return await update_there(exchange, declare, **how)
            except InvalidInput as refusal:
                await self._fetch_unknown(refusal, changes)
            return await update_there(exchange, declare, **how)

        return await self._link.run(update(), exchange.state)

    async def _unchanged(self, id: str, conflicts: Conflicts | None) -> HomeVisit:
        """Return a visit that is pending, of which nothing is to be changed."""

        def work(session: Session) -> HomeVisit:
            return self._locked_pending(session, id, None)

        return await self._exchange().check(conflicts.read_after(work) if conflicts else work)

    async def _end(
        self, id: str, field: str, type: HomeVisitEventType, expected_version: int | None, notify_care_seeker: bool = False
    ) -> HomeVisit:
        if notify_care_seeker:
            raise NotHere("CareHQ itself tells families of what is cancelled: leave out `notifyCareSeeker`.")
        declare = self._declare_change(id, expected_version, {})
        exchange = self._exchange()
        return await self._link.run(end_there(exchange, declare, field, type, expected_version), exchange.state)

    def _declare_change(
        self, id: str, expected_version: int | None, changes: Values
    ) -> Callable[[Session, bool], Declared | None]:
        def declare(session: Session, may_overtake: bool) -> Declared | None:
            visit = self._locked_pending(session, id, expected_version)
            values = self._checked_changes(session, visit, changes)
            intent = Intent(id="", subject=self._caller.subject, home_visit=visit.id, started=self._clock())
            if not may_overtake and intents.others_under_way(session, intent, self._clock()):
                return None
            return Declared(visit, values, self._declared(session, home_visit=visit.id))

        return declare

    def _declared(self, session: Session, **fields: Any) -> Intent:
        now = self._clock()
        intent = Intent(id=new_identifier(now), subject=self._caller.subject, started=now, **fields)
        session.add(intent)
        return intent

    async def _fetch_unknown(self, refusal: InvalidInput, values: Values) -> None:
        """Ask the account for what our rules do not know; raise the refusal unless nothing else was wrong."""
        ids: dict[str, set[str]] = {}
        for problem in refusal.problems:
            id = identifier(values.get(problem.field)) if problem.field in KIND_OF else None
            if problem.code != "NOT_FOUND" or id is None:
                raise refusal
            ids.setdefault(KIND_OF[problem.field], set()).add(id)
        await self._link.fetch_unknown(ids)

    def _exchange(self) -> Exchange:
        return Exchange(self._link, self._database, self._caller, self._clock, self._write_state, self._nonce)
