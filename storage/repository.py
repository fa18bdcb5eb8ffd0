"""The only reader and writer of visits: each statement limited to what its caller may see, each change by the lifecycle."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, cast

import sqlalchemy as sa
from sqlmodel import Session, col, delete, select

from storage import lifecycle
from storage.caller import Caller
from storage.errors import HomeVisitNotFound, IdempotencyConflict, InvalidInput, Problem
from storage.identifiers import identifier, identifiers, new_identifier
from storage.lifecycle import BookingInput
from storage.models import (
    CareEnquiry,
    ConfirmationStatus,
    HomeVisit,
    HomeVisitEvent,
    HomeVisitEventType,
    IdempotencyKey,
)
from storage.outbox.messages import confirm_move, enqueue, initial_status, withdraw
from storage.queries import listing
from storage.queries.conditions import Conditions, HomeVisitFilter, by_id, conditions
from storage.queries.inserts import Insert
from storage.queries.lookups import find_idempotent_booking, referenced, referenced_by_visit
from storage.queries.paging import Page, Window
from storage.queries.statements import Statement
from storage.sqlite.database import Database

KEYS_KEPT = timedelta(hours=24)
INSERT_VISIT, INSERT_EVENT, INSERT_KEY = Insert(HomeVisit), Insert(HomeVisitEvent), Insert(IdempotencyKey)

OrderKeys = Sequence[tuple[str, bool]]


class HomeVisits:
    """The visits that `caller` may see. `clock` tells the time of a change."""

    def __init__(self, database: Database, caller: Caller, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._caller = caller
        self._clock = clock

    async def get(self, id: str, wanted: frozenset[str] | None = None) -> HomeVisit | None:
        """Return the visit, or None. Where `wanted` names the attributes that will be read of it, it need not have others."""
        asked = by_id(id, self._caller.locations)
        if asked is None:
            return None
        one = listing.one(asked.shape, wanted)
        rows = await self._database.fetch(one.statement, asked.values)
        return one.record(rows[0]) if rows else None

    async def page(
        self, filter: HomeVisitFilter, order: OrderKeys, window: Window, wanted: frozenset[str] | None = None
    ) -> Page[HomeVisit]:
        """Return a page of the visits that meet `filter`; raise InvalidPage for a cursor of another order or list.

        Where `wanted` names the attributes that will be read of the visits, they need not have others.
        """
        asked = conditions(filter, self._caller.locations)
        shape, values = self._shape(asked, order, window, wanted=wanted)
        listed = listing.page(shape)
        rows = await self._database.fetch(listed.statement, values)
        beyond: Sequence[Any] = rows[0][listed.width :] if rows else ()
        if not rows and (shape.after or shape.before):
            beyond = (await self._database.fetch(listing.beyond_cursors(shape), values))[0]

        async def count() -> int:
            counted = await self._database.fetch(listing.count(listing.Shape(asked.shape)), asked.values)
            return cast("int", counted[0][0])

        return _page([row[: listed.width] for row in rows] if beyond else rows, shape, window, beyond, count)

    async def pages(
        self, parent: str, ids: Sequence[str], filter: HomeVisitFilter, order: OrderKeys, window: Window
    ) -> list[Page[HomeVisit]]:
        """Return for each ID a page of the visits that refer to it in the column `parent`, all read by one statement."""
        asked = conditions(filter, self._caller.locations)
        shape, values = self._shape(asked, order, window, parent=parent)
        found: dict[str, list[Any]] = {id: [] for id in ids}
        values["parents"] = json.dumps(list(found))
        listed = listing.page(shape)
        for row in await self._database.fetch(listed.statement, values):
            found[row[0]].append(row[1:])

        @cache
        def counts() -> asyncio.Future[dict[str, int]]:
            # All pages may be asked at once: the first to be asked counts for the others.
            counted = listing.count(listing.Shape(asked.shape, parent=parent))
            return asyncio.ensure_future(self._counts(counted, asked.values | {"parents": values["parents"]}))

        def counter(id: str) -> Callable[[], Any]:
            async def count() -> int:
                return (await counts())[id]

            return count

        def page(id: str, rows: list[Any]) -> Page[HomeVisit]:
            own = [row[: listed.width] for row in rows if row[0] is not None]
            return _page(own, shape, window, rows[0][listed.width :], counter(id))

        return [page(id, found[id]) for id in ids]

    async def _counts(self, counted: Statement, values: dict[str, Any]) -> dict[str, int]:
        return dict(await self._database.fetch(counted, values))

    def _shape(
        self,
        asked: Conditions,
        keys: OrderKeys,
        window: Window,
        *,
        parent: str | None = None,
        wanted: frozenset[str] | None = None,
    ) -> tuple[listing.Shape, dict[str, Any]]:
        order = listing.order_of(tuple(keys))
        values = {**asked.values, "limit": window.size + 1}
        for argument, cursor in (("after", window.after), ("before", window.before)):
            if cursor is not None:
                values |= order.position(cursor, argument)
        given = window.after is not None, window.before is not None
        return listing.Shape(asked.shape, order.keys, window.backward, *given, parent, wanted), values

    async def book(
        self, booking: BookingInput, *, suppress_confirmation: bool = False, idempotency_key: str | None = None
    ) -> HomeVisit:
        """Book a visit; raise InvalidInput or IdempotencyConflict. The same key with the same input returns the first booking."""
        asked = lifecycle.fingerprint(booking.values() | {"suppress_confirmation": suppress_confirmation})

        def work(session: Session) -> HomeVisit:
            if visit := self._find_idempotent_booking(session, idempotency_key, asked):
                return visit
            enquiry = self._bookable(session, booking, idempotency_key)
            now = self._clock()
            visit = lifecycle.new_visit(new_identifier(now), booking, enquiry, now)
            visit.confirmation = initial_status(enquiry, suppressed=suppress_confirmation)
            INSERT_VISIT(session, vars(visit))
            self._tell(session, visit, HomeVisitEventType.BOOKED, [])
            if idempotency_key:
                used = {"subject": self._caller.subject, "key": idempotency_key, "fingerprint": asked}
                INSERT_KEY(session, used | {"home_visit": visit.id, "created": now})
            if visit.confirmation is ConfirmationStatus.QUEUED:
                enqueue(session, visit, previous=None, now=now)
            return visit

        return await self._database.write(work)

    async def update(
        self, id: str, wanted: Mapping[str, Any], *, suppress_confirmation: bool = False, expected_version: int | None = None
    ) -> HomeVisit:
        """Change the fields in `wanted` (`date_time`, `host`, `notes`, `assigned_to`).

        Raises HomeVisitNotFound, HomeVisitNotPending, VersionConflict or InvalidInput.
        """

        def work(session: Session) -> HomeVisit:
            visit = self._pending(session, id, expected_version)
            previous, now = visit.date_time, self._clock()
            changed = lifecycle.change(visit, self._accepted(session, visit, wanted), now)
            if visit.date_time != previous:
                enquiry = session.get_one(CareEnquiry, visit.care_enquiry)
                confirm_move(session, visit, enquiry, previous=previous, suppressed=suppress_confirmation, now=now)
            if changed:
                self._tell(session, visit, HomeVisitEventType.UPDATED, changed)
            return visit

        return await self._database.write(work)

    async def cancel(self, id: str, *, expected_version: int | None = None) -> HomeVisit:
        """Raise HomeVisitNotFound, HomeVisitNotPending or VersionConflict."""
        return await self._end(id, "cancelled", HomeVisitEventType.CANCELLED, expected_version)

    async def complete(self, id: str, *, expected_version: int | None = None) -> HomeVisit:
        """Raise HomeVisitNotFound, HomeVisitNotPending or VersionConflict."""
        return await self._end(id, "completed", HomeVisitEventType.COMPLETED, expected_version)

    async def forget_keys(self) -> int:
        """Delete the idempotency keys that nobody can count on any more; return how many there were."""

        def work(session: Session) -> int:
            old = delete(IdempotencyKey).where(col(IdempotencyKey.created) < self._clock() - KEYS_KEPT)
            return session.exec(old).rowcount

        return await self._database.write(work)

    async def _end(self, id: str, field: str, type: HomeVisitEventType, expected_version: int | None) -> HomeVisit:
        def work(session: Session) -> HomeVisit:
            visit = self._pending(session, id, expected_version)
            now = self._clock()
            changed = lifecycle.change(visit, {field: now}, now)
            withdraw(session, visit, now)
            self._tell(session, visit, type, changed)
            return visit

        return await self._database.write(work)

    def _pending(self, session: Session, id: str, expected_version: int | None) -> HomeVisit:
        query = select(HomeVisit).where(HomeVisit.id == identifier(id), self._at_theirs(HomeVisit.location)).with_for_update()
        visit = session.exec(query).one_or_none()
        if visit is None:
            raise HomeVisitNotFound(id)
        lifecycle.require_pending(visit)
        lifecycle.require_version(visit, expected_version)
        return visit

    def _accepted(self, session: Session, visit: HomeVisit, wanted: Mapping[str, Any]) -> dict[str, Any]:
        accepted = dict(wanted)
        problems: list[Problem | None] = [*lifecycle.required_problems(wanted)]
        if "notes" in wanted:
            accepted["notes"] = wanted["notes"] or ""
            problems.append(lifecycle.notes_problem(accepted["notes"]))
        if "assigned_to" in wanted:
            enquiry, _, known = referenced_by_visit(session, self._caller, visit, user=wanted["assigned_to"])
            problems.append(lifecycle.user_problem(wanted["assigned_to"], known))
            accepted["assigned_to"] = wanted["assigned_to"] or (enquiry and enquiry.assigned_to)
        if any(problems):
            raise InvalidInput(*(problem for problem in problems if problem))
        return accepted

    def _find_idempotent_booking(self, session: Session, key: str | None, fingerprint: str) -> HomeVisit | None:
        if key is None or lifecycle.key_problem(key):
            return None
        found = find_idempotent_booking(session, self._caller, key)
        if found is None:
            return None
        if found.fingerprint != fingerprint:
            raise IdempotencyConflict(key)
        if found.home_visit is None:  # it was booked where the caller may look no more
            raise InvalidInput(lifecycle.ENQUIRY_UNKNOWN)
        return found.home_visit

    def _bookable(self, session: Session, booking: BookingInput, key: str | None) -> CareEnquiry:
        asked = {"service_user_contact": booking.service_user_contact, "user": booking.assigned_to}
        enquiry, contact, user_known = referenced(session, self._caller, care_enquiry=booking.care_enquiry, **asked)
        problems = lifecycle.booking_problems(booking, enquiry, contact, user_known=user_known)
        if problem := lifecycle.key_problem(key):
            problems.append(problem)
        if problems or enquiry is None:
            raise InvalidInput(*problems)
        return enquiry

    def _at_theirs(self, location: Any) -> sa.ColumnElement[bool]:
        return sa.true() if self._caller.locations is None else col(location).in_(identifiers(self._caller.locations))

    def _tell(self, session: Session, visit: HomeVisit, type: HomeVisitEventType, changes: list[list[str | None]]) -> None:
        event = {
            "at": visit.modified,
            "actor": self._caller.subject,
            "type": type,
            "home_visit": visit.id,
            "care_enquiry": visit.care_enquiry,
            "location": visit.location,
            "version": visit.version,
            "changes": changes,
        }
        INSERT_EVENT(session, event)


def _page(
    rows: list[Any], shape: listing.Shape, window: Window, beyond: Sequence[Any], count: Callable[[], Any]
) -> Page[HomeVisit]:
    more = len(rows) > window.size
    listed = listing.page(shape)
    nodes = list(map(listed.record, rows[: window.size]))
    told = iter(beyond)
    earlier, later = (bool(next(told)) if given else False for given in (shape.after, shape.before))
    if window.backward:
        nodes.reverse()
        earlier = more or earlier
    else:
        later = more or later
    return Page(nodes, listed.order, has_previous_page=earlier, has_next_page=later, count=count)
