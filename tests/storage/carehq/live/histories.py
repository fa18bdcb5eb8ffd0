"""Random histories of an account and of a database that follows it, with faults between them."""

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from storage.carehq.documents import KINDS, read_document
from storage.carehq.live import lists
from storage.carehq.live.account import Account
from storage.carehq.live.follower import Follower
from storage.carehq.live.link import Link
from storage.carehq.live.progress import NotTheFollower
from storage.carehq.live.writing import LiveHomeVisits
from storage.carehq.merging import merge
from storage.errors import Refusal, UpstreamInDoubt
from storage.lifecycle import BookingInput
from storage.models import HomeVisit, VisitHost, VisitType
from storage.repository import HomeVisits
from storage.retention.wiping import wipe_due
from tests.databases import copied, database_at, drop_below, path_of
from tests.inspection import inspect
from tests.resolvers.carehq import gateway_over
from tests.storage.carehq.live.agreeing import Agreement, Calls, Tally
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.faulty import Fault, faulty
from tests.storage.carehq.live.sides import (
    BOOKINGS,
    CHANGES,
    CLERK,
    CRASHES,
    FAULTS,
    KEYS,
    LINK,
    OFFICE,
    PICKS,
    REFUSALS,
    TIME,
    UNAVAILABLE,
    Clock,
    Impatient,
    awaited,
    cancel_at_write,
    document,
    modified,
    text,
)
from tests.storage.carehq.live.test_following import documents


