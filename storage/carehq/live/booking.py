"""A booking in a live account: sent once, and looked for where nobody knows whether the account has taken it."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from sqlmodel import Session, col, select

from storage.carehq.documents import HomeVisitDocument
from storage.carehq.live import intents, lists
from storage.carehq.live.answers import Answer
from storage.carehq.live.exchange import NOT_A_VISIT, Exchange, completed, read_visit
from storage.carehq.live.intents import Intent
from storage.carehq.live.lists import VISITS
from storage.carehq.live.outcomes import Outcome
from storage.carehq.live.refusals import refusal_of
from storage.carehq.live.values import differing, pairs_of
from storage.errors import DatabaseUnusable, UpstreamInDoubt, UpstreamRefused, UpstreamUnavailable
from storage.lifecycle import BookingInput
from storage.models import ConfirmationStatus, HomeVisit, HomeVisitEvent, HomeVisitEventType

# The account refuses what is signed by a clock further from its own; it shows its instants cut to seconds.
SKEW = timedelta(seconds=302)
# What is answered as booked was not created before.
LATE = timedelta(seconds=60)
LOOKED_AT = 100
# What a booking is recognized by: what never changes, and what may have changed since.
FIXED = ("care_enquiry", "visit_type", "service_user_contact")
LIKENESS = (*FIXED, "date_time", "host", "notes")


class Attempt(NamedTuple):
    """The intent that there is of a booking. `is_new`: it was declared just now, and no earlier request has the key.

    `assigned_to` is the user that the visit gets, as far as that is known here.
    """

    intent: Intent
    is_new: bool
    assigned_to: str | None


class LocalHistory(NamedTuple):
    """What happened here to visits, by their IDs: which were booked through here, which were changed since they were read first.

    The account does not tell of a change in the second in which a visit was made. `others_under_way`: somebody else books for the
    same care enquiry just now.
    """

    booked: set[str]
    changed: set[str]
    others_under_way: bool


# Returns the visit that a key has booked, or the attempt to: a new one unless there is one of this key, other than that of the
# intent which is to be replaced.
Declare = Callable[[Session, Intent | None], HomeVisit | Attempt]


async def book_there(exchange: Exchange, declare: Declare, booking: BookingInput, outcome: Outcome) -> HomeVisit:
    """Book in the account, and store what it answers, once for each key."""
    replaced: Intent | None = None
    while True:
        declared = await exchange.check(partial(_run, declare, replaced))
        if not isinstance(declared, Attempt):
            return declared
        if declared.is_new:
            with exchange.link.running(declared.intent.id):
                return await _send(exchange, declared, booking, outcome)
        if visit := await _settle(exchange, declared.intent, booking, outcome):
            return visit
        replaced = declared.intent


def _run(declare: Declare, replaced: Intent | None, session: Session) -> HomeVisit | Attempt:
    return declare(session, replaced)


async def _settle(exchange: Exchange, before: Intent, booking: BookingInput, outcome: Outcome) -> HomeVisit | None:
    """Return what an earlier request with the same key has booked; None where it has booked nothing, and will not any more."""

    def is_ended(session: Session) -> bool:
        return session.get(Intent, before.id) is None

    if exchange.link.is_running(before.id) and await exchange.has_become(is_ended):
        return None
    if document := await _find(exchange, before, booking):
        exchange.state.begin()
        return await exchange.store(before, document, outcome)
    if intents.is_settled(before, exchange.clock()):
        return None
    # In another process it may be under way.
    is_recent = intents.is_under_way(before, exchange.clock()) and not exchange.link.has_run(before.id)
    if is_recent and await exchange.has_become(is_ended):
        return None
    raise UpstreamInDoubt


async def _send(exchange: Exchange, attempt: Attempt, booking: BookingInput, outcome: Outcome) -> HomeVisit:
    intent = attempt.intent
    values = {name: value for name, value in booking.values().items() if value not in (None, "")}
    pairs = pairs_of(values, suppressed=outcome.confirmation is ConfirmationStatus.SUPPRESSED)
    read = partial(_booked, booking, booking.values() | {"assigned_to": attempt.assigned_to})
    try:
        document = await exchange.ask(intent, exchange.link.carehq.put, lists.path_of(VISITS), pairs, read)
        if await exchange.read(partial(_is_another, document)):
            document = await _find_or_doubt(exchange, intent, booking)
    except UpstreamRefused as refused:
        raise refusal_of(refused, of_values=True) from None
    except UpstreamUnavailable as failure:
        if not failure.may_be_done:
            raise
        document = await _find_or_doubt(exchange, intent, booking)
    return await exchange.store(intent, document, outcome)


async def _find_or_doubt(exchange: Exchange, intent: Intent, booking: BookingInput) -> HomeVisitDocument:
    try:
        if document := await _find(exchange, intent, booking):
            return document
    except (UpstreamInDoubt, DatabaseUnusable) as failure:
        await exchange.doubt(intent)
        raise UpstreamInDoubt from failure
    await exchange.doubt(intent)
    raise UpstreamInDoubt


def _booked(booking: BookingInput, values: Mapping[str, Any], answer: Answer) -> HomeVisitDocument:
    """Return the document that answers a booking; raise UpstreamUnavailable where it is another visit's."""
    document = completed(read_visit(answer), values)
    is_of_enquiry = document.care_enquiry == booking.care_enquiry and document.visit_type == booking.visit_type
    if not is_of_enquiry or document.anonymized is not None or document.created < answer.sent - LATE:
        raise UpstreamUnavailable(NOT_A_VISIT, may_be_done=True)
    return document


