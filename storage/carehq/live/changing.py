"""A change of a visit in a live account: update, cancel, complete."""

from collections.abc import Callable, Mapping
from typing import Any

from storage import lifecycle
from storage.carehq.documents import HomeVisitDocument
from storage.carehq.live import lists
from storage.carehq.live.exchange import Exchange, Outcome, Pairs, document_of, unavailable_for_now
from storage.carehq.live.intents import Intent
from storage.carehq.live.lists import VISITS
from storage.carehq.live.refusals import refusal_of
from storage.errors import (
    HomeVisitNotFound,
    HomeVisitNotPending,
    UpstreamInDoubt,
    UpstreamRefused,
    UpstreamThrottled,
    UpstreamUnavailable,
)
from storage.models import HomeVisit


async def change_there(
    exchange: Exchange,
    visit: HomeVisit,
    action: str,
    pairs: Pairs,
    is_done: Callable[[HomeVisitDocument], bool],
    outcome: Outcome,
    expected_version: int | None,
) -> HomeVisit:
    """Change a visit in the account, and store what it answers. `is_done` tells whether a visit shows that it was changed so."""
    path = f"{lists.path_of(VISITS)}/{visit.id}"
    if expected_version is not None:
        await _require_version(exchange, path, expected_version)
    intent = await exchange.declare(Intent(id="", subject=exchange.subject, home_visit=visit.id, started=exchange.clock()))
    try:
        document = await exchange.ask(intent, exchange.link.carehq.patch, path + action, pairs)
    except UpstreamRefused as refused:
        raise await _refusal(exchange, path, refused) from None
    except UpstreamUnavailable as failure:
        if not failure.may_be_done:
            raise
        document = await exchange.as_it_is(path)
        if document is None or not is_done(document):
            raise UpstreamInDoubt from failure
    return await exchange.store(intent, document, outcome)


async def _require_version(exchange: Exchange, path: str, expected: int) -> None:
    """Raise VersionConflict where the account has changed the visit since: what remains is a race of one round trip."""
    try:
        document = document_of(await exchange.link.carehq.get(path))
    except UpstreamRefused as refused:
        raise await _refusal(exchange, path, refused) from None
    except UpstreamThrottled as throttled:
        raise unavailable_for_now(throttled) from None
    visit = await exchange.keep(document)
    lifecycle.require_pending(visit)
    lifecycle.require_version(visit, expected)


async def _refusal(exchange: Exchange, path: str, refused: UpstreamRefused) -> Exception:
    """Return what a refusal means: the visit is read again, and stored, where it may have been closed meanwhile."""
    if refused.status == 404:
        return HomeVisitNotFound(path.rpartition("/")[2])
    if refused.status == 400 and not refused.arg_errors and (document := await exchange.as_it_is(path)):
        try:
            lifecycle.require_pending(await exchange.keep(document))
        except HomeVisitNotPending as not_pending:
            return not_pending
    return refusal_of(refused)


def shows(values: Mapping[str, Any]) -> Callable[[HomeVisitDocument], bool]:
    return lambda document: all(getattr(document, name) == value for name, value in values.items())