class Histories(RuleBasedStateMachine):
    """`ended` counts those that were looked at in the end."""

    ended = 0

    def __init__(self, template: Path, empty: Path) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._patch = pytest.MonkeyPatch()
        self._clock, self._tally = Clock(), Tally()
        self._patch.setattr("resolvers.operations.clock", self._clock)
        self._patch.setattr("storage.carehq.live.exchange.WAIT_SECONDS", 0.1)
        self._patch.setattr(lists, "PER_PAGE", 10)
        self._runner, self._stack = asyncio.Runner(), AsyncExitStack()
        self._followed = self._runner.run(self._open(template, empty))
        self._follower = self._new_follower()

    async def _open(self, template: Path, empty: Path) -> Followed:
        folder, clock = Path(self._folder.name), self._clock
        there = await database_at(copied(template, folder / "there.db")).open()
        self._stack.push_async_callback(there.close)
        here = await database_at(copied(empty, folder / "here.db")).open()
        self._stack.push_async_callback(here.close)
        gateway = await self._stack.enter_async_context(gateway_over(there, now=lambda: clock().timestamp()))
        proxy, origin = await self._stack.enter_async_context(faulty(gateway.origin))
        proxy.clock = clock
        key = await gateway.key(LINK)
        carehq = Impatient(Account(origin, key.account_id, key.key, key.secret), lambda: clock().timestamp())
        carehq.hung = proxy.hung
        await self._stack.enter_async_context(carehq)
        return Followed(gateway, proxy, here, carehq, clock, Link(here, carehq, clock))  # type: ignore[arg-type] # a clock like its

    def teardown(self) -> None:
        try:
            # What a step has broken is told by that step.
            if sys.exc_info()[1] is None:
                self._settle()
                self._runner.run(self._agreement.check())
                Histories.ended += 1
        finally:
            self._runner.run(self._stack.aclose())
            self._runner.close()
            self._patch.undo()
            drop_below(Path(self._folder.name))
            self._folder.cleanup()

    # What happens

    @initialize(step=st.sampled_from([0.001, 0.4, 1.0]))
    def start(self, step: float) -> None:
        self._followed.proxy.arrived = lambda: self._arrive(step)
        self._at_request = 0
        self._crash: Callable[[], None] = lambda: None

    def _arrive(self, step: float) -> None:
        self._clock.advance(step)
        self._at_request -= 1
        if self._at_request == 0:
            self._crash()

    @rule(seconds=st.sampled_from([1, 50, 400, 90_000]))
    def time_passes(self, seconds: float) -> None:
        self._clock.advance(seconds)

    @rule(booking=BOOKINGS)
    def book_there(self, booking: BookingInput) -> None:
        # What is booked through here is told from it.
        in_person = replace(booking, visit_type=VisitType.IN_PERSON)
        self._there(lambda visits: visits.book(in_person))

    @rule(pick=PICKS, changes=CHANGES)
    def update_there(self, pick: int, changes: dict[str, Any]) -> None:
        self._there(lambda visits: visits.update(self._pick(pick), changes))

    @rule(pick=PICKS, action=st.sampled_from(["cancel", "complete"]))
    def end_there(self, pick: int, action: str) -> None:
        self._there(lambda visits: getattr(visits, action)(self._pick(pick)))

    @rule(pick=PICKS, cancelled=st.booleans())
    def reopen_or_cancel_there(self, pick: int, cancelled: bool) -> None:
        """Do what the source's own screens do with a visit that is completed."""
        visit = self._runner.run(HomeVisits(self._followed.gateway.database, OFFICE, self._clock).get(self._pick(pick)))
        assert visit is not None
        if visit.completed is not None and visit.anonymized is None:
            self._clock.advance(1)
            now = self._clock().replace(microsecond=0)
            self._merge_there("home_visits", document(visit) | {"completed": None, "cancelled": now if cancelled else None}, now)

    @rule()
    def anonymize_there(self) -> None:
        self._clock.advance(1)
        database, now = self._followed.gateway.database, self._clock()
        self._runner.run(database.write(lambda session: wipe_due(session, self._visits(), now, "office", now)))

    @rule(number=st.integers(0, 3))
    def new_people_there(self, number: int) -> None:
        location, user, enquiry, contact = (f"{kind}00000000000000000000a{number:02}" for kind in "1234")
        self._merge_there("locations", {"_id": location, "name": f"Home {number}"})
        self._merge_there("users", {"_id": user, "first_name": f"User {number}", "locations": [location]})
        self._merge_there("care_enquiries", {"_id": enquiry, "first_name": "New", "location": location, "assigned_to": user})
        self._merge_there("service_user_contacts", {"_id": contact, "first_name": "Newer", "care_enquiry": enquiry})
        booking = BookingInput(
            care_enquiry=enquiry,
            date_time=TIME,
            visit_type=VisitType.IN_PERSON,
            host=VisitHost.CARER,
            service_user_contact=contact,
            notes=f"New {number}",
        )
        self._there(lambda visits: visits.book(booking))

    @rule(booking=BOOKINGS, key=KEYS, faults=FAULTS)
    def book_here(self, booking: BookingInput, key: str | None, faults: list[Fault]) -> None:
        booking = self._tally.keys.setdefault(key, booking) if key else booking
        self._faults(faults)
        self._runner.run(self._book(booking, key))

    @rule(pick=PICKS, changes=CHANGES, behind=st.sampled_from([None, 0, 1]), faults=FAULTS)
    def update_here(self, pick: int, changes: dict[str, Any], behind: int | None, faults: list[Fault]) -> None:
        id = self._pick(pick)
        self._faults(faults)
        self._runner.run(
            self._change(id, "UPDATED", lambda version: self._here().update(id, changes, expected_version=version), behind)
        )

    @rule(pick=PICKS, action=st.sampled_from(["cancel", "complete"]), behind=st.sampled_from([None, 0, 1]), faults=FAULTS)
    def end_here(self, pick: int, action: str, behind: int | None, faults: list[Fault]) -> None:
        id, type = self._pick(pick), {"cancel": "CANCELLED", "complete": "COMPLETED"}[action]
        self._faults(faults)
        self._runner.run(
            self._change(id, type, lambda version: getattr(self._here(), action)(id, expected_version=version), behind)
        )

    @rule(faults=FAULTS, crash=CRASHES)
    def follow(self, faults: list[Fault], crash: tuple[str, int] | None) -> None:
        self._faults(faults)
        self._runner.run(self._follow(crash))

    @rule(bookings=st.lists(BOOKINGS, min_size=2, max_size=3), key=KEYS, pick=PICKS, changes=CHANGES, faults=FAULTS)
    def all_at_once(
        self, bookings: list[BookingInput], key: str | None, pick: int, changes: dict[str, Any], faults: list[Fault]
    ) -> None:
        """Book, two with one key, change and follow at the same time."""
        self._faults(faults)
        id, keys = self._pick(pick), [key, key, None]
        same = self._tally.keys.setdefault(key, bookings[0]) if key else bookings[0]

        async def work() -> None:
            await asyncio.gather(
                *(self._book(same if k else booking, k, alone=False) for booking, k in zip(bookings, keys, strict=False)),
                self._change(id, "UPDATED", lambda _: self._here().update(id, changes), None, alone=False),
                self._follow(None),
            )

        self._runner.run(work())

    @rule()
    def deliver_what_was_delayed(self) -> None:
        self._runner.run(self._followed.proxy.deliver())

    # How

    def _there(self, do: Callable[[HomeVisits], Awaitable[HomeVisit]]) -> None:
        self._clock.advance(0.3)
        try:
            self._runner.run(awaited(do(HomeVisits(self._followed.gateway.database, OFFICE, self._clock))))
        except Refusal:
            return

    def _merge_there(self, kind: str, values: dict[str, Any], now: datetime | None = None) -> None:
        document = read_document(KINDS[kind], {name: text(value) for name, value in values.items()} | modified(now))[0]
        self._runner.run(
            self._followed.gateway.database.write(lambda session: merge(session, KINDS[kind], [document], self._clock()))
        )

    def _here(self) -> LiveHomeVisits:
        return LiveHomeVisits(self._followed.link, self._followed.database, CLERK, self._clock)

    def _new_follower(self) -> Follower:
        return Follower(self._followed.database, self._followed.carehq, self._clock, pause=self._clock.pause)

    def _faults(self, faults: Sequence[Fault]) -> None:
        self._followed.proxy.faults = list(faults)
        self._at_request = 0

    def _visits(self) -> list[str]:
        rows = inspect(path_of(self._followed.gateway.database)).query("SELECT id FROM home_visits ORDER BY number DESC")
        return [str(id) for (id,) in rows]

    def _pick(self, pick: int) -> str:
        return self._visits()[pick]

    async def _book(self, booking: BookingInput, key: str | None, *, alone: bool = True) -> None:
        calls = self._tally.bookings.setdefault(booking, Calls())
        try:
            visit = await self._here().book(booking, idempotency_key=key)
        except UpstreamInDoubt:
            if not (key and (key in self._tally.booked or key in self._tally.doubtful)):
                calls.in_doubt += 1
                self._tally.doubtful |= {key} if key else set()
        except (*UNAVAILABLE, *REFUSALS):
            return
        else:
            is_new = self._acknowledge(booking, key, visit)
            if alone and is_new:
                await self._require_same(visit.id)

    def _acknowledge(self, booking: BookingInput, key: str | None, visit: HomeVisit) -> bool:
        """Return whether it was booked just now, for all that its callers know."""
        calls, booked = self._tally.bookings[booking], self._tally.booked
        if key in self._tally.doubtful:
            calls.in_doubt -= 1
            self._tally.doubtful.discard(key)
        is_new = key is None or key not in booked
        if is_new:
            assert visit.id not in booked.values(), "one visit was told to two who have booked"
            calls.acknowledged += 1
            booked[key or len(booked)] = visit.id
        assert booked[key or len(booked) - 1] == visit.id, "a key was told two visits"
        return is_new

    async def _change(
        self, id: str, type: str, do: Callable[[int | None], Awaitable[HomeVisit]], behind: int | None, *, alone: bool = True
    ) -> None:
        calls = self._tally.changes.setdefault((id, type), Calls())
        here = await self._here().get(id)
        try:
            visit = await do(None if behind is None or here is None else here.version - behind)
        except UpstreamInDoubt:
            calls.in_doubt += 1
        except (*UNAVAILABLE, *REFUSALS):
            return
        else:
            calls.acknowledged += 1
            # What changes nothing is not asked for.
            if alone and here is not None and visit.version != here.version:
                await self._require_same(id)
                assert self._agreement.events(id)[-1] == (visit.version, type, "clerk")

    async def _require_same(self, id: str) -> None:
        """Hold that a visit which was just changed is there as it is here."""
        here, there = [
            next(document for document in await documents(database) if document["_id"] == id)
            for database in (self._followed.database, self._followed.gateway.database)
        ]
        assert here == there

    async def _follow(self, crash: tuple[str, int] | None) -> None:
        following = asyncio.ensure_future(self._follower.follow_once())
        if crash is not None:
            self._break_off(following, *crash)
        try:
            await following
        except (*UNAVAILABLE, NotTheFollower):
            return
        except asyncio.CancelledError:
            self._follower = self._new_follower()
        finally:
            self._followed.database.__dict__.pop("write", None)
            self._at_request = 0

    def _break_off(self, following: "asyncio.Future[Any]", at: str, number: int) -> None:
        """Cancel what follows at a request, before a write or after it was committed."""
        self._crash = following.cancel  # type: ignore[assignment] # what it returns is nothing to us
        if at == "request":
            self._at_request = number
            return
        cancel_at_write(self._followed.database, following, at, number)

    # In the end

    def _settle(self) -> None:
        if not hasattr(self, "_crash"):
            return
        proxy = self._followed.proxy
        self._faults([])
        self._runner.run(self._followed.link.finish())
        self._clock.advance(900)
        self._runner.run(proxy.deliver())
        for key in sorted(self._tally.doubtful):
            self._runner.run(self._book(self._tally.keys[key], key))
        for key in self._tally.doubtful:
            assert self._agreement.may_be_there(self._tally.keys[key]), "it should have been booked"
        self._clock.advance(100)
        self._follower = self._new_follower()
        self._runner.run(self._follower.follow_once())

    @property
    def _agreement(self) -> Agreement:
        return Agreement(self._followed, self._tally)
