"""Random histories of visits, mail servers and crashes, against a model of what must have been sent."""

import asyncio
import contextlib
import tempfile
from collections import defaultdict
from collections.abc import Coroutine
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from storage.lifecycle import BookingInput
from storage.models import VisitHost, VisitType
from storage.outbox.courier import Courier
from storage.outbox.overview import given_up, retry
from storage.outbox.transports import Smtp, Unreachable
from tests.databases import copied, database_at, drop_below
from tests.storage.outbox.model import Copy, Model, Outcome, Visit
from tests.storage.outbox.post_office import PostOffice, cut, entry, facts, invitation
from tests.storage.outbox.practice import ENQUIRY, Practice
from tests.storage.outbox.records import LETTERHEAD

T = TypeVar("T")

ANSWERS: dict[Outcome, tuple[str, Any]] = {
    "put off": ("RCPT", "451 later"),
    "refused": ("RCPT", "550 unknown"),
    "cut after the letter": ("DATA", cut),
}
OUTCOMES: list[Outcome] = [
    "taken",
    "put off",
    "refused",
    "cut after the letter",
    "unreachable",
    "crash before",
    "crash after",
]


def received(letter: EmailMessage) -> Copy:
    return Copy(*entry(letter), facts(letter).get("Old time"))


class Crash(BaseException):
    """Ends a courier as nothing that it handles does."""


class CrashingSmtp(Smtp):
    after: bool

    async def send(self, letter: EmailMessage) -> None:
        if self.after:
            await super().send(letter)
        raise Crash


