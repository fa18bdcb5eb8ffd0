"""A booking in a live account: sent once, and looked for where nobody knows whether the account has taken it."""

from datetime import timedelta
from typing import Any

from sqlmodel import col, select

from storage.carehq.documents import HomeVisitDocument
from storage.carehq.live import intents, lists
from storage.carehq.live.exchange import Exchange, Outcome, has, pairs_of
from storage.carehq.live.intents import Intent
from storage.carehq.live.lists import VISITS
from storage.carehq.live.refusals import refusal_of
from storage.errors import UpstreamInDoubt, UpstreamRefused, UpstreamUnavailable
from storage.lifecycle import BookingInput
from storage.models import ConfirmationStatus, HomeVisit, HomeVisitEvent, HomeVisitEventType

# Instants are shown cut to seconds, and by the account's own clock.
MARGIN = timedelta(seconds=2)
LOOKED_AT = 100
# What a booking is recognized by.
LIKENESS = ("date_time", "visit_type", "host", "notes", "service_user_contact")


async def book_there(
    exchange: Exchange, intent: Intent, booking: BookingInput, outcome: Outcome, *, before: Intent | None
) -> HomeVisit:
    """Book in the account, and store what it answers. `before` is the intent of an earlier request with the same key."""
    if before is not None:
        if document := await _find(exchange, before, booking):
            return await exchange.store(before, document, outcome)
        if not intents.is_settled(before, exchange.clock()):
            raise UpstreamInDoubt
    intent = await exchange.declare(intent, replaces=before)
    values = {name: value for name, value in booking.values().items() if value not in (None, "")}
    pairs = pairs_of(values, suppressed=outcome.confirmation is ConfirmationStatus.SUPPRESSED)
    try:
        document = await exchange.ask(intent, exchange.link.carehq.put, lists.path_of(VISITS), pairs)
    except UpstreamRefused as refused:
        raise refusal_of(refused) from None
    except UpstreamUnavailable as failure:
        if not failure.may_be_done:
            raise
        document = await _find(exchange, intent, booking)
        if document is None:
            raise UpstreamInDoubt from failure
    return await exchange.store(intent, document, outcome)


async def _find(exchange: Exchange, intent: Intent, booking: BookingInput) -> HomeVisitDocument | None:
    """Return the visit that a request has booked, if the account has one like it that nobody has booked through here."""
    since = intent.started - MARGIN
    pairs = [("attributes", name) for name in lists.attributes_to_ask(VISITS)]
    pairs += [("filters-care_enquiry", booking.care_enquiry), ("filters-modified_after", lists.written(since))]
    page = await exchange.look([*pairs, ("per_page", str(LOOKED_AT)), ("sort", "-created")])
    likeness: dict[str, Any] = {name: getattr(booking, name) for name in LIKENESS}
    documents = [document for document in lists.read(VISITS, page.items)[0] if isinstance(document, HomeVisitDocument)]
    alike = [document for document in documents if document.created >= since and has(document, likeness)]
    booked = await exchange.read(
        select(HomeVisitEvent.home_visit).where(
            col(HomeVisitEvent.home_visit).in_([document.id for document in alike]),
            HomeVisitEvent.type == HomeVisitEventType.BOOKED,
        )
    )
    return next((document for document in alike if document.id not in booked), None)
