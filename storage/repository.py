"""The only reader and writer of visits: each statement limited to what its caller may see, each change by the lifecycle."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlmodel import Session, col, delete, select

from storage import lifecycle
from storage.caller import Caller
from storage.conflicts import Conflicts, Occasion, find_conflicts
from storage.counting import HomeVisitCount, count_groups
from storage.database import Database
from storage.errors import HomeVisitNotFound, IdempotencyConflict, InvalidInput, Problem
from storage.events.appending import append_event
from storage.identifiers import identifier, identifiers, new_identifier
from storage.lifecycle import BookingInput
from storage.models import CareEnquiry, HomeVisit, HomeVisitEventType, IdempotencyKey
from storage.nonces import Nonce, use_nonce
from storage.outbox.messages import confirm_booking, confirm_cancellation, confirm_move, initial_status, withdraw
from storage.queries import listing, numbered_pages
from storage.queries.conditions import Conditions, HomeVisitFilter, by_id, conditions
from storage.queries.counts import count
from storage.queries.grouping import HomeVisitGrouping
from storage.queries.inserts import Insert
from storage.queries.lookups import find_idempotent_booking, referenced, referenced_by_visit
from storage.queries.paging import NumberedPage, Page, Window, page_of
from storage.queries.statements import COMPILING, Statement
from storage.writes import WriteState

KEY_LIFETIME = timedelta(hours=24)
INSERT_VISIT, INSERT_KEY = Insert(HomeVisit), Insert(IdempotencyKey)

T = TypeVar("T")

OrderKeys = Sequence[tuple[str, bool]]


class HomeVisits:
    """The visits that `caller` may see. `clock` tells the time of a change, `write_state` how far one has come.

    `nonce` is that of a signed request: a change keeps it, and is refused by NonceUsed where it was kept before.
    """

    def __init__(
        self,
        database: Database,
        caller: Caller,
        clock: Callable[[], datetime],
        write_state: WriteState | None = None,
        nonce: Nonce | None = None,
    ) -> None:
        self._database = database
        self._dialect = database.dialect
        self._caller = caller
        self._clock = clock
        self._write_state = write_state
        self._nonce = nonce

    async def get(self, id: str, columns: frozenset[str] | None = None) -> HomeVisit | None:
        """Return the visit, or None. Where `columns` names the attributes that will be read of it, it need not have others."""
        where = by_id(id, self._caller.locations, self._dialect)
        if where is None:
            return None
        one = await self._compiled(listing.one, where.shape, columns)
        rows = await self._fetch(one.statement, where.values)
        return one.record(rows[0]) if rows else None

    async def page(
        self, filter: HomeVisitFilter, order: OrderKeys, window: Window, columns: frozenset[str] | None = None
    ) -> Page[HomeVisit]:
        """Return a page of the visits that meet `filter`; raise InvalidPage for a cursor of another order or list.

        Where `columns` names the attributes that will be read of the visits, they need not have others.
        """
        where = conditions(filter, self._caller.locations, self._dialect)
        return await self._page(where, where, order, window, columns)

    async def _page(
        self, where: Conditions, counted: Conditions, order: OrderKeys, window: Window, columns: frozenset[str] | None
    ) -> Page[HomeVisit]:
        shape, values = self._shape(where, order, window, columns=columns)
        listed = await self._compiled(listing.page, shape)
        rows = await self._fetch(listed.statement, values)
        beyond: Sequence[Any] = rows[0][listed.width :] if rows else ()
        if not rows and (shape.after or shape.before):
            beyond = (await self._fetch(await self._compiled(listing.beyond_cursors, shape), values))[0]

        async def total() -> int:
            statement = await self._compiled(count, listing.Shape(counted.shape))
            return cast("int", (await self._fetch(statement, counted.values))[0][0])

        rows = [row[: listed.width] for row in rows] if beyond else rows
        return page_of(rows, listed.record, listed.order, window, beyond, total)

    async def numbered_page(
        self, filter: HomeVisitFilter, order: OrderKeys, page: NumberedPage, columns: frozenset[str] | None = None
    ) -> Page[HomeVisit]:
        """Return a page by its number; one beyond the end of the list is empty. Far pages are found by counting rows."""
        window, where = Window(page.size, False, None, None), conditions(filter, self._caller.locations, self._dialect)
        if page.offset == 0:
            return await self._page(where, where, order, window, columns)
        shape, values = self._shape(where, order, window)
        found = await self._compiled(numbered_pages.row_at, shape)
        rows = await self._fetch(found.statement, values | page.row_before())
        if not rows:
            return await self._page(where, where, order, window._replace(size=0), columns)
        # Of two bounds on one side SQLite may seek the wider, and pass over all rows up to the page once more.
        rest = where.without(listing.implied_by_cursor(shape.order, backward=False))
        return await self._page(rest, where, order, window._replace(after=found.order.cursor(rows[0])), columns)

    def furthest_row(self, filter: HomeVisitFilter, order: OrderKeys) -> int:
        """Return up to which row pages of a list are numbered."""
        shape = conditions(filter, self._caller.locations, self._dialect).shape
        return numbered_pages.furthest_row(shape, listing.order_of(order).keys)

    async def pages(
        self,
        parent: str,
        ids: Sequence[str],
        filter: HomeVisitFilter,
        order: OrderKeys,
        window: Window,
        columns: frozenset[str] | None = None,
    ) -> list[Page[HomeVisit]]:
        """Return for each ID a page of the visits that refer to it in the column `parent`, all read by one statement."""
        where = conditions(filter, self._caller.locations, self._dialect)
        shape, values = self._shape(where, order, window, parent=parent, columns=columns)
        rows_of: dict[str, list[Any]] = {id: [] for id in ids}
        values["parents"] = self._dialect.list_value(list(rows_of))
        listed = await self._compiled(listing.page, shape)
        for row in await self._fetch(listed.statement, values):
            rows_of[row[0]].append(row[1:])
        total_of = self._total_of(where, parent, values["parents"])

        def page(id: str, rows: list[Any]) -> Page[HomeVisit]:
            own = [row[: listed.width] for row in rows if row[0] is not None]
            beyond = rows[0][listed.width :]
            return page_of(own, listed.record, listed.order, window, beyond, partial(total_of, id))

        return [page(id, rows_of[id]) for id in ids]

    def _total_of(self, where: Conditions, parent: str, parents: Any) -> Callable[[str], Awaitable[int]]:
        """Return what counts the visits of one parent. The first call counts those of all, also for calls made meanwhile."""

        async def fetch() -> dict[str, int]:
            statement = await self._compiled(count, listing.Shape(where.shape, parent=parent))
            return dict(await self._fetch(statement, where.values | {"parents": parents}))

        @cache
        def totals() -> asyncio.Future[dict[str, int]]:
            return self._database.begin(fetch())

        async def total_of(id: str) -> int:
            return (await totals())[id]

        return total_of

    async def _fetch(self, statement: Statement, values: Mapping[str, Any]) -> Sequence[Any]:
        return await self._database.fetch(statement, values, self._caller.subject)

    async def _compiled(self, compile: Callable[..., T], *form: Any) -> T:
        """Return the form of a list as it runs here; where it is new, it is compiled when it is its turn."""
        if COMPILING.is_taken:
            await COMPILING.wait()
        return compile(self._dialect, *form)

    def _shape(
        self,
        where: Conditions,
        keys: OrderKeys,
        window: Window,
        *,
        parent: str | None = None,
        columns: frozenset[str] | None = None,
    ) -> tuple[listing.Shape, dict[str, Any]]:
        order = listing.order_of(keys)
        size, backward, after, before = window
        values = {**where.values, "limit": size + 1}
        if after is not None:
            values |= order.position(after, "after")
        if before is not None:
            values |= order.position(before, "before")
        shape = listing.Shape(where.shape, order.keys, backward, after is not None, before is not None, parent, columns)
        return shape, values

    async def counts(self, filter: HomeVisitFilter, group_by: Sequence[HomeVisitGrouping], zone: str) -> list[HomeVisitCount]:
        return await count_groups(self._database, self._caller, filter, group_by, zone)

    async def conflicts(self, occasion: Occasion) -> list[HomeVisit]:
        return await find_conflicts(self._database, self._caller, occasion)

    async def book(
        self,
        booking: BookingInput,
        *,
        suppress_confirmation: bool = False,
        idempotency_key: str | None = None,
        conflicts: Conflicts | None = None,
    ) -> HomeVisit:
        """Book a visit; raise InvalidInput or IdempotencyConflict. The same key with the same input returns the first booking.

        `conflicts`, if any, are read with it.
        """
        fingerprint = lifecycle.fingerprint(booking.values() | {"suppress_confirmation": suppress_confirmation})

        def work(session: Session) -> HomeVisit:
            if visit := self._find_idempotent_booking(session, idempotency_key, fingerprint):
                return visit
            enquiry = self._bookable_enquiry(session, booking, idempotency_key)
            now = self._clock()
            visit = lifecycle.new_visit(new_identifier(now), booking, enquiry, now)
            visit.confirmation = initial_status(visit, enquiry, suppressed=suppress_confirmation, now=now)
            INSERT_VISIT(session, vars(visit))
            append_event(session, self._caller.subject, visit, HomeVisitEventType.BOOKED, [])
            if idempotency_key:
                key = {"subject": self._caller.subject, "key": idempotency_key, "fingerprint": fingerprint}
                INSERT_KEY(session, key | {"home_visit": visit.id, "created": now})
            confirm_booking(session, visit, now)
            return visit

        return await self._change(conflicts.read_after(work) if conflicts else work)

    async def update(
        self,
        id: str,
        changes: Mapping[str, Any],
        *,
        suppress_confirmation: bool = False,
        expected_version: int | None = None,
        conflicts: Conflicts | None = None,
    ) -> HomeVisit:
        """Change the fields in `changes` (`date_time`, `host`, `notes`, `assigned_to`); `conflicts`, if any, are read with it.

        Raises HomeVisitNotFound, HomeVisitNotPending, VersionConflict or InvalidInput.
        """

        def work(session: Session) -> HomeVisit:
            visit = self._locked_pending(session, id, expected_version)
            previous, now = visit.date_time, self._clock()
            accepted = self._checked_changes(session, visit, changes)
            entries = lifecycle.change(visit, accepted, lifecycle.time_of_change(visit, now))
            if visit.date_time != previous:
                enquiry = session.get_one(CareEnquiry, visit.care_enquiry)
                confirm_move(session, visit, enquiry, suppressed=suppress_confirmation, now=now)
            if entries:
                append_event(session, self._caller.subject, visit, HomeVisitEventType.UPDATED, entries)
            return visit

        return await self._change(conflicts.read_after(work) if conflicts else work)

    async def cancel(self, id: str, *, expected_version: int | None = None, notify_care_seeker: bool = False) -> HomeVisit:
        """Raise HomeVisitNotFound, HomeVisitNotPending or VersionConflict."""
        return await self._end(id, "cancelled", HomeVisitEventType.CANCELLED, expected_version, notify_care_seeker)

    async def complete(self, id: str, *, expected_version: int | None = None) -> HomeVisit:
        """Raise HomeVisitNotFound, HomeVisitNotPending or VersionConflict."""
        return await self._end(id, "completed", HomeVisitEventType.COMPLETED, expected_version)

    async def delete_old_keys(self) -> int:
        """Delete the idempotency keys that nobody can count on any more; return how many there were."""

        def work(session: Session) -> int:
            old = delete(IdempotencyKey).where(col(IdempotencyKey.created) < self._clock() - KEY_LIFETIME)
            return session.exec(old).rowcount

        return await self._database.write(work, self._write_state)

    async def _end(
        self, id: str, field: str, type: HomeVisitEventType, expected_version: int | None, notify_care_seeker: bool = False
    ) -> HomeVisit:
        def work(session: Session) -> HomeVisit:
            visit = self._locked_pending(session, id, expected_version)
            now = self._clock()
            ended = lifecycle.time_of_change(visit, now)
            entries = lifecycle.change(visit, {field: ended}, ended)
            withdraw(session, visit, now)
            if notify_care_seeker:
                confirm_cancellation(session, visit, session.get_one(CareEnquiry, visit.care_enquiry), now)
            append_event(session, self._caller.subject, visit, type, entries)
            return visit

        return await self._change(work)

    async def _change(self, work: Callable[[Session], HomeVisit]) -> HomeVisit:
        nonce = self._nonce

        def signed(session: Session) -> HomeVisit:
            if nonce is not None:
                use_nonce(session, nonce, self._clock())
            return work(session)

        return await self._database.write(work if nonce is None else signed, self._write_state)

    def _locked_pending(self, session: Session, id: str, expected_version: int | None) -> HomeVisit:
        query = select(HomeVisit).where(HomeVisit.id == identifier(id), self._in_scope(HomeVisit.location)).with_for_update()
        visit = session.exec(query).one_or_none()
        if visit is None:
            raise HomeVisitNotFound(id)
        lifecycle.require_pending(visit)
        lifecycle.require_version(visit, expected_version)
        return visit

    def _checked_changes(self, session: Session, visit: HomeVisit, changes: Mapping[str, Any]) -> dict[str, Any]:
        accepted = dict(changes)
        problems: list[Problem | None] = [*lifecycle.required_problems(changes)]
        if changes.get("date_time") is not None:
            accepted["date_time"] = lifecycle.in_whole_seconds(changes["date_time"])
            # A form may send back what was kept before there was this rule.
            if accepted["date_time"] != visit.date_time:
                problems.append(lifecycle.time_problem(accepted["date_time"]))
        if "notes" in changes:
            accepted["notes"] = changes["notes"] or ""
            problems.append(lifecycle.notes_problem(accepted["notes"]))
        if "assigned_to" in changes:
            enquiry, _, user_is_visible = referenced_by_visit(session, self._caller, visit, user=changes["assigned_to"])
            problems.append(lifecycle.user_problem(changes["assigned_to"], user_is_visible))
            accepted["assigned_to"] = changes["assigned_to"] or (enquiry and enquiry.assigned_to)
        if any(problems):
            raise InvalidInput(*(problem for problem in problems if problem))
        return accepted

    def _find_idempotent_booking(self, session: Session, key: str | None, fingerprint: str) -> HomeVisit | None:
        if key is None or lifecycle.key_problem(key):
            return None
        booking = find_idempotent_booking(session, self._caller, key)
        if booking is None:
            return None
        if booking.fingerprint != fingerprint:
            raise IdempotencyConflict(key)
        if booking.home_visit is None:  # it was booked where the caller may look no more
            raise InvalidInput(lifecycle.ENQUIRY_UNKNOWN)
        return booking.home_visit

    def _bookable_enquiry(self, session: Session, booking: BookingInput, key: str | None) -> CareEnquiry:
        ids = {"service_user_contact": booking.service_user_contact, "user": booking.assigned_to}
        enquiry, contact, user_is_visible = referenced(session, self._caller, care_enquiry=booking.care_enquiry, **ids)
        problems = lifecycle.booking_problems(booking, enquiry, contact, user_is_visible=user_is_visible)
        if problem := lifecycle.key_problem(key):
            problems.append(problem)
        if problems or enquiry is None:
            raise InvalidInput(*problems)
        return enquiry

    def _in_scope(self, location: Any) -> sa.ColumnElement[bool]:
        return sa.true() if self._caller.locations is None else col(location).in_(identifiers(self._caller.locations))
