"""Random histories of an account and of a database that follows it, with faults between them."""

import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from storage.caller import Caller, Role
from storage.carehq.documents import KINDS, read_document
from storage.carehq.exporting import attributes_of, document_of
from storage.carehq.live import lists
from storage.carehq.live.account import Account
from storage.carehq.live.client import Answer, CareHQ
from storage.carehq.live.follower import Follower
from storage.carehq.live.link import Link
from storage.carehq.live.progress import NotTheFollower
from storage.carehq.live.writing import LiveHomeVisits
from storage.carehq.merging import merge
from storage.errors import (
    HomeVisitNotFound,
    HomeVisitNotPending,
    InvalidInput,
    NotHere,
    Refusal,
    UpstreamInDoubt,
    UpstreamRefused,
    UpstreamThrottled,
    UpstreamUnavailable,
    VersionConflict,
)
from storage.lifecycle import BookingInput
from storage.models import HomeVisit, VisitHost, VisitType
from storage.repository import HomeVisits
from storage.retention.wiping import wipe_due
from tests import world
from tests.databases import copied, database_at, drop_below, path_of
from tests.inspection import inspect
from tests.resolvers.carehq import gateway_over
from tests.storage.carehq.live.conftest import Followed
from tests.storage.carehq.live.faulty import Fault, faulty
from tests.storage.carehq.live.test_following import documents

LINK, OFFICE, CLERK = (Caller(name, frozenset(Role)) for name in ("link", "office", "clerk"))
START = datetime(2030, 1, 1, tzinfo=UTC)
TIME = datetime(2031, 3, 3, 14, 30, tzinfo=UTC)

# That a visit is missing which is there, no network says.
FAULTS = st.lists(st.sampled_from([*(fault for fault in Fault if fault is not Fault.MISSING), *[Fault.NONE] * 2]), max_size=3)
PICKS = st.integers(0, 11)
KEYS = st.sampled_from([None, None, "k", "l", "m"])
CRASHES = st.none() | st.tuples(st.sampled_from(["request", "write", "written"]), st.integers(1, 6))
BOOKINGS = st.builds(
    BookingInput,
    care_enquiry=st.sampled_from([world.FOR_WILLOWS, world.FOR_BEECHES]),
    date_time=st.integers(0, 1).map(lambda hours: TIME + timedelta(hours=hours)),
    visit_type=st.just(VisitType.VIRTUAL),
    host=st.just(VisitHost.MANAGER),
    notes=st.sampled_from(["", "Ring twice.\nÉlan & co."]),
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "date_time": st.integers(0, 1).map(lambda hours: TIME + timedelta(hours=hours)),
        "host": st.sampled_from(list(VisitHost)[:3]),
        "assigned_to": st.sampled_from([world.ANNA, world.BEN, None]),
        "notes": st.sampled_from(["", "Other"]),
    },
)
UNAVAILABLE = (UpstreamUnavailable, UpstreamThrottled, UpstreamRefused)
REFUSALS = (HomeVisitNotFound, HomeVisitNotPending, InvalidInput, NotHere, VersionConflict)


class Clock:
    def __init__(self) -> None:
        self.now = START
        self.step = timedelta()

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def pause(self, seconds: float) -> None:
        self.advance(max(seconds, 5))
        await asyncio.sleep(0)


