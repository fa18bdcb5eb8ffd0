"""What an answer may cost."""

from itertools import count
from time import thread_time
from timeit import repeat
from typing import Any

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLDefaultInput,
    GraphQLField,
    GraphQLInt,
    GraphQLList,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLString,
    execute_sync,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
    is_object_type,
    parse,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.execution.limits import Limits, PageSizes, Price, measure
from tests.schema.small_schema import SCHEMA

LIMITS = Limits()


def price(document: str, name: str | None = None) -> Price:
    return measure(parse(document), SCHEMA, LIMITS, PageSizes())[name]


def leaves(number: int, letter: str = "a") -> str:
    return " ".join(f"{letter}{n}:__typename" for n in range(number))


@pytest.mark.parametrize(
    ("document", "objects"),
    [
        ("{__typename}", 0),
        ("{viewer{subject roles}}", 1),
        ("{homeVisit(id:1){id allowedOperations}}", 1),
        ("{homeVisit(id:1){location{id} careEnquiry{careSeeker{email}}}}", 4),
        ("{homeVisits(first:20){nodes{id}}}", 1 + 20),
        ("{homeVisits(last:20){nodes{id}}}", 1 + 20),
        ("{homeVisits(first:20){edges{cursor node{id}}}}", 1 + 20 * 2),
        ("{homeVisits(first:20){nodes{location{id}} pageInfo{endCursor} totalCount}}", 2 + 20 * 2),
        ("{homeVisits{nodes{id}}}", 1 + 10),
        ("{homeVisits(first:null){nodes{id}}}", 1 + 10),
        ("{homeVisits(first:0){nodes{id}}}", 1),
        ("{homeVisits(first:-5){nodes{id}}}", 1),
        ("{homeVisits(first:101){nodes{id}}}", 1 + 100),
        ("{homeVisits(first:99999999999999999999){nodes{id}}}", 1 + 100),
        ("{homeVisits(first:-99999999999999999999){nodes{id}}}", 1),
        ('{homeVisits(first:"7"){nodes{id}}}', 1 + 100),
        ("{homeVisits(first:7.0){nodes{id}}}", 1 + 100),
        ("{homeVisits(first:3,last:4){nodes{id}}}", 1 + 4),
        ("{homeVisits(first:5){nodes{history(first:3){nodes{changes{field}}}}}}", 1 + 5 * (2 + 2 + 3 * 11)),
        ("{homeVisits(first:5){nodes{location{homeVisits(first:7){nodes{id}}}}}}", 1 + 5 * (2 + 3 + 7)),
        ("{viewer{locations{id}}}", 1 + 10),
        ("{events{id}}", 5),
        ("{events(first:30){id changes{field}}}", 30 * (1 + 10)),
        ("query($unused:Int=4){viewer{subject}}", 1),
        (
            "{node(id:1){...on Location{homeVisits(first:4){nodes{id}}} ...on User{homeVisits(first:6){nodes{id}}}}}",
            1 + (2 + 5) + (2 + 7),
        ),
        ("{...{viewer{...on Viewer{locations{id}}}}}", 1 + 10),
        ("{homeVisits(first:3){...P}} fragment P on HomeVisitConnection{nodes{id} edges{node{id}}}", 1 + 3 + 6),
        ("{a:homeVisits(first:3){...P} b:homeVisits(first:5){...P}} fragment P on HomeVisitConnection{nodes{id}}", 4 + 6),
        ("{homeVisits(last:3){...P}} fragment P on HomeVisitConnection{...Q} fragment Q on HomeVisitConnection{nodes{id}}", 4),
        ("{homeVisits(first:3){nodes{...V}}} fragment V on HomeVisit{location{...L}} fragment L on Location{id}", 1 + 3 * 2),
        ("{homeVisits(first:3){...{nodes{id}}}}", 1 + 3),
        ("mutation{cancelHomeVisit(input:{id:1}){...on CancelHomeVisitSuccess{homeVisit{id}}}}", 2),
        ("{__schema{types{name}} viewer{subject}}", 1),
        (f"{{viewer{{{leaves(20)}}}}}", 1),
        (f"{{viewer{{{leaves(27)}}}}}", 1 + 7),
        ("{viewer{" + "subject " * 27 + "}}", 1),
        (f"{{viewer{{{leaves(15)} ...{{{leaves(15, 'b')}}}}}}}", 1 + 10),
        (f"{{viewer{{{leaves(15)} ...F}}}} fragment F on Viewer{{{leaves(15, 'b')}}}", 1 + 10),
        (f"{{homeVisits(first:30){{nodes{{{leaves(25)}}}}}}}", 1 + 30 * (1 + 5)),
    ],
)
def test_an_answer_costs_one_for_each_object_and_for_further_leaves(document: str, objects: int) -> None:
    measured = price(document)

    assert measured == Price(objects, (), {})
    assert measured.of({}) == objects


