"""Plans answer what graphql-core's own executor answers: the same data in the same order, the same errors in the same places."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.execution import engine
from schema.execution.internals import core_schema
from schema.execution.limits import Limits
from storage import identifiers
from tests import world
from tests.asking import schema
from tests.schema.execution.drawn import Drawn, documents
from tests.schema.execution.oracle import CALLERS, LOOSE, SPOILT, TIGHT, Oracle, alike, values
from tests.world import ANNA, DAUGHTER, FOR_BEECHES, FOR_WILLOWS, STUB_ENQUIRY, UNKNOWN, VISIT_IDS, WILLOWS

DRAWN = settings(deadline=None, suppress_health_check=list(HealthCheck))
QUERIES = documents(core_schema(schema()), values())
MUTATIONS = documents(core_schema(schema()), values(), kind="mutation")

Worlds = dict[str, Oracle]


class Loop:
    """An event loop that stays for all examples, and the worlds that live in it."""

    def __init__(self, runner: asyncio.Runner, worlds: Worlds) -> None:
        self._runner = runner
        self._worlds = worlds

    def require_alike(self, drawn: Drawn, how: str, caller: world.Caller, limits: Limits) -> None:
        self._runner.run(self._require_alike(drawn, self._worlds[how], caller, limits))

    def require_same(self, drawn: Drawn, how: str, caller: world.Caller) -> list[str]:
        """Ask where nothing is left to chance; return the places of errors."""
        return self._runner.run(self._require_same(drawn, self._worlds[how], caller))

    def require_alike_changes(self, drawn: Drawn, caller: world.Caller, world_file: Path, folder: Path) -> None:
        self._runner.run(self._require_alike_changes(drawn, caller, world_file, folder))

    async def _require_same(self, drawn: Drawn, oracle: Oracle, caller: world.Caller) -> list[str]:
        standard = await oracle.ask(drawn, caller, planned=False)
        for _ in range(2):
            assert await oracle.ask(drawn, caller, planned=True) == standard
        return [".".join(map(str, failure.path)) for failure in standard.failures]

    async def _require_alike_changes(self, drawn: Drawn, caller: world.Caller, world_file: Path, folder: Path) -> None:
        outcomes = {}
        for planned in (True, False):
            oracle = await Oracle.open(world_file, folder / f"{planned}.db")
            # Both make the same IDs.
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(identifiers, "_last", 0)
                patched.setattr(identifiers.secrets, "randbits", lambda _: 0)
                outcomes[planned] = [await oracle.ask(drawn, caller, planned=planned) for _ in range(2)]
            await oracle.database.close()
        assert all(map(alike, outcomes[True], outcomes[False])), f"\nplanned  {outcomes[True]}\nstandard {outcomes[False]}"

    async def _require_alike(self, drawn: Drawn, oracle: Oracle, caller: world.Caller, limits: Limits) -> None:
        standard = await oracle.ask(drawn, caller, planned=False, limits=limits)
        # Once when the plan is made, once when it is known.
        for _ in range(2):
            planned = await oracle.ask(drawn, caller, planned=True, limits=limits)
            assert alike(planned, standard), f"\nplanned  {planned}\nstandard {standard}"


@pytest.fixture(scope="module")
def loop(world_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    folder = tmp_path_factory.mktemp("worlds")
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patched:
        patched.setattr(engine, "MAX_ERRORS", 1_000)
        worlds = {how: runner.run(Oracle.open(world_file, folder / f"{n}.db", how)) for n, how in enumerate(SPOILT)}
        yield Loop(runner, worlds)
        for oracle in worlds.values():
            runner.run(oracle.database.close())


@settings(DRAWN, max_examples=80)
@given(QUERIES, st.sampled_from(list(SPOILT)), st.sampled_from(CALLERS), st.sampled_from([LOOSE, LOOSE, TIGHT]))
def test_whatever_is_asked_is_answered_as_by_the_standard_executor(
    loop: Loop, drawn: Drawn, how: str, caller: world.Caller, limits: Limits
) -> None:
    loop.require_alike(drawn, how, caller, limits)


@pytest.mark.slow
@settings(DRAWN, max_examples=400)
@given(QUERIES, st.sampled_from(list(SPOILT)), st.sampled_from(CALLERS), st.sampled_from([LOOSE, LOOSE, TIGHT]))
def test_hundreds_of_documents_are_answered_as_by_the_standard_executor(
    loop: Loop, drawn: Drawn, how: str, caller: world.Caller, limits: Limits
) -> None:
    loop.require_alike(drawn, how, caller, limits)


@settings(DRAWN, max_examples=25)
@given(MUTATIONS, st.sampled_from(CALLERS))
def test_whatever_is_changed_is_answered_as_by_the_standard_executor(
    loop: Loop, world_file: Path, tmp_path_factory: pytest.TempPathFactory, drawn: Drawn, caller: world.Caller
) -> None:
    loop.require_alike_changes(drawn, caller, world_file, tmp_path_factory.mktemp("changed"))


@pytest.mark.slow
@settings(DRAWN, max_examples=180)
@given(MUTATIONS, st.sampled_from(CALLERS))
def test_hundreds_of_changes_are_answered_as_by_the_standard_executor(
    loop: Loop, world_file: Path, tmp_path_factory: pytest.TempPathFactory, drawn: Drawn, caller: world.Caller
) -> None:
    loop.require_alike_changes(drawn, caller, world_file, tmp_path_factory.mktemp("changed"))


SKIPPED = "query ($x: Boolean = true, $n: Int) { homeVisits(first: $n) { nodes { %s } } }"

DIRECTED = {
    "nothing is left of a list's objects": ("{ homeVisits(first: 2) { nodes { id @skip(if: true) } } }", {}),
    "nothing is left of an object": (f'{{ homeVisit(id: "{VISIT_IDS[0]}") {{ id @include(if: false) }} }}', {}),
    "nothing is left of a reference": ("{ homeVisits(first: 2) { nodes { location { name @skip(if: true) } } } }", {}),
    "one key is merged from fragments": (
        """{ homeVisits(first: 3) { nodes { location { name } ...A ... on Node { ... on HomeVisit { location { phone } } } } } }
        fragment A on HomeVisit { id location { email ...B } } fragment B on Location { name timeZone }""",
        {},
    ),
    "an ID alone is merged with more": (
        """{ homeVisits(first: 3) { nodes { careEnquiry { id } ...A } } }
        fragment A on HomeVisit { careEnquiry { careSeeker { email } } }""",
        {},
    ),
    "one field has several names": (
        "{ homeVisits(first: 2) { a: nodes { b: id c: id d: location { e: name } f: location { e: id } } nodes { id } } }",
        {},
    ),
    "types are told everywhere": (
        """{ __typename homeVisits(first: 1) { __typename edges { __typename node { kind: __typename location { __typename } } }
        pageInfo { __typename } } viewer { __typename roles } }""",
        {},
    ),
    "every kind of node is told apart": (
        " ".join(
            [
                "{",
                *(
                    f'n{n}: node(id: "{id}") {{ ...N }}'
                    for n, id in enumerate([VISIT_IDS[1], WILLOWS, ANNA, FOR_WILLOWS, DAUGHTER])
                ),
                f'none: node(id: "{UNKNOWN}") {{ id }} }}',
                """fragment N on Node { __typename id ... on HomeVisit { status location { name } } ... on Location { name }
                ... on User { firstName } ... on CareEnquiry { careSeeker { firstName } enquiryHome: location { name } }
                ... on ServiceUserContact { firstName careEnquiry { assignedTo { lastName } } } }""",
            ]
        ),
        {},
    ),
    "nobody is known of an enquiry": (
        f'{{ careEnquiry(id: "{STUB_ENQUIRY}") {{ id careSeeker {{ email }} location {{ name }} }} }}',
        {},
    ),
    "visits of references of visits": (
        """{ homeVisits(first: 4) { totalCount nodes { id location { name homeVisits(first: 2) { totalCount edges { cursor node {
        assignedTo { firstName homeVisits(last: 1) { nodes { id careEnquiry { careSeeker { phone } } } } } } } } } } } }""",
        {},
    ),
    "pages of the same homes are asked for in several ways": (
        """query ($n: Int = 2, $order: [HomeVisitOrder!]!, $status: HomeVisitStatus!) { homeVisits(first: 5) { nodes { location {
        a: homeVisits(first: $n, orderBy: $order) { nodes { id } pageInfo { endCursor hasNextPage } }
        b: homeVisits(last: 2, filter: { status: [$status] }) { totalCount edges { cursor node { status } } }
        c: homeVisits(first: 0) { totalCount nodes { id } pageInfo { hasPreviousPage startCursor } } } } } }""",
        {"order": {"field": "CREATED", "direction": "DESC"}, "status": "CANCELLED"},
    ),
    "pages of users, some of whom are nobody": (
        "{ homeVisits(first: 25) { nodes { assignedTo { homeVisits(first: 1) { nodes { id } } } } } }",
        {},
    ),
    "pages without visits": (
        "{ homeVisits(filter: { ids: [] }) { nodes { id } edges { cursor } pageInfo { startCursor endCursor } } }",
        {},
    ),
    "operations of one document": (
        "query A { viewer { subject } } query B { homeVisits(first: 1) { nodes { ...F } } } fragment F on HomeVisit { id notes }",
        {},
    ),
}


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: f"{caller.subject}-{len(caller.locations or '')}")
@pytest.mark.parametrize("case", DIRECTED)
def test_answers_are_the_same_where(loop: Loop, case: str, caller: world.Caller) -> None:
    document, variables = DIRECTED[case]

    failed = loop.require_same(Drawn(document, "B" if "query B" in document else None, variables), "whole", caller)

    assert failed == []


LOST_HOME = f'{{ homeVisit(id: "{VISIT_IDS[5]}") {{ %s }} }}'
LOST_ENQUIRY = f'{{ homeVisit(id: "{VISIT_IDS[4]}") {{ %s }} }}'

NESTED = "query %s { homeVisits(first: 1) { nodes { location { homeVisits(%s) { nodes { id } } } } } }"
OF_A_HOME = ["homeVisits.nodes.0.location.homeVisits"]
OF_USERS = "{ homeVisits(first: 4) { nodes { assignedTo { homeVisits(first: 1, last: 1) { nodes { id } } } } } }"

FAILING = [
    ("whole", SKIPPED % "id notes @skip(if: $x)", {"x": None, "n": 2}, ["homeVisits.nodes.0"]),
    ("whole", SKIPPED % "id location { name @skip(if: $x) }", {"x": None, "n": 2}, ["homeVisits.nodes.0.location"]),
    ("whole", SKIPPED % "id location { name @skip(if: $x) }", {"x": None, "n": 0}, []),
    ("whole", SKIPPED % "id location { id @skip(if: $x) }", {"x": None, "n": 1}, ["homeVisits.nodes.0.location"]),
    ("whole", "query ($x: Boolean = true) { viewer { subject } ... @include(if: $x) { __typename } }", {"x": None}, [""]),
    ("whole", "query ($n: Int) { a: homeVisits(first: $n) { nodes { id } } viewer { subject } }", {"n": 101}, ["a"]),
    ("whole", f'query ($x: ID = "{VISIT_IDS[0]}") {{ homeVisit(id: $x) {{ id }} }}', {"x": None}, ["homeVisit"]),
    ("whole", f'query ($x: ID = "{VISIT_IDS[0]}") {{ homeVisit(id: $x) {{ id }} }}', {}, []),
    ("whole", "query ($x: [HomeVisitOrder!]) { homeVisits(orderBy: $x) { nodes { id } } }", {"x": None}, ["homeVisits"]),
    ("whole", "query ($x: [HomeVisitOrder!]) { homeVisits(orderBy: $x) { nodes { id } } }", {}, []),
    ("of a later version", f'{{ homeVisit(id: "{VISIT_IDS[3]}") {{ id host }} }}', {}, ["homeVisit.host"]),
    ("of a later version", "{ homeVisits(first: 9) { nodes { id host } } }", {}, ["homeVisits.nodes.3.host"]),
    ("of a later version", "{ homeVisits(first: 9) { edges { cursor node { host } } } }", {}, ["homeVisits.edges.3.node.host"]),
    ("with lost references", LOST_HOME % "id location { id }", {}, []),
    ("with lost references", LOST_HOME % "id location { ... { id } }", {}, ["homeVisit.location"]),
    ("with lost references", LOST_HOME % "id location { name }", {}, ["homeVisit.location"]),
    ("with lost references", LOST_ENQUIRY % "id assignedTo { firstName }", {}, []),
    ("with lost references", LOST_ENQUIRY % "id careEnquiry { anonymized }", {}, ["homeVisit.careEnquiry"]),
    ("with lost references", LOST_ENQUIRY % "id careEnquiry { homeVisits { nodes { id } } }", {}, ["homeVisit.careEnquiry"]),
    ("with lost references", f'{{ careEnquiry(id: "{FOR_BEECHES}") {{ assignedTo {{ firstName }} }} }}', {}, []),
    ("with lost references", f'{{ node(id: "{DAUGHTER}") {{ ... on ServiceUserContact {{ careEnquiry {{ id }} }} }} }}', {}, []),
    ("without users", "{ homeVisits(first: 1) { nodes { id assignedTo { id } } } }", {}, []),
    (
        "without users",
        "{ homeVisits(first: 2) { nodes { id assignedTo { firstName } location { name } } } }",
        {},
        ["homeVisits.nodes.0.assignedTo", "homeVisits.nodes.1.assignedTo"],
    ),
    ("whole", NESTED % ("", "first: 1, last: 1"), {}, OF_A_HOME),
    ("whole", NESTED % ("", 'after: "nonsense"'), {}, OF_A_HOME),
    ("whole", NESTED % ("($n: Int)", "first: $n"), {"n": 101}, OF_A_HOME),
    ("whole", NESTED % ("($x: [HomeVisitOrder!] = [])", "orderBy: $x"), {"x": None}, OF_A_HOME),
    (
        "whole",
        NESTED % ("($x: [HomeVisitOrder!] = [], $id: ID!)", "orderBy: $x, filter: { ids: [$id] }"),
        {"x": None, "id": VISIT_IDS[0]},
        OF_A_HOME,
    ),
    ("whole", NESTED % ("($x: HomeVisitOrderField = ID)", "orderBy: [{ field: $x }]"), {"x": None}, OF_A_HOME),
    ("whole", OF_USERS, {}, [f"homeVisits.nodes.{n}.assignedTo.homeVisits" for n in range(4)]),
    ("without visits", "{ homeVisits { nodes { id } } }", {}, ["homeVisits"]),
    (
        "without visits",
        f'{{ location(id: "{WILLOWS}") {{ name homeVisits {{ nodes {{ id }} }} }} }}',
        {},
        ["location.homeVisits"],
    ),
]


@pytest.mark.parametrize(("how", "document", "variables", "paths"), FAILING)
def test_errors_are_the_same(loop: Loop, how: str, document: str, variables: dict[str, object], paths: list[str]) -> None:
    failed = loop.require_same(Drawn(document, None, variables), how, world.EVERYBODY)

    assert failed == paths
