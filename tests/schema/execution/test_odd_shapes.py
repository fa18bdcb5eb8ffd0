"""What the API does not have today, and plans must serve, or leave alone, when it comes: lists of lists, holes, guards."""

import json
from dataclasses import dataclass, field
from typing import Any, NewType

import pytest
import strawberry
from strawberry.extensions import FieldExtension
from strawberry.permission import BasePermission
from strawberry.schema.config import StrawberryConfig

from schema.execution.engine import Engine, Request
from schema.execution.limits import Limits
from tests.asking import execute

Silent = NewType("Silent", str)


class Nobody(BasePermission):
    message = "Nobody may see this."

    def has_permission(self, *_: Any, **__: Any) -> bool:
        return False


class Louder(FieldExtension):
    def resolve(self, next_: Any, source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        return next_(source, info, **kwargs).upper()


@strawberry.interface
class Named:
    name: str


@strawberry.type
class Box(Named):
    size: int


@strawberry.type
class Bag(Named):
    colour: str | None


@strawberry.type
class Odd:
    numbers: list[list[int]]
    holes: list[int | None] | None
    boxes: list[Box | None]
    grid: list[list[Box]]
    chest: Box | None
    needed: Box
    thing: Named | None
    either: list[Box | Bag]
    pair: list[int]
    broken: str | None
    silent: Silent | None
    hidden: str | None = strawberry.field(permission_classes=[Nobody])
    loud: str = strawberry.field(extensions=[Louder()])

    @strawberry.field
    def counted(self) -> int:
        return 7

    @strawberry.field
    async def waited(self) -> Box:
        return Box(name="late", size=9)


@dataclass
class Source:
    """What Python has of an Odd: any attribute may be of another type than it says."""

    numbers: Any = field(default_factory=lambda: [[1], [], [2, 3]])
    holes: Any = field(default_factory=lambda: [1, None])
    boxes: Any = field(default_factory=lambda: [Box(name="a", size=1), None])
    grid: Any = field(default_factory=lambda: [[Box(name="b", size=2)], []])
    chest: Any = None
    needed: Any = field(default_factory=lambda: Box(name="c", size=3))
    thing: Any = field(default_factory=lambda: Bag(name="d", colour=None))
    either: Any = field(default_factory=lambda: [Box(name="e", size=4), Bag(name="f", colour="red")])
    pair: Any = (1, 2)
    silent: Any = "..."
    hidden: Any = "secret"
    loud: Any = "quiet"

    @property
    def broken(self) -> str:
        raise TimeoutError("the store is away")


@strawberry.type
class Query:
    @strawberry.field
    def odd(self, info: strawberry.Info) -> Odd | None:
        return info.context  # type: ignore[no-any-return]  # whatever the test has made of it

    @strawberry.field
    async def must(self, info: strawberry.Info) -> Odd:
        return info.context  # type: ignore[no-any-return]

    @strawberry.field
    def odds(self, info: strawberry.Info) -> list[Odd]:
        return [info.context, info.context]


SILENT: dict[object, Any] = {Silent: strawberry.scalar(name="Silent", serialize=lambda _value: None)}
SCHEMA = strawberry.Schema(query=Query, types=[Box, Bag], config=StrawberryConfig(scalar_map=SILENT))

BOX = "{ __typename name size }"
QUERIES = [
    "{ odd { numbers holes } }",
    f"{{ odd {{ boxes {BOX} grid {BOX} }} }}",
    f"{{ odd {{ chest {BOX} needed {BOX} }} }}",
    "{ odd { thing { __typename name ... on Bag { colour } ... on Box { size } } } }",
    "{ odd { either { ... on Named { name } ... on Bag { colour } ... on Box { size } } } }",
    "{ odd { pair } }",
    "{ odd { numbers broken } }",
    "{ odd { numbers hidden } odds { hidden } }",
    "{ must { numbers } }",
    "{ must { silent numbers } odd { silent } }",
    "{ odd { loud } odds { loud numbers } }",
    f"{{ odd {{ numbers counted waited {BOX} }} odds {{ counted numbers waited {{ size }} }} }}",
    f"{{ odds {{ needed {BOX} grid {{ size }} }} }}",
]
SOURCES = {
    "as promised": Source(),
    "a chest": Source(chest=Box(name="g", size=5)),
    "null where none may be": Source(needed=None, numbers=[[1, None]], grid=[None]),
    "text where numbers are": Source(numbers=[["1", "x"]], holes="x", needed=Box(name="h", size="big")),  # type: ignore[arg-type]
    "no list where one is": Source(numbers=5, boxes=Box(name="i", size=6), grid=iter([])),
    "nothing": None,
}


async def run(planned: bool, document: str, source: Any) -> Any:
    answer = await execute(Engine(SCHEMA, Limits(), planned=planned), Request(document, None, {}), source)
    errors = [(error.message, error.path, error.locations, error.extensions) for error in answer.errors]
    return json.dumps(answer.data), errors


@pytest.mark.parametrize("document", QUERIES)
@pytest.mark.parametrize("source", SOURCES)
async def test_odd_shapes_are_answered_as_by_the_standard_executor(document: str, source: str) -> None:
    standard = await run(False, document, SOURCES[source])

    planned = await run(True, document, SOURCES[source])

    assert planned == standard


async def test_a_guarded_field_stays_guarded() -> None:
    data, errors = await run(True, "{ odd { numbers hidden } }", Source())

    assert data == '{"odd": {"numbers": [[1], [], [2, 3]], "hidden": null}}'
    assert [error[:2] for error in errors] == [("Nobody may see this.", ["odd", "hidden"])]


async def test_an_extended_field_stays_extended() -> None:
    data, errors = await run(True, "{ odds { loud } }", Source())

    assert (data, errors) == ('{"odds": [{"loud": "QUIET"}, {"loud": "QUIET"}]}', [])


async def test_a_timeout_below_a_plan_is_an_error_of_its_field() -> None:
    data, errors = await run(True, "{ odd { numbers broken } }", Source())

    assert data == '{"odd": {"numbers": [[1], [], [2, 3]], "broken": null}}'
    assert [error[:2] for error in errors] == [("the store is away", ["odd", "broken"])]