@pytest.mark.parametrize(
    ("document", "variables", "objects"),
    [
        ("query($n:Int){homeVisits(first:$n){nodes{id}}}", {"n": 25}, 1 + 25),
        ("query($n:Int){homeVisits(first:$n){nodes{id}}}", {}, 1 + 10),
        ("query($n:Int){homeVisits(first:$n){nodes{id}}}", {"n": None}, 1 + 10),
        ("query($n:Int){homeVisits(first:$n){nodes{id}}}", {"n": -1}, 1),
        ("query($n:Int){homeVisits(first:$n){nodes{id}}}", {"n": 10**400}, 1 + 100),
        ("query($n:Int){homeVisits(first:$n){nodes{id}}}", {"n": 7.0}, 1 + 100),
        ("query($n:Int){homeVisits(first:$n){nodes{id}}}", {"n": True}, 1 + 100),
        ("query($n:Int){homeVisits(first:$n){nodes{id}}}", {"n": [{"a": "b"}]}, 1 + 100),
        ("query($n:Int=30){homeVisits(first:$n){nodes{id}}}", {}, 1 + 30),
        ("query($n:Int=30){homeVisits(first:$n){nodes{id}}}", {"n": 2}, 1 + 2),
        ("query($n:Int=30){homeVisits(first:$n){nodes{id}}}", {"n": None}, 1 + 10),
        ("query($n:Int=null){homeVisits(first:$n){nodes{id}}}", {}, 1 + 10),
        ('query($n:Int="x"){homeVisits(first:$n){nodes{id}}}', {}, 1 + 100),
        ("{homeVisits(first:$undefined){nodes{id}}}", {}, 1 + 10),
        ("query($n:Int){events(first:$n){id}}", {}, 5),
        ("query($n:Int){events(first:$n){id}}", {"n": 6}, 6),
        ("query($a:Int,$b:Int){homeVisits(first:$a,last:$b){nodes{id}}}", {"a": None, "b": 8}, 1 + 8),
        ("query($a:Int,$b:Int){homeVisits(first:$a,last:$b){nodes{id}}}", {"a": 9, "b": 8}, 1 + 9),
        ("query($b:Int){homeVisits(first:4,last:$b){nodes{id}}}", {"b": 8}, 1 + 8),
        ("query($b:Int){homeVisits(first:4,last:$b){nodes{id}}}", {}, 1 + 4),
        ("query($a:Int,$b:Int){homeVisits(first:$a){nodes{history(last:$b){nodes{id}}}}}", {"a": 3, "b": 4}, 1 + 3 * (2 + 2 + 4)),
        ("query($a:Int){homeVisits(first:$a){nodes{history(last:$a){nodes{id}}}}}", {"a": 3}, 1 + 3 * (2 + 2 + 3)),
        ("query($a:Int){homeVisits(first:$a){...P}} fragment P on HomeVisitConnection{nodes{id}}", {"a": 3}, 1 + 3),
        (
            "query($a:Int){viewer{...F}} fragment F on Viewer{locations{homeVisits(first:$a){nodes{id}}}}",
            {"a": 3},
            1 + 10 * (2 + 5),
        ),
    ],
)
def test_variables_and_their_defaults_set_the_size_of_a_page(document: str, variables: dict[str, Any], objects: int) -> None:
    measured = price(document)

    assert measured.of(variables) == objects