class Histories(RuleBasedStateMachine):
    def __init__(self, prepared: Path) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.run(self._begin(copied(prepared, Path(self.folder.name) / "home_visits.db")))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def _begin(self, path: Path) -> None:
        self.practice = Practice(await database_at(path).open())
        self.model = Model(self.practice.clock())
        self.post_office = PostOffice()
        await self.post_office.start()

    @rule(suppressed=st.booleans(), days=st.sampled_from([-1, 0.02, 1, 30]))
    def book(self, suppressed: bool, days: float) -> None:
        time = self.practice.clock() + timedelta(days=days)
        visit = Visit(self.run(self.practice.book(suppressed=suppressed, time=time)), time)
        self.model.visits.append(visit)
        self.model.decide(visit, suppressed)

    @rule()
    def book_again_with_a_key(self) -> None:
        if not hasattr(self, "booking"):
            self.booking = BookingInput(ENQUIRY, self.practice.clock() + timedelta(days=9), VisitHost.NURSE, VisitType.VIRTUAL)
            booked = self.run(self.practice.visits.book(self.booking, idempotency_key="same"))
            visit = Visit(booked.id, self.booking.date_time)
            self.model.visits.append(visit)
            self.model.decide(visit, suppressed=False)
        else:
            self.run(self.practice.visits.book(self.booking, idempotency_key="same"))

    @precondition(lambda self: any(visit.pending for visit in self.model.visits))
    @rule(data=st.data(), suppressed=st.booleans(), seconds=st.sampled_from([-3600, 3600, 24 * 3600, 20, -20]))
    def move(self, data: st.DataObject, suppressed: bool, seconds: int) -> None:
        visit = self._pick(data)
        self.run(self.practice.move(visit.id, suppressed=suppressed, seconds=seconds))
        visit.time += timedelta(seconds=seconds)
        self.model.decide(visit, suppressed)

    @precondition(lambda self: any(visit.pending for visit in self.model.visits))
    @rule(data=st.data(), notes=st.sampled_from(["", "Uses a wheelchair"]))
    def note(self, data: st.DataObject, notes: str) -> None:
        visit = self._pick(data)
        self.run(self.practice.visits.update(visit.id, {"notes": notes}))

    @precondition(lambda self: any(visit.pending for visit in self.model.visits))
    @rule(data=st.data(), ending=st.sampled_from(["cancelled", "completed"]), notify=st.booleans())
    def end(self, data: st.DataObject, ending: Literal["cancelled", "completed"], notify: bool) -> None:
        visit = self._pick(data)
        if ending == "completed":
            self.run(self.practice.visits.complete(visit.id))
        else:
            self.run(self.practice.visits.cancel(visit.id, notify_care_seeker=notify))
        self.model.end(visit, ending, notify=notify and ending == "cancelled")

    @precondition(lambda self: any(not visit.pending for visit in self.model.visits))
    @rule(data=st.data())
    def anonymize(self, data: st.DataObject) -> None:
        visit = data.draw(st.sampled_from([visit for visit in self.model.visits if not visit.pending]))
        self.run(self.practice.anonymize(visit.id))
        self.model.anonymize(visit)

    @rule(has_address=st.booleans())
    def learn_or_lose_the_address(self, has_address: bool) -> None:
        self.run(self.practice.family(email="ada@family.example" if has_address else None))
        self.model.has_address = has_address

    @rule(seconds=st.sampled_from([1, 30, 60, 3600, 40 * 3600]))
    def wait(self, seconds: int) -> None:
        self.practice.clock.advance(seconds=seconds)
        self.model.now = self.practice.clock()

    @rule(outcome=st.sampled_from(OUTCOMES))
    def deliver(self, outcome: Outcome) -> None:
        self.run(self._deliver(outcome))
        self.model.deliver(outcome)

    @rule()
    def staff_try_again(self) -> None:
        async def work() -> None:
            ids = [message.id for message in await given_up(self.practice.database)]
            await retry(self.practice.database, ids, self.practice.clock())

        self.run(work())
        self.model.retry()

    @invariant()
    def the_outbox_is_as_it_must_be(self) -> None:
        messages = self.run(self.practice.messages())
        assert [(message.home_visit, message.method == "CANCEL", message.status) for message in messages] == [
            (mail.visit.id, mail.cancels, mail.status) for mail in self.model.mails
        ]
        for visit in self.model.visits:
            numbers = [message.sequence for message in messages if message.home_visit == visit.id]
            assert numbers == sorted(set(numbers))
            assert all(0 <= number < 2**31 for number in numbers)

    @invariant()
    def each_visit_tells_what_became_of_its_mail(self) -> None:
        for visit in self.model.visits:
            assert self.run(self.practice.confirmation(visit.id)) == visit.confirmation

    @invariant()
    def what_arrived_is_what_had_to(self) -> None:
        messages = self.run(self.practice.messages())
        expected = {
            message.id: (mail.visit.id, mail.copies)
            for message, mail in zip(messages, self.model.mails, strict=True)
            if mail.copies
        }
        arrived: defaultdict[str, list[EmailMessage]] = defaultdict(list)
        for letter in self.post_office.letters:
            arrived[letter["Message-ID"].strip("<>").partition("@")[0]].append(letter)
        assert {id: (invitation(copies[0])[0], list(map(received, copies))) for id, copies in arrived.items()} == expected

    def teardown(self) -> None:
        """Let the mail server recover and the leases end: nothing may be lost."""
        try:
            self.learn_or_lose_the_address(True)
            self.wait(60)
            for _ in range(10):
                self.wait(3600)
                self.deliver("taken")
            self.the_outbox_is_as_it_must_be()
            self.each_visit_tells_what_became_of_its_mail()
            self.what_arrived_is_what_had_to()
            assert not [mail for mail in self.model.mails if mail.status == "QUEUED"]
            assert len({letter.as_bytes() for letter in self.post_office.letters}) == len(set(self.post_office.message_ids))
        finally:
            self.run(self.post_office.stop())
            self.run(self.practice.database.close())
            self.runner.close()
            drop_below(Path(self.folder.name))
            self.folder.cleanup()

    def _pick(self, data: st.DataObject) -> Visit:
        return data.draw(st.sampled_from([visit for visit in self.model.visits if visit.pending]))

    async def _deliver(self, outcome: Outcome) -> None:
        server = self.post_office.mail_server
        if outcome == "unreachable":
            port = self.post_office.port
            await self.post_office.stop()
        courier = self.practice.courier(server)
        if outcome in {"crash before", "crash after"}:
            transport = CrashingSmtp(server)
            transport.after = outcome == "crash after"
            courier = Courier(self.practice.database, transport, LETTERHEAD, clock=self.practice.clock, jitter=lambda: 0.0)
        if outcome in ANSWERS:
            step, answer = ANSWERS[outcome]
            self.post_office.answers[step] = answer
        with contextlib.suppress(Unreachable, Crash):
            await courier.deliver_once()
        self.post_office.answers.clear()
        if outcome == "unreachable":
            await self.post_office.start(port)


@pytest.mark.parametrize(
    ("histories", "steps"), [(8, 20), pytest.param(50, 50, marks=pytest.mark.slow)], ids=["a few short", "many long"]
)
def test_histories_send_what_must_be_sent_and_nothing_else(prepared: Path, histories: int, steps: int) -> None:
    thorough = settings(
        max_examples=histories,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )

    run_state_machine_as_test(lambda: Histories(prepared), settings=thorough)
