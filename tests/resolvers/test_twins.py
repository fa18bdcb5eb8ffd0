"""SQLite and PostgreSQL answer alike: random histories of changes, queries, imports and deliveries run on both."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from storage.caller import Caller
from storage.carehq.documents import KINDS
from storage.outbox.transports import NotSent
from tests.resolvers import twin_requests as requests
from tests.resolvers.twin_requests import BAD_CURSORS, CALLERS, FILTERS, ONE_CONDITION, ORDERS, SIZES, VERSIONS
from tests.resolvers.twins import Templates, Twins, later
from tests.world import EVERYBODY, UNKNOWN, VISIT_IDS

# SQLite is there always.
pytestmark = pytest.mark.postgresql


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return Templates.make(tmp_path_factory.mktemp("twins"))


class Histories(RuleBasedStateMachine):
    def __init__(self, templates: Templates) -> None:
        super().__init__()
        self._twins = Twins(templates)
        self._ids = [UNKNOWN, *requests.NEW, *VISIT_IDS[:7]]
        # The last that were booked: most of what is done is done to them.
        self._booked: list[str] = [VISIT_IDS[0]]
        self._bookings: list[dict[str, Any]] = []
        # Each with the order of its list.
        self._cursors: list[tuple[Any, str]] = []
        self._rows = self._twins.rows()

    def teardown(self) -> None:
        try:
            for kind in KINDS:
                self._twins.exported(kind)
        finally:
            self._twins.close()

    @rule(seconds=st.sampled_from([0.001, 0.5, 1, 1, 60, 3_600, 86_400, 260_000, -1, -600]))
    def wait(self, seconds: float) -> None:
        later(self._twins.clock, seconds)

    @rule(caller=CALLERS, booking=requests.BOOKINGS, planned=st.booleans())
    def book(self, caller: Caller, booking: dict[str, Any], planned: bool) -> None:
        self._bookings.append(booking)
        self._change("book", booking, caller, planned=planned)

    @rule(booking=requests.SOUND_BOOKINGS)
    def book_soundly(self, booking: dict[str, Any]) -> None:
        self._bookings.append(booking)
        self._change("book", booking, EVERYBODY)

    @precondition(lambda self: self._bookings)
    @rule(caller=CALLERS, data=st.data())
    def book_again(self, caller: Caller, data: st.DataObject) -> None:
        self._change("book", data.draw(st.sampled_from(self._bookings)), caller)

    @rule(caller=CALLERS, changes=requests.CHANGES, data=st.data(), planned=st.booleans())
    def update(self, caller: Caller, changes: dict[str, Any], data: st.DataObject, planned: bool) -> None:
        self._change("update", {"id": self._id(data), **changes}, caller, planned=planned)

    @rule(caller=CALLERS, version=VERSIONS, notify=st.none() | st.booleans(), data=st.data())
    def end(self, caller: Caller, version: dict[str, Any], notify: bool | None, data: st.DataObject) -> None:
        if notify is None:
            self._change("complete", {"id": self._id(data), **version}, caller)
        else:
            self._change("cancel", {"id": self._id(data), "notifyCareSeeker": notify, **version}, caller)

    @rule(file=requests.FILES)
    def take_in(self, file: tuple[str, bytes]) -> None:
        self._twins.take_in(*file)

    @rule(kind=st.sampled_from(list(KINDS)))
    def export(self, kind: str) -> None:
        self._twins.exported(kind)

    @precondition(lambda self: self._has_message("QUEUED"))
    @rule(refusals=requests.REFUSALS)
    def deliver(self, refusals: list[NotSent | None]) -> None:
        self._twins.deliver(refusals)

    @precondition(lambda self: self._has_message("FAILED", "QUEUED"))
    @rule(retried=st.booleans())
    def look_into_the_outbox(self, retried: bool) -> None:
        self._twins.overview([message["id"] for message in self._rows["outbox_messages"]] if retried else [])

    @rule(caller=CALLERS, filter=FILTERS | ONE_CONDITION, order=ORDERS, size=SIZES, planned=st.booleans(), data=st.data())
    def list(self, caller: Caller, filter: Any, order: Any, size: dict[str, int], planned: bool, data: st.DataObject) -> None:
        bounds = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(("after", "before"), self._cursor())))
        orders = [cursor_order for cursor_order, _ in bounds.values() if cursor_order is not None]
        variables = {"filter": filter, "orderBy": orders[0] if orders else order, **size}
        variables |= {name: cursor for name, (_, cursor) in bounds.items()}
        answer = self._twins.ask(requests.LIST, variables, caller, planned=planned)
        if answer["data"]:
            self._cursors += [(variables["orderBy"], edge["cursor"]) for edge in answer["data"]["homeVisits"]["edges"][:2]]

    @rule(caller=CALLERS, filter=ONE_CONDITION, order=ORDERS, size=SIZES, forward=st.booleans())
    def walk(self, caller: Caller, filter: Any, order: Any, size: dict[str, int], forward: bool) -> None:
        """Page through a list from one end to the other."""
        variables = {"filter": filter, "orderBy": order, ("first" if forward else "last"): 1 + sum(size.values()) % 5}
        for _ in range(4):
            answer = self._twins.ask(requests.LIST, variables, caller)
            page = answer["data"] and answer["data"]["homeVisits"]
            if not page or not page["edges"]:
                return
            ends = {"after": page["pageInfo"]["endCursor"]} if forward else {"before": page["pageInfo"]["startCursor"]}
            variables |= ends

    @rule(
        document=st.sampled_from(requests.PARENTS),
        caller=CALLERS,
        filter=ONE_CONDITION,
        order=ORDERS,
        size=SIZES,
        planned=st.booleans(),
    )
    def list_of_each_parent(
        self, document: str, caller: Caller, filter: Any, order: Any, size: dict[str, int], planned: bool
    ) -> None:
        self._twins.ask(document, {"filter": filter, "orderBy": order, **size}, caller, planned=planned)

    @rule(caller=CALLERS, data=st.data(), planned=st.booleans())
    def node(self, caller: Caller, data: st.DataObject, planned: bool) -> None:
        others = st.sampled_from([*requests.HOMES, *requests.USERS, *requests.ENQUIRIES, *requests.CONTACTS])
        id = data.draw(others | st.sampled_from(self._booked + self._ids) | st.sampled_from(requests.ODD_IDS))
        self._twins.ask(requests.NODE, {"id": id}, caller, planned=planned)

    @invariant()
    def both_keep_the_same(self) -> None:
        self._rows = self._twins.rows()

    def _has_message(self, *statuses: str) -> bool:
        return any(message["status"] in statuses for message in self._rows["outbox_messages"])

    def _change(self, name: str, input: dict[str, Any], caller: Caller, *, planned: bool = True) -> None:
        answer = self._twins.ask(requests.MUTATIONS[name], {"input": input}, caller, planned=planned)
        result = answer["data"] and answer["data"][f"{name}HomeVisit"]
        if result and result["__typename"] == "BookHomeVisitSuccess":
            self._booked = [*self._booked[-2:], result["homeVisit"]["id"]]

    def _id(self, data: st.DataObject) -> str:
        booked = st.sampled_from(self._booked)
        id: str = data.draw(booked | booked | booked | st.sampled_from(self._ids))
        return id

    def _cursor(self) -> st.SearchStrategy[tuple[Any, str]]:
        bad = st.tuples(st.none(), BAD_CURSORS)
        return st.sampled_from(self._cursors) | bad if self._cursors else bad


def test_random_histories_go_alike_on_both_databases(templates: Templates) -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        lambda: Histories(templates),
        settings=settings(max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=checks),
    )


@pytest.mark.slow
def test_long_random_histories_go_alike_on_both_databases(templates: Templates) -> None:
    run_state_machine_as_test(
        lambda: Histories(templates),
        settings=settings(max_examples=14, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)),
    )