def test_a_list_may_be_as_long_as_the_context_tells() -> None:
    sizes = PageSizes(of_lists={"Viewer.locations": lambda context, _arguments: len(context)})

    measured = measure(parse("query($n:Int){viewer{locations{id homeVisits(first:$n){nodes{id}}}}}"), SCHEMA, LIMITS, sizes)[None]

    assert [measured.of({"n": 3}, context) for context in ("", "a", "abc")] == [1, 1 + 7, 1 + 3 * 7]
    assert measured.of({"n": 3, "Viewer.locations": 0}, "abc") == 1 + 3 * 7


def test_each_operation_has_its_price_and_its_own_defaults_in_a_shared_fragment() -> None:
    operations = "query A($n:Int=3){...F} query B($n:Int=4){...F} query C($n:Int){...F}"

    prices = measure(parse(operations + "fragment F on Query{homeVisits(first:$n){nodes{id}}}"), SCHEMA, LIMITS, PageSizes())

    assert {name: measured.of({}) for name, measured in prices.items()} == {"A": 4, "B": 5, "C": 11}


@pytest.mark.parametrize(
    ("document", "objects"),
    [
        ("{unknown{a{b}} viewer{unknown{a}}}", 1),
        ("{viewer{...Unknown ...on Unknown{a{b}}}}", 1),
        ("{viewer{...F}} fragment F on Unknown{a{b}}", 1),
        ("{viewer{...F}} fragment F on Viewer{locations{id} ...F}", 11),
        ("{viewer{...A}} fragment A on Viewer{locations{id} ...B} fragment B on Viewer{...A}", 11),
        ("{viewer{...A}} fragment A on Viewer{...A ...B} fragment B on Viewer{locations{id}}", 11),
        ("{viewer{subject{a{b}}}}", 1),
        ("{viewer}", 0),
        ("{viewer{}}", 1),
        ("{homeVisits(first:$a,first:3){nodes{id}}}", 4),
        ("subscription{homeVisitChanged{id}}", 0),
        ("{viewer{__schema{types{name}}}}", 1),
    ],
)
def test_what_the_schema_does_not_know_costs_nothing(document: str, objects: int) -> None:
    measured = price(document)

    assert measured.of({}) == objects


@pytest.mark.parametrize("default", [{"default_value": 7}, {"default": GraphQLDefaultInput(7)}])
def test_a_schema_made_in_python_has_defaults_too(default: dict[str, Any]) -> None:
    page = GraphQLArgument(GraphQLInt, **default)
    names = GraphQLObjectType("Name", {"name": GraphQLField(GraphQLString)})
    query = GraphQLObjectType("Query", {"names": GraphQLField(GraphQLList(names), {"first": page})})

    prices = measure(parse("{names{name}}"), GraphQLSchema(query), LIMITS, PageSizes())

    assert prices == {None: Price(7, (), {})}


def test_the_price_of_a_page_is_told_in_two_microseconds() -> None:
    measured = price("query($first:Int=10){homeVisits(first:$first){nodes{id location{id}} pageInfo{endCursor}}}")
    variables = {"first": 100, "after": None, "filter": {"status": ["PENDING"]}}

    seconds = min(repeat(lambda: measured.of(variables), number=10_000, repeat=9, timer=thread_time)) / 10_000

    print(f"price of a page query: {seconds * 1e6:.2f} µs")
    assert measured.of(variables) == 202
    assert seconds < 2e-6


