"""Changes of a live account's visits: asked of the account first, then what it answers is stored here.

Our own rules refuse before the account is asked. No transaction is open while it is, and once asked, a change goes on to its end,
whether its caller still waits or not.
"""

from collections.abc import Mapping
from typing import Any

from sqlmodel import Session

from storage import lifecycle
from storage.carehq.live import intents
from storage.carehq.live.booking import book_there
from storage.carehq.live.changing import change_there, shows
from storage.carehq.live.exchange import Exchange, Link, Outcome, Pairs, pairs_of
from storage.carehq.live.intents import Intent
from storage.conflicts import Conflicts
from storage.errors import IdempotencyConflict, NotHere
from storage.lifecycle import BookingInput
from storage.models import ConfirmationStatus, HomeVisit, HomeVisitEventType
from storage.repository import HomeVisits


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
        await self._link.fetch_unknown(_referred(booking))

        def check(session: Session) -> HomeVisit | Intent | None:
            if visit := self._find_idempotent_booking(session, idempotency_key, fingerprint):
                return visit
            self._bookable_enquiry(session, booking, idempotency_key)
            before = intents.of_key(session, self._caller.subject, idempotency_key) if idempotency_key else None
            if before and idempotency_key and before.fingerprint != fingerprint:
                raise IdempotencyConflict(idempotency_key)
            return before

        found = await self._database.write(check)
        if found is not None and not isinstance(found, Intent):
            return found
        confirmation = ConfirmationStatus.SUPPRESSED if suppress_confirmation else ConfirmationStatus.NOT_REQUIRED
        outcome = Outcome(HomeVisitEventType.BOOKED, confirmation, conflicts)
        intent = Intent(
            id="",
            subject=self._caller.subject,
            key=idempotency_key,
            fingerprint=fingerprint,
            care_enquiry=booking.care_enquiry,
            started=self._clock(),
        )
        return await self._link.run_to_its_end(book_there(self._exchange(), intent, booking, outcome, before=found))

    async def update(
        self,
        id: str,
        changes: Mapping[str, Any],
        *,
        suppress_confirmation: bool = False,
        expected_version: int | None = None,
        conflicts: Conflicts | None = None,
    ) -> HomeVisit:
        if user := changes.get("assigned_to"):
            await self._link.fetch_unknown({"users": {user}})

        def check(session: Session) -> tuple[HomeVisit, dict[str, Any]]:
            visit = self._locked_pending(session, id, expected_version)
            accepted = self._checked_changes(session, visit, changes)
            return visit, {name: value for name, value in accepted.items() if value != getattr(visit, name)}

        visit, changed = await self._database.write(check)
        if not changed:
            return visit
        pairs = pairs_of({name: changes[name] for name in changed}, suppressed=suppress_confirmation)
        outcome = Outcome(HomeVisitEventType.UPDATED, conflicts=conflicts)
        exchange = self._exchange()
        return await self._link.run_to_its_end(
            change_there(exchange, visit, "", pairs, shows(changed), outcome, expected_version)
        )

    async def _end(
        self, id: str, field: str, type: HomeVisitEventType, expected_version: int | None, notify_care_seeker: bool = False
    ) -> HomeVisit:
        if notify_care_seeker:
            raise NotHere("CareHQ itself tells families of what is cancelled: leave out `notifyCareSeeker`.")
        visit = await self._database.write(lambda session: self._locked_pending(session, id, expected_version))
        action = {"cancelled": "/cancel", "completed": "/complete"}[field]
        nothing: Pairs = []
        exchange = self._exchange()
        return await self._link.run_to_its_end(
            change_there(
                exchange,
                visit,
                action,
                nothing,
                lambda document: getattr(document, field) is not None,
                Outcome(type),
                expected_version,
            )
        )

    def _exchange(self) -> Exchange:
        return Exchange(self._link, self._database, self._caller, self._clock, self._write_state, self._nonce)


def _referred(booking: BookingInput) -> dict[str, set[str]]:
    ids = {
        "care_enquiries": booking.care_enquiry,
        "service_user_contacts": booking.service_user_contact,
        "users": booking.assigned_to,
    }
    return {name: {id} for name, id in ids.items() if id}
