"""Documents are prepared once, refused with a code, and kept within bounds, with everything that hangs on them."""

import gc
import tracemalloc
import weakref
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from graphql import GraphQLSchema, get_introspection_query

from schema.execution.documents import MAX_SIZE, PER_PLANNED_FIELD, VARIANTS, Documents, NotExecuted
from schema.execution.engine import Request
from schema.execution.internals import core_schema
from schema.execution.limits import Limits
from storage.database import Database
from tests.asking import Ask, engine, schema

VIEWER = "{ viewer { subject } }"
EACH_SKIPPED = "query ($a: Boolean!, $b: Boolean!, $c: Boolean!, $d: Boolean!, $e: Boolean!) { %s }"
SWITCHES = "a@skip(if: $a) b@skip(if: $b) c@skip(if: $c) d@skip(if: $d) e@skip(if: $e)"


@pytest.fixture(params=[True, False], ids=["planned", "standard"])
def ask(database: Database, request: pytest.FixtureRequest) -> Ask:
    """Ask an engine that has no documents yet."""
    return Ask(database, engine(planned=request.param))


def documents(*, max_size: int = MAX_SIZE, suggest: bool = True) -> Documents:
    served: GraphQLSchema = core_schema(schema())
    return Documents(served, Limits(), max_size=max_size, suggest=suggest)


def refusals(text: str, *, suggest: bool = True) -> list[tuple[str, str]]:
    with pytest.raises(NotExecuted) as refused:
        documents(suggest=suggest).prepare(text)
    return [((error.extensions or {})["code"], error.message) for error in refused.value.errors]


def resolution(text: str, name: str | None) -> tuple[str, str]:
    with pytest.raises(NotExecuted) as refused:
        documents().prepare(text).operation(name)
    (error,) = refused.value.errors
    return (error.extensions or {})["code"], error.message


def test_a_document_is_prepared_once_and_found_by_its_text() -> None:
    kept = documents()

    first, again, other = kept.prepare(VIEWER), kept.prepare(VIEWER), kept.prepare(VIEWER + " ")

    assert again is first
    assert other is not first
    assert len(kept) == 2


def test_what_is_not_graphql_is_refused_where_it_goes_wrong() -> None:
    assert refusals("{ viewer {") == [("GRAPHQL_PARSE_FAILED", "Syntax Error: Expected Name, found <EOF>.")]


def test_what_the_schema_does_not_have_is_refused_all_at_once() -> None:
    refused = refusals("{ viewer { subjects } homeVisit { id } }")

    assert refused == [
        ("GRAPHQL_VALIDATION_FAILED", "Cannot query field 'subjects' on type 'Viewer'. Did you mean 'subject'?"),
        ("GRAPHQL_VALIDATION_FAILED", "Argument 'Query.homeVisit(id:)' of type 'ID!' is required, but it was not provided."),
    ]


def test_no_more_than_ten_errors_are_told() -> None:
    unknown = " ".join(f"field{n}" for n in range(20))

    refused = refusals(f"{{ {unknown} }}")

    assert len(refused) == 10
    assert {code for code, _ in refused} == {"GRAPHQL_VALIDATION_FAILED"}


def test_of_one_value_no_more_than_three_errors_are_told() -> None:
    """The library tells each with the whole value, printed once more."""
    unknown = " ".join(f"field{n}: 1" for n in range(20))

    refused = refusals(f"{{ homeVisits(filter: {{ {unknown} }}, first: true) {{ totalCount }} }}", suggest=False)

    assert [message.partition(", found")[0] for _, message in refused] == [
        *(f"Expected value of type 'HomeVisitFilter' not to include unknown field 'field{n}'" for n in range(3)),
        "Int cannot represent non-integer value: true.",
    ]


def test_suggestions_give_nothing_away_where_the_schema_is_not_shown() -> None:
    refused = refusals("{ viewer { subjects } }", suggest=False)

    assert refused == [("GRAPHQL_VALIDATION_FAILED", "Cannot query field 'subjects' on type 'Viewer'.")]


