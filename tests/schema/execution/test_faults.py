"""A fault in compiled code is in the result, and the standard executor serves; what the engine would not run, it refuses."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import strawberry
from strawberry.directive import DirectiveLocation, DirectiveValue
from strawberry.extensions import SchemaExtension
from strawberry.schema.config import StrawberryConfig

from schema.execution.engine import Engine, Request, Result, Served
from schema.execution.hints import Derived, RecordsLoader, Reference, Values, hinted
from schema.execution.limits import Limits


def upside_down(_sources: Sequence[Any], _context: Any) -> Values:
    return [1 // 0]


def shout() -> str:
    return "loud"


def no_bells(_context: Any, _columns: frozenset[str]) -> RecordsLoader:
    raise AssertionError("nothing has an ID to load a bell by")


@strawberry.type
class Bell:
    name: str
    sound: str = strawberry.field(resolver=shout, metadata=hinted(Derived(upside_down)))


@strawberry.type
class Tower:
    bells: list[Bell]

    @strawberry.field(metadata=hinted(Reference(no_bells, "no_such_attribute", by_id=True)))
    def great_bell(self) -> Bell:
        return Bell(name="great")


@dataclass
class Context:
    """Counts how often each resolver ran."""

    resolved: list[str] = field(default_factory=list)


@strawberry.type
class Query:
    @strawberry.field
    async def bell(self, info: strawberry.Info[Context, None], name: str = "small") -> Bell:
        info.context.resolved.append("bell")
        return Bell(name=name)

    @strawberry.field
    async def tower(self, info: strawberry.Info[Context, None]) -> Tower:
        info.context.resolved.append("tower")
        return Tower(bells=[Bell(name="a"), Bell(name="b")])

    @strawberry.field
    async def late(self, info: strawberry.Info[Context, None]) -> Bell:
        for _ in range(5):
            await asyncio.sleep(0)
        info.context.resolved.append("late")
        return Bell(name="late")

    @strawberry.field
    async def jammed(self, info: strawberry.Info[Context, None]) -> Bell:
        """Return at once, and never again."""
        if "jammed" in info.context.resolved:
            await asyncio.Event().wait()
        info.context.resolved.append("jammed")
        return Bell(name="jammed")

    @strawberry.field
    async def stolen(self, info: strawberry.Info[Context, None]) -> Bell | None:
        info.context.resolved.append("stolen")
        raise TimeoutError("the store is away")

    @strawberry.field
    def bells(self, info: strawberry.Info[Context, None]) -> list[Bell]:
        info.context.resolved.append("bells")
        return [Bell(name="a"), Bell(name="b")]


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def ring(self, info: strawberry.Info[Context, None]) -> Bell:
        info.context.resolved.append("ring")
        return Bell(name="rung")


SCHEMA = strawberry.Schema(query=Query, mutation=Mutation)


async def run(document: str, variables: dict[str, Any] | None = None) -> tuple[Result, list[str]]:
    context = Context()
    result = await Engine(SCHEMA, Limits()).execute(Request(document, None, variables or {}), context)
    assert result.errors == []
    return result, context.resolved


FAULTY = [
    ("{ bell { name sound } }", {"bell": {"name": "small", "sound": "loud"}}, ["bell", "bell"]),
    (
        "{ tower { bells { name sound } } }",
        {"tower": {"bells": [{"name": "a", "sound": "loud"}, {"name": "b", "sound": "loud"}]}},
        ["tower", "tower"],
    ),
    (
        "{ tower { bells { name } greatBell { name } } }",
        {"tower": {"bells": [{"name": "a"}, {"name": "b"}], "greatBell": {"name": "great"}}},
        ["tower", "tower"],
    ),
    # What an executor resolved, it does not resolve again.
    ("{ bells { sound } }", {"bells": [{"sound": "loud"}, {"sound": "loud"}]}, ["bells"]),
    ("{ bell { sound } bells { sound } }", {"bell": {"sound": "loud"}, "bells": [{"sound": "loud"}] * 2}, ["bells", "bell"]),
    ("mutation { ring { name sound } }", {"ring": {"name": "rung", "sound": "loud"}}, ["ring"]),
]  # fmt: skip


@pytest.mark.parametrize(("document", "data", "resolved"), FAULTY)
async def test_after_a_fault_the_standard_executor_serves(document: str, data: Any, resolved: list[str]) -> None:
    result, ran = await run(document)

    assert (result.data, result.served, ran) == (data, Served.EXECUTOR, resolved)
    assert [type(fault) for fault in result.faults] in ([ZeroDivisionError], [AttributeError])


async def test_a_fault_of_one_root_field_lets_the_standard_executor_run_all() -> None:
    result, ran = await run("{ a: bell { sound } b: bell { name } }")

    assert result.data == {"a": {"sound": "loud"}, "b": {"name": "small"}}
    assert (len(result.faults), ran) == (1, ["bell"] * 4)


async def test_a_root_field_that_fails_waits_for_the_others_and_none_is_resolved_again() -> None:
    context = Context()

    result = await Engine(SCHEMA, Limits()).execute(Request("{ stolen { name } late { name } }", None, {}), context)

    assert (result.data, result.faults) == ({"stolen": None, "late": {"name": "late"}}, ())
    assert [(error.message, error.path) for error in result.errors] == [("the store is away", ["stolen"])]
    assert context.resolved == ["stolen", "late"]


@pytest.mark.parametrize("fields", ["stolen { name } bell { sound }", "bell { sound } stolen { name }"])
async def test_a_fault_is_reported_beside_a_root_field_that_fails(fields: str) -> None:
    result = await Engine(SCHEMA, Limits()).execute(Request(f"{{ {fields} }}", None, {}), Context())

    assert result.data == {"stolen": None, "bell": {"sound": "loud"}}
    assert ([type(fault) for fault in result.faults], result.served) == ([ZeroDivisionError], Served.EXECUTOR)


async def test_a_fault_is_reported_each_time() -> None:
    engine = Engine(SCHEMA, Limits())

    results = [await engine.execute(Request("{ bell { sound } }", None, {}), Context()) for _ in range(2)]

    assert [len(result.faults) for result in results] == [1, 1]


async def test_a_fault_is_kept_where_the_standard_executor_is_cancelled() -> None:
    faults = list[Exception]()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await Engine(SCHEMA, Limits()).execute(Request("{ jammed { sound } }", None, {}), Context(), faults)

    assert [type(fault) for fault in faults] == [ZeroDivisionError]


async def test_where_nothing_is_at_fault_none_is_reported() -> None:
    result, ran = await run("query ($name: String!) { bell(name: $name) { name } }", {"name": "blue"})

    assert (result.data, result.served, result.faults, ran) == ({"bell": {"name": "blue"}}, Served.ROOT_FIELDS, (), ["bell"])


class Nothing(SchemaExtension):
    pass


@strawberry.directive(locations=[DirectiveLocation.FIELD])
def louder(value: DirectiveValue[str]) -> str:
    return value.upper()


UNSERVED = [
    ({"extensions": [Nothing]}, "schema extensions"),
    ({"directives": [louder]}, "operation directives"),
    ({"config": StrawberryConfig(enable_experimental_incremental_execution=True)}, "incremental execution"),
    ({"execution_context_class": type("Own", (), {})}, "an execution context of its own"),
]


@pytest.mark.parametrize(("options", "what"), UNSERVED, ids=[what for _, what in UNSERVED])
def test_a_schema_with_what_the_engine_would_not_run_is_refused(options: dict[str, Any], what: str) -> None:
    schema = strawberry.Schema(query=Query, **options)

    with pytest.raises(ValueError, match="engine") as error:
        Engine(schema, Limits())

    assert str(error.value) == f"The schema has {what}, which this engine does not run: take them out of the schema."


async def test_an_operation_runs_with_nothing_but_a_document() -> None:
    result = await Engine(SCHEMA, Limits()).execute(Request("{ __typename }", None, {}), None)

    assert (result.data, result.errors, result.executed) == ({"__typename": "Query"}, [], True)
