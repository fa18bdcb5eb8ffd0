"""Which fields of one name can be merged: those that the library's own rule merges, in a time that grows with their number."""

import time

import pytest
from graphql import OverlappingFieldsCanBeMergedRule, build_schema, parse, validate
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.execution.overlaps import MergeableFieldsRule

SCHEMA = build_schema("""
    interface Being { name: String friend: Being }
    type Dog implements Being { name: String friend: Being age: Int tags: [String] owner(first: Int): Human }
    type Cat implements Being { name: String friend: Being age: String tags: [String!] owner(first: Int): Human! }
    type Human implements Being { name: String friend: Being age: Int pet(name: String, age: Int): Pet pets: [Pet!] }
    union Pet = Dog | Cat
    type Query { being: Being pet: Pet human: Human dogs: [Dog] }
""")
TYPES = ("Being", "Dog", "Cat", "Human", "Pet", "Query", "Unknown")
LEAVES = ("name", "age", "tags", "unknown", "__typename")
OBJECTS = (
    "friend",
    "owner",
    "owner(first: 1)",
    "owner(first: 2)",
    "pet",
    "pets",
    'pet(name: "a", age: 1)',
    'pet(age: 1, name: "a")',
)
ROOTS = ("being", "pet", "human", "dogs")


def selections(fragments: int) -> st.SearchStrategy[str]:
    alias = st.sampled_from(["", "", "", "a: ", "name: "])
    leaf = st.builds(str.__add__, alias, st.sampled_from(LEAVES))
    spread = st.integers(0, fragments - 1).map(lambda number: f"...F{number}") if fragments else leaf

    def wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        objects = st.builds("{}{} {}".format, alias, st.sampled_from(OBJECTS), inner)
        inline = st.builds("... on {} {}".format, st.sampled_from(TYPES), inner)
        return st.lists(leaf | objects | inline | spread, min_size=1, max_size=4).map(lambda parts: "{ " + " ".join(parts) + " }")

    return st.recursive(st.lists(leaf | spread, min_size=1, max_size=3).map(lambda parts: "{ " + " ".join(parts) + " }"), wider)


@st.composite
def documents(draw: st.DrawFn) -> str:
    roots = draw(st.lists(st.tuples(st.sampled_from(ROOTS), selections(3)), min_size=1, max_size=3))
    # A fragment spreads only those before it.
    fragments = [f"fragment F{n} on {draw(st.sampled_from(TYPES))} {draw(selections(n))}" for n in range(3)]
    return "{ " + " ".join(f"{name} {inner}" for name, inner in roots) + " } " + " ".join(fragments)


@settings(max_examples=40, deadline=None)
@given(documents())
def test_what_the_librarys_rule_refuses_is_refused_and_nothing_else(text: str) -> None:
    document = parse(text)

    theirs = validate(SCHEMA, document, [OverlappingFieldsCanBeMergedRule])
    ours = validate(SCHEMA, document, [MergeableFieldsRule])

    assert bool(ours) == bool(theirs), text


@pytest.mark.parametrize(
    "text",
    [
        "{ human { name: age name } }",
        "{ human { pet(age: 1) { __typename } pet(age: 2) { __typename } } }",
        "{ pet { ... on Dog { age } ... on Cat { age } } }",
        "{ pet { ... on Dog { tags } ... on Cat { tags } } }",
        "{ pet { ... on Dog { owner { a: name } } ... on Cat { owner { a: name } } } }",
        "{ human { friend { name } friend { name: __typename } } }",
        "{ human { ...A ...B } } fragment A on Human { x: name } fragment B on Human { x: age }",
        "{ being { name } } fragment Unused on Human { x: name x: age }",
    ],
)
def test_a_conflict_is_told_in_the_librarys_words(text: str) -> None:
    theirs = validate(SCHEMA, parse(text), [OverlappingFieldsCanBeMergedRule])
    ours = validate(SCHEMA, parse(text), [MergeableFieldsRule])

    assert [error.message for error in ours] == [error.message for error in theirs]


@pytest.mark.parametrize(
    "text",
    [
        "{ human { ...F } } fragment F on Human { friend { ...F } }",
        "{ human { ...F } } fragment F on Human { friend { ...G } } fragment G on Human { friend { ...F } }",
    ],
)
def test_a_cycle_of_fragments_is_left_to_its_own_rule(text: str) -> None:
    assert validate(SCHEMA, parse(text), [MergeableFieldsRule]) == []


def test_a_thousand_equal_objects_take_no_more_than_ten_times_a_hundred() -> None:
    def seconds(times: int) -> float:
        document = parse("{ human { " + "pet(age: 1) { ... on Dog { owner { name } } } " * times + "} }")
        started = time.thread_time()
        assert validate(SCHEMA, document, [MergeableFieldsRule]) == []
        return time.thread_time() - started

    assert min(seconds(1_000) for _ in range(3)) < 30 * min(seconds(100) for _ in range(3))
