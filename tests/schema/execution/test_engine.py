"""One request run: which operation, with which values, for whom, and what happens when something goes wrong."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import strawberry

from resolvers.auth import allowed_operations
from schema.context import Context
from schema.execution.engine import Engine, Request, Result, Served
from schema.execution.limits import Limits
from storage.database import Database
from tests import world
from tests.asking import Ask, engine, schema


def codes(answer: Result) -> list[str]:
    return [(error.extensions or {})["code"] for error in answer.errors]


def messages(answer: Result) -> list[str]:
    return [error.message for error in answer.errors]


async def refused(ask: Ask, document: str, variables: dict[str, Any] | None = None, name: str | None = None) -> Result:
    """Return an answer for which nothing was run."""
    fetched = ask.database.statement_count
    answer = await ask.engine.execute(Request(document, name, variables or {}), ask.context())
    assert (answer.executed, answer.data, ask.database.statement_count - fetched) == (False, None, 0)
    return answer


async def test_the_operation_that_was_named_is_run(ask: Ask) -> None:
    document = "query Who { viewer { subject } } query What { viewer { roles } }"

    who, what = [(await ask(document, name=name)).data for name in ("Who", "What")]

    assert who == {"viewer": {"subject": "everybody"}}
    assert what == {"viewer": {"roles": ["VIEWER", "COORDINATOR", "ADMIN"]}}


async def test_of_several_operations_none_is_run_unnamed(ask: Ask) -> None:
    document = "query A { viewer { subject } } mutation B { cancelHomeVisit(input: { id: 1 }) { __typename } }"

    answer = await refused(ask, document)

    assert codes(answer) == ["OPERATION_RESOLUTION_FAILURE"]
    assert answer.operation is None


async def test_the_answer_tells_which_operation_it_was(ask: Ask) -> None:
    answer = await ask.engine.execute(Request("query Who { viewer { subject } }", None, {}), ask.context())

    assert answer.operation is not None
    assert answer.operation.name is not None
    assert (answer.executed, answer.operation.name.value) == (True, "Who")


async def test_keys_come_in_the_order_in_which_they_were_asked_for(ask: Ask) -> None:
    document = (
        "query ($id: ID!) { z: viewer { subject } homeVisit(id: $id) { version id location { name id } host } a: __typename }"
    )

    data = await ask.data(document, {"id": world.PENDING})

    assert list(data) == ["z", "homeVisit", "a"]
    assert list(data["homeVisit"]) == ["version", "id", "location", "host"]
    assert list(data["homeVisit"]["location"]) == ["name", "id"]


async def test_every_wrong_variable_is_told_at_once(ask: Ask) -> None:
    document = (
        "query ($first: Int!, $since: DateTime) { homeVisits(first: $first, filter: { modifiedAfter: $since }) { totalCount } }"
    )

    answer = await refused(ask, document, {"first": None, "since": "2024-11-03T11:00:00"})

    assert codes(answer) == ["BAD_USER_INPUT", "BAD_USER_INPUT"]
    first, since = messages(answer)
    assert first == "Variable '$first' has invalid value: Expected value of non-null type 'Int!' not to be null."
    assert since == (
        "Variable '$since' has invalid value: Expected value of type 'DateTime', but encountered error 'A DateTime is an instant "
        "with its offset, like 2024-11-03T11:00:00Z or 2024-11-03T11:00:00+01:00.'; found: '2024-11-03T11:00:00'."
    )


async def test_no_more_than_ten_wrong_values_are_told(ask: Ask) -> None:
    document = "query ($filter: HomeVisitFilter) { homeVisits(filter: $filter) { totalCount } }"

    answer = await refused(ask, document, {"filter": {"ids": [{} for _ in range(50)]}})

    assert codes(answer) == ["BAD_USER_INPUT"] * 10


@pytest.mark.parametrize(
    ("value", "in_json"),
    [
        ({"x": None}, "{'x': null}"),
        (["None", True], "['None', true]"),
        (["it's None", False], '["it\'s None", false]'),
        (["None' or \" None", None], "['None\\' or \" None', null]"),
    ],
)
async def test_a_refused_value_is_repeated_in_the_words_of_json(ask: Ask, value: Any, in_json: str) -> None:
    answer = await refused(ask, "query ($id: ID!) { homeVisit(id: $id) { id } }", {"id": value})

    assert messages(answer) == [f"Variable '$id' has invalid value: ID cannot represent value: {in_json}."]


async def test_what_variables_make_too_dear_is_refused(ask: Ask) -> None:
    document = """query ($n: Int) { homeVisits(first: $n) { nodes { location { homeVisits(first: $n) { nodes { id } } } } } }"""

    answer = await refused(ask, document, {"n": 100})

    assert codes(answer) == ["QUERY_TOO_COMPLEX"]
    assert answer.errors[0].extensions == {"code": "QUERY_TOO_COMPLEX", "limit": "cost", "allowed": 10_000, "asked": 10_501}


NULLS = [
    ("query ($x: Boolean = true) { viewer { subject @skip(if: $x) } }", ["viewer"]),
    ("query ($x: Boolean = true) { viewer @skip(if: $x) { subject } }", None),
    ("query ($x: [HomeVisitOrder!]) { homeVisits(orderBy: $x) { nodes { id } } }", ["homeVisits"]),
    ("query ($x: OrderDirection = ASC) { homeVisits(orderBy: [{ field: ID, direction: $x }]) { nodes { id } } }", ["homeVisits"]),
]


@pytest.mark.parametrize(("document", "path"), NULLS)
async def test_null_in_a_variable_that_is_used_for_a_value_is_the_clients_mistake(
    ask: Ask, document: str, path: list[str] | None
) -> None:
    response = await ask(document, {"x": None})

    assert response.data is None
    (error,) = response.errors
    assert (error["extensions"]["code"], error.get("path")) == ("BAD_USER_INPUT", path)
    assert error["message"].endswith("not to be null.")


async def test_the_schema_is_shown_only_to_those_who_may_see_it(database: Database) -> None:
    contexts: list[Any] = []
    engine = Engine(schema(), Limits(), may_introspect=lambda context: contexts.append(context) is not None)
    context = object()

    answer = await engine.execute(Request("{ __schema { queryType { name } } }", None, {}), context)

    assert (answer.executed, codes(answer)) == (False, ["FORBIDDEN"])
    assert messages(answer) == [
        "The schema is not shown here: its SDL comes with the documentation, or ask somebody with the role ADMIN."
    ]
    assert contexts == [context]


@pytest.mark.parametrize(
    "document",
    [
        '{ ...F } fragment F on Query { __type(name: "User") { name } }',
        "{ viewer { subject } ... { __schema { queryType { name } } } }",
        "query A { viewer { subject } } query B { __schema { queryType { name } } }",
    ],
)
async def test_the_schema_is_not_shown_by_a_detour(database: Database, document: str) -> None:
    engine = Engine(schema(), Limits(), may_introspect=lambda _context: False)

    answer = await engine.execute(Request(document, "A" if "query A" in document else None, {}), None)

    assert (answer.executed, codes(answer)) == (False, ["FORBIDDEN"])


async def test_an_answer_that_is_remembered_is_still_shown_only_to_those_who_may_see_it() -> None:
    engine = Engine(schema(), Limits(), may_introspect=lambda context: context == "administrator")
    request = Request("{ __schema { queryType { name } } }", None, {})

    shown = await engine.execute(request, "administrator")
    hidden = await engine.execute(request, "viewer")

    assert shown.data == {"__schema": {"queryType": {"name": "Query"}}}
    assert (hidden.data, codes(hidden)) == (None, ["FORBIDDEN"])


@strawberry.type
class Ticking:
    @strawberry.field
    async def ticks(self, info: strawberry.Info) -> int:
        """Wait for what the test holds back."""
        await info.context
        return 1


@strawberry.type
class Ticks:
    @strawberry.subscription
    async def ticked(self) -> AsyncIterator[int]:
        yield 1


TICKING = strawberry.Schema(query=Ticking, subscription=Ticks)


async def test_a_subscription_is_refused_here() -> None:
    answer = await Engine(TICKING, Limits()).execute(Request("subscription { ticked }", None, {}), None)

    assert (answer.executed, codes(answer)) == (False, ["BAD_REQUEST"])
    assert messages(answer) == ["A subscription needs a WebSocket: use the subprotocol graphql-transport-ws at this address."]


@pytest.mark.parametrize("planned", [True, False])
async def test_being_cancelled_is_not_an_error_of_a_field(planned: bool) -> None:
    pending = asyncio.get_running_loop().create_future()
    running = asyncio.ensure_future(Engine(TICKING, Limits(), planned=planned).execute(Request("{ ticks }", None, {}), pending))
    await asyncio.sleep(0)

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("planned", [True, False])
async def test_a_deadline_is_the_callers_to_tell(planned: bool) -> None:
    pending = asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await Engine(TICKING, Limits(), planned=planned).execute(Request("{ ticks }", None, {}), pending)

    assert pending.cancelled()


async def test_a_field_that_fails_leaves_the_others(ask: Ask) -> None:
    document = "query ($id: ID!) { viewer { subject } location(id: $id) { name homeVisits(first: 101) { totalCount } } }"

    response = await ask(document, {"id": world.WILLOWS})

    assert response.data == {"viewer": {"subject": "everybody"}, "location": None}
    assert [error["path"] for error in response.errors] == [["location", "homeVisits"]]


async def test_no_more_than_ten_errors_are_told_of_what_was_run(ask: Ask) -> None:
    fields = " ".join(f'l{n}: location(id: "{world.WILLOWS}") {{ homeVisits(first: -1) {{ totalCount }} }}' for n in range(15))

    response = await ask(f"{{ {fields} }}")

    assert response.data == {f"l{n}": None for n in range(15)}
    assert len(response.errors) == 10


PAGE = "query ($n: Int) { homeVisits(first: $n) { nodes { id } } }"


@pytest.mark.parametrize(
    ("document", "variables", "cost"),
    [
        (PAGE, {"n": 7}, 8),
        (PAGE, {}, 11),
        (PAGE, {"n": "7"}, 0),
        ("{ viewer { subject } a: viewer { roles } }", {}, 2),
        ('{ node(id: "1") { id } }', {}, 1),
        ("{ viewer { nothing } }", {}, 0),
        ('mutation { cancelHomeVisit(input: { id: "1" }) { ... on UserError { message } } }', {}, 1),
        ("{ __typename }", {}, 0),
    ],
)
async def test_a_result_tells_what_its_answer_may_have_cost(
    ask: Ask, document: str, variables: dict[str, Any], cost: int
) -> None:
    answer = await ask.engine.execute(Request(document, None, variables), ask.context())

    assert answer.cost == cost


@pytest.mark.parametrize(
    ("caller", "cost"),
    [
        (world.EVERYBODY, 1),
        (world.limited_to(), 1),
        (world.limited_to(world.WILLOWS), 5),
        (world.limited_to(world.WILLOWS, world.BEECHES), 9),
    ],
)
async def test_a_viewer_costs_as_many_locations_as_the_caller_is_limited_to(ask: Ask, caller: Any, cost: int) -> None:
    document = "{ viewer { locations { homeVisits(first: 0) { totalCount } } } }"

    answer = await ask.engine.execute(Request(document, None, {}), ask.context(caller))

    assert (answer.errors, answer.cost) == ([], cost)


async def test_aliases_of_a_field_are_computed_once(database: Database) -> None:
    computed: list[int] = []

    class Counting(Context):
        def allowed_operations(self, visit: Any) -> Any:
            computed.append(1)
            return super().allowed_operations(visit)

    document = f"{{ homeVisits(first: 5) {{ nodes {{ {' '.join(f'a{n}: allowedOperations' for n in range(27))} }} }} }}"
    context = Counting(database, world.EVERYBODY, lambda: world.NOW, "Europe/London", allowed_operations)

    answer = await engine(planned=True).execute(Request(document, None, {}), context)

    assert (answer.served, len(computed)) == (Served.ROOT_FIELDS, 5)
    nodes = (answer.data or {})["homeVisits"]["nodes"]
    assert nodes[0]["a0"] == nodes[0]["a26"] == ["UPDATE", "CANCEL", "COMPLETE"]


async def test_the_operation_of_a_request_is_found_while_its_document_is_kept(ask: Ask) -> None:
    request = Request("query Count { homeVisits { totalCount } } query Other { viewer { subject } }", "Count", {})
    before = ask.engine.cached_operation(request)
    await ask.engine.execute(request, ask.context())

    operation = ask.engine.cached_operation(request)

    assert before is None
    assert operation is not None
    assert (operation.name and operation.name.value, ask.engine.cached_operation(request._replace(operation_name="None"))) == (
        "Count",
        None,
    )