class Impatient(CareHQ):
    """Gives up as soon as the proxy tells that the account hangs: a busy machine is not taken for that."""

    hung: asyncio.Event

    async def _ask(self, *request: Any) -> Answer:
        self.hung.clear()
        asking, hanging = asyncio.ensure_future(super()._ask(*request)), asyncio.ensure_future(self.hung.wait())
        try:
            await asyncio.wait({asking, hanging}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return await asking
        finally:
            hanging.cancel()
            asking.cancel()
        raise UpstreamUnavailable("it does not answer in time", may_be_done=True)


@dataclass
class Calls:
    """What became of calls that are alike."""

    acknowledged: int = 0
    in_doubt: int = 0


@dataclass
class Tally:
    """What was asked through here: `bookings` by their content, `changes` by visit and type; `keys` with their bookings."""

    bookings: dict[BookingInput, Calls] = field(default_factory=dict)
    changes: dict[tuple[str, str], Calls] = field(default_factory=dict)
    keys: dict[str, BookingInput] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    booked: dict[str | int, str] = field(default_factory=dict)


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
                self._runner.run(self._check())
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
            self._merge_there("home_visits", _document(visit) | {"completed": None, "cancelled": now if cancelled else None}, now)

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
            self._runner.run(_awaited(do(HomeVisits(self._followed.gateway.database, OFFICE, self._clock))))
        except Refusal:
            return

    def _merge_there(self, kind: str, values: dict[str, Any], now: datetime | None = None) -> None:
        document = read_document(KINDS[kind], {name: _text(value) for name, value in values.items()} | _modified(now))[0]
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
                assert self._events(id)[-1] == (visit.version, type, "clerk")

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
        database, write, writes = self._followed.database, self._followed.database.write, 0

        async def counted(work: Any, state: Any = None) -> Any:
            nonlocal writes
            writes += 1
            if writes == number and at == "write":
                following.cancel()
                await asyncio.sleep(0)
            written = await write(work, state)
            if writes == number:
                following.cancel()
                await asyncio.sleep(0)
            return written

        database.__dict__["write"] = counted

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
        assert not self._tally.doubtful
        self._clock.advance(100)
        self._follower = self._new_follower()
        self._runner.run(self._follower.follow_once())

    async def _check(self) -> None:
        here, there = [await documents(database) for database in (self._followed.database, self._followed.gateway.database)]
        assert here == there
        self._check_bookings()
        self._check_changes()
        self._check_events()
        self._check_wiped()

    def _check_bookings(self) -> None:
        booked = self._there_by("BOOKED")
        assert set(self._tally.booked.values()) <= booked.keys()
        assert set(booked.values()) <= {1}
        total = sum(calls.acknowledged + calls.in_doubt for calls in self._tally.bookings.values())
        acknowledged = sum(calls.acknowledged for calls in self._tally.bookings.values())
        assert acknowledged <= len(booked) <= total
        letters = inspect(path_of(self._followed.gateway.database)).query("SELECT home_visit FROM outbox_messages")
        moves = self._there_by("UPDATED")
        for id, sent in Counter(str(id) for (id,) in letters).items():
            assert sent <= 1 + moves[id] + self._office_by("UPDATED")[id]

    def _check_changes(self) -> None:
        for type in ("UPDATED", "CANCELLED", "COMPLETED"):
            there = self._there_by(type)
            for id, count in there.items():
                calls = self._tally.changes.get((id, type), Calls())
                assert count <= calls.acknowledged + calls.in_doubt, (id, type)

    def _check_events(self) -> None:
        versions = dict(inspect(path_of(self._followed.database)).query("SELECT id, version FROM home_visits"))
        theirs = dict(inspect(path_of(self._followed.gateway.database)).query("SELECT id, version FROM home_visits"))
        for id, version in versions.items():
            events = self._events(str(id))
            assert sorted({event[0] for event in events}) == list(range(1, int(version) + 1)), (id, events)
            # What the follower has stored first is told again, once it is known who has done it.
            assert max(Counter((version, actor == "clerk") for version, _, actor in events).values()) == 1, (id, events)
            assert version <= theirs[id], (id, events)
            assert {(type, actor) for _, type, actor in events if actor != "clerk"} <= {("IMPORTED", "import")}
            own = Counter(type for _, type, actor in events if actor == "clerk")
            assert own["BOOKED"] <= list(self._tally.booked.values()).count(str(id))
            for type in ("UPDATED", "CANCELLED", "COMPLETED"):
                assert own[type] <= self._tally.changes.get((str(id), type), Calls()).acknowledged

    def _check_wiped(self) -> None:
        for table in ("care_enquiries", "service_user_contacts"):
            for row in inspect(path_of(self._followed.gateway.database)).records(table):
                if row["anonymized"] is not None:
                    names = f"SELECT first_name, last_name, email, phone FROM {table} WHERE id = '{row['id']}'"  # noqa: S608 - ours
                    assert set(inspect(path_of(self._followed.database)).query(names)) <= {(None, None, None, None)}
        for row in inspect(path_of(self._followed.database)).records("home_visits"):
            if row["anonymized"] is not None:
                changes = f"SELECT changes FROM home_visit_events WHERE home_visit = '{row['id']}'"  # noqa: S608 - ours
                texts = inspect(path_of(self._followed.database)).query(changes)
                entries = [entry for (text,) in texts for entry in json.loads(text)]
                assert all(entry[1:] == [None, None] for entry in entries if entry[0] in ("notes", "service_user_contact"))

    def _events(self, id: str) -> list[tuple[int, str, str]]:
        events = f"SELECT version, type, actor FROM home_visit_events WHERE home_visit = '{id}' ORDER BY version"  # noqa: S608 - ours
        return [
            (int(version), str(type), str(actor))
            for version, type, actor in inspect(path_of(self._followed.database)).query(events)
        ]

    def _there_by(self, type: str, actor: str = "link") -> Counter[str]:
        events = f"SELECT home_visit FROM home_visit_events WHERE actor = '{actor}' AND type = '{type}'"  # noqa: S608 - ours
        return Counter(str(id) for (id,) in inspect(path_of(self._followed.gateway.database)).query(events))

    def _office_by(self, type: str) -> Counter[str]:
        return self._there_by(type, "office")


async def _awaited(work: Awaitable[HomeVisit]) -> HomeVisit:
    return await work


def _document(visit: HomeVisit) -> dict[str, Any]:
    return document_of(KINDS["home_visits"], visit, attributes_of(KINDS["home_visits"]))


def _text(value: Any) -> Any:
    return value.replace(tzinfo=None).isoformat(" ") if isinstance(value, datetime) else value


def _modified(now: datetime | None) -> dict[str, Any]:
    return {} if now is None else {"modified": _text(now)}