def _is_another(document: HomeVisitDocument, session: Session) -> bool:
    """Tell whether its ID is that of a visit which was created at another time."""
    visit = session.exec(select(HomeVisit).where(HomeVisit.id == document.id)).one_or_none()
    return visit is not None and visit.created.replace(microsecond=0) != document.created.replace(microsecond=0)


async def _find(exchange: Exchange, intent: Intent, booking: BookingInput) -> HomeVisitDocument | None:
    """Return the visit that a request has booked, if the account has one like it that nobody has booked through here.

    Raises UpstreamInDoubt where that cannot be told: somebody else books the same just now, or what may be it was changed since.
    """
    pairs = [("attributes", name) for name in lists.attributes_to_ask(VISITS)]
    pairs += [("filters-care_enquiry", booking.care_enquiry), ("per_page", str(LOOKED_AT)), ("sort", "-created")]
    page = await exchange.look(pairs)
    # By the account's clock; ours may have been set meanwhile.
    since = min(intent.started, intent.started + (page.sent - exchange.clock())) - SKEW
    documents = [document for document in lists.read(VISITS, page.items)[0] if isinstance(document, HomeVisitDocument)]
    fixed = {name: getattr(booking, name) for name in FIXED}
    likely = [document for document in documents if document.created >= since and not differing(document, fixed)]
    if not likely:
        return None
    await exchange.has_become(lambda session: not intents.others_under_way(session, intent, exchange.clock()))
    history = await exchange.read(partial(_local_history, exchange, intent, [document.id for document in likely]))
    unbooked = [document for document in likely if document.id not in history.booked]
    values = {name: getattr(booking, name) for name in LIKENESS}
    alike = [document for document in unbooked if not differing(document, values)]
    was_changed = any(document.modified != document.created or document.id in history.changed for document in unbooked)
    if (alike and history.others_under_way) or (not alike and was_changed):
        raise UpstreamInDoubt
    return alike[0] if alike else None


def _local_history(exchange: Exchange, intent: Intent, ids: list[str], session: Session) -> LocalHistory:
    booked = select(HomeVisitEvent.home_visit).where(
        col(HomeVisitEvent.home_visit).in_(ids), HomeVisitEvent.type == HomeVisitEventType.BOOKED
    )
    changed = select(HomeVisit.id).where(col(HomeVisit.id).in_(ids), HomeVisit.version > 1)
    others_under_way = intents.others_under_way(session, intent, exchange.clock())
    return LocalHistory(set(session.exec(booked)), set(session.exec(changed)), others_under_way)
