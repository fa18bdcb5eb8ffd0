"""What a document may cost."""

from time import thread_time
from timeit import repeat
from typing import Any

import pytest
from graphql import GraphQLError, parse, print_ast, validate
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.execution.limits import Limits, PageSizes, Price, measure, parse_within, require_affordable
from tests.schema.execution import hostile
from tests.schema.execution.hostile import CORPUS, Hostile
from tests.schema.execution.usual import INTROSPECTION, USUAL
from tests.schema.small_schema import SCHEMA

LIMITS = Limits()
UNLIMITED = Limits(characters=10**7, tokens=10**6, fields=10**300, cost=10**300)


def prepare(text: str, limits: Limits = LIMITS) -> dict[str | None, Price]:
    return measure(parse_within(text, limits), SCHEMA, limits, PageSizes())


def refusal(text: str, limits: Limits = LIMITS) -> dict[str, Any]:
    try:
        prepare(text, limits)
    except GraphQLError as error:
        return error.extensions or {}
    return {}


def too_complex(limit: str, allowed: int, measured: int) -> dict[str, Any]:
    return {"code": "QUERY_TOO_COMPLEX", "limit": limit, "allowed": allowed, "asked": measured}


def milliseconds(text: str, limits: Limits = LIMITS) -> float:
    return min(repeat(lambda: refusal(text, limits), number=1, repeat=5, timer=thread_time)) * 1e3


def in_fragments(selected: str) -> str:
    return "{...A} fragment A on Query{...{...B}} fragment B on Query" + selected


def directives_everywhere(times: int) -> str:
    operation = "query($a:Int" + "@a" * (times - 5) + ")@a{...F@a ...@a{viewer@a{subject}}}"
    return operation + "fragment F on Query@a{__typename}"


def fields_of_a_fragment_spread_often(times: int) -> str:
    return "{viewer{" + "...F " * 30 + "subject " * (times - 391) + "}} fragment F on Viewer{" + "subject " * 13 + "}"


def objects(times: int) -> str:
    return "{homeVisits(first:97){nodes{history(first:99){nodes{id}}}}" + "viewer{subject}" * (times - 9_992) + "}"


def introspection_in_two_fragments(times: int) -> str:
    fields = " ".join(f"a{n}:args{{type{{name}}}}" for n in range(times))
    fragments = [f"fragment {name} on Query{{__schema{{types{{fields{{{fields}}}}}}}}}" for name in "AB"]
    return "{...A ...B}" + "".join(fragments)


@pytest.mark.parametrize(
    ("limit", "allowed", "make"),
    [
        ("characters", 20_000, lambda n: "{viewer{subject}}" + " " * (n - 17)),
        ("tokens", 2_000, lambda n: "{homeVisits(filter:{ids:[" + "1 " * (n - 19) + "]}){nodes{id}}}"),
        ("depth", 10, hostile.nested_fields),
        ("depth", 10, lambda n: in_fragments(hostile.nested_fields(n))),
        ("depth", 10, lambda n: hostile.fragment_ladder(n - 2)),
        ("aliases", 30, hostile.aliases),
        ("aliases", 30, lambda n: in_fragments(hostile.aliases(n))),
        ("directives", 20, hostile.directives),
        ("directives", 20, lambda n: in_fragments(hostile.directives(n))),
        ("directives", 20, directives_everywhere),
        ("fields", 400, lambda n: hostile.same_field(n - 1)),
        ("fields", 400, lambda n: in_fragments(hostile.same_field(n - 1))),
        ("fields", 400, fields_of_a_fragment_spread_often),
        ("root_fields", 20, hostile.root_fields),
        ("root_fields", 20, lambda n: in_fragments(hostile.root_fields(n))),
        ("mutation_root_fields", 5, hostile.mutations),
        ("operations", 10, hostile.operations),
        ("cost", 10_000, objects),
    ],
)
def test_a_document_at_a_limit_passes_and_one_beyond_it_is_refused(limit: str, allowed: int, make: Any) -> None:
    at_the_limit, beyond = make(allowed), make(allowed + 1)

    refused = refusal(at_the_limit), refusal(beyond)

    assert refused == ({}, too_complex(limit, allowed, allowed + 1))