def test_a_document_that_costs_too_much_is_refused_before_it_is_validated() -> None:
    (refused,) = refusals("{ homeVisits(first: 100) { nodes { location { homeVisits(first: 100) { nodes { nothing } } } } } }")

    assert refused[0] == "QUERY_TOO_COMPLEX"


def test_a_refused_document_is_not_kept() -> None:
    kept = documents()

    with pytest.raises(NotExecuted):
        kept.prepare("{ nothing }")

    assert (len(kept), kept.size) == (0, 0)


@pytest.mark.parametrize("name", [None, ""])
def test_of_several_operations_none_runs_unnamed(name: str | None) -> None:
    refused = resolution("query A { viewer { subject } } mutation B { __typename }", name)

    assert refused == (
        "OPERATION_RESOLUTION_FAILURE",
        "The document has several operations: name one of them as operationName (A, B).",
    )


def test_an_operation_that_is_not_there_is_refused_with_those_that_are() -> None:
    refused = resolution("query A { viewer { subject } } query B { __typename }", "C")

    assert refused == (
        "OPERATION_RESOLUTION_FAILURE",
        "The document has no operation named 'C': name one of them as operationName (A, B).",
    )


def test_an_operation_without_a_name_is_not_found_by_one() -> None:
    refused = resolution(VIEWER, "A")

    assert refused == ("OPERATION_RESOLUTION_FAILURE", "The operation of the document has no name: leave operationName out.")


def test_each_operation_is_found_by_its_name() -> None:
    prepared = documents().prepare("query A { viewer { subject } } query B { __typename }")

    assert [prepared.operation(name).node.name.value for name in ("A", "B")] == ["A", "B"]  # type: ignore[union-attr]


def test_the_document_asked_for_longest_ago_is_forgotten_first() -> None:
    texts = [f"{{ v{n}: viewer {{ subject }} }}" for n in range(4)]
    kept = documents(max_size=3 * documents().prepare(texts[0]).size)
    first, second, _ = [kept.prepare(text) for text in texts[:3]]

    kept.prepare(texts[0])
    kept.prepare(texts[3])

    assert kept.prepare(texts[0]) is first
    assert kept.prepare(texts[1]) is not second
    assert len(kept) == 3


def test_a_document_larger_than_the_room_runs_without_being_kept() -> None:
    kept = documents(max_size=1_000)

    prepared = kept.prepare(VIEWER)

    assert list(prepared.operations) == [None]
    assert (len(kept), kept.size) == (0, 0)


def test_what_grows_after_it_was_forgotten_takes_no_room() -> None:
    kept = documents(max_size=int(1.5 * documents().prepare(VIEWER).size))
    forgotten = kept.prepare(VIEWER)
    current = kept.prepare(VIEWER + " ")

    forgotten.operation(None).count_planned(fields=1_000)

    assert kept.size == current.size


def test_plans_are_kept_apart_by_what_skips_fields_and_by_nothing_else() -> None:
    operation = (
        documents().prepare("query ($id: ID!, $no: Boolean!) { homeVisit(id: $id) { id notes @skip(if: $no) } }").operation(None)
    )

    one, same, other = (operation.plans({"id": id, "no": no}) for id, no in (("1", True), ("2", True), ("1", False)))

    assert same is one
    assert other is not one


def test_plans_for_every_way_to_skip_fields_stay_within_bounds() -> None:
    kept = documents()
    skipping = " ".join(f"{letter}: subject @skip(if: ${letter})" for letter in "abcde")
    operation = kept.prepare(EACH_SKIPPED % f"viewer {{ {skipping} }}").operation(None)
    empty = kept.size

    for values in list(product([True, False], repeat=5)) * 3:
        operation.plans(dict(zip("abcde", values, strict=True)))["plan"] = object()
        operation.count_planned(fields=5)

    assert kept.size - empty <= VARIANTS * 5 * PER_PLANNED_FIELD


async def test_plans_die_with_their_document(ask: Ask) -> None:
    text = "{ homeVisits { nodes { id notes location { name } } } }"
    await ask.data(text)
    operation = ask.engine.documents.prepare(text).operation(None)
    plans = [weakref.ref(plan) for plan in operation.plans({}).values()]
    was = weakref.ref(operation)

    del operation
    ask.engine.documents._documents.clear()
    gc.collect()

    assert was() is None
    assert [plan() for plan in plans] == [None] * len(plans)


