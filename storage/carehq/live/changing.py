"""A change of a visit in a live account: update, cancel, complete."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, NamedTuple

from sqlmodel import Session

from storage import lifecycle
from storage.carehq.documents import HomeVisitDocument
from storage.carehq.live import lists
from storage.carehq.live.answers import Answer
from storage.carehq.live.exchange import Exchange, document_of
from storage.carehq.live.intents import Intent
from storage.carehq.live.lists import VISITS
from storage.carehq.live.outcomes import Outcome
from storage.carehq.live.refusals import OF_THE_KEY, refusal_of
from storage.carehq.live.values import differing, pairs_of, unequal
from storage.errors import (
    HomeVisitNotFound,
    HomeVisitNotPending,
    UpstreamInDoubt,
    UpstreamRefused,
    UpstreamUnavailable,
)
from storage.models import ConfirmationStatus, HomeVisit, HomeVisitEventType


class Declared(NamedTuple):
    """A visit that may be changed, by our own rules, the values that it shall have, and what says that this is under way."""

    visit: HomeVisit
    values: Mapping[str, Any]
    intent: Intent


# Declares the intent; returns None where somebody else changes the visit just now, unless that was waited for in vain.
Declare = Callable[[Session, bool], Declared | None]


async def update_there(
    exchange: Exchange,
    declare: Declare,
    *,
    reset: Collection[str],
    suppressed: bool,
    outcome: Outcome,
    expected_version: int | None,
) -> HomeVisit:
    """Give a visit in the account the values that it does not have; where it has them all, nothing is asked for.

    What is `reset` gets the value that the account has for it.
    """
    visit, values, intent = await _declared(exchange, declare)
    changes = unequal(visit, values)
    if expected_version is not None or len(changes) < len(values):
        visit = await _require_current(exchange, visit, intent, expected_version, outcome)
        changes = unequal(visit, values)
        if not changes:
            await exchange.withdraw(intent)
            return visit
    if "date_time" in changes:
        outcome = outcome._replace(confirmation=ConfirmationStatus.SUPPRESSED if suppressed else ConfirmationStatus.NOT_REQUIRED)
    pairs = pairs_of(changes | dict.fromkeys(changes.keys() & reset), suppressed=suppressed)

    # Where it is white space alone that changes, that tells.
    remaining = differing if differing(visit, changes) else unequal

    def is_done(document: HomeVisitDocument) -> bool:
        return not remaining(document, changes)

    return await _change(exchange, visit, intent, _Request("", pairs, changes), is_done, outcome)


async def end_there(
    exchange: Exchange, declare: Declare, field: str, type: HomeVisitEventType, expected_version: int | None
) -> HomeVisit:
    """Cancel or complete a visit in the account, which shows that in `field` then."""
    visit, _, intent = await _declared(exchange, declare)
    if expected_version is not None:
        await _require_current(exchange, visit, intent, expected_version, Outcome(type))
    action = {"cancelled": "/cancel", "completed": "/complete"}[field]

    def is_done(document: HomeVisitDocument) -> bool:
        return getattr(document, field) is not None

    return await _change(exchange, visit, intent, _Request(action, [], {}), is_done, Outcome(type))


class _Request(NamedTuple):
    action: str
    pairs: list[tuple[str, str]]
    changes: Mapping[str, Any]


async def _declared(exchange: Exchange, declare: Declare) -> Declared:
    """Wait for who changes the same visit just now: the account's answers are stored in the order in which it gave them."""
    found: list[Declared] = []

    def is_declared(session: Session, *, may_overtake: bool = False) -> bool:
        found[:] = filter(None, [declare(session, may_overtake)])
        return bool(found)

    if not (await exchange.check(is_declared) or await exchange.has_become(is_declared)):
        await exchange.read(partial(is_declared, may_overtake=True))
    return found[0]


async def _change(
    exchange: Exchange,
    visit: HomeVisit,
    intent: Intent,
    request: _Request,
    is_done: Callable[[HomeVisitDocument], bool],
    outcome: Outcome,
) -> HomeVisit:
    path = _path(visit)

    def read(answer: Answer) -> HomeVisitDocument:
        document = document_of(answer, visit, request.changes)
        if not request.changes and not is_done(document):
            raise UpstreamUnavailable("it answers a visit that it has not changed", may_be_done=True)
        return document

    try:
        document = await exchange.ask(intent, exchange.link.carehq.patch, path + request.action, request.pairs, read)
    except UpstreamRefused as refused:
        raise await _refusal(exchange, visit, intent, refused, of_values=bool(request.changes)) from None
    except UpstreamUnavailable as failure:
        if not failure.may_be_done:
            raise
        document = await _done_or_doubt(exchange, visit, intent, is_done)
    return await exchange.store(intent, document, outcome)


async def _done_or_doubt(
    exchange: Exchange, visit: HomeVisit, intent: Intent, is_done: Callable[[HomeVisitDocument], bool]
) -> HomeVisitDocument:
    try:
        document = await exchange.current(_path(visit), visit)
        if is_done(document):
            return document
    except (UpstreamRefused, UpstreamUnavailable):
        pass
    await exchange.doubt(intent)
    raise UpstreamInDoubt


async def _require_current(
    exchange: Exchange, visit: HomeVisit, intent: Intent, expected: int | None, outcome: Outcome
) -> HomeVisit:
    """Return the visit as the account has it; raise what our rules say of that. What remains is a race of one round trip."""
    try:
        stored = await exchange.keep(await exchange.current(_path(visit), visit), intent, outcome.conflicts)
        lifecycle.require_pending(stored)
        lifecycle.require_version(stored, expected)
    except UpstreamRefused as refused:
        await exchange.withdraw(intent)
        raise _refusal_of(visit, refused) from None
    except BaseException:
        await exchange.withdraw(intent)
        raise
    return stored


async def _refusal(
    exchange: Exchange, visit: HomeVisit, intent: Intent, refused: UpstreamRefused, *, of_values: bool
) -> Exception:
    """Return what a refusal means: the visit is read again, and stored, where it may have been closed meanwhile."""
    if refused.status not in OF_THE_KEY | {404} and not refused.arg_errors:
        try:
            lifecycle.require_pending(await exchange.keep(await exchange.current(_path(visit), visit), intent))
        except (HomeVisitNotPending, HomeVisitNotFound) as refusal:
            return refusal
        except (UpstreamUnavailable, UpstreamRefused):
            pass
    return _refusal_of(visit, refused, of_values=of_values)


def _refusal_of(visit: HomeVisit, refused: UpstreamRefused, *, of_values: bool = False) -> Exception:
    return HomeVisitNotFound(visit.id) if refused.status == 404 else refusal_of(refused, of_values=of_values)


def _path(visit: HomeVisit) -> str:
    return f"{lists.path_of(VISITS)}/{visit.id}"