@pytest.mark.parametrize(
    ("document", "message", "locations"),
    [
        (
            hostile.giant_string(19_957),
            "The document has 20,001 characters; 20,000 are allowed. Send values as variables, or split it.",
            None,
        ),
        (
            "{a(b:[" + "1 " * 2_000 + "])}",
            "The document has more than 2,000 tokens. Send values as variables, or split it.",
            [(1, 3_995)],
        ),
        (
            hostile.operations(9) + "{a}\n{b}",
            "The document has 11 operations; 10 are allowed. Send only those that are to run.",
            [(2, 1)],
        ),
        (
            "{a} fragment F on Viewer" + hostile.nested_fields(11),
            "Fields are nested 11 deep; 10 is allowed. Ask for what lies deeper in another request, by its ID.",
            [(1, 5)],
        ),
        (
            "{a}\n" + hostile.aliases(31),
            "31 fields have an alias; 30 may. Ask for several objects through a list, or in several requests.",
            [(2, 1)],
        ),
        (
            hostile.directives(21),
            "21 directives are used; 20 are allowed. Leave fields out instead of skipping them.",
            [(1, 1)],
        ),
        (
            hostile.same_field(400),
            "401 fields are selected; 400 are allowed. Select only what is shown, or ask in several requests.",
            [(1, 1)],
        ),
        (
            hostile.root_fields(21),
            "21 fields are selected at the root; 20 are allowed. Ask in several requests.",
            [(1, 1)],
        ),
        (
            hostile.mutations(6),
            "6 mutations are asked for at once; 5 are allowed. Send several requests.",
            [(1, 1)],
        ),
        (
            hostile.full_pages(2),
            "The answer may cost 20,501; 10,000 is allowed. Ask for smaller pages, nest less, filter more, select less.",
            [(1, 1)],
        ),
    ],
)
def test_a_refusal_says_what_to_do_and_where(document: str, message: str, locations: list[tuple[int, int]] | None) -> None:
    with pytest.raises(GraphQLError) as refused:
        prepare(document)

    assert refused.value.message == message
    assert refused.value.locations == locations


def test_a_syntax_error_is_coded_and_located() -> None:
    with pytest.raises(GraphQLError) as refused:
        parse_within("{viewer{\n  subject", LIMITS)

    assert refused.value.message == "Syntax Error: Expected Name, found <EOF>."
    assert refused.value.extensions == {"code": "GRAPHQL_PARSE_FAILED"}
    assert refused.value.locations == [(2, 10)]


def test_variables_decide_whether_an_operation_is_affordable() -> None:
    price = prepare("query($n:Int){homeVisits(first:$n){nodes{history(first:99){nodes{id}}}}}")[None]

    require_affordable(price, {"n": 97}, LIMITS)
    with pytest.raises(GraphQLError) as refused:
        require_affordable(price, {"n": 98}, LIMITS)

    assert refused.value.extensions == too_complex("cost", 10_000, 10_095)


@pytest.mark.parametrize(("document", "variables", "price"), USUAL.values(), ids=USUAL)
def test_what_frontends_usually_send_is_within_the_defaults(document: str, variables: dict[str, Any], price: int) -> None:
    [(_, measured)] = prepare(document).items()

    assert validate(SCHEMA, parse(document)) == []
    assert measured.of(variables) == price
    require_affordable(measured, variables, LIMITS)


def test_explorers_and_code_generators_get_the_whole_schema_within_the_defaults() -> None:
    prices = [prepare(document) for document in INTROSPECTION]

    assert prices == [{"IntrospectionQuery": Price(0, (), {})}] * 384


@pytest.mark.parametrize(
    ("document", "measured"),
    [
        # __schema, 100 types, 10 fields of each, the type of each, and so on.
        (hostile.introspection_bomb(3), 1 + 100 * (1 + 10 * (2 + 10 * (2 + 10 * 2)))),
        (hostile.introspection_in_fragments(3), 1 + 100 * (1 + 10 * (2 + 10 * (2 + 10 * 2)))),
        (hostile.introspection_aliases(12), 1 + 12 * 100 * (1 + 10 * (1 + 3 * 3 + 2))),
        (introspection_in_two_fragments(10), 2 * (1 + 100 * (1 + 10 * (1 + 10 * 3 * 2)))),
    ],
)
def test_introspection_has_a_price_of_its_own(document: str, measured: int) -> None:
    refused = refusal(document)

    assert refused == too_complex("introspection_cost", 100_000, measured)


@pytest.mark.parametrize("sent", CORPUS, ids=lambda sent: sent.name)
def test_a_hostile_document_is_refused_or_let_through_at_once(sent: Hostile) -> None:
    refused = refusal(sent.document)

    taken = milliseconds(sent.document)
    print(f"{taken:6.1f} ms  {refused.get('limit') or refused.get('code') or 'let through'}")
    assert (refused.get("code"), refused.get("limit")) == (sent.code, sent.limit)
    assert taken < 50


@pytest.mark.parametrize("sent", [sent for sent in CORPUS if sent.code is None], ids=lambda sent: sent.name)
def test_validation_and_printing_stand_what_the_limits_let_through(sent: Hostile) -> None:
    document = parse_within(sent.document, LIMITS)

    times = []
    for _ in range(3):
        start = thread_time()
        errors = validate(SCHEMA, document, max_errors=10)
        times.append((thread_time() - start) * 1e3)
    printed = print_ast(document)

    print(f"{min(times):6.1f} ms  {len(errors)} errors")
    # A processor that others use as well is slow for a moment, not three times.
    assert min(times) < 250
    assert print_ast(parse(printed)) == printed