FEW, DEFAULT_FEW, FEW_LEAVES = 4, 3, 1
LOOSE = Limits(depth=99, fields=9_999, root_fields=99, aliases=9_999, directives=999, cost=10**9)
PAGES = [
    "",
    "(first:2)",
    "(last:9)",
    "(first:$a)",
    "(last:$b)",
    "(first:$a,last:$b)",
    "(first:$c,last:1)",
    "(first:0)",
    "(last:1,first:null)",
]
SIZES = st.none() | st.integers(-1, 6)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Draw a query whose fields all have an alias of their own, so that no two merge."""
    fragments: list[tuple[str, str]] = []
    aliases = count()

    def field(on: GraphQLObjectType, name: str, levels: int) -> str:
        below = get_named_type(on.fields[name].type)
        if is_leaf_type(below):
            return f"f{next(aliases)}:{name}"
        if not is_object_type(below) or not levels:
            return "__typename"
        arguments = on.fields[name].args
        arguments_text = draw(st.sampled_from(PAGES)) if "last" in arguments else "(first:$a)" if "first" in arguments else ""
        return f"f{next(aliases)}:{name}{arguments_text or '(id:1)' * ('id' in arguments)}{selection_set(below, levels - 1)}"

    def selection_set(on: GraphQLObjectType, levels: int) -> str:
        names = draw(st.lists(st.sampled_from(sorted(on.fields)), min_size=1, max_size=3))
        fields = " ".join(field(on, name, levels) for name in names)
        match draw(st.sampled_from(["plain", "inline", "named", "again"])):
            case "inline":
                return f"{{...on {on.name}{{...{{{fields}}}}}}}"
            case "named":
                fragments.append((on.name, f"F{len(fragments)} on {on.name}{{{fields}}}"))
                return f"{{...F{len(fragments) - 1}}}"
            case "again" if spread := [index for index, (name, _) in enumerate(fragments) if name == on.name]:
                return f"{{...F{draw(st.sampled_from(spread))}}}"
        return f"{{{fields}}}"

    query = SCHEMA.query_type
    assert query
    text = selection_set(query, 5)
    return f"query($a:Int,$b:Int=4,$c:Int=null){text}" + "".join(f" fragment {fragment}" for _, fragment in fragments)


def full_page(source: dict[str, int], info: GraphQLResolveInfo, **arguments: Any) -> Any:
    """Answer every field in full: lists as long as they were asked for, and `DEFAULT_FEW` where nothing asks.

    The context counts the pages below objects.
    """
    field = info.parent_type.fields[info.field_name]
    if is_leaf_type(get_named_type(field.type)):
        return [1] if is_list_type(get_nullable_type(field.type)) else 1
    info.context["pages"] += {"first", "last"} & field.args.keys() != set() and info.parent_type is not SCHEMA.query_type
    measured = [arguments[name] for name in ("first", "last") if arguments.get(name) is not None]
    size = min(max(*measured, 0), FEW) if measured else DEFAULT_FEW
    if not is_list_type(get_nullable_type(field.type)):
        return {"size": size}
    return [{}] * (size if "first" in field.args else source.get("size", DEFAULT_FEW))


def cost_of(answer: Any) -> int:
    """Return the number of objects, and of the leaves of each beyond `FEW_LEAVES`."""
    if isinstance(answer, list):
        return sum(map(cost_of, answer))
    if not isinstance(answer, dict):
        return 0
    leaves = [
        value for value in answer.values() if isinstance(value[0] if isinstance(value, list) and value else value, str | int)
    ]
    return 1 + max(0, len(leaves) - FEW_LEAVES) + sum(map(cost_of, answer.values()))


@settings(max_examples=300, deadline=None)
@given(documents(), st.fixed_dictionaries({}, optional={"a": SIZES, "b": SIZES, "c": SIZES}))
def test_the_price_is_that_of_an_answer_of_full_pages(document: str, variables: dict[str, int | None]) -> None:
    measured = measure(parse(document), SCHEMA, LOOSE, PageSizes(DEFAULT_FEW, FEW, leaves=FEW_LEAVES))[None].of(variables)
    counts = {"pages": 0}

    result = execute_sync(SCHEMA, parse(document), {}, counts, variables, field_resolver=full_page)

    assert result.errors is None
    assert measured == cost_of(result.data) - 1 + 2 * counts["pages"]