async def test_plans_keep_nothing_of_the_request_that_met_them_first(ask: Ask) -> None:
    context = ask.context()
    request = Request("{ homeVisits { nodes { id notes location { name } allowedOperations } } }", None, {})
    await ask.engine.execute(request, context)
    was = weakref.ref(context)

    del context
    gc.collect()

    assert was() is None


@pytest.mark.parametrize(
    "text", [get_introspection_query(), '{ __type(name: "HomeVisit") { name } __schema { queryType { name } } }']
)
async def test_the_schema_is_told_once_and_then_remembered(ask: Ask, text: str) -> None:
    first, again = [await ask(text) for _ in range(2)]

    assert first.errors == []
    assert again.data is first.data


@pytest.mark.parametrize(
    "text",
    [
        "{ viewer { subject } __schema { queryType { name } } }",
        "query ($name: String!) { __type(name: $name) { name } }",
        "{ ...Rest } fragment Rest on Query { __schema { queryType { name } } viewer { subject } }",
    ],
)
async def test_an_answer_that_may_change_is_not_remembered(ask: Ask, text: str) -> None:
    first, again = [await ask(text, {"name": name} if "$name" in text else None) for name in ("HomeVisit", "Location")]

    assert first.errors == []
    assert again.data is not first.data


def short(n: int) -> str:
    return f"{{ a{n}: __typename }}"


def commented(n: int) -> str:
    return f"{{ a{n}: __typename }} #{'🏠' * 15_000}"


def quoted(n: int) -> str:
    return f'{{ a{n}: node(id: "{"🏠" * 15_000}") {{ id }} }}'


def wide(n: int) -> str:
    return f"{{ a{n}: homeVisits(first: 0) {{ nodes {{ {'id host notes ' * 120} }} }} }}"


def introspecting(n: int) -> str:
    return get_introspection_query().replace("IntrospectionQuery", f"Introspection{n}")


def switched(n: int) -> str:
    homes = " ".join(f"l{k}: location {{ ...Home }}" for k in range(20))
    switches = " ".join(f"v{letter}: host @skip(if: ${letter})" for letter in "abcde")
    visits = f"a{n}: homeVisits(first: 1) {{ nodes {{ {homes} {switches} }} }}"
    return EACH_SKIPPED % visits + " fragment Home on Location { id name email phone timeZone }"


@pytest.mark.parametrize(
    ("text", "runs", "number"),
    [(short, 1, 100), (commented, 1, 8), (quoted, 1, 8), (wide, 1, 5), (introspecting, 1, 3), (switched, VARIANTS, 3)],
)
async def test_a_document_takes_no_more_memory_than_is_counted(
    database: Database, text: Callable[[int], str], runs: int, number: int
) -> None:
    ask = Ask(database, engine(planned=True))
    kept = ask.engine.documents
    for n in range(2):
        await run_each_way(ask, text(n), runs)
    gc.collect()
    tracemalloc.start()
    counted = kept.size

    for n in range(2, 2 + number):
        await run_each_way(ask, text(n), runs)
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    print(f"{text.__name__}: {taken / number:,.0f} bytes taken, {(kept.size - counted) / number:,.0f} counted")
    assert taken <= kept.size - counted


async def run_each_way(ask: Ask, text: str, runs: int) -> None:
    choices: list[dict[str, Any]] = [dict(zip("abcde", values, strict=True)) for values in product([True, False], repeat=5)]
    for choice in choices[:runs]:
        answer = await ask.engine.execute(Request(text, None, choice if "$a" in text else {}), ask.context())
        assert answer.errors == []


def test_any_number_of_documents_takes_no_more_than_the_room() -> None:
    kept = documents(max_size=100_000)
    tracemalloc.start()
    taken, sizes = [], []

    for n in range(450):
        kept.prepare(short(n))
        sizes.append(kept.size)
        if n % 150 == 149:
            gc.collect()
            taken.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()

    assert max(sizes) <= 100_000
    # The first third filled the room: the others took no more, but for the notes of this test.
    assert max(taken) - taken[0] <= 40_000, taken