@pytest.mark.parametrize("fragments", [15, 100, 400])
def test_nested_fragments_are_counted_in_full_but_measured_once(fragments: int) -> None:
    price = prepare(hostile.fragment_bomb(fragments, "locations{id}"), UNLIMITED)[None]

    assert price.of({}) == 1 + 10 * 2**fragments


def test_time_grows_with_the_length_of_the_document_alone() -> None:
    shapes = {
        "nested fragments": lambda n: hostile.fragment_bomb(n, "locations{homeVisits(first:$n){nodes{id}}}"),
        "a chain of fragments": hostile.fragment_chain,
        "a cycle of fragments": hostile.fragment_cycle,
        "fields": hostile.same_field,
        "introspection": hostile.introspection_aliases,
    }

    for name, make in shapes.items():
        short, long = make(200), make(400)
        rounds = [(milliseconds(short, UNLIMITED), milliseconds(long, UNLIMITED)) for _ in range(3)]
        taken = [min(times) for times in zip(*rounds, strict=True)]
        print(f"{name}: {taken[0]:.1f} ms, twice as long: {taken[1]:.1f} ms")
        assert taken[1] < 3 * taken[0]


def test_a_document_keeps_no_comments() -> None:
    document = parse_within(hostile.comments(9_990), LIMITS)

    assert document.loc
    assert document.loc.start_token.next is None


WORDS = '''
{ } ( ) [ ] : = ! $ @ ... | & # " """ a $a $n null true 1 -1 1.5e9 \0 \ufeff \ud800 query mutation subscription fragment on
homeVisits nodes edges first last location users viewer Query HomeVisit HomeVisitConnection Node __schema __type __Type types
fields ...F ...on @include(if:true) first:$n query($n:Int=5){ homeVisits(first:$n){ nodes{ {__schema{types{
'''
DOCUMENTS = [sent.document for sent in CORPUS if len(sent.document) < 3_000] + [document for document, *_ in USUAL.values()]
NONSENSE = st.lists(st.sampled_from([*WORDS.split(), "\n", "9" * 5_000, "fragment F on Query{"]), max_size=40).map(" ".join)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@st.composite
def spoiled(draw: st.DrawFn) -> str:
    """Cut a piece out of a known document, and put words, or a piece of another one, in its place."""
    text, other = draw(st.sampled_from(DOCUMENTS)), draw(st.sampled_from(DOCUMENTS))
    start, end = sorted(draw(st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))))
    return text[:start] + draw(NONSENSE | st.just(other[start:end])) + text[min(end, start + 20) :]


@settings(max_examples=500, deadline=None)
@given(NONSENSE | spoiled() | st.text(), st.dictionaries(st.sampled_from("an"), VALUES))
def test_nothing_but_a_coded_error_comes_of_any_text(text: str, variables: dict[str, Any]) -> None:
    refused = refusal(text)

    prices = {} if refused else prepare(text)

    assert refused.get("code") in {None, "QUERY_TOO_COMPLEX", "GRAPHQL_PARSE_FAILED"}
    assert all(price.of(variables) >= price.fixed for price in prices.values())


HOMES = " ".join(["location { id }"] * 99)
UNUSED = f"""{{ viewer {{ subject }} }} fragment A on HomeVisit {{ {HOMES} }} fragment B on HomeVisit {{ {HOMES} }}
fragment C on HomeVisit {{ ...A ...B }} fragment D on HomeVisit {{ ...A ...B }}"""


def test_fields_of_fragments_that_nothing_spreads_count() -> None:
    with pytest.raises(GraphQLError) as refused:
        measure(parse(UNUSED), SCHEMA, Limits(), PageSizes())

    assert refused.value.extensions == {"code": "QUERY_TOO_COMPLEX", "limit": "fields", "allowed": 400, "asked": 1190}


def test_fields_of_all_operations_count() -> None:
    spread = " ".join(f"query Q{number} {{ homeVisits {{ nodes {{ ...F }} }} }}" for number in range(10))
    fragment = f"fragment F on HomeVisit {{ {'location { id } ' * 19} }}"

    with pytest.raises(GraphQLError) as refused:
        measure(parse(f"{spread} {fragment} query R {{ viewer {{ subject }} }}"), SCHEMA, Limits(operations=11), PageSizes())

    assert refused.value.extensions == {"code": "QUERY_TOO_COMPLEX", "limit": "fields", "allowed": 400, "asked": 402}


def test_fields_of_a_few_unused_fragments_are_for_validation_to_refuse() -> None:
    document = parse(f"{{ viewer {{ subject }} }} fragment A on HomeVisit {{ {HOMES} }} fragment B on HomeVisit {{ {HOMES} }}")

    assert list(measure(document, SCHEMA, Limits(), PageSizes())) == [None]
